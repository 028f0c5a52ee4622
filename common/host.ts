/**
 * The world, as far as an engine or the server may touch it: disk, time, chance, and the end of the event-loop turn.
 *
 * Everything else in common/, kv-aof/ and kv-wal/ is a function of what `Host` gives it; so the simulator can run,
 * record and crash an engine deterministically. This file is the only one that reads a clock, rolls dice or sets timers.
 */
import type { Disk } from "./disk/disk.ts";
import type { StepName } from "./steps.ts";

export interface Clock {
  /** Wall clock, ms since 1970, an integer. May jump. */
  now(): number;
  /** Monotonic clock, ms with fractions. */
  monotonic(): number;
  /** Calls `run` once after `delayMs`; returns the cancel. Does not keep the process alive. */
  after(delayMs: number, run: () => void): () => void;
  /** Stops the whole process for `delayMs` (DEBUG SLEEP). */
  sleep(delayMs: number): void;
}

export interface Random {
  /** An integer in [0, bound), 1 <= bound <= 2^32. */
  below(bound: number): number;
  /** `count` random bytes, for ids and hash seeds. */
  bytes(count: number): Uint8Array;
}

/** What a step did; only what applies is present. */
export interface StepDetail {
  readonly file?: string;
  readonly offset?: number;
  readonly bytes?: number;
  readonly lsn?: number;
  readonly page?: number;
  readonly transaction?: number;
  readonly note?: string;
}

export interface Host {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Another folder of this machine, made if it is not there: for backups. A host may have none. */
  openFolder?(folder: string): Disk;
  /** Runs `run` once at the end of this event-loop turn, after all sockets that were readable have been read. */
  afterTick(run: () => void): void;
  /** False in production: callers test it before they build a `StepDetail`, so that tracing costs one branch. */
  readonly tracing: boolean;
  /** A step of the write path has just been done (steps.ts). The crash lab records it, or kills the process here. */
  trace(step: StepName, detail: StepDetail): void;
}

/** Tells about a step, if someone watches. */
export type Tracer = (step: StepName, detail: StepDetail) => void;

/** 24 days: what setTimeout is told beyond this, it takes for 1 ms. */
const TIMER_MS_MAX = 0x7fffffff;

class RealClock implements Clock {
  now(): number {
    return Date.now();
  }
  monotonic(): number {
    return performance.now();
  }
  after(delayMs: number, run: () => void): () => void {
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number): void => {
      const later = leftMs > TIMER_MS_MAX;
      timer = later ? setTimeout(wait, TIMER_MS_MAX, leftMs - TIMER_MS_MAX) : setTimeout(run, leftMs);
      timer.unref();
    };
    wait(delayMs);
    return () => clearTimeout(timer);
  }
  sleep(delayMs: number): void {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, delayMs);
  }
}

class RealRandom implements Random {
  below(bound: number): number {
    return Math.floor(Math.random() * bound);
  }
  bytes(count: number): Uint8Array {
    return crypto.getRandomValues(new Uint8Array(count));
  }
}

/** The host of a real server: the given disk, the machine's clock, and `setImmediate` as the end of a turn. */
export class RealHost implements Host {
  readonly disk: Disk;
  readonly clock: Clock = new RealClock();
  readonly random: Random = new RealRandom();
  readonly tracing: boolean;
  readonly #tracer: Tracer | undefined;

  readonly openFolder?: (folder: string) => Disk;

  constructor(disk: Disk, tracer?: Tracer, openFolder?: (folder: string) => Disk) {
    this.disk = disk;
    if (openFolder !== undefined) this.openFolder = openFolder;
    this.#tracer = tracer;
    this.tracing = tracer !== undefined;
  }

  afterTick(run: () => void): void {
    setImmediate(run);
  }

  trace(step: StepName, detail: StepDetail): void {
    this.#tracer?.(step, detail);
  }
}
