/**
 * A world for one server, without the machine: virtual time, seeded chance, a disk in memory whose background syncs end
 * when the virtual clock says so, and a record of all that happened. The same seed gives the same record, byte for byte.
 *
 * Events wait in a queue ordered by virtual time. A turn takes all events of the next TURN_MS (as the poll phase of an event
 * loop takes all sockets that are readable) and then what `afterTick` gathered: so requests of several clients meet in one
 * turn, and group commit happens.
 */
import { assert } from "../common/assert.ts";
import type { Disk } from "../common/disk/disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { type DiskOperation, RecordingDisk } from "../common/disk/recording-disk.ts";
import type { Clock, Host, StepDetail } from "../common/host.ts";
import type { StepName } from "../common/steps.ts";
import { SeededRandom } from "./random.ts";

const TURN_MS = 0.05;
/** Saturday, 2026-01-03: any fixed day does. */
const EPOCH_MS = 1_767_398_400_000;

/** How long a sync takes: mostly short, now and then held up. */
export interface SyncTiming {
  readonly shortMs: readonly [number, number];
  readonly longMs: readonly [number, number];
  /** One sync in so many is long. */
  readonly longOneIn: number;
  /** The n-th sync, counted from 1, takes so long. */
  readonly slow?: { readonly nth: number; readonly ms: number };
}

export const ORDINARY_SYNCS: SyncTiming = { shortMs: [0.1, 2], longMs: [20, 200], longOneIn: 40 };

/** Something that happened, as the crash states and the judge need it. `order` is the history's: see history.ts. */
export type TimelineEvent = { readonly order: number; readonly ms: number } & (
  | { readonly kind: "disk"; readonly operation: DiskOperation }
  | { readonly kind: "step"; readonly step: StepName; readonly detail: StepDetail }
  | { readonly kind: "answer" }
);

/** Puts a disk between the engine and the record; `later` ends a sync of its own, `now` tells what has happened until then. */
export type DiskWrapper = (disk: Disk, later: (run: () => void) => void, now: () => RecordMoment) => Disk;

/** How many events the record has, and the history's order. */
export interface RecordMoment {
  readonly events: number;
  readonly order: number;
}

interface Scheduled {
  readonly at: number;
  readonly sequence: number;
  run: (() => void) | undefined;
}

/** Virtual time. */
export class Simulation implements Clock {
  readonly random: SeededRandom;
  #now = 0;
  #sequence = 0;
  /** A binary heap: the earliest first, equal times in the order in which they were planned. */
  readonly #queue: Scheduled[] = [];
  #afterTick: (() => void)[] = [];

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  now(): number {
    return EPOCH_MS + Math.floor(this.#now);
  }

  monotonic(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    const scheduled: Scheduled = { at: this.#now + Math.max(0, delayMs), sequence: this.#sequence++, run };
    push(this.#queue, scheduled);
    return () => {
      scheduled.run = undefined;
    };
  }

  sleep(delayMs: number): void {
    this.#now += delayMs;
  }

  afterTick(run: () => void): void {
    this.#afterTick.push(run);
  }

  /** Runs turns until `finished` says so, or nothing is left to happen, or the virtual time is over. */
  run(finished: () => boolean, limitMs: number): void {
    while (!finished() && this.#now < limitMs) {
      const next = this.#queue[0];
      if (next === undefined && this.#afterTick.length === 0) return;
      if (this.#afterTick.length === 0 && next !== undefined) this.#now = Math.max(this.#now, next.at);
      const turnEnd = this.#now + TURN_MS;
      for (let due = this.#queue[0]; due !== undefined && due.at <= turnEnd; due = this.#queue[0]) {
        pop(this.#queue);
        this.#now = Math.max(this.#now, due.at);
        due.run?.();
      }
      const run = this.#afterTick;
      this.#afterTick = [];
      for (const each of run) each();
    }
  }
}

/** The host of a simulated server. */
export class SimulatedHost implements Host {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly tracing = true;
  /** Everything that changed the disk and every step of the write path, in order. */
  readonly timeline: TimelineEvent[] = [];
  /** The longest time a sync took. */
  longestSyncMs = 0;
  readonly #simulation: Simulation;
  readonly #order: () => number;

  /**
   * `order` numbers the events: the history's. `base` is what the disk holds at the start. `wrap` puts a disk between the
   * engine and the record.
   */
  constructor(
    simulation: Simulation,
    timing: SyncTiming,
    order: () => number,
    base: MemoryDisk = new MemoryDisk(),
    wrap: DiskWrapper = (disk) => disk,
  ) {
    this.#simulation = simulation;
    this.#order = order;
    this.clock = simulation;
    this.random = simulation.random;
    let syncs = 0;
    const syncTime = (): number => {
      const { random } = simulation;
      const [low, high] = random.oneIn(timing.longOneIn) ? timing.longMs : timing.shortMs;
      const usual = random.between(low, high);
      const delay = ++syncs === timing.slow?.nth ? timing.slow.ms : usual;
      this.longestSyncMs = Math.max(this.longestSyncMs, delay);
      return delay;
    };
    const memory = base.clone(
      (complete) => simulation.after(syncTime(), complete),
      () => simulation.sleep(syncTime()),
    );
    this.disk = wrap(
      new RecordingDisk(memory, (operation) => this.#note({ kind: "disk", operation })),
      (run) => simulation.after(syncTime(), run),
      () => ({ events: this.timeline.length, order: order() }),
    );
  }

  afterTick(run: () => void): void {
    this.#simulation.afterTick(run);
  }

  trace(step: StepName, detail: StepDetail): void {
    this.#note({ kind: "step", step, detail });
  }

  /** A client was told something. */
  noteAnswer(): void {
    this.#note({ kind: "answer" });
  }

  #note(
    what:
      | { kind: "disk"; operation: DiskOperation }
      | { kind: "step"; step: StepName; detail: StepDetail }
      | { kind: "answer" },
  ): void {
    this.timeline.push({ ...what, order: this.#order(), ms: this.#simulation.monotonic() });
  }
}

function isEarlier(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}

function push(heap: Scheduled[], item: Scheduled): void {
  let index = heap.length;
  heap.push(item);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = heap[parent] as Scheduled;
    if (!isEarlier(item, above)) break;
    heap[index] = above;
    index = parent;
  }
  heap[index] = item;
}

/** Removes the earliest. */
function pop(heap: Scheduled[]): void {
  const last = heap.pop();
  assert(last !== undefined, "there is something to remove");
  if (heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isEarlier(heap[child + 1] as Scheduled, heap[child] as Scheduled)) child++;
    if (!isEarlier(heap[child] as Scheduled, last)) break;
    heap[index] = heap[child] as Scheduled;
    index = child;
  }
  heap[index] = last;
}
