/**
 * One batch of dirty pages on its way to their places in the tablespace:
 *
 *     copy         the pages are copied and their checksums summed, which is most of the work of this thread; from then on they
 *                  count as clean, and what changes later makes them dirty again
 *     redo         the log is durable up to the newest page (I3)
 *     doublewrite  the copies are in the doublewrite file, synced (I4); left out when the doublewrite is off
 *     pages        the same copies are in their places, synced
 *
 * The steps run in the background, each begun when the sync of the one before has been answered, and the copies made some
 * in each turn; or in place (`now`), from wherever the batch is, when writers wait for it.
 *
 * Invariants: F1 one batch is on its way at a time (D1 in doublewrite.ts). F2 its frames stay pinned until it has arrived:
 * nobody reads from the file what is not there yet. F3 what is written in place is the copy that was doublewritten,
 * whatever has become of the page. F4 until it has arrived, no checkpoint is written: the pages are clean and not there yet. F5 a
 * step that is taken over from the background is written again before it is synced in place: the answer of the other sync is
 * not known yet, and a second one does not vouch for what the first one may have lost (I6).
 */
import { assert } from "../common/assert.ts";
import { DiskFailure } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { Doublewrite } from "./doublewrite.ts";
import { PAGE_SIZE } from "./page.ts";
import type { RedoLog } from "./redo-log.ts";
import { SPACE_PATH, type Tablespace } from "./tablespace.ts";

/** Told when a batch has arrived, or that it failed. */
export type Arrived = (failure: DiskFailure | undefined) => void;

/** Copied in one turn: a third of a millisecond. */
const COPIED_PER_TURN = 16;

export class PageBatch {
  readonly #host: Host;
  readonly #pool: BufferPool;
  readonly #redo: RedoLog;
  readonly #doublewrite: Doublewrite;
  readonly #space: Tablespace;
  #frames: readonly number[] = [];
  /** So many of them have been copied: they are pinned; the others are dirty still. */
  #copied = 0;
  #newest = 0;
  #step: "none" | "copy" | "redo" | "doublewrite" | "pages" = "none";
  /** Counts steps: the answer to a sync that somebody has not waited for is known by it. */
  #stepNumber = 0;
  #arrived: Arrived = () => {};
  pagesWritten = 0;

  constructor(host: Host, pool: BufferPool, redo: RedoLog, doublewrite: Doublewrite, space: Tablespace) {
    this.#host = host;
    this.#pool = pool;
    this.#redo = redo;
    this.#doublewrite = doublewrite;
    this.#space = space;
  }

  get isOnItsWay(): boolean {
    return this.#step !== "none";
  }

  /** A batch of these dirty frames. `inBackground` or `now` writes them. */
  begin(frames: number[]): void {
    assert(this.#step === "none", "F1: one batch at a time");
    const pool = this.#pool;
    this.#frames = frames.sort((a, b) => pool.pageIn(a) - pool.pageIn(b));
    this.#copied = 0;
    this.#newest = 0;
    this.#step = "copy";
  }

  /** Copies the next `count` pages at most. They are dirty: only a batch makes pages clean (F1). */
  #copy(count: number): void {
    const pool = this.#pool;
    const end = Math.min(this.#copied + count, this.#frames.length);
    for (; this.#copied < end; this.#copied++) {
      const frame = this.#frames[this.#copied]!;
      this.#newest = Math.max(this.#newest, pool.newestChange(frame));
      this.#doublewrite.add(pool.pageIn(frame), pool.arena.bytes, frame * PAGE_SIZE);
      pool.markClean(frame);
      pool.pin(frame);
    }
    if (this.#copied === this.#frames.length) this.#step = "redo";
  }

  /** Writes the batch in the background and calls `arrived`, unless `now` has been called meanwhile. */
  inBackground(arrived: Arrived): void {
    assert(this.#step === "copy", "a batch is begun, then written");
    this.#arrived = arrived;
    this.#backgroundCopy();
  }

  #backgroundCopy(): void {
    this.#copy(COPIED_PER_TURN);
    if (this.#copied === this.#frames.length) this.#backgroundRedo();
    else {
      const next = this.#then(() => this.#backgroundCopy());
      this.#host.afterTick(() => next(undefined));
    }
  }

  #backgroundRedo(): void {
    if (this.#newest <= this.#redo.log.durable) this.#backgroundDoublewrite();
    else {
      this.#redo.write();
      this.#redo.whenDurable(this.#then(() => this.#backgroundDoublewrite()));
    }
  }

  #backgroundDoublewrite(): void {
    this.#requireDurable();
    if (!this.#doublewrite.enabled) {
      this.#backgroundPages();
      return;
    }
    this.#writeCopies();
    this.#doublewrite.sync(this.#then(() => this.#backgroundPages()));
  }

  #backgroundPages(): void {
    this.#writePages();
    this.#space.sync(
      this.#then(() => {
        this.#arrive();
        this.#arrived(undefined);
      }),
    );
  }

  /** What to do with the answer to a sync; nothing but to report its failure, when the batch has gone on without it. */
  #then(next: () => void): Arrived {
    const stepNumber = ++this.#stepNumber;
    return (failure) => {
      if (failure !== undefined) this.#arrived(failure);
      else if (stepNumber === this.#stepNumber) {
        try {
          next();
        } catch (error) {
          if (!(error instanceof DiskFailure)) throw error;
          this.#arrived(error);
        }
      }
    };
  }

  /** Goes through the steps that are left, waiting for each. Nothing happens when no batch is on its way. */
  now(): void {
    if (this.#step === "none") return;
    this.#stepNumber++;
    this.#copy(this.#frames.length);
    if (this.#step === "redo" && this.#newest > this.#redo.log.durable) this.#redo.flushNow();
    this.#requireDurable();
    if (this.#step !== "pages" && this.#doublewrite.enabled) {
      this.#writeCopies();
      this.#doublewrite.syncNow();
    }
    this.#writePages(); // F5
    this.#space.syncNow();
    this.#arrive();
  }

  #requireDurable(): void {
    assert(this.#newest <= this.#redo.log.durable, "I3: page LSN <= durable redo");
  }

  #writeCopies(): void {
    this.#step = "doublewrite";
    this.#doublewrite.write();
  }

  #writePages(): void {
    if (this.#step === "doublewrite" && this.#host.tracing) {
      this.#host.trace("wal.doublewrite", { file: "wal/doublewrite", bytes: this.#doublewrite.bytes });
    }
    this.#step = "pages";
    this.#doublewrite.writeInPlace(this.#space);
    if (!this.#host.tracing) return;
    const bytes = this.#frames.length * PAGE_SIZE;
    this.#host.trace("wal.page-write", { file: SPACE_PATH, bytes, lsn: this.#newest });
  }

  #arrive(): void {
    if (this.#host.tracing) this.#host.trace("wal.page-sync", { file: SPACE_PATH, lsn: this.#newest });
    this.#doublewrite.end();
    for (const frame of this.#frames) this.#pool.unpin(frame);
    this.pagesWritten += this.#frames.length;
    this.#frames = [];
    this.#step = "none";
  }
}
