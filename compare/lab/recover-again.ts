/**
 * I7: recovery converges. A recovered disk recovers to the same; so does every disk that a crash of the recovery leaves, at
 * any of its operations, under the same model. With depth 2 that second recovery is crashed as well, at an operation that
 * the seed chooses.
 */
import type { SeededRandom } from "../random.ts";
import { CoverageTable, crashesOf } from "./crashes.ts";
import type { DiskImage } from "./disk-image.ts";
import type { PersistenceModel } from "./models/model.ts";
import type { Recording } from "./recording.ts";
import type { EnumerationLimits } from "./state-space.ts";
import type { Outcome, Subject } from "./subject.ts";

export interface Convergence {
  /** What differed; undefined: nothing did. */
  readonly problem: string | undefined;
  /** The disks that were recovered again. */
  readonly images: readonly DiskImage[];
}

/** One recovered disk in so many, of those that a crash of a recovery left, is crashed in its recovery as well. */
const DEEPER_ONE_IN = 16;

/** Crashes the recovery of `image` everywhere, and compares. */
export function convergence(
  subject: Subject,
  image: DiskImage,
  model: PersistenceModel,
  limits: EnumerationLimits,
  random: SeededRandom,
  depth = 2,
): Convergence {
  const first = subject.record(image);
  const images: DiskImage[] = [];
  const differs = (again: Outcome, what: string): string | undefined =>
    isSame(again, first.outcome) ? undefined : `${what} ${differenceOf(first.outcome, again)}`;

  let problem = differs(subject.outcomeOf(first.after), "a second recovery");
  if (problem !== undefined) return { problem, images: [first.after] };
  const recording: Recording = {
    base: image,
    events: first.operations.map((operation, index) => ({ kind: "disk", operation, order: index, ms: 0 })),
  };
  const options = { models: [model], limits, seed: random.below(2 ** 31), from: 0 };
  for (const crash of crashesOf(recording, options, new CoverageTable())) {
    images.push(crash.image);
    const where = `recovery, crashed after its disk operation ${crash.operations} of ${first.operations.length},`;
    problem = differs(subject.outcomeOf(crash.image), where);
    if (problem === undefined && depth > 1 && random.oneIn(DEEPER_ONE_IN)) {
      const deeper = convergence(subject, crash.image, model, { exhaustive: 1, sampled: 2 }, random, depth - 1);
      images.push(...deeper.images);
      problem = deeper.problem === undefined ? undefined : `${where} and again: ${deeper.problem}`;
    }
    if (problem !== undefined) break;
  }
  return { problem, images };
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
