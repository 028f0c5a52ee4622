/**
 * `twolog aof check|dump DIR`, `twolog wal check|inspect DIR`: their flags. What they do is in run-inspect.ts, which is loaded
 * when one of them runs.
 */
import { Command } from "commander";
import { binlogCommands } from "./backup-commands.ts";
import type { InspectFlags } from "./run-inspect.ts";

type Print = (line: string) => void;

/** The subcommand `aof`. */
export function aofCommand(print: Print): Command {
  const check = new Command("check")
    .description("say whether recovery will accept the files, and what it will cut; exit status 1 if they are damaged")
    .argument("<dir>", "data folder")
    .action(async (folder: string) => {
      const { checkAofFolder } = await import("./run-inspect.ts");
      process.exitCode = checkAofFolder(folder, print);
    });
  const dump = new Command("dump")
    .description("print every command with file, offset and database")
    .argument("<dir>", "data folder")
    .action(async (folder: string) => {
      const { dumpAofFolder } = await import("./run-inspect.ts");
      dumpAofFolder(folder, print);
    });
  return new Command("aof").description("look at the append-only file of kv-aof").addCommand(check).addCommand(dump);
}

/** The subcommand `wal`. */
export function walCommand(print: Print): Command {
  const check = new Command("check")
    .description("recover in memory and verify every file, page, link and count; exit status 1 if anything is wrong")
    .argument("<dir>", "data folder")
    .option("--json", "problems as a JSON array")
    .action(async (folder: string, flags: { json?: boolean }) => {
      const { checkWalFolder } = await import("./run-inspect.ts");
      process.exitCode = checkWalFolder(folder, flags.json === true, print);
    });
  const wal = new Command("wal")
    .description("look at tablespace, redo log and binlog of kv-wal, back up and restore")
    .addCommand(check)
    .addCommand(inspectCommand(print));
  for (const command of binlogCommands(print)) wal.addCommand(command);
  return wal;
}

function inspectCommand(print: Print): Command {
  return new Command("inspect")
    .description("show what is in the files, byte by byte; of a damaged folder, too")
    .argument(
      "<what...>",
      "redo | checkpoint | page N | tree | undo | binlog | doublewrite | space, and the data folder; or pool",
    )
    .option("--json", "as a JSON array")
    .option("--recovered", "recover in memory first: pages have what now only the redo log has")
    .option("--host <name>", "for pool: where the server runs", "127.0.0.1")
    .option("--port <n>", "for pool: the port of the running server", Number)
    .action(async (words: string[], flags: InspectFlags) => {
      const { inspectFolder, inspectPool } = await import("./run-inspect.ts");
      if (words[0] === "pool") await inspectPool(words, flags, print);
      else inspectFolder(words, flags, print);
    });
}
