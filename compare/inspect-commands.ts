/**
 * `twolog aof check|dump DIR`, `twolog wal check|inspect DIR`: looks at a data folder without changing it. Works on a closed,
 * crashed or damaged folder.
 */
import { statSync } from "node:fs";
import { Command } from "commander";
import { RealDisk } from "../common/disk/real-disk.ts";
import { UsageError } from "../common/errors.ts";
import { checkAof, describeReport, dumpAof } from "../kv-aof/inspect.ts";
import { isCreated } from "../kv-wal/create.ts";
import { checkFolder } from "../kv-wal/inspect/check-folder.ts";
import { describeProblem } from "../kv-wal/inspect/problem.ts";
import { type InspectOptions, inspectWal } from "../kv-wal/inspect.ts";
import { binlogCommands } from "./backup-commands.ts";

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
    .description("recover in memory and verify every file, page, link and count; exit status 1 if anything is wrong")
    .argument("<dir>", "data folder")
    .option("--json", "problems as a JSON array")
    .action((folder: string, flags: { json?: boolean }) => {
      const problems = checkFolder(walDisk(folder));
      if (flags.json) print(JSON.stringify(problems, undefined, 1));
      else if (problems.length > 0) problems.map(describeProblem).forEach(print);
      else print("the tablespace recovers, and everything in it is whole");
      if (problems.length > 0) process.exitCode = STATUS_DAMAGED;
    });
  const wal = new Command("wal")
    .description("look at tablespace, redo log and binlog of kv-wal, back up and restore")
    .addCommand(check)
    .addCommand(inspectCommand(print));
  for (const command of binlogCommands(print)) wal.addCommand(command);
  return wal;
}

interface InspectFlags extends InspectOptions {
  host: string;
  port?: number;
}

function inspectCommand(print: (line: string) => void): Command {
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
      if (words[0] === "pool") await inspectPool(words, flags, print);
      else inspectWal(walDisk(words.at(-1)!), words.slice(0, -1), flags, print);
    });
}

/** The buffer pool is memory: a running server tells about it, in INFO. */
async function inspectPool(
  words: readonly string[],
  flags: InspectFlags,
  print: (line: string) => void,
): Promise<void> {
  if (words.length > 1 || flags.port === undefined) {
    throw new UsageError("the buffer pool is in memory: twolog wal inspect pool --port N asks a running server");
  }
  const { Redis } = await import("ioredis");
  const client = new Redis(flags.port, flags.host, { lazyConnect: true, retryStrategy: () => null });
  try {
    await client.connect();
    const lines = (await client.info("wal")).split("\r\n").filter((line) => line.startsWith("buffer_pool_"));
    if (flags.json) print(JSON.stringify(Object.fromEntries(lines.map((line) => line.split(":")))));
    else for (const line of lines) print(line.replace(":", "  "));
  } catch (error) {
    throw new UsageError(`cannot ask ${flags.host}:${flags.port}: ${(error as Error).message}`);
  } finally {
    client.disconnect();
  }
}
