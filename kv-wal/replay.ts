/**
 * Replay: brings the pages of the tablespace to the state at the end of the redo log.
 *
 * The log is read once for its end (redo-reader.ts), which opens the new epoch, and then in batches: the records of many
 * mini-transactions are gathered, sorted by page, and applied page by page in the order of the file. So a page is read
 * once per batch, however small the pool is, and neighbours are read together. A log that fits into one batch is not
 * read again. The order between pages does not matter: a record changes one page only, and all mini-transactions of a
 * batch are known to be whole.
 *
 * Invariants: A1 a record is applied to a page whose LSN is smaller than the end of its mini-transaction, in the order of the
 * log (redo-records.ts R2): replaying twice is replaying once (I7). A2 a page that is not in the file is first made, then
 * changed; so is one that is damaged there, if redo makes it: the end of the file that was cut off comes back in parts when that
 * was not synced (free-space.ts S3), and a page made there since need not have been written. A3 pages changed by a batch count
 * as dirty since the batch's first byte, so the dirty list stays in order.
 */
import { wordsOf } from "./bytes-view.ts";
import type { Checkpoint } from "./checkpoint-slot.ts";
import { Force } from "./force-recovery.ts";
import { PAGE_SIZE } from "./page.ts";
import type { RecoveryReport } from "./recovery-report.ts";
import { RedoReader } from "./redo-reader.ts";
import { applyRedo, Redo, redoLength, redoPage, redoType } from "./redo-records.ts";
import type { Storage } from "./storage.ts";

/** Log bytes gathered before they are applied. */
const BATCH_BYTES_MAX = 16 << 20;
const BATCH_BYTES_INITIAL = 4 << 10;
const RECORDS_INITIAL = 64;
const NONE = -1;

/** Records of many mini-transactions, found by page. */
class RecordBatch {
  #bytes = Buffer.allocUnsafeSlow(BATCH_BYTES_INITIAL);
  #words = wordsOf(this.#bytes);
  #length = 0;
  #count = 0;
  /** By record: where it is in `bytes`, the end of its mini-transaction, and the next record of the same page. */
  #at = new Uint32Array(RECORDS_INITIAL);
  #lsn = new Float64Array(RECORDS_INITIAL);
  #next = new Int32Array(RECORDS_INITIAL);
  /** By page: its first and last record. */
  #first = new Int32Array(RECORDS_INITIAL).fill(NONE);
  #last = new Int32Array(RECORDS_INITIAL);
  readonly #pages: number[] = [];
  start = 0;
  groups = 0;

  get isEmpty(): boolean {
    return this.#length === 0;
  }
  get bytes(): Buffer {
    return this.#bytes;
  }
  get words(): Uint32Array {
    return this.#words;
  }

  /** Adds a mini-transaction that ends at `lsn`; false when the batch is full. */
  add(bytes: Buffer, from: number, to: number, lsn: number): boolean {
    const length = to - from;
    if (this.#length + length > BATCH_BYTES_MAX) return false;
    if (this.#length + length > this.#bytes.length) this.#grow(this.#length + length);
    if (this.#length === 0) this.start = lsn - length;
    bytes.copy(this.#bytes, this.#length, from, to);
    const end = this.#length + length;
    for (let at = this.#length; redoType(this.#bytes, at) !== Redo.END; at += redoLength(this.#bytes, at, end)) {
      this.#addRecord(at, lsn);
    }
    this.#length = end;
    this.groups++;
    return true;
  }

  #addRecord(at: number, lsn: number): void {
    const index = this.#count++;
    if (index === this.#at.length) this.#growRecords();
    this.#at[index] = at;
    this.#lsn[index] = lsn;
    this.#next[index] = NONE;
    const page = redoPage(this.#bytes, at);
    if (page >= this.#first.length) this.#growPages(page);
    if (this.#first[page] === NONE) {
      this.#first[page] = index;
      this.#pages.push(page);
    } else this.#next[this.#last[page]!] = index;
    this.#last[page] = index;
  }

  /** Its pages, ascending. */
  pages(): readonly number[] {
    return this.#pages.sort((a, b) => a - b);
  }
  firstOf(page: number): number {
    return this.#first[page]!;
  }
  /** The record of the same page behind this one; negative: there is none. */
  nextOf(record: number): number {
    return this.#next[record]!;
  }
  placeOf(record: number): number {
    return this.#at[record]!;
  }
  lsnOf(record: number): number {
    return this.#lsn[record]!;
  }

  clear(): void {
    for (const page of this.#pages) this.#first[page] = NONE;
    this.#pages.length = 0;
    this.#length = 0;
    this.#count = 0;
  }

  #grow(needed: number): void {
    let size = this.#bytes.length;
    while (size < needed) size *= 4;
    const grown = Buffer.allocUnsafeSlow(size);
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
    this.#words = wordsOf(grown);
  }

  #growRecords(): void {
    const size = 2 * this.#at.length;
    const [at, lsn, next] = [new Uint32Array(size), new Float64Array(size), new Int32Array(size)];
    at.set(this.#at);
    lsn.set(this.#lsn);
    next.set(this.#next);
    this.#at = at;
    this.#lsn = lsn;
    this.#next = next;
  }

  #growPages(page: number): void {
    const size = Math.max(page + 1, 2 * this.#first.length);
    const [first, last] = [new Int32Array(size).fill(NONE), new Int32Array(size)];
    first.set(this.#first);
    last.set(this.#last);
    this.#first = first;
    this.#last = last;
  }
}

export class Replay {
  readonly #storage: Storage;
  readonly #force: number;
  readonly #report: RecoveryReport;
  readonly #batch = new RecordBatch();
  #records = 0;
  #skipped = 0;
  #lost = 0;

  constructor(storage: Storage, force: number, report: RecoveryReport) {
    this.#storage = storage;
    this.#force = force;
    this.#report = report;
  }

  /** Finds the end of the log, opens a new epoch there, durably, and applies everything from the checkpoint on. */
  run(checkpoint: Checkpoint): void {
    const { redo } = this.#storage;
    const batch = this.#batch;
    const scout = new RedoReader(redo.ring, checkpoint);
    let isWhole = true;
    if (this.#force < Force.NO_REDO) {
      scout.each((bytes, from, to, lsn) => {
        isWhole = isWhole && batch.add(bytes, from, to, lsn);
      });
    }
    const { payload, firstGroup } = scout.tail();
    const end = scout.lsn;
    redo.begin(checkpoint, end, payload, firstGroup);
    redo.unreadBlock = scout.block;
    if (end === checkpoint.lsn) return;
    if (isWhole) this.#apply(checkpoint.lsn, end);
    else this.#applyInBatches(checkpoint, scout.block, end);
    this.#tell(checkpoint.lsn, end);
  }

  #applyInBatches(checkpoint: Checkpoint, verifiedTo: number, end: number): void {
    const batch = this.#batch;
    batch.clear();
    batch.groups = 0;
    new RedoReader(this.#storage.redo.ring, checkpoint, verifiedTo).each((bytes, from, to, lsn) => {
      if (batch.add(bytes, from, to, lsn)) return;
      this.#apply(checkpoint.lsn, end);
      batch.add(bytes, from, to, lsn);
    });
    this.#apply(checkpoint.lsn, end);
  }

  /** Applies the batch and empties it. */
  #apply(logStart: number, logEnd: number): void {
    const batch = this.#batch;
    for (const page of batch.pages()) {
      this.#applyTo(page);
      this.#report.progress("replaying redo", batch.start - logStart, logEnd - logStart);
    }
    batch.clear();
  }

  #applyTo(page: number): void {
    const { pool } = this.#storage;
    const batch = this.#batch;
    const { bytes, words } = batch;
    let record = batch.firstOf(page);
    pool.beginOperation();
    const frame = this.#frameOf(page, redoType(bytes, batch.placeOf(record)));
    if (frame < 0) {
      for (; record >= 0; record = batch.nextOf(record)) this.#lost++;
      return;
    }
    const base = frame * PAGE_SIZE;
    const pageLsn = pool.arena.lsnOf(base);
    let changedAt = 0;
    for (; record >= 0; record = batch.nextOf(record)) {
      const lsn = batch.lsnOf(record);
      if (lsn <= pageLsn) {
        this.#skipped++; // A1
        continue;
      }
      applyRedo(pool.arena, base, bytes, words, batch.placeOf(record));
      changedAt = lsn;
      this.#records++;
    }
    if (changedAt > 0) pool.markChanged(frame, batch.start, changedAt); // A3
  }

  /** The frame with a page that a record of type `record` changes; −1 when it is damaged and recovery passes over that. */
  #frameOf(page: number, record: number): number {
    const { pool, space } = this.#storage;
    if (space.damagedPages.has(page)) return NONE;
    pool.isMadeAnew = record === Redo.INIT; // A2
    try {
      return pool.fetch(page);
    } catch (error) {
      if (!space.damagedPages.has(page) || this.#force < Force.IGNORE_CORRUPT_PAGES) throw error;
      return NONE;
    } finally {
      pool.isMadeAnew = false;
    }
  }

  #tell(from: number, to: number): void {
    this.#report.line(
      `replayed redo from LSN ${from} to ${to}: ${this.#batch.groups} mini-transactions, ` +
        `${this.#records} records applied, ${this.#skipped} already in their pages`,
    );
    if (this.#lost > 0) this.#report.line(`left out ${this.#lost} redo records of damaged pages`);
  }
}
