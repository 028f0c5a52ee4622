/**
 * Decides when dirty pages are written, and moves the checkpoint: the only place where pages reach the tablespace.
 *
 *     redo durable up to the newest page (I3) → doublewrite, synced (I4) → pages in place → tablespace synced
 *     → checkpoint at the oldest change that is still only in memory
 *
 * How much, in the background (page-batch.ts), as InnoDB's adaptive flushing:
 *
 *     checkpoint age   0 ─────────── 1/2 ──────────── 3/4 ─────────────── full
 *     dirty pages      0 ── half of the limit ── max-dirty-pages-pct
 *     pages written    none,         more and more    batch after batch   writers wait
 *                      or, when      of io-capacity
 *                      nobody writes,
 *                      io-capacity
 *
 * So pages that change often are written about once per half a log, not once per change. When the log is full, or when no
 * frame is clean, pages are written at once, in the middle of a command: writers are never refused, and nothing is
 * overwritten (C3 in redo-ring.ts).
 *
 * Pages that leave the pool next are written before the others when a frame was hard to find (`writeSoon`), as InnoDB's LRU
 * flushing. The syncs, which take long, run in the background; writes are calls of the server's thread, which are short
 * (README.md, "What a batch costs").
 */
import { assert } from "../common/assert.ts";
import type { DiskFailure } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import type { Binlog } from "./binlog/binlog.ts";
import { type BufferPool, ROOM_FRAMES } from "./buffer-pool.ts";
import { BATCH_PAGES, type Doublewrite } from "./doublewrite.ts";
import { PageBatch } from "./page-batch.ts";
import { type CheckpointPlaces, GROUP_BYTES_MAX, type RedoLog } from "./redo-log.ts";
import type { Tablespace } from "./tablespace.ts";

/** From this part of the log on pages are written for the checkpoint's sake; from the other one on without a pause. */
const AGE_ADAPTIVE = 1 / 2;
const AGE_WITHOUT_PAUSE = 3 / 4;
/** Waiting writers go on when the age has fallen to this part. */
const AGE_AFTER_WAIT = 3 / 4;
/** Time for which an idle call makes up, at most. */
const BUDGET_MS_MAX = 1000;

export class PageCleaner {
  readonly #host: Host;
  readonly #pool: BufferPool;
  readonly #redo: RedoLog;
  readonly #doublewrite: Doublewrite;
  readonly #binlog: Binlog;
  readonly #batch: PageBatch;
  /** A checkpoint is being synced in the background. */
  #checkpointing = false;
  /** Where the log ended at the last idle call: no progress since then means that nobody writes. */
  #idleAt = -1;
  #idleMs = 0;
  /** Pages that leave the pool next are dirty: the next batch is one of them, before somebody waits for their frames. */
  #coldIsDirty = false;
  /** Pages that may still be written before the next idle call. */
  #budget = 0;
  /** Set by the engine from its directives. */
  maxDirtyPercent = 90;
  ioCapacity = 10_000;
  /** Times that writers waited for a full log. */
  logWaits = 0;
  /** Told when a sync in the background, or what follows it, has failed. */
  onFailure: (failure: DiskFailure) => void = () => {};
  /** Told when the checkpoint has moved (true), or cannot move although writers wait (false). */
  onProgress: (moved: boolean) => void = () => {};
  /** Writers wait: pages are written without a pause. */
  isPressed = false;

  constructor(
    host: Host,
    pool: BufferPool,
    redo: RedoLog,
    doublewrite: Doublewrite,
    space: Tablespace,
    binlog: Binlog,
  ) {
    this.#host = host;
    this.#pool = pool;
    this.#redo = redo;
    this.#doublewrite = doublewrite;
    this.#binlog = binlog;
    this.#batch = new PageBatch(host, pool, redo, doublewrite, space);
    pool.writeThrough(this);
  }

  get pagesWritten(): number {
    return this.#batch.pagesWritten;
  }
  get isWriting(): boolean {
    return this.#batch.isOnItsWay;
  }
  get logEnd(): number {
    return this.#redo.log.appended;
  }

  /** Pages of one batch: most of a small pool must not be pinned by it. */
  get #batchMax(): number {
    return Math.min(BATCH_PAGES, this.#pool.frames >> 2);
  }

  /** Writes these dirty frames and syncs them. Pages that change later become dirty again. */
  writeFrames(frames: readonly number[]): void {
    this.#batch.now();
    // Some of them may have been in the batch that was on its way.
    const dirty = frames.filter((frame) => this.#pool.isDirty(frame));
    for (let from = 0; from < dirty.length; from += BATCH_PAGES) {
      this.#batch.begin(dirty.slice(from, from + BATCH_PAGES));
      this.#batch.now();
    }
  }

  /** How far the checkpoint may go: everything before is in the tablespace. Undefined when it is there already. */
  #checkpointGoal(): number | undefined {
    assert(!this.#batch.isOnItsWay, "F4: no checkpoint passes what is on its way");
    const lsn = Math.min(this.#pool.oldestChange ?? this.#redo.log.appended, this.#redo.log.durable);
    return lsn > this.#redo.checkpoint.lsn ? lsn : undefined;
  }

  #places(): CheckpointPlaces {
    return {
      doublewriteBatch: this.#doublewrite.batch,
      binlogFile: this.#binlog.number,
      binlogDurable: this.#binlog.log.durable,
    };
  }

  #traceCheckpoint(): void {
    if (this.#host.tracing) {
      this.#host.trace("wal.checkpoint", { file: "wal/redo.0", lsn: this.#redo.checkpoint.lsn });
    }
  }

  /** Moves the checkpoint as far as the pages in the tablespace allow. */
  checkpoint(): void {
    const lsn = this.#checkpointGoal();
    if (lsn === undefined) return;
    this.#redo.writeCheckpoint(lsn, this.#places());
    this.#traceCheckpoint();
  }

  /** For a mini-transaction that is about to begin: room in the log and free frames. */
  makeRoom(): void {
    this.#pool.freeFrames(2 * ROOM_FRAMES);
    const redo = this.#redo;
    if (redo.age + GROUP_BYTES_MAX <= redo.ageMax) return;
    this.logWaits++;
    this.#batch.now();
    redo.flushNow();
    const ageGoal = Math.min(redo.ageMax * AGE_AFTER_WAIT, redo.ageMax - GROUP_BYTES_MAX);
    while (redo.age > ageGoal) {
      const batch = this.#pool.oldestDirty(BATCH_PAGES, redo.log.appended);
      this.writeFrames(batch);
      this.checkpoint();
      assert(batch.length > 0 || redo.age <= ageGoal, "a full log becomes free when all pages are written");
    }
  }

  /** Starts background work, as much as the header says, for the time since the last call. */
  idle(): void {
    const now = this.#host.clock.monotonic();
    const elapsedMs = Math.min(now - this.#idleMs, BUDGET_MS_MAX);
    const isQuiet = this.#redo.log.appended === this.#idleAt;
    this.#idleMs = now;
    this.#idleAt = this.#redo.log.appended;
    this.#budget = isQuiet ? this.#batchMax : 0;
    this.#budget = Math.max(this.#budget, ((isQuiet ? 1 : this.#need) * this.ioCapacity * elapsedMs) / 1000);
    if (this.#goesOn) this.#clean();
  }

  /** How much must be written: 0 nothing, 1 batch after batch. */
  get #need(): number {
    const age = this.#redo.age / this.#redo.ageMax;
    const byAge = (age - AGE_ADAPTIVE) / (AGE_WITHOUT_PAUSE - AGE_ADAPTIVE);
    const dirty = (100 * this.#pool.dirtyCount) / this.#pool.frames / this.maxDirtyPercent;
    return Math.min(Math.max(byAge, 2 * dirty - 1, 0), 1);
  }

  get #goesOn(): boolean {
    if (this.#batch.isOnItsWay || this.#checkpointing) return false;
    return this.isPressed || this.#coldIsDirty || this.#budget >= 1 || this.#need >= 1;
  }

  /** Writers wait for a full log: writes pages until `isPressed` is taken back. */
  press(): void {
    this.isPressed = true;
    if (this.#goesOn) this.#clean();
  }

  /** A batch in the background, then a checkpoint, then the next batch if there is need. */
  #clean(): void {
    const frames = this.#chosen();
    this.#budget -= frames.length;
    if (frames.length > 0) this.#writeInBackground(frames);
    else this.#checkpointInBackground();
  }

  /** Pages at the cold end of the pool, wherever their changes are in the log; or those that keep the checkpoint back. */
  #chosen(): number[] {
    const pages =
      this.isPressed || this.#need >= 1 ? this.#batchMax : Math.min(this.#batchMax, Math.floor(this.#budget));
    if (this.#coldIsDirty && !this.isPressed) {
      this.#coldIsDirty = false;
      const cold = this.#pool.coldDirty(this.#batchMax);
      if (cold.length > 0) return cold;
    }
    return this.#pool.oldestDirty(pages, Number.POSITIVE_INFINITY);
  }

  /** As `PageWriter` says. */
  writeSoon(): void {
    this.#coldIsDirty = true;
    if (this.#goesOn) this.#clean();
  }

  #writeInBackground(frames: number[]): void {
    this.#batch.begin(frames);
    this.#batch.inBackground((failure) => {
      if (failure !== undefined) this.onFailure(failure);
      else this.#checkpointInBackground();
    });
  }

  #checkpointInBackground(): void {
    const lsn = this.#checkpointGoal();
    if (lsn === undefined) {
      this.#budget = 0;
      if (this.isPressed) this.onProgress(false);
      else if (this.#coldIsDirty) this.#clean();
      return;
    }
    this.#checkpointing = true;
    this.#redo.writeCheckpointInBackground(lsn, this.#places(), (failure) => {
      this.#checkpointing = false;
      if (failure !== undefined) {
        this.onFailure(failure);
        return;
      }
      this.#traceCheckpoint();
      this.onProgress(true);
      if (this.#goesOn) this.#clean();
    });
  }

  /** Writes every dirty page and moves the checkpoint to the end of the log. */
  cleanAll(): void {
    this.#batch.now();
    this.#redo.flushNow();
    while (this.#pool.dirtyCount > 0) this.writeFrames(this.#pool.oldestDirty(BATCH_PAGES, Number.POSITIVE_INFINITY));
    this.checkpoint();
  }
}
