/**
 * Writes dirty pages and moves the checkpoint: the only place where pages reach the tablespace.
 *
 *     redo durable up to the newest page (I3) → doublewrite, synced (I4) → pages in place → tablespace synced
 *     → checkpoint at the oldest change that is still only in memory
 *
 * When: in idle time, a batch at a time; and at once, while writers wait, when the redo log is nearly full or frames are
 * short. Writers are never refused for a full log, and nothing of it is lost (C3 in redo-ring.ts).
 */

import { assert } from "../common/assert.ts";
import type { Host } from "../common/host.ts";
import type { Binlog } from "./binlog/binlog.ts";
import { type BufferPool, ROOM_FRAMES } from "./buffer-pool.ts";
import { BATCH_PAGES, type Doublewrite } from "./doublewrite.ts";
import { PAGE_SIZE } from "./page.ts";
import { GROUP_BYTES_MAX, type RedoLog } from "./redo-log.ts";
import { SPACE_PATH, type Tablespace } from "./tablespace.ts";

/** Idle cleaning starts when the checkpoint is this part of the log behind. */
const AGE_CLEANED = 1 / 2;
/** Waiting writers go on when the age has fallen to this part. */
const AGE_AFTER_WAIT = 3 / 4;

export class PageCleaner {
  readonly #host: Host;
  readonly #pool: BufferPool;
  readonly #redo: RedoLog;
  readonly #doublewrite: Doublewrite;
  readonly #space: Tablespace;
  readonly #binlog: Binlog;
  /** Where the log ended at the last idle call: no progress since then means that nobody writes. */
  #idleAt = -1;
  pagesWritten = 0;
  /** Times that writers waited for a full log. */
  logWaits = 0;

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
    this.#space = space;
    this.#binlog = binlog;
    pool.writeThrough(this);
  }

  /** Writes these dirty frames and syncs them. Pages that change later become dirty again. */
  writeFrames(frames: readonly number[]): void {
    for (let from = 0; from < frames.length; from += BATCH_PAGES)
      this.#writeBatch(frames.slice(from, from + BATCH_PAGES));
  }

  #writeBatch(frames: number[]): void {
    const pool = this.#pool;
    frames.sort((a, b) => pool.pageIn(a) - pool.pageIn(b));
    let newest = 0;
    for (const frame of frames) newest = Math.max(newest, pool.newestChange(frame));
    if (newest > this.#redo.log.durable) this.#redo.flushNow();
    assert(newest <= this.#redo.log.durable, "I3: page LSN <= durable redo");
    for (const frame of frames) this.#doublewrite.add(pool.pageIn(frame), pool.arena.bytes, frame * PAGE_SIZE);
    const bytes = this.#doublewrite.write();
    if (this.#host.tracing) this.#host.trace("wal.doublewrite", { file: "wal/doublewrite", bytes });
    this.#doublewrite.writeInPlace(this.#space);
    if (this.#host.tracing) {
      this.#host.trace("wal.page-write", { file: SPACE_PATH, bytes: frames.length * PAGE_SIZE, lsn: newest });
    }
    this.#space.syncNow();
    if (this.#host.tracing) this.#host.trace("wal.page-sync", { file: SPACE_PATH, lsn: newest });
    for (const frame of frames) pool.markClean(frame);
    this.pagesWritten += frames.length;
  }

  /** Moves the checkpoint as far as the pages in the tablespace allow. */
  checkpoint(): void {
    const lsn = Math.min(this.#pool.oldestChange ?? this.#redo.log.appended, this.#redo.log.durable);
    if (lsn <= this.#redo.checkpoint.lsn) return;
    this.#redo.writeCheckpoint(lsn, {
      doublewriteBatch: this.#doublewrite.batch,
      binlogFile: this.#binlog.number,
      binlogDurable: this.#binlog.log.durable,
    });
    if (this.#host.tracing) this.#host.trace("wal.checkpoint", { file: "wal/redo.0", lsn });
  }

  /** For a mini-transaction that is about to begin: room in the log and free frames. */
  makeRoom(): void {
    this.#pool.freeFrames(2 * ROOM_FRAMES);
    const redo = this.#redo;
    if (redo.age + GROUP_BYTES_MAX <= redo.ageMax) return;
    this.logWaits++;
    redo.flushNow();
    const ageGoal = Math.min(redo.ageMax * AGE_AFTER_WAIT, redo.ageMax - GROUP_BYTES_MAX);
    while (redo.age > ageGoal) {
      const batch = this.#pool.oldestDirty(BATCH_PAGES, redo.log.appended);
      if (batch.length > 0) this.#writeBatch(batch);
      this.checkpoint();
      assert(batch.length > 0 || redo.age <= ageGoal, "a full log becomes free when all pages are written");
    }
  }

  /** One slice of background work: a batch when the checkpoint lags, when frames are short, or when nobody writes. */
  idle(): void {
    const quiet = this.#redo.log.appended === this.#idleAt;
    this.#idleAt = this.#redo.log.appended;
    const lags = this.#redo.age > this.#redo.ageMax * AGE_CLEANED;
    if (!quiet && !lags && this.#pool.dirtyCount < this.#pool.frames / 2) return;
    const batch = this.#pool.oldestDirty(BATCH_PAGES, Number.POSITIVE_INFINITY);
    if (batch.length > 0) this.#writeBatch(batch);
    this.checkpoint();
  }

  /** Writes every dirty page and moves the checkpoint to the end of the log. */
  cleanAll(): void {
    this.#redo.flushNow();
    while (this.#pool.dirtyCount > 0) {
      this.#writeBatch(this.#pool.oldestDirty(BATCH_PAGES, Number.POSITIVE_INFINITY));
    }
    this.checkpoint();
  }
}
