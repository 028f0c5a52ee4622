/**
 * Decides when dirty pages are written, and moves the checkpoint: the only place where pages reach the tablespace.
 *
 *     redo durable up to the newest page (I3) → doublewrite, synced (I4) → pages in place → tablespace synced
 *     → checkpoint at the oldest change that is still only in memory
 *
 * When: in the background (page-batch.ts), batch after batch while the checkpoint lags far behind or most frames are dirty,
 * and when nobody writes; at once, while writers wait, when the redo log is nearly full or frames are short. Pages that are
 * changed often are so written once per two thirds of a log, not once per change. Writers are never refused for a full log, and
 * nothing of it is lost (C3 in redo-ring.ts).
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

/** Cleaning in the background starts when the checkpoint is this part of the log behind. */
const AGE_CLEANED = 2 / 3;
/** Waiting writers go on when the age has fallen to this part. */
const AGE_AFTER_WAIT = 3 / 4;

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
  /** Times that writers waited for a full log. */
  logWaits = 0;
  /** Told when a sync in the background, or what follows it, has failed. */
  onFailure: (failure: DiskFailure) => void = () => {};

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

  /** Writes these dirty frames and syncs them. Pages that change later become dirty again. */
  writeFrames(frames: readonly number[]): void {
    this.#batch.now();
    for (let from = 0; from < frames.length; from += BATCH_PAGES) {
      this.#batch.begin(frames.slice(from, from + BATCH_PAGES));
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

  /** Starts background work when the checkpoint lags, when most frames are dirty, or when nobody writes. */
  idle(): void {
    const quiet = this.#redo.log.appended === this.#idleAt;
    this.#idleAt = this.#redo.log.appended;
    if ((quiet || this.#lags) && !this.#batch.isOnItsWay && !this.#checkpointing) this.#clean();
  }

  get #lags(): boolean {
    return this.#redo.age > this.#redo.ageMax * AGE_CLEANED || this.#pool.dirtyCount > this.#pool.frames / 2;
  }

  /** A batch in the background, then a checkpoint, then the next batch if there is need. */
  #clean(): void {
    const frames = this.#pool.oldestDirty(BATCH_PAGES, Number.POSITIVE_INFINITY);
    if (frames.length === 0) {
      this.#checkpointInBackground();
      return;
    }
    this.#batch.begin(frames);
    this.#batch.inBackground((failure) => {
      if (failure !== undefined) this.onFailure(failure);
      else this.#checkpointInBackground();
    });
  }

  #checkpointInBackground(): void {
    const lsn = this.#checkpointGoal();
    if (lsn === undefined) return;
    this.#checkpointing = true;
    this.#redo.writeCheckpointInBackground(lsn, this.#places(), (failure) => {
      this.#checkpointing = false;
      if (failure !== undefined) {
        this.onFailure(failure);
        return;
      }
      this.#traceCheckpoint();
      if (this.#lags && !this.#batch.isOnItsWay) this.#clean();
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
