/**
 * Reads the binlog as what it says: transactions, and what each of them changed.
 *
 * `eachTransaction` goes through one file, `BinlogChain` through the files of a folder that follow one another.
 */
import type { Bytes } from "../../common/bytes.ts";
import type { Disk, DiskFile } from "../../common/disk/disk.ts";
import { CorruptFile, UsageError } from "../../common/errors.ts";
import { splitArguments } from "../../common/resp/split-arguments.ts";
import { readU32, readU48 } from "../bytes-view.ts";
import { BINLOG_INDEX_PATH, binlogPath, readBinlogIndex } from "./binlog-files.ts";
import { type BinlogEnd, checkFull, readBinlog } from "./binlog-reader.ts";
import { EVENT_HEADER_BYTES, EventType, readQuery } from "./events.ts";
import { type ChangedRow, readRows } from "./row-events.ts";
import { readCall } from "./schema.ts";

/** A command as text, in a database. */
export interface Statement {
  readonly database: number;
  readonly args: readonly Bytes[];
}

export type Change = ChangedRow | Statement;

export function isStatement(change: Change): change is Statement {
  return "args" in change;
}

export interface LoggedTransaction {
  readonly path: string;
  /** From BEGIN to behind XID. */
  readonly position: number;
  readonly end: number;
  readonly xid: number;
  /** When it committed: seconds since 1970. */
  readonly seconds: number;
  readonly changes: readonly Change[];
}

/** Visits the whole transactions of a file, from the first that starts at or behind `from` on, until the visitor answers false. */
export function eachTransaction(
  file: DiskFile,
  from: number,
  visit: (transaction: LoggedTransaction) => boolean,
): BinlogEnd {
  let changes: Change[] = [];
  let start = 0;
  let wanted = true;
  return readBinlog(file, (type, buffer, at, end, position) => {
    if (!wanted || position < from) return;
    if (type === EventType.XID) {
      const seconds = readU32(buffer, at);
      const xid = readU48(buffer, at + EVENT_HEADER_BYTES);
      wanted = visit({ path: file.path, position: start, end: position + end - at, xid, seconds, changes });
    } else if (type === EventType.QUERY && isBegin(buffer, at, end)) {
      changes = [];
      start = position;
    } else if (type === EventType.QUERY) changes.push(statementOf(file.path, buffer, at, end, position));
    else if (type >= EventType.WRITE_ROWS && type <= EventType.DELETE_ROWS) {
      const rows = readRows(buffer, at, end);
      if (rows === undefined) throw new CorruptFile(file.path, position, "rows of a table that is not ours");
      for (const row of rows) changes.push(row);
    }
  });
}

function isBegin(buffer: Buffer, at: number, end: number): boolean {
  const { database, text } = readQuery(buffer, at, end);
  return database === "" && text === "BEGIN";
}

function statementOf(path: string, buffer: Buffer, at: number, end: number, position: number): Statement {
  const { database, text } = readQuery(buffer, at, end);
  const call = database === "" ? readCall(text) : undefined;
  if (call !== undefined) return call;
  const index = /^db(\d+)$/.exec(database)?.[1];
  const args = splitArguments(text);
  if (index === undefined || args === undefined || args.length === 0) {
    throw new CorruptFile(path, position, "a statement that is no command");
  }
  return { database: Number(index), args };
}

/** Bytes behind the last whole transaction, ROTATE excepted. */
export function tornTail(file: DiskFile, { position, wholeTo, rotated }: BinlogEnd): number {
  return file.size() - (rotated ? wholeTo : position);
}

/** A place between two transactions. */
export interface BinlogPlace {
  readonly file: number;
  readonly position: number;
}

/** The files of a folder as one log. */
export class BinlogChain {
  readonly #disk: Disk;
  /** Numbers of the files, one after the other. */
  readonly numbers: readonly number[];

  constructor(disk: Disk) {
    this.#disk = disk;
    if (!disk.exists(BINLOG_INDEX_PATH)) throw new UsageError("there is no binlog");
    this.numbers = readBinlogIndex(disk);
  }

  /**
   * Visits every transaction behind a place, to the end of the log, or until the visitor answers false. What is missing or
   * damaged in between is refused: only the last file may end with a torn tail. Returns the length of that one.
   */
  each(from: BinlogPlace, visit: (transaction: LoggedTransaction, file: number) => boolean): number {
    const first = this.numbers.indexOf(from.file);
    if (first < 0) {
      throw new UsageError(
        `${binlogPath(from.file)} is needed, but the binlog begins with ${binlogPath(this.numbers[0]!)}`,
      );
    }
    let wanted = true;
    let tornBytes = 0;
    for (let i = first; i < this.numbers.length && wanted; i++) {
      const start = i === first ? from.position : 0;
      const file = this.#disk.open(binlogPath(this.numbers[i]!), "read");
      try {
        const end = eachTransaction(file, start, (transaction) => {
          wanted = visit(transaction, this.numbers[i]!);
          return wanted;
        });
        if (wanted) tornBytes = this.#checkEnd(file, end, start, i === this.numbers.length - 1);
      } finally {
        file.close();
      }
    }
    return tornBytes;
  }

  #checkEnd(file: DiskFile, end: BinlogEnd, start: number, isLast: boolean): number {
    if (end.position < start) throw new UsageError(`${file.path} ends at ${end.position}, before position ${start}`);
    if (isLast) return tornTail(file, end);
    checkFull(file, end);
    return 0;
  }
}
