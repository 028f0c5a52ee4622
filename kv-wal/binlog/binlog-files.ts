/**
 * The binlog's files as a list: `wal/binlog.000001` … and `wal/binlog.index`, which has their names, one a line, oldest
 * first. Numbers follow one another.
 *
 * Invariants: L1 the index is replaced by renaming, durably. L2 a file is whole to its first transaction, durable, and durable in
 * its folder, before the index names it; a file that the index no longer names is removed after that is durable (I8). So a crash
 * leaves at most files that the index does not name: before its first, or the one behind its last. They are removed.
 */
import type { Disk } from "../../common/disk/disk.ts";
import { CorruptFile } from "../../common/errors.ts";
import { readU32 } from "../bytes-view.ts";
import { BINLOG_MAGIC, fileStart } from "./events.ts";

export const BINLOG_FOLDER = "wal";
/** A file without transactions. */
export const FILE_START_BYTES = fileStart(0).length;
export const BINLOG_INDEX_PATH = "wal/binlog.index";

export function binlogName(number: number): string {
  return `binlog.${String(number).padStart(6, "0")}`;
}

export function binlogPath(number: number): string {
  return `${BINLOG_FOLDER}/${binlogName(number)}`;
}

/** Makes the file `number`, with its first event; durable but for its entry in the folder. */
export function createBinlogFile(disk: Disk, number: number, seconds: number): void {
  const file = disk.open(binlogPath(number), "ensure");
  file.truncate(0);
  file.write(0, fileStart(seconds));
  file.syncNow();
  file.close();
}

/** Replaces the index; durable when it returns. */
export function writeBinlogIndex(disk: Disk, numbers: readonly number[]): void {
  const path = `${BINLOG_INDEX_PATH}.new`;
  const file = disk.open(path, "ensure");
  file.truncate(0);
  file.write(0, Buffer.from(numbers.map((number) => `${binlogPath(number)}\n`).join(""), "latin1"));
  file.syncNow();
  file.close();
  disk.rename(path, BINLOG_INDEX_PATH);
  disk.syncDir(BINLOG_FOLDER);
}

/** The numbers of the files that the index lists. */
export function readBinlogIndex(disk: Disk): number[] {
  const file = disk.open(BINLOG_INDEX_PATH, "read");
  const bytes = Buffer.alloc(file.size());
  file.read(0, bytes);
  file.close();
  const lines = bytes.toString("latin1").split("\n");
  const numbers = lines.slice(0, -1).map((line) => Number(/^wal\/binlog\.(\d{6,})$/.exec(line)?.[1]));
  if (numbers.length === 0 || lines.at(-1) !== "" || numbers.some((number) => !(number > 0))) {
    throw new CorruptFile(BINLOG_INDEX_PATH, 0, "not a list of binlog files");
  }
  const stray = numbers.findIndex((number, i) => number !== numbers[0]! + i || !disk.exists(binlogPath(number)));
  if (stray >= 0) {
    const problem = `names ${binlogPath(numbers[stray]!)}, which is missing or not the next one,`;
    throw new CorruptFile(BINLOG_INDEX_PATH, lines.slice(0, stray).join("\n").length, problem);
  }
  return numbers;
}

/** Removes what a rotation or a purge that was cut short has left (L2). */
export function removeBinlogOrphans(disk: Disk, numbers: readonly number[]): void {
  let removed = 0;
  for (const name of disk.list(BINLOG_FOLDER)) {
    const number = Number(/^binlog\.(\d{6,})$/.exec(name)?.[1] ?? numbers[0]);
    if (number >= numbers[0]! && number <= numbers.at(-1)!) continue;
    if (number > numbers.at(-1)! + 1)
      throw new CorruptFile(BINLOG_INDEX_PATH, 0, `${name} is not in the list of binlog files`);
    disk.remove(`${BINLOG_FOLDER}/${name}`);
    removed++;
  }
  if (removed > 0) disk.syncDir(BINLOG_FOLDER);
}

export function binlogSize(disk: Disk, number: number): number {
  const file = disk.open(binlogPath(number), "read");
  const size = file.size();
  file.close();
  return size;
}

/** When a file was begun, in seconds: the file before it has nothing younger. */
export function binlogStartTime(disk: Disk, number: number): number {
  const file = disk.open(binlogPath(number), "read");
  const start = Buffer.alloc(BINLOG_MAGIC.length + 4);
  file.read(0, start);
  file.close();
  return readU32(start, BINLOG_MAGIC.length);
}
