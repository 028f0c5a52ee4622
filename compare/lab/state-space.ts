/**
 * What a crash may leave at one moment, as a space of independent choices: every pending thing is a dimension, whose value 0
 * is "it reached the disk". A state is one value per dimension; its losses are the dimensions that are not 0.
 *
 * Enumeration, in this order, until the limit is reached:
 *
 *     1. the whole space, when it is small enough: exhaustive
 *     2. nothing kept; everything kept
 *     3. pairs: of any two things every combination of kept and lost, by the bits of their numbers (2 log n states)
 *     4. in turns: one thing lost, everything else kept, with every value; one thing kept, everything else lost; by seed
 *     5. by seed
 *
 * No state is given twice. Coverage says how many of how many.
 */
import type { SeededRandom } from "../random.ts";
import type { DiskImage } from "./disk-image.ts";

/** One pending thing. */
export interface Dimension {
  /** "wal/redo.0 bytes 2048–2560". */
  readonly subject: string;
  /** What became of it; the first is that it reached the disk, the last that nothing of it did. */
  readonly values: readonly string[];
  /** The value that stands for "lost": the last, but for garbage. */
  readonly lost: number;
  /** Numbers of the operations that made it, oldest first. Value v has lost the last v of the distinct contents. */
  readonly operations: readonly number[];
  readonly path: string;
}

/** A value per dimension. */
export type Choice = readonly number[];

/** A pending thing that did not reach the disk, or not as it was written. */
export interface Loss {
  /** Number of the operation whose effect is missing: an index into the record's disk operations. */
  readonly operation: number;
  readonly path: string;
  readonly subject: string;
  readonly what: string;
}

export interface StateSpace {
  readonly dimensions: readonly Dimension[];
  build(choice: Choice): DiskImage;
}

export interface EnumerationLimits {
  /** Up to so many states a space is enumerated whole. */
  readonly exhaustive: number;
  /** Of a larger one, at most so many are given. */
  readonly sampled: number;
}

export function sizeOf(space: StateSpace): bigint {
  return space.dimensions.reduce((product, { values }) => product * BigInt(values.length), 1n);
}

/** The losses of a state, oldest operation first. */
export function lossesOf(space: StateSpace, choice: Choice): Loss[] {
  const losses: Loss[] = [];
  for (const [index, dimension] of space.dimensions.entries()) {
    const value = choice[index] ?? 0;
    if (value === 0) continue;
    const { path, subject, values } = dimension;
    losses.push({ operation: operationLost(dimension, value), path, subject, what: values[value] ?? "" });
  }
  return losses.sort((a, b) => a.operation - b.operation);
}

/** The oldest operation of which a dimension with this value lacks the effect. */
export function operationLost({ operations }: Dimension, value: number): number {
  return operations[Math.max(0, operations.length - value)] ?? operations[0] ?? -1;
}

/** Choices of a space, the order of the head of this file. */
export function* enumerate(space: StateSpace, limits: EnumerationLimits, random: SeededRandom): Generator<Choice> {
  const { dimensions } = space;
  if (sizeOf(space) <= BigInt(limits.exhaustive)) {
    yield* all(dimensions);
    return;
  }
  const seen = new Set<string>();
  let repeats = 0;
  for (const choice of chosen(dimensions, random)) {
    const key = choice.join();
    if (seen.has(key)) {
      // A space that repeats itself so often is nearly exhausted.
      if (++repeats > limits.sampled) return;
      continue;
    }
    seen.add(key);
    yield choice;
    if (seen.size >= limits.sampled) return;
  }
}

function* all(dimensions: readonly Dimension[]): Generator<Choice> {
  const choice = dimensions.map(() => 0);
  for (;;) {
    yield choice.slice();
    let index = choice.length - 1;
    while (index >= 0 && ++(choice[index] as number) >= (dimensions[index] as Dimension).values.length) {
      choice[index--] = 0;
    }
    if (index < 0) return;
  }
}

function* chosen(dimensions: readonly Dimension[], random: SeededRandom): Generator<Choice> {
  const kept = dimensions.map(() => 0);
  const lost = dimensions.map((dimension) => dimension.lost);
  yield lost;
  yield kept;
  for (let bit = 1; bit < dimensions.length; bit *= 2) {
    for (const side of [0, bit]) {
      yield dimensions.map((dimension, index) => ((index & bit) === side ? dimension.lost : 0));
    }
  }
  for (const [index, { values }] of dimensions.entries()) {
    for (let value = 1; value < values.length; value++) {
      yield kept.with(index, value);
      yield someOf(dimensions, random);
    }
    yield lost.with(index, 0);
  }
  for (;;) yield someOf(dimensions, random);
}

/** Half of these states lose about as much as they keep, the others little. */
function someOf(dimensions: readonly Dimension[], random: SeededRandom): Choice {
  const oneIn = random.oneIn(2) ? 2 : 2 + random.below(dimensions.length);
  return dimensions.map(({ values }) => (random.oneIn(oneIn) ? random.below(values.length) : 0));
}
