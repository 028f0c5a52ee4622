/**
 * An append-only log: a buffer in memory, then the page cache, then the disk. The AOF, the redo log and the binlog are
 * each one of these with another sink.
 *
 *     0 ────────────── durable ────────── written ────────── appended
 *      survives power loss │ survives a kill │ only in this process
 *
 * Invariants: durable <= written <= appended, and none of them ever goes back. One background sync runs at a time; it
 * covers what was written when it *started* and nothing later (pitfalls 21 and 22), so whoever wrote meanwhile waits for
 * the next one: that is the group commit.
 *
 * A failed write or sync is reported to the caller and never retried here (I6); what a retry of a write may mean, only the
 * owner of the log knows. A sync is never tried again: when one in the background has failed, every later call fails with
 * it. Otherwise nobody might hear of it: the kernel reports an error once, so a `syncNow` that came meanwhile may have
 * succeeded, and those who waited for the background sync have gone.
 */
import { assert } from "../assert.ts";
import { type Bytes, writeBytes } from "../bytes.ts";
import type { DiskFailure } from "../errors.ts";

/** Where the bytes go. Positions are log positions; the sink maps them to files (and, for redo, to blocks). */
export interface LogSink {
  /** Writes `bytes`, whose first byte has log position `at`, behind everything written before. */
  write(at: number, bytes: Uint8Array): void;
  /** As DiskFile.sync. */
  sync(done: (failure: DiskFailure | undefined) => void): void;
  /** As DiskFile.syncNow. */
  syncNow(): void;
}

/** Told that everything up to the position it waited for is durable, or that this will never be known. */
export type DurableCallback = (failure: DiskFailure | undefined) => void;

const BUFFER_BYTES_INITIAL = 8 * 1024;
/** Of a log to which nothing has been appended yet. */
const NONE = Buffer.alloc(0);
/** A buffer that one large batch has grown beyond this is given back after it was written. */
const BUFFER_BYTES_KEPT = 4 * 1024 * 1024;
/** A buffer grows by doubling, but leaves no more room than this: a Buffer has at most 4 GiB. */
const BUFFER_BYTES_SPARE = 64 * 1024 * 1024;

export class Log {
  readonly #sink: LogSink;
  #buffer: Buffer = NONE;
  #length = 0;
  #written: number;
  #durable: number;
  #syncing = false;
  readonly #waiting: { upTo: number; done: DurableCallback }[] = [];
  /** Of a background sync. */
  #failure: DiskFailure | undefined;

  /** A log whose first `position` bytes are already durable. */
  constructor(sink: LogSink, position: number) {
    this.#sink = sink;
    this.#written = position;
    this.#durable = position;
  }

  /** The position behind the last byte appended. */
  get appended(): number {
    return this.#written + this.#length;
  }
  /** The position behind the last byte handed to the operating system. */
  get written(): number {
    return this.#written;
  }
  /** The position behind the last byte known to be on disk. */
  get durable(): number {
    return this.#durable;
  }
  get syncing(): boolean {
    return this.#syncing;
  }

  /**
   * Makes room for `sizeBytes` more and returns the buffer; the caller writes at `bufferedBytes` and then calls `advance`.
   * The buffer is valid until the next call of any method.
   */
  reserve(sizeBytes: number): Buffer {
    const needed = this.#length + sizeBytes;
    if (needed > this.#buffer.length) {
      const doubled = Math.min(this.#buffer.length * 2, needed + BUFFER_BYTES_SPARE);
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, doubled, BUFFER_BYTES_INITIAL));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    return this.#buffer;
  }

  /** Bytes appended and not yet written; the offset in the buffer at which the next byte goes. */
  get bufferedBytes(): number {
    return this.#length;
  }

  /** The caller has filled the reserved buffer up to `end`. */
  advance(end: number): void {
    assert(end >= this.#length && end <= this.#buffer.length, "log: advance stays inside what was reserved");
    this.#length = end;
  }

  appendBytes(bytes: Bytes): void {
    const buffer = this.reserve(bytes.length);
    this.advance(writeBytes(buffer, bytes, this.#length));
  }

  /** Hands the buffer to the operating system. Throws DiskFailure; the buffer is then kept as it was. */
  write(): void {
    this.#throwFailure();
    if (this.#length === 0) return;
    this.#sink.write(this.#written, this.#buffer.subarray(0, this.#length));
    this.#written += this.#length;
    this.#length = 0;
    if (this.#buffer.length > BUFFER_BYTES_KEPT) this.#buffer = NONE;
  }

  /** Appends bytes that the caller has in a buffer of its own and hands them to the operating system, without a copy. */
  writeFrom(bytes: Buffer): void {
    assert(this.#length === 0, "log: what was appended before is written before");
    this.#throwFailure();
    if (bytes.length === 0) return;
    this.#sink.write(this.#written, bytes);
    this.#written += bytes.length;
  }

  /** Syncs what was written and waits. */
  syncNow(): void {
    this.#throwFailure();
    if (this.#durable === this.#written) return;
    this.#sink.syncNow();
    this.#settle(this.#written);
  }

  /** Calls `done` when everything up to `upTo` (which has been written) is durable: now, or after a background sync. */
  whenDurable(upTo: number, done: DurableCallback): void {
    assert(upTo <= this.#written, "log: only what was written can be waited for");
    if (this.#failure !== undefined || (upTo <= this.#durable && this.#waiting.length === 0)) {
      done(this.#failure);
      return;
    }
    this.#waiting.push({ upTo, done });
    if (!this.#syncing) this.#startSync();
  }

  #startSync(): void {
    const covered = this.#written;
    this.#syncing = true;
    this.#sink.sync((failure) => {
      this.#syncing = false;
      if (failure !== undefined) {
        this.#failure = failure;
        for (const waiter of this.#waiting.splice(0)) waiter.done(failure);
        return;
      }
      this.#settle(covered);
      if (this.#waiting.length > 0 && !this.#syncing) this.#startSync();
    });
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #settle(covered: number): void {
    if (covered > this.#durable) this.#durable = covered;
    while (this.#waiting.length > 0 && this.#waiting[0]!.upTo <= this.#durable) this.#waiting.shift()!.done(undefined);
  }
}
