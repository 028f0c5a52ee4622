/**
 * The binlog's files: `wal/binlog.000001` … and `wal/binlog.index`, which lists them, one name a line.
 *
 * Events are appended to the last file listed. A new file is begun when the last one is full and no transaction is
 * prepared but undecided, so that recovery needs to ask the last file only (pitfall 34). Its first bytes and its entry in
 * the folder are durable before the index names it, and the index is replaced by renaming (I8).
 */
import { present } from "../../common/assert.ts";
import type { Disk, DiskFile } from "../../common/disk/disk.ts";
import { CorruptFile, type DiskFailure } from "../../common/errors.ts";
import { Log, type LogSink } from "../../common/log/log.ts";
import { type BinlogEnd, readBinlog, type VisitEvent } from "./binlog-reader.ts";
import { fileStart, rotateEvent } from "./events.ts";

export const BINLOG_FOLDER = "wal";
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

class FileSink implements LogSink {
  readonly file: DiskFile;
  constructor(file: DiskFile) {
    this.file = file;
  }
  write(at: number, bytes: Uint8Array): void {
    this.file.write(at, bytes);
  }
  sync(done: (failure: DiskFailure | undefined) => void): void {
    this.file.sync(done);
  }
  syncNow(): void {
    this.file.syncNow();
  }
}

export class Binlog {
  readonly #disk: Disk;
  #numbers: number[] = [];
  #file: DiskFile | undefined;
  #log: Log | undefined;
  syncs = 0;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /**
   * Recovery: opens the last file, makes what a killed process had written durable, and cuts what is behind the last whole
   * transaction, durably, before anyone relies on the rest (pitfalls 8 and 36). `durable` had been synced: damage before
   * it is refused, not cut (pitfall 19).
   */
  open(
    durable: { readonly file: number; readonly position: number },
    visit: VisitEvent,
  ): BinlogEnd & { cutBytes: number } {
    this.#numbers = readBinlogIndex(this.#disk);
    const file = this.#disk.open(this.path, "update");
    file.syncNow();
    const end = readBinlog(file, visit);
    if (this.number < durable.file || (this.number === durable.file && end.position < durable.position)) {
      throw new CorruptFile(this.path, end.wholeTo, "a binlog event is damaged, though it had been durable");
    }
    const cutBytes = file.size() - end.position;
    if (cutBytes > 0) {
      file.truncate(end.position);
      file.syncNow();
    }
    this.#removeOrphan();
    this.#use(file, end.position);
    return { ...end, cutBytes };
  }

  /** A file that the index does not name yet: a rotation was cut short. */
  #removeOrphan(): void {
    const orphan = binlogPath(this.number + 1);
    if (!this.#disk.exists(orphan)) return;
    this.#disk.remove(orphan);
    this.#disk.syncDir(BINLOG_FOLDER);
  }

  #use(file: DiskFile, position: number): void {
    this.#file = file;
    this.#log = new Log(new FileSink(file), position);
  }

  get log(): Log {
    return present(this.#log, "binlog: open");
  }
  get number(): number {
    return this.#numbers.at(-1)!;
  }
  get path(): string {
    return binlogPath(this.number);
  }
  get files(): number {
    return this.#numbers.length;
  }

  /** Appends the events of a group and hands them to the operating system. */
  write(events: readonly Buffer[]): void {
    for (const chunk of events) this.log.writeFrom(chunk);
  }

  syncNow(): void {
    this.syncs++;
    this.log.syncNow();
  }

  /** Calls `done` when everything written so far is durable. */
  whenDurable(done: (failure: DiskFailure | undefined) => void): void {
    this.syncs++;
    this.log.whenDurable(this.log.written, done);
  }

  /** Begins a new file. The caller has made sure that no transaction is undecided and that the redo log is durable. */
  rotate(seconds: number): void {
    const number = this.number + 1;
    this.write([rotateEvent(seconds, this.log.appended, binlogName(number))]);
    this.log.syncNow();
    present(this.#file, "binlog: open").close();
    createBinlogFile(this.#disk, number, seconds);
    this.#disk.syncDir(BINLOG_FOLDER);
    this.#numbers.push(number);
    writeBinlogIndex(this.#disk, this.#numbers);
    const file = this.#disk.open(this.path, "update");
    this.#use(file, file.size());
  }

  close(): void {
    this.#file?.close();
  }
}
