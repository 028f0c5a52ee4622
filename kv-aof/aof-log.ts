/**
 * The append-only file as the write path sees it: append, write, fsync by policy. The policies are Redis's
 * (flushAppendOnlyFile in aof.c):
 *
 *     always     no reply before the end of an fsync that began after its write.
 *     everysec   a reply needs the write only. An fsync a second runs in the background. While one runs, the *write* is
 *                postponed, for up to two seconds, because the kernel would block it; the replies leave nevertheless, so
 *                for that time even a killed process loses them (crash point A1p; CLAIMS A6). After two seconds the
 *                write blocks, and aof_delayed_fsync counts it.
 *     no         a reply needs the write only. The kernel decides about the rest.
 *
 * always: in place or in the background? An fsync in place blocks the thread; one in the thread pool costs about as much
 * again in hand-overs, but the next turn's commands run meanwhile. That pays only if there are commands to run meanwhile: a
 * turn of many commands comes from clients that pipeline, or from many clients, whose next requests are arriving already.
 * So small turns sync in place, large ones in the background; and a turn that ends while a background sync runs joins the
 * next one (group commit), since a sync vouches only for what was written before it began (pitfalls 21, 22).
 *
 * Errors (I6):
 * - always: a failed write or fsync is thrown, the process stops.
 * - everysec, no: after a failed write (disk full) the file is cut back to the last whole batch, the batch is not
 *   acknowledged, its bytes stay in the buffer, and writes are refused with MISCONF until a retry, about once a second, has
 *   written them.
 * - a failed fsync, whatever the policy, stops the process: the kernel may have dropped the dirty pages, so nobody can say
 *   any more what is on disk. Redis goes on with everysec. In the background it cannot be thrown where it happens: those who
 *   wait get the failure, and the next call of anything here throws it, so nothing is acknowledged in between.
 */
import { assert } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import type { Effects } from "../common/command/call.ts";
import type { DiskFile } from "../common/disk/disk.ts";
import { DiskFailure } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { Log } from "../common/log/log.ts";
import { AofEncoder } from "./aof-encoder.ts";
import type { AofFile } from "./aof-file.ts";

export type FsyncPolicy = "always" | "everysec" | "no";

/** Called once when the replies of a turn may leave, or with the failure when they must not. */
export type Settled = (failure: Error | undefined) => void;

const SYNC_EVERY_MS = 1000;
const POSTPONED_MS_MAX = 2000;
const RETRY_EVERY_MS = 1000;
/** From so many changes a turn on, always syncs in the background. */
const OVERLAP_CHANGES_MIN = 32;
const NEVER = -1;

export class AofLog {
  policy: FsyncPolicy;
  readonly #file: AofFile;
  readonly #host: Host;
  readonly #log: Log;
  readonly #encoder: AofEncoder;
  /** Commands since the last settle that changed something, expired keys not counted. */
  #changesInTurn = 0;
  #lastSyncAt: number;
  #postponedSince = NEVER;
  /** The position that the youngest waiting reply waits for, and how many wait. */
  #awaited = 0;
  #waitingReplies = 0;
  /** The write that failed and has not been made up for. */
  #failedWrite: DiskFailure | undefined;
  #failedAt = 0;
  /** The failure after which nothing goes on. */
  #broken: DiskFailure | undefined;
  /** `turnOver` waits for its moment. */
  #turningOver = false;
  /** How often a write had to block because an fsync took longer than two seconds (aof_delayed_fsync). */
  delayedFsyncs = 0;

  /** `position`: the log position behind what recovery found, all of it durable. */
  constructor(file: AofFile, position: number, host: Host, policy: FsyncPolicy) {
    this.#file = file;
    this.#host = host;
    this.policy = policy;
    this.#log = new Log(file, position);
    this.#encoder = new AofEncoder(this.#log);
    this.#lastSyncAt = host.clock.monotonic();
  }

  /** Step "append": what one command or transaction did. `expired` of the effects are keys that had expired meanwhile. */
  append(effects: Effects, expired: number): void {
    this.#encoder.append(effects.db, effects.args);
    if (effects.count > expired) this.#changesInTurn++;
    if (this.#host.tracing) this.#host.trace("aof.append", { bytes: this.#log.bufferedBytes, lsn: this.#log.appended });
  }

  /** Appends the removal of an expired key that no command met. */
  appendExpired(db: number, key: Bytes): void {
    this.#encoder.appendOne(db, ["DEL", key]);
  }

  /** Step "write", once per turn. Returns the failure when what the turn changed could not be written. */
  write(): DiskFailure | undefined {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#log.bufferedBytes === 0) return undefined;
    const changed = this.#changesInTurn > 0;
    if (this.policy !== "always") {
      if (this.#failedWrite !== undefined) return changed ? this.#failedWrite : undefined;
      if (this.policy === "everysec" && this.#postpone()) return undefined;
    }
    const failure = this.#writeNow();
    return changed ? failure : undefined;
  }

  /** Whether `sync` would begin an fsync now, for which the replies of this turn wait. */
  get syncs(): boolean {
    return this.policy === "always" && this.#changesInTurn > 0 && !this.#log.syncing;
  }

  /** Step "fsync", by policy; calls `done` when the replies of this turn may leave. */
  sync(done: Settled): void {
    const changes = this.#changesInTurn;
    this.#changesInTurn = 0;
    if (this.policy !== "always") {
      if (this.policy === "everysec") this.#syncEverySecond();
      this.#inOrder(done);
    } else if (changes < OVERLAP_CHANGES_MIN && !this.#log.syncing) {
      this.#log.syncNow();
      done(undefined);
    } else {
      this.#whenDurable(this.#log.written, done);
    }
  }

  /** The turn could not be written: its replies must not leave, but not before those of earlier turns are settled. */
  refuse(failure: DiskFailure, done: Settled): void {
    this.#changesInTurn = 0;
    this.#inOrder(() => done(failure));
  }

  /** Background work: a postponed write, a retry after a full disk, the fsync of the second. */
  tick(): void {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#failedWrite !== undefined) {
      if (this.#host.clock.monotonic() - this.#failedAt >= RETRY_EVERY_MS) this.#writeNow();
    } else if (this.#postponedSince !== NEVER && !this.#postpone()) this.#writeNow();
    if (this.policy === "everysec") this.#syncEverySecond();
  }

  /**
   * Ends the file: calls `next` at a moment at which everything appended so far is durable in it, and goes on in the file
   * that it returns; undefined, and this one goes on growing. Most is synced in the background, only the rest in place. A
   * moment that turns out not to be one (a write fails) passes without `next`: the caller tries again, which is safe to do
   * too often. What `next` throws stops the process, as a failed sync does.
   */
  turnOver(next: () => DiskFile | undefined): void {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#turningOver || this.#failedWrite !== undefined) return;
    this.#turningOver = true;
    this.#log.whenDurable(this.#log.written, (failure) => {
      this.#turningOver = false;
      if (failure !== undefined) this.#broken = failure;
      if (this.#broken !== undefined || this.#log.syncing) return;
      try {
        this.#sealAndContinue(next);
      } catch (error) {
        if (!(error instanceof DiskFailure)) throw error;
        this.#broken = error;
      }
    });
  }

  /** What comes next goes into this file, which is empty; the one before is closed. */
  continueIn(file: DiskFile): void {
    this.#file.continueIn(file);
    this.#encoder.beginFile();
  }

  /** Something of the append-only file cannot be trusted any more: the next call of anything here throws it (I6). */
  fail(failure: DiskFailure): void {
    this.#broken ??= failure;
  }

  /** Writes and syncs everything, whatever the policy; calls `done` when it is on disk. */
  finish(done: Settled): void {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#log.bufferedBytes > 0) {
      const failure = this.#writeNow();
      if (failure !== undefined) throw failure;
    }
    this.#whenDurable(this.#log.written, done);
  }

  close(): void {
    assert(
      this.#log.bufferedBytes === 0 && this.#log.durable === this.#log.written,
      "a log is closed when it is on disk",
    );
    this.#file.close();
  }

  /** The write that failed and was not made up for. */
  get failedWrite(): DiskFailure | undefined {
    return this.#failedWrite;
  }
  get bufferedBytes(): number {
    return this.#log.bufferedBytes;
  }
  get syncing(): boolean {
    return this.#log.syncing;
  }
  /** The file that grows. */
  get path(): string {
    return this.#file.path;
  }
  /** Bytes of the file that grows, those in the buffer not counted. */
  get fileBytes(): number {
    return this.#file.length;
  }

  #sealAndContinue(next: () => DiskFile | undefined): void {
    if (this.#log.bufferedBytes > 0 && this.#writeNow() !== undefined) return;
    this.#log.syncNow();
    const file = next();
    if (file !== undefined) this.continueIn(file);
  }

  /** everysec: true while the write has to wait for a background fsync. */
  #postpone(): boolean {
    if (!this.#log.syncing) return false;
    const now = this.#host.clock.monotonic();
    if (this.#postponedSince === NEVER) this.#postponedSince = now;
    if (now - this.#postponedSince < POSTPONED_MS_MAX) return true;
    this.delayedFsyncs++;
    return false;
  }

  #writeNow(): DiskFailure | undefined {
    const line = this.#file.endGroup(this.#log.reserve(0).subarray(0, this.#log.bufferedBytes));
    if (line !== undefined) this.#log.appendBytes(line);
    try {
      this.#log.write();
    } catch (error) {
      if (!(error instanceof DiskFailure) || this.policy === "always") throw error;
      this.#file.cutTo(this.#log.written);
      this.#failedWrite = error;
      this.#failedAt = this.#host.clock.monotonic();
      return error;
    }
    this.#postponedSince = NEVER;
    this.#failedWrite = undefined;
    return undefined;
  }

  #syncEverySecond(): void {
    if (this.#log.syncing || this.#log.durable === this.#log.written) return;
    const now = this.#host.clock.monotonic();
    if (now - this.#lastSyncAt < SYNC_EVERY_MS) return;
    this.#lastSyncAt = now;
    this.#log.whenDurable(this.#log.written, this.#synced);
  }

  /** A background fsync has ended: what it held back is written at once. */
  readonly #synced = (failure: DiskFailure | undefined): void => {
    if (failure !== undefined) this.#broken = failure;
    else if (this.#postponedSince !== NEVER) this.#writeNow();
  };

  /** Calls `done` now, or after the replies that still wait because the policy was always when they came. */
  #inOrder(done: Settled): void {
    if (this.#waitingReplies === 0) done(undefined);
    else this.#whenDurable(this.#awaited, done);
  }

  #whenDurable(position: number, done: Settled): void {
    this.#awaited = position;
    this.#waitingReplies++;
    this.#log.whenDurable(position, (failure) => {
      this.#waitingReplies--;
      if (failure !== undefined) this.#broken = failure;
      done(failure);
    });
  }
}
