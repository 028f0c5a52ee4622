/**
 * What recovery says while it works: a line for each thing it found or did, the time of each phase, and now and then how far
 * a long phase has come.
 *
 * Lines are part of the result and are told as they happen; progress is told only, and only when a phase takes long.
 */
import type { Clock } from "../common/host.ts";

/** A line for the log, while recovery works. */
export type Tell = (line: string) => void;

const PROGRESS_EVERY_MS = 5000;
/** Looking at the clock costs more than a small step: it is done once in so many. */
const STEPS_BETWEEN_LOOKS = 64;

export class RecoveryReport {
  readonly lines: string[] = [];
  readonly #clock: Clock;
  readonly #tell: Tell;
  readonly #startedAt: number;
  readonly #phases: { readonly name: string; readonly ms: number }[] = [];
  #phaseAt: number;
  #toldAt: number;
  #steps = 0;

  constructor(clock: Clock, tell: Tell = () => {}) {
    this.#clock = clock;
    this.#tell = tell;
    this.#startedAt = clock.monotonic();
    this.#phaseAt = this.#startedAt;
    this.#toldAt = this.#startedAt;
  }

  get durationMs(): number {
    return this.#clock.monotonic() - this.#startedAt;
  }

  line(text: string): void {
    this.lines.push(text);
    this.#tell(text);
  }

  /** The phase that began when the one before ended is over. */
  ended(name: string): void {
    const now = this.#clock.monotonic();
    this.#phases.push({ name, ms: now - this.#phaseAt });
    this.#phaseAt = now;
    this.#toldAt = now;
  }

  /** `done` of `total` is done; told every few seconds. Cheap enough for each page or change. */
  progress(what: string, done: number, total: number): void {
    if (++this.#steps % STEPS_BETWEEN_LOOKS !== 0) return;
    const now = this.#clock.monotonic();
    if (now - this.#toldAt < PROGRESS_EVERY_MS) return;
    this.#toldAt = now;
    const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
    this.#tell(`${what}: ${percent} % (${done} of ${total}) after ${seconds(now - this.#phaseAt)}`);
  }

  /** The last line: where the time went. */
  summary(): void {
    const parts = this.#phases.map(({ name, ms }) => `${name} ${seconds(ms)}`);
    this.line(`recovery took ${seconds(this.durationMs)}: ${parts.join(", ")}`);
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}
