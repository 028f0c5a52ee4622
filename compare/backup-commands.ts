/**
 * `twolog wal binlog|schema|backup|restore`: their flags. What they do is in run-backup.ts, which is loaded when one of them runs.
 */
import { Command } from "commander";
import type { BackupFlags, BinlogFlags, RestoreFlags } from "./run-backup.ts";

type Print = (line: string) => void;

/** The subcommands for `twolog wal`. */
export function binlogCommands(print: Print): Command[] {
  return [binlogCommand(print), schemaCommand(print), backupCommand(print), restoreCommand(print)];
}

function binlogCommand(print: Print): Command {
  return new Command("binlog")
    .description("print the transactions of the binlog, rows as SQL")
    .argument("<dir-or-file>", "data folder, or one binlog file")
    .option("--from <place>", "begin at a position, FILE:POSITION, or time")
    .option("--to <place>", "end before a position, FILE:POSITION, or time")
    .option("--json", "one JSON object a line for each transaction")
    .action(async (path: string, flags: BinlogFlags) => {
      const { printBinlog } = await import("./run-backup.ts");
      process.exitCode = printBinlog(path, flags, print);
    });
}

function schemaCommand(print: Print): Command {
  return new Command("schema")
    .description("print the tables of which the binlog's row events speak, as CREATE TABLE statements")
    .action(async () => {
      const { schemaAsSql } = await import("../kv-wal/binlog/schema.ts");
      schemaAsSql().forEach(print);
    });
}

function backupCommand(print: Print): Command {
  return new Command("backup")
    .description("copy the data of a running server (--port), while it writes, or of a stopped one (--dir)")
    .requiredOption("--to <folder>", "the backup: a folder that is empty or not there")
    .option("--dir <folder>", "data folder of a server that is not running")
    .option("--port <n>", "port of a running server, which writes the backup itself", Number)
    .option("--host <name>", "where it runs", "127.0.0.1")
    .action(async (flags: BackupFlags) => {
      const { backUp } = await import("./run-backup.ts");
      await backUp(flags, print);
    });
}

function restoreCommand(print: Print): Command {
  return new Command("restore")
    .description("make a data folder out of a backup and the binlog, as it was at a time or a position")
    .requiredOption("--backup <folder>", "what `twolog wal backup` has made")
    .requiredOption("--to <folder>", "the new data folder: empty or not there")
    .option(
      "--until <place>",
      "'YYYY-MM-DD hh:mm:ss', FILE:POSITION, or a position in the only file; left out: all there is",
    )
    .option("--binlogs <folder>", "data folder with the binlog; left out: the one of which the backup was made")
    .action(async (flags: RestoreFlags) => {
      const { restoreFolder } = await import("./run-backup.ts");
      await restoreFolder(flags, print);
    });
}
