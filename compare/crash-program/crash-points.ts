/**
 * The moments at which a recorded program may be crashed, and the folders that may be left then, by the lab's persistence
 * models (compare/lab/models). A crash point is a number of operations done: 0 is before the first, n after the last. All
 * lines that the program printed before its next operation count as printed, because the crash may come right after them.
 */
import type { DiskOperation } from "../../common/disk/recording-disk.ts";
import { DiskImage, type FileImage, imageOf } from "../lab/disk-image.ts";
import type { Moment, PersistenceModel } from "../lab/models/model.ts";
import { PageStore } from "../lab/page-store.ts";
import { PendingDisk } from "../lab/pending-disk.ts";
import { type Choice, enumerate, type StateSpace, sizeOf } from "../lab/state-space.ts";
import { SeededRandom } from "../random.ts";
import type { FileTree } from "./file-tree.ts";
import { isIgnored } from "./ignored.ts";
import type { RecordedOperation, Recording } from "./recording.ts";

/** A folder that a crash may leave. */
export interface CrashState {
  readonly model: PersistenceModel;
  /** So many operations were done. */
  readonly point: number;
  /** Which of the model's spaces at this point, and which state of it. */
  readonly space: number;
  readonly choice: Choice;
  readonly image: DiskImage;
  /** How many lines had been printed. */
  readonly printed: number;
}

export class CrashPoints {
  readonly operations: readonly DiskOperation[];
  readonly recorded: readonly RecordedOperation[];
  readonly printed: readonly string[];
  /** When the line was printed. */
  readonly printedMs: readonly number[];
  readonly base: DiskImage;
  /** How many lines had been printed at each point. */
  readonly #printedAt: number[] = [];

  constructor(recording: Recording) {
    const recorded: RecordedOperation[] = [];
    const printed: string[] = [];
    const printedMs: number[] = [];
    for (const event of recording.events) {
      if (event.kind === "ack") {
        printed.push(event.text);
        printedMs.push(event.ms);
      } else {
        this.#printedAt.push(printed.length);
        recorded.push(event);
      }
    }
    this.#printedAt.push(printed.length);
    this.recorded = recorded;
    this.operations = recorded.map(({ operation }) => operation);
    this.printed = printed;
    this.printedMs = printedMs;
    this.base = imageOfTree(recording.before, new PageStore());
  }

  printedAt(point: number): number {
    return this.#printedAt[point] ?? this.printed.length;
  }

  /** Each point from `from` on, with the disk as it is then; it is valid until the next is asked for. */
  *moments(from = 0): Generator<{ readonly point: number; readonly moment: Moment }> {
    const disk = new PendingDisk(this.base);
    for (let point = 0; point <= this.operations.length; point++) {
      if (point > 0) disk.apply(this.operations[point - 1] as DiskOperation);
      if (point >= from) yield { point, moment: this.#moment(disk, point) };
    }
  }

  /** The disk at one point. */
  at(point: number): Moment {
    const disk = new PendingDisk(this.base);
    for (const operation of this.operations.slice(0, point)) disk.apply(operation);
    return this.#moment(disk, point);
  }

  #moment(disk: PendingDisk, point: number): Moment {
    const { operations } = this;
    return {
      disk,
      next: operations[point],
      get operations() {
        return operations.slice(0, point);
      },
      base: this.base,
    };
  }
}

/** The tree, but for what is not followed, as an image whose pages are in `store`. */
export function imageOfTree(tree: FileTree, store: PageStore, ignore: readonly string[] = []): DiskImage {
  const entries = new Map<string, FileImage | undefined>([["", undefined]]);
  for (const { path, node } of tree.walk()) {
    if (isIgnored(ignore, path)) continue;
    if (node.kind === "folder") entries.set(path, undefined);
    if (node.kind !== "file") continue;
    const bytes = new Uint8Array(node.content.size);
    node.content.read(0, bytes);
    entries.set(path, imageOf(store, bytes));
  }
  return DiskImage.withEntries(store, entries);
}

/** How many states a model has over all points. */
export interface ModelCoverage {
  readonly model: string;
  /** Different folders, none of which an earlier model had given. */
  distinct: number;
  /** States that were looked at; several may leave the same folder. */
  given: number;
  total: bigint;
}

const QUOTA_GROWTH = 4;
const QUOTA_MAX = 1 << 20;

/**
 * Distinct states of the points from `from` on, at most `limit`, of the models in turn. Every point gets an equal share, and what small spaces leave
 * over goes to the large ones: rounds with growing shares, until the limit is reached or nothing new comes.
 */
export function* crashStates(
  points: CrashPoints,
  models: readonly PersistenceModel[],
  limit: number,
  seed: number,
  coverage: ModelCoverage[],
  from = 0,
): Generator<CrashState> {
  const seen = new Set<string>();
  for (const [index, model] of models.entries()) {
    const share = Math.ceil((limit - seen.size) / (models.length - index));
    const own: ModelCoverage = { model: model.name, distinct: 0, given: 0, total: totalOf(points, model, from) };
    coverage.push(own);
    const first = Math.max(1, Math.floor(share / (points.operations.length - from + 1)));
    for (let quota = first; own.distinct < share && quota <= QUOTA_MAX; quota *= QUOTA_GROWTH) {
      if (BigInt(own.given) === own.total) break;
      let given = 0;
      for (const state of statesOf(points, model, quota, seed, from)) {
        // A round begins with states of the round before.
        own.given = Math.max(own.given, ++given);
        const key = `${state.image.digest} ${state.printed}`;
        if (seen.has(key)) continue;
        seen.add(key);
        own.distinct++;
        // A new folder is a new state.
        own.given = Math.max(own.given, own.distinct);
        yield state;
        if (own.distinct >= share) break;
      }
    }
  }
}

function totalOf(points: CrashPoints, model: PersistenceModel, from: number): bigint {
  let total = 0n;
  for (const { moment } of points.moments(from)) {
    for (const space of model.spaces(moment)) total += sizeOf(space);
  }
  return total;
}

function* statesOf(
  points: CrashPoints,
  model: PersistenceModel,
  quota: number,
  seed: number,
  from: number,
): Generator<CrashState> {
  const random = new SeededRandom(seed);
  for (const { point, moment } of points.moments(from)) {
    for (const [index, space] of model.spaces(moment).entries()) {
      for (const choice of enumerate(space, { exhaustive: quota, sampled: quota }, random)) {
        yield {
          model,
          point,
          space: index,
          choice,
          image: space.build(choice),
          printed: points.printedAt(point),
        };
      }
    }
  }
}

/** The space that a state comes from, built anew: spaces are valid only while their disk stands at their point. */
export function spaceOfState(points: CrashPoints, state: Pick<CrashState, "model" | "point" | "space">): StateSpace {
  const spaces = state.model.spaces(points.at(state.point));
  return spaces[state.space] as StateSpace;
}
