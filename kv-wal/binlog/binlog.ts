/**
 * The binlog: events are appended to the last of its files (binlog-files.ts).
 *
 * A new file is begun when the last one is full and no transaction is prepared but undecided, so that the last file that has
 * a transaction decides about all (pitfall 34). The full one ends with ROTATE, synced before the next one is made; a last file
 * that ends with ROTATE was to be followed by another, and loses it in recovery: the rotation comes again.
 */
import { present } from "../../common/assert.ts";
import type { Disk, DiskFile } from "../../common/disk/disk.ts";
import { CorruptFile, type DiskFailure } from "../../common/errors.ts";
import { Log, type LogSink } from "../../common/log/log.ts";
import { readU48 } from "../bytes-view.ts";
import {
  BINLOG_FOLDER,
  binlogName,
  binlogPath,
  binlogSize,
  binlogStartTime,
  createBinlogFile,
  FILE_START_BYTES,
  readBinlogIndex,
  removeBinlogOrphans,
  writeBinlogIndex,
} from "./binlog-files.ts";
import { type BinlogEnd, checkFull, readBinlog, type VisitEvent } from "./binlog-reader.ts";
import { EVENT_HEADER_BYTES, EventType, rotateEvent } from "./events.ts";

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
  /** The last file that had a transaction when the binlog was opened. */
  #deciding = 0;
  syncs = 0;
  /** Files from this number on are not purged: a backup that is being made names it. */
  keptFrom = Number.POSITIVE_INFINITY;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /**
   * Recovery: opens the last file, makes what a killed process had written durable, and cuts what is behind the last whole
   * transaction, durably, before anyone relies on the rest (pitfalls 8 and 36). `durable` had been synced: damage before
   * it is refused, not cut (pitfall 19). `lastXid` is that of all files.
   */
  open(durable: { readonly file: number; readonly position: number }): BinlogEnd & { cutBytes: number } {
    this.#numbers = readBinlogIndex(this.#disk);
    const file = this.#disk.open(this.path, "update");
    file.syncNow();
    const end = readBinlog(file, () => {});
    const durableTo = this.number === durable.file ? durable.position : 0;
    if (this.number < durable.file || end.position < Math.max(durableTo, FILE_START_BYTES)) {
      throw new CorruptFile(this.path, end.wholeTo, "a binlog event is damaged, though it had been durable");
    }
    const cutBytes = file.size() - end.position;
    if (cutBytes > 0) {
      file.truncate(end.position);
      file.syncNow();
    }
    removeBinlogOrphans(this.#disk, this.#numbers);
    this.#use(file, end.position);
    this.#deciding = this.number;
    let { lastXid } = end;
    while (lastXid === 0 && this.#deciding > this.#numbers[0]!) {
      this.#deciding--;
      lastXid = this.#readDeciding(() => {}).lastXid;
    }
    return { ...end, lastXid, cutBytes };
  }

  /** Recovery: visits the XIDs of the last file that has any. */
  eachDecision(visit: (xid: number) => void): void {
    this.#readDeciding((type, buffer, at) => {
      if (type === EventType.XID) visit(readU48(buffer, at + EVENT_HEADER_BYTES));
    });
  }

  #readDeciding(visit: VisitEvent): BinlogEnd {
    const file = this.#disk.open(binlogPath(this.#deciding), "read");
    try {
      const end = readBinlog(file, visit);
      if (this.#deciding < this.number) checkFull(file, end);
      return end;
    } finally {
      file.close();
    }
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

  /** The files, oldest first. */
  list(): { readonly name: string; readonly number: number; readonly size: number }[] {
    return this.#numbers.map((number) => {
      const size = number === this.number ? this.log.written : binlogSize(this.#disk, number);
      return { name: binlogName(number), number, size };
    });
  }

  /** Removes the files before this one; first from the index, durably (L2). Returns how many. */
  purgeBefore(first: number): number {
    const purged = this.#numbers.filter((number) => number < Math.min(first, this.number, this.keptFrom));
    if (purged.length === 0) return 0;
    this.#numbers = this.#numbers.slice(purged.length);
    writeBinlogIndex(this.#disk, this.#numbers);
    for (const number of purged) this.#disk.remove(binlogPath(number));
    this.#disk.syncDir(BINLOG_FOLDER);
    return purged.length;
  }

  /** Removes the files all of whose transactions are older than this time: those whose successor was begun before it. */
  purgeOlderThan(seconds: number): number {
    let first = this.#numbers[0]!;
    while (first < this.number && binlogStartTime(this.#disk, first + 1) < seconds) first++;
    return this.purgeBefore(first);
  }

  close(): void {
    this.#file?.close();
  }
}
