/**
 * Minimises a failing state: the fewest operations lost, at its crash point. Every step is proven by running the check
 * again. The result is minimal in this sense: with any one of its losses given back, the check passes.
 */

import { minimiseChoice } from "../lab/minimise.ts";
import type { Choice, Dimension, StateSpace } from "../lab/state-space.ts";
import type { CheckResult, CrashCheck } from "./crash-check.ts";
import { type CrashPoints, type CrashState, spaceOfState } from "./crash-points.ts";

export interface LostThing {
  /** "users.json bytes 0–512". */
  readonly subject: string;
  /** What became of it. */
  readonly what: string;
  /** Indexes of the operations whose effect is missing, oldest first. */
  readonly operations: readonly number[];
}

export interface Minimised {
  readonly state: CrashState;
  readonly lost: readonly LostThing[];
  readonly result: CheckResult;
  /** Checks that minimising took. */
  readonly runs: number;
}

/** What is missing in a state. */
export function lostIn(space: StateSpace, choice: Choice): LostThing[] {
  const lost: LostThing[] = [];
  for (const [index, dimension] of space.dimensions.entries()) {
    const value = choice[index] ?? 0;
    if (value === 0) continue;
    lost.push({
      subject: dimension.subject,
      what: dimension.values[value] ?? "",
      operations: missing(dimension, value),
    });
  }
  return lost;
}

function missing({ operations, lost, values }: Dimension, value: number): readonly number[] {
  // Of values that are not a number of lost operations (a cut, garbage), the newest operation is what they damage.
  const count = values.length === operations.length + 1 || value <= lost ? Math.min(value, operations.length) : 1;
  return operations.slice(operations.length - Math.max(1, count));
}

/** Finds the smallest failing state that `state` contains. */
export async function shrink(
  points: CrashPoints,
  check: CrashCheck,
  state: CrashState,
  first: CheckResult,
): Promise<Minimised> {
  const space = spaceOfState(points, state);
  let runs = 0;
  let result = first;
  const fails = async (choice: Choice): Promise<boolean> => {
    runs++;
    const tried = await check.run({ image: space.build(choice), printed: state.printed }, 0);
    if (!tried.ok) result = tried;
    return !tried.ok;
  };
  let best = await minimiseChoice(space, state.choice, (_, choice) => fails(choice));
  for (const index of lostOf(best)) {
    // The dimension is needed; perhaps less of it.
    for (let value = 1; value < (best[index] as number); value++) {
      const smaller = best.with(index, value);
      if (!(await fails(smaller))) continue;
      best = smaller;
      break;
    }
  }
  return { state: { ...state, choice: best, image: space.build(best) }, lost: lostIn(space, best), result, runs };
}

function lostOf(choice: Choice): number[] {
  return [...choice.keys()].filter((index) => choice[index] !== 0);
}
