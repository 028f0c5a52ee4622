/**
 * `twolog wal binlog|backup|restore`: the binlog as SQL, backups, and point-in-time recovery. The flags are in
 * backup-commands.ts.
 */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseDateTime } from "../common/command/date-time.ts";
import { DirectiveConfig } from "../common/config.ts";
import { RealDisk } from "../common/disk/real-disk.ts";
import { UsageError } from "../common/errors.ts";
import { RealHost } from "../common/host.ts";
import { SERVER_DIRECTIVES } from "../common/server/directives.ts";
import { readManifest } from "../kv-wal/backup.ts";
import { binlogPath } from "../kv-wal/binlog/binlog-files.ts";
import { printTransaction, timeText, transactionAsJson } from "../kv-wal/binlog/print.ts";
import {
  BinlogChain,
  type BinlogPlace,
  eachTransaction,
  type LoggedTransaction,
  tornTail,
} from "../kv-wal/binlog/transactions.ts";
import { WAL_DIRECTIVES } from "../kv-wal/directives.ts";
import { createWalEngine } from "../kv-wal/engine.ts";
import { overlayHost } from "../kv-wal/force-recovery.ts";
import { restore, type Until } from "../kv-wal/restore.ts";
import { existingDisk, walDisk } from "./run-inspect.ts";

type Print = (line: string) => void;

const LOCK_PATH = "twolog.lock";
const STATUS_DAMAGED = 1;
const POLL_MS = 100;
const SLICE_MS = 50;

// binlog

export interface BinlogFlags {
  from?: string;
  to?: string;
  json?: boolean;
}

/** Prints the transactions; the exit status. */
export function printBinlog(path: string, flags: BinlogFlags, print: Print): number {
  const from = flags.from === undefined ? undefined : parsePlace(flags.from);
  const to = flags.to === undefined ? undefined : parsePlace(flags.to);
  const tornBytes = eachLogged(path, (transaction, file) => {
    if (to !== undefined && !isBefore(transaction, file, to)) return false;
    if (from !== undefined && isBefore(transaction, file, from)) return true;
    if (flags.json) print(transactionAsJson(transaction));
    else printTransaction(transaction, print);
    return true;
  });
  if (tornBytes === 0) return 0;
  process.stderr.write(`twolog: behind it are ${tornBytes} bytes that are no whole transaction: torn, or damaged\n`);
  return STATUS_DAMAGED;
}

/** Returns how many bytes at the end are no whole transaction. */
function eachLogged(path: string, visit: (transaction: LoggedTransaction, file: number) => boolean): number {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    const chain = new BinlogChain(new RealDisk(path));
    return chain.each({ file: chain.numbers[0]!, position: 0 }, visit);
  }
  const number = Number(/\.(\d{6,})$/.exec(path)?.[1] ?? 0);
  const file = existingDisk(dirname(path)).open(basename(path), "read");
  const end = eachTransaction(file, 0, (transaction) => visit(transaction, number));
  const tornBytes = tornTail(file, end);
  file.close();
  return tornBytes;
}

/** A place as people write it; a position without a file counts in every file. */
type Place = { readonly time: number } | { readonly file?: number; readonly position: number };

function parsePlace(text: string): Place {
  const match = /^(?:(?:.*binlog\.)?(\d+):)?(\d+)$/.exec(text);
  if (match !== null) {
    const position = Number(match[2]);
    return match[1] === undefined ? { position } : { file: Number(match[1]), position };
  }
  const time = parseDateTime(text);
  if (time === undefined) throw new UsageError(`'${text}' is no position, FILE:POSITION or 'YYYY-MM-DD hh:mm:ss'`);
  return { time };
}

function isBefore({ position, seconds }: LoggedTransaction, file: number, place: Place): boolean {
  if ("time" in place) return seconds * 1000 < place.time;
  if (place.file === undefined || place.file === file) return position < place.position;
  return file < place.file;
}

// backup

export interface BackupFlags {
  to: string;
  dir?: string;
  port?: number;
  host: string;
}

/** Makes a backup and says what it has. */
export async function backUp(flags: BackupFlags, print: Print): Promise<void> {
  if ((flags.dir === undefined) === (flags.port === undefined)) throw new UsageError("give --port or --dir");
  const to = resolve(flags.to);
  if (flags.port !== undefined) await backUpServer(flags.host, flags.port, to);
  else await backUpFolder(resolve(flags.dir!), to);
  const { time, lsn, binlog } = readManifest(new RealDisk(to));
  print(`${to} has the data of ${time}, LSN ${lsn}, ${binlogPath(binlog.file)}:${binlog.position}`);
}

async function backUpServer(host: string, port: number, to: string): Promise<void> {
  const { Redis } = await import("ioredis");
  const client = new Redis(port, host, { lazyConnect: true, retryStrategy: () => null });
  try {
    await client.connect();
    await client.call("BACKUP", "TO", to);
    for (;;) {
      const info = new Map(
        (await client.info("wal")).split("\r\n").map((line) => line.split(/:(.*)/) as [string, string]),
      );
      if (info.get("backup_in_progress") === "0") {
        if (info.get("backup_status") === "done") return;
        throw new UsageError(`the backup failed: ${info.get("backup_problem")}`);
      }
      await sleep(POLL_MS);
    }
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError((error as Error).message);
  } finally {
    client.disconnect();
  }
}

/** The folder is recovered in memory over what is there, which stays as it is. */
async function backUpFolder(folder: string, to: string): Promise<void> {
  const disk = walDisk(folder);
  const release = disk.lock(LOCK_PATH);
  try {
    const host = overlayHost(new RealHost(disk, undefined, (path) => new RealDisk(path)));
    const engine = createWalEngine(host, walConfig(folder));
    engine.recover();
    engine.binaryLogs.backUp(to);
    while (engine.backup.isRunning) {
      // Nothing but the backup: expiry would write into a binlog that only this process sees.
      engine.backup.idle(host.clock.monotonic() + SLICE_MS);
      await sleep(0);
    }
    if (engine.backup.problem !== "") throw new UsageError(`the backup failed: ${engine.backup.problem}`);
  } finally {
    release();
  }
}

function walConfig(folder: string): DirectiveConfig {
  return new DirectiveConfig([SERVER_DIRECTIVES, WAL_DIRECTIVES], { dir: folder });
}

// restore

export interface RestoreFlags {
  backup: string;
  to: string;
  until?: string;
  binlogs?: string;
}

/** Makes a data folder and says how far it goes. */
export async function restoreFolder(flags: RestoreFlags, print: Print): Promise<void> {
  const to = resolve(flags.to);
  if (existsSync(to) && readdirSync(to).length > 0) throw new UsageError(`${to} is not empty`);
  const backup = existingDisk(flags.backup);
  const manifest = readManifest(backup);
  const binlogs = existingDisk(flags.binlogs ?? manifest.source);
  const until = flags.until === undefined ? undefined : untilOf(parsePlace(flags.until), binlogs, manifest.binlog);
  // A folder has its name when all of it is there.
  const draft = `${to}.restoring`;
  if (existsSync(draft)) throw new UsageError(`${draft} is left of a restore that was cut short: remove it`);
  const host = new RealHost(new RealDisk(draft));
  const restored = await restore({ backup, binlogs, host, config: walConfig(draft), until });
  if (existsSync(to)) rmdirSync(to);
  renameSync(draft, to);
  syncFolder(dirname(to));
  const { transactions, place, seconds } = restored;
  const when = seconds === undefined ? "the time of the backup" : timeText(seconds);
  print(`${join(to)}: ${transactions} transactions applied, to ${binlogPath(place.file)}:${place.position}, ${when}`);
}

function untilOf(place: Place, binlogs: RealDisk, from: BinlogPlace): Until {
  if ("time" in place) return place;
  if (place.file !== undefined) return { file: place.file, position: place.position };
  const last = new BinlogChain(binlogs).numbers.at(-1)!;
  if (last !== from.file) throw new UsageError("there are several binlog files since the backup: say FILE:POSITION");
  return { file: last, position: place.position };
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  fsyncSync(descriptor);
  closeSync(descriptor);
}
