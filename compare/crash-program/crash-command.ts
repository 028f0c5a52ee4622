/**
 * `twolog crash --dir DIR --check CMD -- PROGRAM ARGS…`: its flags. What it does is in crash-program.ts, which is loaded when it
 * runs.
 */
import { availableParallelism } from "node:os";
import { Command } from "commander";
import { positiveInteger, wholeNumber } from "../flag-values.ts";
import type { CrashFlags } from "./crash-program.ts";

const MODELS = "kill,ext4-like,posix-weak";

/** The subcommand, for compare/twolog.ts. */
export function crashCommand(): Command {
  return new Command("crash")
    .description("record any program's file operations, and check every folder that a crash may leave of them")
    .argument("<program>", "the program; options of its own after --")
    .argument("[args...]", "its arguments")
    .requiredOption("--dir <folder>", "the data folder: what the program does to files below it is recorded")
    .requiredOption(
      "--check <command>",
      "shell command that exits with 0 when folder {dir} is fine; {acks}: the lines printed",
    )
    .option("--model <list>", "persistence models (compare/README.md)", MODELS)
    .option("--states <n>", "folders to check, at most", positiveInteger, 1000)
    .option("--seed <n>", "chooses among states where not all are checked", wholeNumber, 1)
    .option("--jobs <n>", "checks at a time", positiveInteger, availableParallelism())
    .option("--ignore <glob...>", "files that are not followed and not in the checked folders, such as shared memory")
    .option("--timeout <seconds>", "a check that takes longer has failed", positiveInteger, 30)
    .option("--quiet", "do not pass on what the program prints")
    .option("--json <file>", "write the whole result to a file")
    .addHelpText(
      "after",
      `
A line that the program prints on its standard output counts as an acknowledgement: the check gets the lines that had
been printed when the crash came ({acks}, $TWOLOG_ACKS), and can judge whether what they promise is still there.

Exit status: 0 every folder passed; 1 one failed; 2 wrong usage, this machine cannot record, or the check cannot be run; 3 the
recording was rejected.

  twolog crash --dir data --check 'node check.js {dir} {acks}' -- node store.js data`,
    )
    .action(async (program: string, args: string[], flags: CrashFlags) => {
      const { runCrash } = await import("./crash-program.ts");
      process.exitCode = await runCrash(program, args, flags);
    });
}
