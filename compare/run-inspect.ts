/**
 * `twolog aof check|dump DIR`, `twolog wal check|inspect DIR`: looks at a data folder without changing it. Works on a closed,
 * crashed or damaged folder. The flags are in inspect-commands.ts.
 */
import { statSync } from "node:fs";
import { RealDisk } from "../common/disk/real-disk.ts";
import { UsageError } from "../common/errors.ts";
import { checkAof, describeReport, dumpAof } from "../kv-aof/inspect.ts";
import { isCreated } from "../kv-wal/create.ts";
import { checkFolder } from "../kv-wal/inspect/check-folder.ts";
import { describeProblem } from "../kv-wal/inspect/problem.ts";
import { type InspectOptions, inspectWal } from "../kv-wal/inspect.ts";

type Print = (line: string) => void;

const STATUS_DAMAGED = 1;

/** A folder that is there: opening a RealDisk would make it. */
export function existingDisk(folder: string): RealDisk {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UsageError(`there is no folder ${folder}`);
  }
  return new RealDisk(folder);
}

/** A folder of kv-wal. */
export function walDisk(folder: string): RealDisk {
  const disk = existingDisk(folder);
  if (!isCreated(disk)) throw new UsageError(`${folder} has no data of kv-wal`);
  return disk;
}

/** Says what recovery would do; the exit status. */
export function checkAofFolder(folder: string, print: Print): number {
  const report = checkAof(existingDisk(folder));
  describeReport(report).forEach(print);
  return report.whole ? 0 : STATUS_DAMAGED;
}

export function dumpAofFolder(folder: string, print: Print): void {
  dumpAof(existingDisk(folder), print);
}

/** Says what is damaged; the exit status. */
export function checkWalFolder(folder: string, asJson: boolean, print: Print): number {
  const problems = checkFolder(walDisk(folder));
  if (asJson) print(JSON.stringify(problems, undefined, 1));
  else if (problems.length > 0) problems.map(describeProblem).forEach(print);
  else print("the tablespace recovers, and everything in it is whole");
  return problems.length > 0 ? STATUS_DAMAGED : 0;
}

export interface InspectFlags extends InspectOptions {
  host: string;
  port?: number;
}

/** The folder is the last of the words, what is wanted of it are the others. */
export function inspectFolder(words: readonly string[], flags: InspectOptions, print: Print): void {
  inspectWal(walDisk(words.at(-1)!), words.slice(0, -1), flags, print);
}

/** The buffer pool is memory: a running server tells about it, in INFO. */
export async function inspectPool(words: readonly string[], flags: InspectFlags, print: Print): Promise<void> {
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
