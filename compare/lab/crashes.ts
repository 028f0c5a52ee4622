/**
 * All crashes of a record: at every event, under every model asked for, the states that the model allows. Nothing is
 * recovered or judged here.
 *
 * A moment has new states only if the disk has changed since the last; but what the clients know may have changed too, so
 * an event that is not an operation (a reply, a step) gives again the states of its moment, marked `isRepeated`: the image
 * is the same, and only the verdict may be another.
 */
import type { DiskOperation } from "../../common/disk/recording-disk.ts";
import type { StepName } from "../../common/steps.ts";
import { SeededRandom } from "../random.ts";
import type { DiskImage } from "./disk-image.ts";
import type { PersistenceModel } from "./models/model.ts";
import { PendingDisk } from "./pending-disk.ts";
import type { RecordedEvent, Recording } from "./recording.ts";
import {
  type Choice,
  type EnumerationLimits,
  enumerate,
  type Loss,
  lossesOf,
  type StateSpace,
  sizeOf,
} from "./state-space.ts";

export interface CrashOptions {
  readonly models: readonly PersistenceModel[];
  readonly limits: EnumerationLimits;
  readonly seed: number;
  /** Only after events of this order or a higher one: whatever has a lower one had happened before. */
  readonly from?: number | undefined;
  /** Only after these events; all when left out. */
  readonly isCut?:
    | ((event: number, model: PersistenceModel, happened: RecordedEvent | undefined) => boolean)
    | undefined;
}

/** One crash. */
export interface Crash {
  /** Index of the last event that had happened; -1: none. */
  readonly event: number;
  /** Index of the event up to which the clients knew: the next one, when the crash came in its middle. */
  readonly knownAt: number;
  /** How many disk operations had been done. */
  readonly operations: number;
  /** The step that the event was, if it was one. */
  readonly step: StepName | undefined;
  readonly model: PersistenceModel;
  readonly space: StateSpace;
  /** Which of the model's spaces at this moment. */
  readonly spaceIndex: number;
  readonly choice: Choice;
  readonly image: DiskImage;
  /** The same disk as that of an earlier crash of this model; the clients may know more. */
  readonly isRepeated: boolean;
}

/** States given and states that there are, by model. */
export interface CoverageCount {
  covered: bigint;
  total: bigint;
  /** Moments whose spaces were given whole, and all moments. */
  exhaustedMoments: number;
  moments: number;
}

export class CoverageTable {
  readonly byModel = new Map<string, CoverageCount>();

  of(model: string): CoverageCount {
    let count = this.byModel.get(model);
    if (count === undefined) {
      count = { covered: 0n, total: 0n, exhaustedMoments: 0, moments: 0 };
      this.byModel.set(model, count);
    }
    return count;
  }

  /** Of all models together. */
  sum(): CoverageCount {
    const sum: CoverageCount = { covered: 0n, total: 0n, exhaustedMoments: 0, moments: 0 };
    for (const count of this.byModel.values()) {
      sum.covered += count.covered;
      sum.total += count.total;
      sum.exhaustedMoments += count.exhaustedMoments;
      sum.moments += count.moments;
    }
    return sum;
  }
}

/** The losses of a crash, oldest first. */
export function lossesOfCrash(crash: Crash): Loss[] {
  return lossesOf(crash.space, crash.choice);
}

/** What a model has given at the last moment at which the disk was another. */
interface Given {
  durableVersion: number;
  operation: number;
  states: State[];
}

type State = Pick<Crash, "space" | "spaceIndex" | "choice" | "image">;

/** The crash with another choice: other losses at the same moment. */
export function withChoice(crash: Crash, choice: Choice): Crash {
  const { event, operations, step, model, space, spaceIndex, isRepeated } = crash;
  const state = { space, spaceIndex, choice, image: space.build(choice) };
  return crashOf(event, operations, step, model, state, isRepeated);
}

function crashOf(
  event: number,
  operations: number,
  step: StepName | undefined,
  model: PersistenceModel,
  { space, spaceIndex, choice, image }: State,
  isRepeated: boolean,
): Crash {
  const isTorn = model.crash === "kill" && choice.some((value) => value > 0);
  const knownAt = isTorn ? event + 1 : event;
  return { event, knownAt, operations, step, model, space, spaceIndex, choice, image, isRepeated };
}

/** The crash after one event under one model, with everything kept: its space says what else there is. */
export function crashAt(
  recording: Recording,
  model: PersistenceModel,
  event: number,
  spaceIndex = 0,
): Crash | undefined {
  const { events, base } = recording;
  const disk = new PendingDisk(base);
  const operations: DiskOperation[] = [];
  for (const happened of events.slice(0, event + 1)) {
    if (happened.kind !== "disk") continue;
    disk.apply(happened.operation);
    operations.push(happened.operation);
  }
  const space = model.spaces({ disk, next: operationAt(recording, event + 1), operations, base })[spaceIndex];
  if (space === undefined) return undefined;
  const choice = space.dimensions.map(() => 0);
  const last = events[event];
  const step = last?.kind === "step" ? last.step : undefined;
  const state = { space, spaceIndex, choice, image: space.build(choice) };
  return crashOf(event, operations.length, step, model, state, false);
}

/** Every crash, in the order of events, models, and state-space.ts. */
export function* crashesOf(recording: Recording, options: CrashOptions, coverage: CoverageTable): Generator<Crash> {
  const { events, base } = recording;
  const disk = new PendingDisk(base);
  const operations: DiskOperation[] = [];
  const random = new SeededRandom(options.seed);
  const given = new Map<string, Given>();
  for (let event = -1; event < events.length; event++) {
    const happened = events[event];
    if (happened?.kind === "disk") {
      disk.apply(happened.operation);
      operations.push(happened.operation);
    }
    if (happened === undefined ? options.from !== undefined : happened.order < (options.from ?? 0)) continue;
    const step = happened?.kind === "step" ? happened.step : undefined;
    for (const model of options.models) {
      if (options.isCut?.(event, model, happened) === false) continue;
      let last = given.get(model.name);
      const inFlight = operationAt(recording, event + 1);
      const isRepeated = last !== undefined && isSameMoment(last, model, disk, operations.length, inFlight);
      if (!isRepeated) {
        last = newGiven(disk, operations.length);
        given.set(model.name, last);
        const moment = { disk, next: inFlight, operations, base };
        for (const [spaceIndex, space] of model.spaces(moment).entries()) {
          const count = coverage.of(model.name);
          const total = sizeOf(space);
          let covered = 0n;
          for (const choice of enumerate(space, options.limits, random)) {
            const state = { space, spaceIndex, choice, image: space.build(choice) };
            last.states.push(state);
            covered++;
            yield crashOf(event, operations.length, step, model, state, false);
          }
          count.covered += covered;
          count.total += total;
          count.moments++;
          if (covered === total) count.exhaustedMoments++;
        }
      } else if (last !== undefined) {
        for (const state of last.states) {
          yield crashOf(event, operations.length, step, model, state, true);
        }
      }
    }
  }
}

function newGiven(disk: PendingDisk, operation: number): Given {
  return { durableVersion: disk.durableVersion, operation, states: [] };
}

/** Has anything happened that the model's states depend on? */
function isSameMoment(
  last: Given,
  model: PersistenceModel,
  disk: PendingDisk,
  operation: number,
  inFlight: DiskOperation | undefined,
): boolean {
  // A write in flight makes a moment of its own for a kill.
  if (model.crash === "kill" && inFlight?.kind === "write") return false;
  if (model.name === "dropped") return last.durableVersion === disk.durableVersion;
  return last.operation === operation;
}

/** The operation that an event is, if it is one. */
function operationAt(recording: Recording, event: number): DiskOperation | undefined {
  const happened = recording.events[event];
  return happened?.kind === "disk" ? happened.operation : undefined;
}
