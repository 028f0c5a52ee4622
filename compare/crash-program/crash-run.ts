/**
 * Checks the states of a recorded program, and finds out what the failing ones have in common: a bug is a minimal set of
 * lost operations. A further failing state that has lost what a known bug needs is counted for that bug, and not minimised
 * again.
 */
import type { PersistenceModel } from "../lab/models/model.ts";
import type { Progress } from "../progress.ts";
import type { CrashCheck } from "./crash-check.ts";
import { type CrashPoints, type CrashState, crashStates, type ModelCoverage, spaceOfState } from "./crash-points.ts";
import { lostIn, type Minimised, shrink } from "./shrink.ts";

export interface Bug extends Minimised {
  /** States checked until it was found, and since the search began. */
  readonly afterStates: number;
  readonly afterMs: number;
  /** How many more failing states have it. */
  more: number;
  /** What the lost operations are, without numbers and sizes: two bugs with equal keys are one. */
  readonly key: string;
}

export interface CrashRun {
  readonly states: number;
  readonly failed: number;
  readonly bugs: readonly Bug[];
  readonly coverage: readonly ModelCoverage[];
  readonly checks: number;
  readonly seconds: number;
}

export interface CrashRunPlan {
  readonly models: readonly PersistenceModel[];
  readonly states: number;
  readonly seed: number;
  readonly workers: number;
}

/** More are counted, not minimised. */
const BUGS_MAX = 10;

export async function runCrashes(
  points: CrashPoints,
  check: CrashCheck,
  plan: CrashRunPlan,
  progress: Progress,
): Promise<CrashRun> {
  const startedAt = performance.now();
  const coverage: ModelCoverage[] = [];
  const bugs: Bug[] = [];
  let states = 0;
  let failed = 0;
  const failing: {
    readonly state: CrashState;
    readonly reason: string;
    readonly number: number;
    readonly ms: number;
  }[] = [];
  const source = crashStates(points, plan.models, plan.states, plan.seed, coverage);
  const worker = async (number: number): Promise<void> => {
    for (let next = source.next(); next.done !== true; next = source.next()) {
      const state = next.value;
      const order = ++states;
      const result = await check.run(state, number);
      progress.advance(1, `${state.model.name}, after operation ${state.point} of ${points.operations.length}`);
      if (result.ok) continue;
      failed++;
      failing.push({ state, reason: result.reason, number: order, ms: performance.now() - startedAt });
    }
  };
  await Promise.all(Array.from({ length: plan.workers }, (_, index) => worker(index)));
  // Not in the order in which the checks ended: the same seed finds the same bug first.
  failing.sort((a, b) => a.number - b.number);
  for (const { state, reason, number, ms } of failing) {
    const known = bugs.find((bug) => explains(points, bug, state));
    if (known !== undefined || bugs.length >= BUGS_MAX) {
      if (known !== undefined) known.more++;
      continue;
    }
    progress.advance(0, "minimising");
    const minimised = await shrink(points, check, state, { ok: false, reason });
    const key = keyOf(points, minimised);
    const same = bugs.find((bug) => bug.key === key);
    if (same !== undefined) same.more++;
    else bugs.push({ ...minimised, afterStates: number, afterMs: ms, more: 0, key });
  }
  progress.end();
  const seconds = (performance.now() - startedAt) / 1000;
  return { states, failed, bugs, coverage, checks: check.runs, seconds };
}

/** True when a failing state has lost at least what the bug needs. */
function explains(points: CrashPoints, bug: Bug, state: CrashState): boolean {
  const lost = new Set(kindsOf(points, lostIn(spaceOfState(points, state), state.choice)));
  const needed = bug.key.split("\n");
  return bug.lost.length === 0 ? lost.size === 0 : needed.every((kind) => lost.has(kind));
}

function keyOf(points: CrashPoints, { lost }: Minimised): string {
  return [...new Set(kindsOf(points, lost))].sort().join("\n");
}

/** "rename a.tmp a": digits in names are one, because a program that numbers its files has the same bug in each. */
function kindsOf(points: CrashPoints, lost: readonly { readonly operations: readonly number[] }[]): string[] {
  return lost.flatMap(({ operations }) =>
    operations.map((index) => {
      const operation = points.operations[index];
      if (operation === undefined) return "?";
      const target = "to" in operation ? ` ${operation.to}` : "";
      return `${operation.kind} ${operation.path}${target}`.replace(/\d+/g, "N");
    }),
  );
}
