/**
 * When the append-only file is rewritten by itself, and when not: Redis's rules.
 *
 * It is, when it is larger than auto-aof-rewrite-min-size and has grown by auto-aof-rewrite-percentage since the last rewrite
 * (or since the base, after a start). After three failures in a row a pause comes between the attempts: one minute, then
 * twice as long each time, up to an hour. A rewrite that is asked for is not held back.
 */
import type { Config } from "../common/config.ts";

const FAILURES_WITHOUT_PAUSE = 3;
const MINUTE_MS = 60_000;
const PAUSE_MINUTES_MAX = 60;

export class RewriteSchedule {
  readonly #config: Config;
  failures = 0;
  #pauseMinutes = 0;
  #pauseUntil = 0;

  constructor(config: Config) {
    this.#config = config;
  }

  /** The growth in percent if it is time, else undefined. */
  growthIfDue(sizeBytes: number, lastBytes: number): number | undefined {
    const percentage = this.#config.number("auto-aof-rewrite-percentage");
    if (percentage === 0 || sizeBytes <= this.#config.number("auto-aof-rewrite-min-size")) return undefined;
    const growth = Math.floor((sizeBytes * 100) / Math.max(1, lastBytes)) - 100;
    return growth >= percentage ? growth : undefined;
  }

  succeeded(): void {
    this.failures = 0;
    this.#pauseMinutes = 0;
  }

  /** Returns how long the pause is now, in minutes; 0: none. `now` of the monotonic clock. */
  failed(now: number): number {
    this.failures++;
    if (this.failures < FAILURES_WITHOUT_PAUSE) return 0;
    this.#pauseMinutes = Math.min(PAUSE_MINUTES_MAX, this.#pauseMinutes === 0 ? 1 : this.#pauseMinutes * 2);
    this.#pauseUntil = now + this.#pauseMinutes * MINUTE_MS;
    return this.#pauseMinutes;
  }

  isPaused(now: number): boolean {
    return this.failures >= FAILURES_WITHOUT_PAUSE && now < this.#pauseUntil;
  }
}
