/**
 * `twolog aof|wal check|dump DIR`: looks at a data folder without changing it. Works on a closed or crashed folder, and on
 * one that a server has open.
 */
import { statSync } from "node:fs";
import { Command } from "commander";
import { RealDisk } from "../common/disk/real-disk.ts";
import { UsageError } from "../common/errors.ts";
import { checkAof, describeReport, dumpAof } from "../kv-aof/inspect.ts";
import { isCreated } from "../kv-wal/create.ts";
import { checkWal, dumpWal } from "../kv-wal/inspect.ts";

const STATUS_DAMAGED = 1;

/** A folder that is there: opening a RealDisk would make it. */
function existingDisk(folder: string): RealDisk {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UsageError(`there is no folder ${folder}`);
  }
  return new RealDisk(folder);
}

/** The subcommand `aof`. */
export function aofCommand(print: (line: string) => void): Command {
  const check = new Command("check")
    .description("say whether recovery will accept the files, and what it will cut; exit status 1 if they are damaged")
    .argument("<dir>", "data folder")
    .action((folder: string) => {
      const report = checkAof(existingDisk(folder));
      describeReport(report).forEach(print);
      if (!report.whole) process.exitCode = STATUS_DAMAGED;
    });
  const dump = new Command("dump")
    .description("print every command with file, offset and database")
    .argument("<dir>", "data folder")
    .action((folder: string) => dumpAof(existingDisk(folder), print));
  return new Command("aof").description("look at the append-only file of kv-aof").addCommand(check).addCommand(dump);
}

function walDisk(folder: string): RealDisk {
  const disk = existingDisk(folder);
  if (!isCreated(disk)) throw new UsageError(`${folder} has no data of kv-wal`);
  return disk;
}

/** The subcommand `wal`. */
export function walCommand(print: (line: string) => void): Command {
  const check = new Command("check")
    .description("recover a copy in memory and verify every page, link and count; exit status 1 if anything is wrong")
    .argument("<dir>", "data folder")
    .action((folder: string) => {
      const problems = checkWal(walDisk(folder));
      problems.forEach(print);
      if (problems.length > 0) process.exitCode = STATUS_DAMAGED;
      else print("the tablespace recovers, and everything in it is whole");
    });
  const dump = new Command("dump")
    .description("print redo, binlog, checkpoint, or page N, as it is on the disk")
    .argument("<dir>", "data folder")
    .argument("<what...>", "redo | binlog | checkpoint | page N")
    .action((folder: string, what: string[]) => dumpWal(walDisk(folder), what, print));
  return new Command("wal")
    .description("look at tablespace, redo log and binlog of kv-wal")
    .addCommand(check)
    .addCommand(dump);
}
