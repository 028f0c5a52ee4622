/**
 * Looking at a data folder without changing it: `checkWal` says what is wrong, `dumpWal` prints redo, binlog, pages and
 * checkpoints. Both work on a closed and on a crashed folder: the check recovers a copy in memory and looks at that.
 */
import { toText } from "../common/bytes.ts";
import type { Disk } from "../common/disk/disk.ts";
import { UsageError } from "../common/errors.ts";
import { BINLOG_INDEX_PATH, binlogPath, readBinlogIndex } from "./binlog/binlog.ts";
import { readBinlog } from "./binlog/binlog-reader.ts";
import { EVENT_HEADER_BYTES, EVENT_NAMES, EventType, readQuery } from "./binlog/events.ts";
import { readU16, readU48 } from "./bytes-view.ts";
import { checkFolder } from "./inspect/check-folder.ts";
import { describeProblem } from "./inspect/problem.ts";
import { Arena, PAGE_GARBAGE_AT, PAGE_TOP_AT, PAGE_TYPE_NAMES, PageType, RECORD_TAIL_AT } from "./page.ts";
import { RedoReader } from "./redo-reader.ts";
import { REDO_NAMES, Redo, redoLength, redoPage, redoType, redoWhere } from "./redo-records.ts";
import { RedoRing } from "./redo-ring.ts";
import { KIND_NAMES } from "./rows/layout.ts";
import { Tablespace } from "./tablespace.ts";
import { UNDO_ID_AT, UNDO_NAMES, UNDO_SIZE_AT } from "./undo-log.ts";

/** What is wrong with the folder, a line for each problem: nothing, if all is well. */
export function checkWal(disk: Disk): string[] {
  return checkFolder(disk).map(describeProblem);
}

/** Prints `redo`, `binlog`, `checkpoint` or `page N`, as it is on the disk. */
export function dumpWal(disk: Disk, what: readonly string[], print: (line: string) => void): void {
  const [subject, argument] = what;
  if (subject === "redo") dumpRedo(disk, print);
  else if (subject === "binlog") dumpBinlog(disk, print);
  else if (subject === "checkpoint") dumpCheckpoints(disk, print);
  else if (subject === "page" && /^\d+$/.test(argument ?? "")) dumpPage(disk, Number(argument), print);
  else throw new UsageError("dump what? redo, binlog, checkpoint, or page and its number");
}

function openRing(disk: Disk): RedoRing {
  const ring = new RedoRing();
  ring.open(disk);
  return ring;
}

function dumpRedo(disk: Disk, print: (line: string) => void): void {
  const ring = openRing(disk);
  const checkpoint = ring.readCheckpoint();
  const reader = new RedoReader(ring, checkpoint);
  print(`checkpoint at LSN ${checkpoint.lsn}`);
  reader.each((bytes, from, to, lsn) => {
    print(`mini-transaction ${lsn - (to - from)} – ${lsn}`);
    for (let at = from; redoType(bytes, at) !== Redo.END; at += redoLength(bytes, at, to)) {
      const length = redoLength(bytes, at, to);
      const name = REDO_NAMES[redoType(bytes, at)]!.padEnd(8);
      print(`  ${name} page ${redoPage(bytes, at)} at ${redoWhere(bytes, at)}, ${length} bytes`);
    }
  });
  print(`end of the log at LSN ${reader.lsn}`);
  ring.close();
}

function dumpCheckpoints(disk: Disk, print: (line: string) => void): void {
  const ring = openRing(disk);
  for (const slot of [0, 1]) {
    const checkpoint = ring.readSlot(slot);
    if (checkpoint === undefined) print(`slot ${slot}: not a checkpoint`);
    else {
      const { number, lsn, epoch, epochStart, doublewriteBatch, binlogFile, binlogDurable } = checkpoint;
      print(
        `slot ${slot}: number ${number}, LSN ${lsn}, epoch ${epoch} since LSN ${epochStart}, ` +
          `doublewrite batch ${doublewriteBatch}, binlog ${binlogFile} synced to ${binlogDurable}`,
      );
    }
  }
  ring.close();
}

function dumpBinlog(disk: Disk, print: (line: string) => void): void {
  if (!disk.exists(BINLOG_INDEX_PATH)) throw new UsageError("there is no binlog");
  for (const number of readBinlogIndex(disk)) {
    const file = disk.open(binlogPath(number), "read");
    print(binlogPath(number));
    const end = readBinlog(file, (type, buffer, at, eventEnd, position) => {
      const place = `  ${position}`.padEnd(12);
      const name = (EVENT_NAMES[type] ?? `type ${type}`).padEnd(20);
      if (type === EventType.QUERY) {
        const { database, text } = readQuery(buffer, at, eventEnd);
        print(`${place}${name}${database} ${toText(text)}`);
      } else if (type === EventType.XID) print(`${place}${name}${readU48(buffer, at + EVENT_HEADER_BYTES)}`);
      else print(`${place}${name}${eventEnd - at} bytes`);
    });
    if (end.position < file.size()) print(`  ${end.position}: torn tail of ${file.size() - end.position} bytes`);
    file.close();
  }
}

function dumpPage(disk: Disk, page: number, print: (line: string) => void): void {
  const space = new Tablespace();
  space.open(disk);
  const arena = new Arena(1);
  const state = space.read(page, arena, 0);
  space.close();
  const type = PAGE_TYPE_NAMES[arena.typeOf(0)] ?? `type ${arena.typeOf(0)}`;
  print(`page ${page}: ${state}, ${type}, level ${arena.levelOf(0)}, LSN ${arena.lsnOf(0)}`);
  const top = arena.halves[PAGE_TOP_AT >> 1]!;
  const garbage = arena.halves[PAGE_GARBAGE_AT >> 1]!;
  print(`  previous ${arena.previousOf(0)}, next ${arena.nextOf(0)}, heap to ${top}, garbage ${garbage}`);
  if (arena.typeOf(0) === PageType.LEAF || arena.typeOf(0) === PageType.NODE) dumpRecords(arena, print);
  if (arena.typeOf(0) === PageType.UNDO) dumpUndo(arena, top, print);
}

function dumpRecords(arena: Arena, print: (line: string) => void): void {
  for (let slot = 0; slot < arena.countOf(0); slot++) {
    const record = arena.recordAt(0, slot);
    const words = [0, 1, 2].map((i) => arena.words[(record >> 2) + i]!.toString(16).padStart(8, "0")).join(" ");
    const tailAt = record + RECORD_TAIL_AT;
    const tail = toText(arena.bytes.toString("latin1", tailAt, tailAt + Math.min(arena.tailLength(record), 60)));
    const kind = KIND_NAMES[arena.bytes[record + 3]!] ?? "?";
    const what =
      arena.levelOf(0) > 0
        ? `child ${arena.childOf(record)}`
        : `transaction ${readU48(arena.bytes, tailAt + arena.tailLength(record))}, value of ${arena.valueLength(record)} bytes` +
          (arena.isExternal(record) ? " and a chain" : "");
    print(`  ${slot} @${record}: ${kind} ${words} "${tail}" ${what}`);
  }
}

function dumpUndo(arena: Arena, top: number, print: (line: string) => void): void {
  for (let at = 32; at < top; at += readU16(arena.bytes, at + UNDO_SIZE_AT)) {
    const name = UNDO_NAMES[arena.bytes[at]!]!;
    print(`  @${at}: ${name} of transaction ${readU48(arena.bytes, at + UNDO_ID_AT)}, state ${arena.bytes[at + 1]}`);
  }
}
