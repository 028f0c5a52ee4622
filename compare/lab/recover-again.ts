/**
 * I7: recovery converges. A recovered disk recovers to the same; so does every disk that a crash of the recovery leaves, at
 * any of its operations. Some of these second recoveries, chosen by the seed, are crashed as well.
 */
import type { DiskOperation } from "../../common/disk/recording-disk.ts";
import type { SeededRandom } from "../random.ts";
import { CoverageTable, crashesOf } from "./crashes.ts";
import type { DiskImage } from "./disk-image.ts";
import type { PersistenceModel } from "./models/model.ts";
import { PendingDisk } from "./pending-disk.ts";
import type { Recording } from "./recording.ts";
import type { EnumerationLimits } from "./state-space.ts";
import type { Outcome, Subject } from "./subject.ts";

export interface Convergence {
  /** What differed; undefined: nothing did. */
  readonly problem: string | undefined;
  /** The disks that were recovered again. */
  readonly images: readonly DiskImage[];
  /** Second recoveries that were crashed as well. */
  readonly deeper: number;
}

export interface ConvergenceOptions {
  /** What a crash of the recovery leaves. */
  readonly model: PersistenceModel;
  readonly limits: EnumerationLimits;
  readonly random: SeededRandom;
  /** One second recovery in so many is crashed as well, at depth 3; 0: none. */
  readonly deeperOneIn: number;
  /** Counts the states of the first recovery's moments. */
  readonly coverage?: CoverageTable | undefined;
}

/** The states of a second recovery: nothing kept, everything kept. */
const DEEPER = { exhaustive: 1, sampled: 2 };

/** Crashes the recovery of `image` everywhere, and compares. */
export function convergence(
  subject: Subject,
  image: DiskImage,
  { model, limits, random, deeperOneIn, coverage = new CoverageTable() }: ConvergenceOptions,
): Convergence {
  const first = subject.record(image);
  const images: DiskImage[] = [];
  let deeper = 0;
  const differs = (again: Outcome, what: string): string | undefined =>
    isSame(again, first.outcome) ? undefined : `${what} ${differenceOf(first.outcome, again)}`;

  const after = imageAfter(image, first.operations);
  let problem = differs(subject.outcomeOf(after), "a second recovery");
  if (problem !== undefined) return { problem, images: [after], deeper };
  const recording: Recording = {
    base: image,
    events: first.operations.map((operation, index) => ({ kind: "disk", operation, order: index, ms: 0 })),
  };
  const options = { models: [model], limits, seed: random.below(2 ** 31), from: 0 };
  for (const crash of crashesOf(recording, options, coverage)) {
    images.push(crash.image);
    const where = `recovery, crashed after its disk operation ${crash.operations} of ${first.operations.length},`;
    problem = differs(subject.outcomeOf(crash.image), where);
    if (problem === undefined && deeperOneIn > 0 && random.oneIn(deeperOneIn)) {
      const below = convergence(subject, crash.image, { model, limits: DEEPER, random, deeperOneIn: 0 });
      deeper++;
      images.push(...below.images);
      problem = below.problem === undefined ? undefined : `${where} and again: ${below.problem}`;
    }
    if (problem !== undefined) break;
  }
  return { problem, images, deeper };
}

/** The disk when all of the operations are done, and nothing is lost. */
function imageAfter(image: DiskImage, operations: readonly DiskOperation[]): DiskImage {
  const disk = new PendingDisk(image);
  for (const operation of operations) disk.apply(operation);
  return disk.liveImage();
}

function isSame(a: Outcome, b: Outcome): boolean {
  if ((a.refused === undefined) !== (b.refused === undefined) || a.cells.size !== b.cells.size) return false;
  for (const [cell, value] of a.cells) if (b.cells.get(cell) !== value) return false;
  return true;
}

function differenceOf(first: Outcome, again: Outcome): string {
  if (again.refused !== undefined) return `refuses to start: ${again.refused}`;
  for (const cell of new Set([...first.cells.keys(), ...again.cells.keys()])) {
    if (first.cells.get(cell) === again.cells.get(cell)) continue;
    const show = (value: string | undefined): string =>
      value === undefined ? "nothing" : JSON.stringify(value.slice(0, 30));
    return `shows ${show(again.cells.get(cell))} in ${JSON.stringify(cell.slice(0, 30))}, not ${show(first.cells.get(cell))}`;
  }
  return "gives another result";
}
