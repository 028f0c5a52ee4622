/**
 * What the table shows: one row per engine, policy, kind of crash and crash point, each made of crashes that were run.
 *
 * Three experiments:
 *
 *   probe   in the simulator, a quiet server gets `SET probe new` and is crashed right after each step that this one
 *           command takes: was it acknowledged, is it there after recovery? (shared/truth has the same for real servers)
 *   kill    a real server process under load, SIGKILLed at the step, and at random times (kill.ts)
 *   power   the record of a simulated run under load, cut at every disk operation and step (explore.ts)
 */
import type { StepName } from "../common/steps.ts";
import { STEPS } from "../common/steps.ts";
import { CrashStates } from "./crash-states.ts";
import type { Directives } from "./engines.ts";
import { type CrashState, crashKind, type ExploreOptions, explore, type Judged, recoverAndRead } from "./explore.ts";
import type { KillMoment } from "./kill.ts";
import type { Verdict, Violation } from "./oracle.ts";
import { type CrashKind, type EngineName, type Policy, promiseOf, promiseText } from "./policy.ts";
import { SeededRandom } from "./random.ts";
import { type RunPlan, type SimulatedRun, simulate } from "./simulated-run.ts";
import type { Planned } from "./workload.ts";

/** What became of the probe at a crash point; "-" when the command does not take that step. */
export interface Probe {
  readonly acknowledged: boolean;
  readonly survived: boolean;
}

export interface Row {
  readonly engine: EngineName;
  readonly policy: string;
  readonly crash: CrashKind;
  /** A step's name, "random moment" or "any disk operation". */
  readonly point: string;
  /** Crash points of CRASH-MATRIX.md. */
  readonly matrix: string;
  readonly probe: Probe | undefined;
  /** Crashes that this row is made of. */
  crashes: number;
  /** Writes acknowledged before the crash, in the crash that had most. */
  acknowledged: number;
  /** Of the worst crash: acknowledged writes lost, and how long before the crash the first of them was acknowledged. */
  lost: number;
  lostMs: number;
  atomic: boolean;
  refused: number;
  violations: Violation[];
  /** How to run the first crash with a violation again. */
  reproduce: string;
}

const VIOLATIONS_KEPT = 5;
/**
 * Small files and a small pool, so that a short run has checkpoints, page writes, a full log and new binlog files. And few
 * databases, of which the workloads use one: an engine is made for every disk that is recovered.
 */
export const SMALL: Readonly<Record<EngineName, Directives>> = {
  aof: {
    databases: "2",
    "auto-aof-rewrite-percentage": "50",
    "auto-aof-rewrite-min-size": "16kb",
    "rdb-key-save-delay": "300",
  },
  wal: {
    databases: "2",
    "buffer-pool-size": "1mb",
    "redo-log-file-size": "512kb",
    "redo-log-files-in-group": "1",
    "max-binlog-size": "32kb",
  },
};

export function newRow(policy: Policy, crash: CrashKind, point: string, matrix: string, probe?: Probe): Row {
  return {
    engine: policy.engine,
    policy: policy.name,
    crash,
    point,
    matrix,
    probe,
    crashes: 0,
    acknowledged: 0,
    lost: 0,
    lostMs: 0,
    atomic: true,
    refused: 0,
    violations: [],
    reproduce: "",
  };
}

/** Adds one crash to a row. */
export function addVerdict(row: Row, verdict: Verdict, reproduce: string): void {
  row.crashes++;
  row.acknowledged = Math.max(row.acknowledged, verdict.acknowledged);
  row.lost = Math.max(row.lost, verdict.lost);
  row.lostMs = Math.max(row.lostMs, verdict.lostMs);
  row.atomic &&= verdict.atomic;
  if (verdict.refused !== undefined) row.refused++;
  if (verdict.violations.length > 0 && row.violations.length === 0) row.reproduce = reproduce;
  for (const violation of verdict.violations) {
    if (row.violations.length < VIOLATIONS_KEPT) row.violations.push(violation);
  }
}

/** The steps of an engine that a crash can follow, in order. */
export function stepsOf(engine: EngineName): StepName[] {
  return STEPS.filter((step) => step.engine === engine).map((step) => step.name);
}

export function matrixOf(step: StepName): string {
  return STEPS.find(({ name }) => name === step)?.matrix ?? "";
}

/** One command on a quiet server: the plan of the probe's client. */
function probePlan(): () => { next(): Planned } {
  const values = ["old", "new"];
  return () => ({ next: () => ({ kind: "write", commands: [["SET", "c0:s0", values.shift() ?? "new"]] }) });
}

/** The crash point after the last step: the server has been idle for longer than any once-a-second work takes. */
export const LATER = "3 s later";
const LATER_MS = 3000;

/** What becomes of one write when the crash follows each step it takes: by kind of crash, then by step or LATER. */
export function probe(policy: Policy, directives: Directives): Record<CrashKind, Map<string, Probe>> {
  const plan: RunPlan = {
    policy,
    seed: 1,
    clients: 1,
    operations: 2,
    batch: 1,
    // Long enough for everything before the probe to become durable by itself.
    thinkMs: [LATER_MS, LATER_MS],
    restMs: LATER_MS,
    plan: probePlan(),
    directives,
  };
  const run = simulate(plan);
  const second = run.history.clients[0]?.[1];
  const found = { kill: new Map<string, Probe>(), power: new Map<string, Probe>() };
  if (second === undefined) return found;
  const states = new CrashStates();
  const look = (point: string, order: number): void => {
    const acknowledged = second.answered !== undefined && second.answered.order < order;
    for (const crash of ["kill", "power"] as const) {
      if (found[crash].has(point)) continue;
      const recovered = recoverAndRead(plan, crash === "kill" ? states.kill() : states.power());
      const survived = "cells" in recovered && recovered.cells.get("c0:s0") === "new";
      found[crash].set(point, { acknowledged, survived });
    }
  };
  for (const event of run.timeline) {
    if (event.kind === "disk") states.apply(event.operation);
    if (event.kind === "step" && event.order > second.sent.order) look(event.step, event.order);
  }
  look(LATER, run.history.now);
  return found;
}

/** How large a simulated campaign is. */
export interface PowerPlan {
  readonly clients: number;
  readonly operations: number;
  readonly states: ReadonlySet<CrashState>;
  readonly partlyKeptOneIn: number;
  readonly againOneIn: number;
}

/** Short, and long enough for several seconds of virtual time, so that the windows of a second show. */
export const DEFAULT_POWER: PowerPlan = {
  clients: 3,
  operations: 30,
  states: new Set(["power, unsynced dropped", "power, kept in order", "power, kept in any order", "kill, write torn"]),
  partlyKeptOneIn: 5,
  againOneIn: 20,
};

/** The simulated run that a seed means. */
export function powerPlan(
  policy: Policy,
  seed: number,
  size: Pick<PowerPlan, "clients" | "operations">,
  directives: Directives,
): RunPlan {
  const random = new SeededRandom(seed);
  const batch = random.pick([1, 6, 48]);
  // From a fraction of a second to several: what happens once a second must happen in some runs, and not in others.
  const durationMs = random.pick([200, 2500, 5000]);
  const thinkMs = [0, (durationMs / size.operations) * (batch + 1)] as const;
  const { clients, operations } = size;
  return { policy, seed, clients, operations, batch, thinkMs, restMs: 300, directives };
}

/** Crashes one simulated run everywhere; fills a row per step and one for every other moment. */
export function surveyPower(
  run: SimulatedRun,
  size: PowerPlan,
  rowOf: (crash: CrashKind, point: string) => Row,
): { judged: number; recovered: number } {
  const { seed, policy } = run.plan;
  const options: ExploreOptions = { ...size, seed };
  return explore(run, options, (judged: Judged) => {
    const reproduce = `seed ${seed}, ${policy.engine} ${policy.name}, event ${judged.event}, ${judged.state}`;
    addVerdict(rowOf(crashKind(judged.state), pointOf(judged)), judged.verdict, reproduce);
  });
}

/** Rows beside those of the steps. */
export const RANDOM_MOMENT = "random moment";
export const TORN_WRITE = "any write, torn";
export const ANY_OPERATION = "any disk operation";
export const IN_ORDER = "… kept in order";
export const ANY_ORDER = "… kept in any order";

function pointOf({ state, step }: Judged): string {
  if (state === "kill, write torn") return TORN_WRITE;
  if (state === "power, kept in order") return IN_ORDER;
  if (state === "power, kept in any order") return ANY_ORDER;
  return step ?? ANY_OPERATION;
}

/** How a real kill is named when it is to be run again. */
export function killText(policy: Policy, seed: number, moment: KillMoment): string {
  const when = "step" in moment ? `at ${moment.step} number ${moment.nth}` : `after ${moment.afterMs} ms`;
  return `seed ${seed}, ${policy.engine} ${policy.name}, killed ${when}`;
}

/**
 * No promise covers this: a disk that keeps the later part of an unsynced append and loses an earlier one. The AOF has no
 * checksums (Redis's format), so its recovery may refuse such a file, or read the gap as zeros inside a value. What was
 * acknowledged under `always` was synced, and is in front of it.
 */
export function isUnpromised(row: Row): boolean {
  return row.engine === "aof" && row.point === ANY_ORDER;
}

/** More was lost, or something else was found, than the policy allows; or nothing: recovery refused to start. */
export function isBroken(row: Row): boolean {
  return row.violations.length > 0 && !isUnpromised(row);
}

/** Why the row is as it is, in a line. */
export function reasonOf(row: Row, policy: Policy): string {
  const [violation] = row.violations;
  if (violation !== undefined && isUnpromised(row)) {
    return `no promise: an AOF has no checksums. ${violation.kind}: ${violation.detail}`;
  }
  if (violation !== undefined) return `${violation.rule} ${violation.kind}: ${violation.detail} (${row.reproduce})`;
  const promise = promiseOf(policy, row.crash);
  if (row.point === LATER) return `the same write, crashed ${LATER_MS / 1000} s after its reply on a quiet server`;
  if (row.crashes === 0 && row.probe === undefined) return "this policy does not take this step";
  if (row.crashes === 0) return "did not come under load";
  if (row.lost > 0) return `allowed: ${promiseText(promise)}`;
  if (promise.keeps === "everything") return promiseText(promise);
  return `nothing lost here; ${promiseText(promise)}`;
}
