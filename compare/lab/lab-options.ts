/** The flags of `twolog compare` that belong to the lab's campaigns and replays. */
import { type Command, InvalidArgumentError } from "commander";
import { positiveInteger, wholeNumber } from "../flag-values.ts";
import { DEFAULT_AGAIN_ONE_IN, DEFAULT_DEEPER_ONE_IN, DEFAULT_FAULTS_ONE_IN } from "./campaign-defaults.ts";

function list(text: string): string[] {
  return text.split(",");
}

/** "2/3": the second of three. */
function shard(text: string): { index: number; of: number } {
  const [, index, of] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  if (Number(index) < 1 || !(Number(index) <= Number(of))) throw new InvalidArgumentError("Not i/n, as in 1/3.");
  return { index: Number(index) - 1, of: Number(of) };
}

/** Adds them to the command. */
export function addLabOptions(command: Command): Command {
  return command
    .option(
      "--campaign <states>",
      "explore crash states in the simulator until so many distinct ones were judged",
      positiveInteger,
    )
    .option("--workers <n>", "with --campaign: worker threads; one per processor when left out", positiveInteger)
    .option("--state <file>", "with --campaign: what is done; a killed campaign goes on from it")
    .option("--shard <i/n>", "with --campaign: this machine's share, as in 1/3", shard)
    .option("--merge <file...>", "add up the state files of a shared campaign, and report")
    .option("--models <list>", "with --campaign, --replay: persistence models (compare/README.md), or all", list)
    .option(
      "--again <n>",
      `with --campaign: crash the recovery of one distinct disk in n of the longer runs (of short runs each); 0: of none (${DEFAULT_AGAIN_ONE_IN})`,
      wholeNumber,
    )
    .option(
      "--deeper <n>",
      `with --campaign: crash one in n of the recoveries after a crashed recovery, too; 0: none (${DEFAULT_DEEPER_ONE_IN})`,
      wholeNumber,
    )
    .option(
      "--faults <n>",
      `with --campaign: let the disk fail at the n-th call, each n, in one run in so many; 0: none (${DEFAULT_FAULTS_ONE_IN})`,
      wholeNumber,
    )
    .option(
      "--workloads <list>",
      "with --campaign: of sequences, bank, counters, append, mix, pauses, large, rewrite, interactive, log-full, shrink",
      list,
    )
    .option("--replay <what>", "find a violation again: a file, or a line as wal:1/1:mix:17 or …:17:sync-EIO@3")
    .option("--save <file>", "with --campaign, --replay: write the first violation, minimised, to a file for --replay")
    .option("--html <file>", "with --campaign: one self-contained page")
    .option("--junit <file>", "with --campaign: for CI")
    .addHelpText("after", EXIT_STATUS);
}

const EXIT_STATUS = `
Exit status: 0 every promise was kept; 1 one was broken, or a recovery refused to start under a model that is promised, or
the command could not be done; 2 the command line was wrong; 130 interrupted.`;
