/**
 * The rewrite: replaces base and increments by a new base, which is memory as it is at one moment, while commands go on.
 *
 *     sealing    1. the increment that grows is summed, and synced in the background          seals.ts, aof-log.ts
 *     begin      2. the rest of it is written and synced: it is sealed                        aof.seal       A7a
 *                3. the next increment is made, durable in the folder                         aof.increment  A7a
 *                4. the manifest names it behind the sealed one, synced                       aof.begin      A7b
 *                5. the log goes on there; the moment of the snapshot
 *     walking    6. memory is written into the base, step by step                             memory/snapshot.ts
 *     syncing    7. the base is synced, in the background                                     aof.base       A7c
 *     install    8. it is renamed, durable in the folder                                      aof.rename     A7d
 *                9. the manifest names it and what followed; all that was before is history   aof.install    A7d
 *     clearing  10. history is removed, durably; the manifest forgets it                      aof.clear      A7d
 *
 * 2 to 5 happen at once: no command comes between. So base + next increment = the old files + next increment, whichever of
 * the two a crash leaves in the manifest; and a command that is not idempotent (INCR) is in exactly one of base and increment.
 * 2 before 3: Redis syncs the old increment when the manifest names the new one already, so a power loss may leave a hole
 * between the two (CLAIMS A14). 10 after 9, both durable: no manifest ever names a file that is gone.
 *
 * Failures. What only the new files are concerned with (no room, EIO) ends the rewrite: the old files go on, and so does the
 * log. What concerns the order of the files (the sync of the increment, the manifest's rename and its folder) stops the
 * process, because nobody knows what is on disk (I6).
 */

import { REDIS_VERSION } from "../common/command/version.ts";
import type { Config } from "../common/config.ts";
import type { DiskFile } from "../common/disk/disk.ts";
import { CommandError, CorruptFile, DiskFailure } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import type { StepName } from "../common/steps.ts";
import type { AofFiles } from "./aof-files.ts";
import type { AofLog } from "./aof-log.ts";
import { BaseFile, type BaseWriter } from "./base-file.ts";
import { CommandBaseWriter } from "./command-base.ts";
import type { MemoryKeyspace } from "./memory/keyspace.ts";
import { KeyspaceSnapshot } from "./memory/snapshot.ts";
import { RdbWriter } from "./rdb/rdb-writer.ts";
import { RewriteSchedule } from "./rewrite-schedule.ts";
import { FileSum } from "./seals.ts";

type State = "resting" | "wanted" | "sealing" | "walking" | "syncing" | "clearing";

/** A step of work takes so long, and then commands have as much time. */
const STEP_MS = 2;
const PAUSE_MS = 2;
/** Buckets between two looks at the clock. */
const BUCKETS_PER_LOOK = 16;

export class Rewrite {
  readonly schedule: RewriteSchedule;
  readonly #host: Host;
  readonly #config: Config;
  readonly #keyspace: MemoryKeyspace;
  readonly #log: AofLog;
  readonly #files: AofFiles;
  readonly #tell: (line: string) => void;
  #state: State = "resting";
  #cancelTimer: () => void = () => {};
  #sum: FileSum | undefined;
  #sumFile: DiskFile | undefined;
  #base: BaseFile | undefined;
  #writer: BaseWriter | undefined;
  /** Also one that was given up and has not walked to its end. */
  #snapshot: KeyspaceSnapshot | undefined;
  #startedAt = 0;

  /** How many were begun, how the last one ended, and how long it took. */
  count = 0;
  lastFailed = false;
  lastDurationMs: number | undefined;

  constructor(
    host: Host,
    config: Config,
    keyspace: MemoryKeyspace,
    log: AofLog,
    files: AofFiles,
    tell: (line: string) => void,
  ) {
    this.#host = host;
    this.#config = config;
    this.#keyspace = keyspace;
    this.#log = log;
    this.#files = files;
    this.#tell = tell;
    this.schedule = new RewriteSchedule(config);
  }

  get inProgress(): boolean {
    return this.#state !== "resting";
  }

  /** ms since the rewrite in progress began; undefined when there is none. */
  get durationMs(): number | undefined {
    return this.inProgress ? this.#host.clock.monotonic() - this.#startedAt : undefined;
  }

  /** BGREWRITEAOF. */
  begin(): void {
    if (this.inProgress) throw new CommandError("ERR Background append only file rewriting already in progress");
    this.#want();
  }

  /** BGREWRITEAOF in EXEC. */
  beginLater(): void {
    if (this.#state !== "wanted") this.begin();
  }

  /** Background work until `end`: begins a rewrite if it is time, and goes on with one. */
  work(end: number): void {
    if (this.#state === "resting") this.#beginIfDue();
    this.#step(end);
  }

  /** The server ends: what is not finished is given up. */
  stop(): void {
    this.#closeSum();
    this.#discardBase();
    this.#rest();
  }

  #beginIfDue(): void {
    const growth = this.schedule.growthIfDue(this.#files.bytesBefore + this.#log.fileBytes, this.#files.bytesAtRewrite);
    if (growth === undefined || this.schedule.isPaused(this.#host.clock.monotonic())) return;
    this.#tell(`Starting automatic rewriting of AOF on ${growth}% growth`);
    this.#want();
  }

  #want(): void {
    this.#state = "wanted";
    this.#startedAt = this.#host.clock.monotonic();
    this.#continueLater();
  }

  /** Goes on in a moment; `work` may come before. */
  #continueLater(): void {
    this.#cancelTimer();
    const pauseMs = this.#state === "walking" ? this.#config.number("rdb-key-save-delay") / 1000 : 0;
    const delayMs = Math.max(PAUSE_MS, pauseMs);
    this.#cancelTimer = this.#host.clock.after(delayMs, () => {
      this.#step(this.#host.clock.monotonic() + STEP_MS);
      if (this.inProgress) this.#continueLater();
    });
  }

  #step(end: number): void {
    try {
      this.#goOn(end);
    } catch (error) {
      this.#failed(error);
    }
  }

  #goOn(end: number): void {
    const { clock } = this.#host;
    switch (this.#state) {
      case "resting":
      case "wanted":
        if (this.#snapshot !== undefined && !this.#walk(end)) return;
        if (this.#state === "wanted") this.#seal();
        return;
      case "sealing":
        while (this.#sum!.advance()) if (clock.monotonic() >= end) return;
        this.#log.turnOver(this.#nextIncrement);
        return;
      case "walking": {
        const walked = this.#walk(end);
        this.#base!.writeSome();
        if (walked) this.#finishBase();
        return;
      }
      case "syncing":
        return;
      case "clearing":
        this.#clear(end);
    }
  }

  /** Walks memory until `end`; true when all of it was visited. */
  #walk(end: number): boolean {
    const snapshot = this.#snapshot!;
    const pausing = this.#config.number("rdb-key-save-delay") > 0 && this.#state === "walking";
    while (!snapshot.finished) {
      for (let bucket = 0; bucket < BUCKETS_PER_LOOK && !snapshot.finished; bucket++) {
        if (snapshot.step() && pausing) return snapshot.finished;
      }
      if (this.#host.clock.monotonic() >= end) return snapshot.finished;
    }
    this.#snapshot = undefined;
    return true;
  }

  /** 1. */
  #seal(): void {
    this.#sumFile = this.#files.openGrowing();
    this.#sum = new FileSum(this.#sumFile);
    this.#state = "sealing";
  }

  /** 2 to 5: the log calls it when the increment is durable, whole. Returns the next one; undefined: it came to nothing. */
  readonly #nextIncrement = (): DiskFile | undefined => {
    if (this.#state !== "sealing") return undefined;
    this.#trace("aof.seal");
    let next: DiskFile | undefined;
    let base: BaseFile;
    try {
      next = this.#files.prepareNext(this.#sum!.finish()); // 3
      this.#trace("aof.increment");
      const format = this.#config.boolean("aof-use-rdb-preamble") ? "rdb" : "aof";
      base = new BaseFile(this.#host.disk, this.#files.temporaryBase(format), format);
    } catch (error) {
      next?.close(); // it stays, empty: the next attempt takes it, or the next start removes it
      this.#failed(error);
      return undefined;
    }
    this.#closeSum();
    this.#state = "resting"; // in case the commit fails: nothing goes on then
    this.#files.commitNext(); // 4
    this.#trace("aof.begin");
    this.#base = base;
    this.#writer = this.#writerOf(base);
    this.#snapshot = new KeyspaceSnapshot(this.#keyspace, this.#writer); // 5
    this.#state = "walking";
    this.count++;
    return next;
  };

  #writerOf(base: BaseFile): BaseWriter {
    if (base.format === "aof") return new CommandBaseWriter(base.log);
    const createdAt = Math.floor(this.#host.clock.now() / 1000);
    return new RdbWriter(base.log, { redisVersion: REDIS_VERSION, createdAt }, base.checksum);
  }

  /** 7. */
  #finishBase(): void {
    this.#state = "syncing";
    this.#writer!.end();
    this.#base!.finish((failure) => {
      if (this.#state !== "syncing") return;
      try {
        if (failure !== undefined) throw failure;
        this.#trace("aof.base");
        this.#install();
      } catch (error) {
        this.#failed(error);
      }
    });
  }

  /** 8, 9. */
  #install(): void {
    this.#files.prepareBase(this.#base!); // 8
    this.#trace("aof.rename");
    this.#base!.close();
    this.#base = undefined;
    if (!this.#commit(() => this.#files.commitBase(this.#log.fileBytes))) return; // 9
    this.#trace("aof.install");
    this.schedule.succeeded();
    this.lastFailed = false;
    this.lastDurationMs = this.durationMs;
    this.#tell("Background AOF rewrite finished successfully");
    this.#state = "clearing";
  }

  /** 10. What cannot be removed stays history, and the next rewrite tries again. */
  #clear(end: number): void {
    try {
      while (this.#files.shrinkHistory()) if (this.#host.clock.monotonic() >= end) return;
      this.#rest();
      this.#files.prepareHistory();
    } catch (error) {
      if (!(error instanceof DiskFailure)) throw error;
      this.#rest();
      this.#tell(`Cannot remove superseded append-only files: ${error.message}`);
      return;
    }
    if (this.#commit(() => this.#files.commitHistory())) this.#trace("aof.clear");
  }

  /** A commit that fails is the end of the process, as soon as the log is used again (I6). */
  #commit(run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      if (!(error instanceof DiskFailure)) throw error;
      this.#rest();
      this.#log.fail(error);
      return false;
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof DiskFailure || error instanceof CorruptFile)) throw error;
    this.#closeSum();
    this.#discardBase();
    this.#rest();
    this.#snapshot?.giveUp();
    this.lastFailed = true;
    this.lastDurationMs = undefined;
    this.#tell(`Background AOF rewrite failed, the files as they were go on: ${error.message}`);
    const minutes = this.schedule.failed(this.#host.clock.monotonic());
    if (minutes === 0) return;
    this.#tell(
      `Background AOF rewrite has repeatedly failed and triggered the limit, will retry in ${minutes} minutes`,
    );
  }

  #rest(): void {
    this.#cancelTimer();
    this.#state = "resting";
  }

  #discardBase(): void {
    if (this.#base === undefined) return;
    this.#base.close();
    this.#files.forget(this.#base.path);
    this.#base = undefined;
  }

  #closeSum(): void {
    this.#sumFile?.close();
    this.#sumFile = undefined;
    this.#sum = undefined;
  }

  #trace(step: StepName): void {
    if (this.#host.tracing) this.#host.trace(step, {});
  }
}
