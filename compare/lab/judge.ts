/**
 * Verdicts on crashes: the oracle (oracle.ts), the checker of the engine, and what recovery did when it was crashed itself.
 *
 * A verdict depends on what recovery found, on the kind of crash, and on what the clients knew: equal three, equal verdict.
 */
import { STEPS } from "../../common/steps.ts";
import type { Operation } from "../history.ts";
import { type Evidence, judge, judgeRefusal, survivorsOf, type Verdict, type Violation } from "../oracle.ts";
import type { CrashKind, EngineName } from "../policy.ts";
import type { SimulatedRun } from "../simulated-run.ts";
import type { Crash } from "./crashes.ts";
import type { PersistenceModel } from "./models/model.ts";
import type { Outcome } from "./subject.ts";

const MATRIX: ReadonlyMap<string, string> = new Map(STEPS.map((step) => [step.name, step.matrix]));

/** What is not wrong when the medium broke its promise and the engine owes to notice: see `Owed`. */
const NOTICED: ReadonlySet<Violation["kind"]> = new Set(["refused", "check failed", "lost write", "vanished read"]);
/** How the message of an AssertionError begins (common/assert.ts): the engine was surprised, and names no file. */
const SURPRISED = "assertion failed";

/** Does this break what the engine owes under the model? */
export function isBreach(model: PersistenceModel, engine: EngineName, { kind, detail }: Violation): boolean {
  const owed = model.owed[engine];
  if (owed === "everything" || kind === "unstable recovery") return true;
  if (owed === "stability") return false;
  return !NOTICED.has(kind) || (kind === "refused" && detail.startsWith(SURPRISED));
}

/** The first violation of a verdict that breaks what is owed; of the kind, when one is asked for. */
export function breachOf(
  model: PersistenceModel,
  engine: EngineName,
  verdict: Verdict,
  kind?: Violation["kind"],
): Violation | undefined {
  return verdict.violations.find(
    (violation) => (kind === undefined || violation.kind === kind) && isBreach(model, engine, violation),
  );
}

/** What the oracle needs to know about a crash after that event, but for what was found. */
function evidenceOf(run: SimulatedRun, event: number, crash: CrashKind): Omit<Evidence, "found"> {
  const { plan, history, setupClient, longestSyncMs, timeline } = run;
  const last = timeline[event];
  return {
    policy: plan.policy,
    crash,
    cut: last?.order ?? 0,
    cutMs: last?.ms ?? 0,
    diskMs: 2 * longestSyncMs,
    history,
    setupClient,
    matrix: matrixAt(run, event),
  };
}

/** Says what a crash has broken: the oracle, or a weaker one that a test of the lab puts in its place. */
export type Oracle = (evidence: Evidence) => Verdict;

/** What the oracle says about a crash of the run after which recovery came to this outcome. */
export function verdictOf(
  run: SimulatedRun,
  event: number,
  crash: CrashKind,
  outcome: Outcome,
  oracle: Oracle = judge,
): Verdict {
  const evidence = evidenceOf(run, event, crash);
  if (outcome.refused !== undefined) return judgeRefusal(evidence, outcome.refused);
  const verdict = oracle({ ...evidence, found: outcome.cells });
  const [problem] = outcome.problems;
  if (problem === undefined) return verdict;
  const { matrix } = evidence;
  const { kind, detail } = problem;
  const isBinlog = kind === "binlog differs";
  const promise = isBinlog ? "engine and binlog have the same transactions" : "the files are whole after recovery";
  const violation: Violation = { kind, rule: isBinlog ? "I5" : "I2", matrix, promise, command: "", detail };
  return { ...verdict, violations: [...verdict.violations, violation] };
}

/** The writes that are there then; undefined: they are not the first writes of each client. */
export function survivingWrites(
  run: SimulatedRun,
  event: number,
  crash: CrashKind,
  outcome: Outcome,
): ReadonlySet<Operation> | undefined {
  return survivorsOf({ ...evidenceOf(run, event, crash), found: outcome.cells });
}

/** The crash point of CRASH-MATRIX.md: that of the last step done. */
function matrixAt(run: SimulatedRun, event: number): string {
  for (let index = event; index >= 0; index--) {
    const happened = run.timeline[index];
    if (happened?.kind === "step") return MATRIX.get(happened.step) ?? "";
  }
  return run.plan.policy.engine === "aof" ? "A0" : "W1";
}

/** I7 is broken: the verdict says so as well. */
export function withUnstable(verdict: Verdict, run: SimulatedRun, detail: string): Verdict {
  const violation: Violation = {
    kind: "unstable recovery",
    rule: "I7",
    matrix: run.plan.policy.engine === "aof" ? "A10" : "W16",
    promise: "recovery gives the same result every time",
    command: "",
    detail,
  };
  return { ...verdict, violations: [...verdict.violations, violation] };
}

/** The engine stopped itself, and its disk had done all that it asked: the verdict says so as well. */
export function withStopped(verdict: Verdict, run: SimulatedRun): Verdict {
  const { failure } = run;
  const violation: Violation = {
    kind: "stopped",
    rule: "I6",
    matrix: matrixAt(run, run.timeline.length - 1),
    promise: "only a disk that fails stops an engine",
    command: "",
    detail: failure instanceof Error ? failure.message : String(failure),
  };
  return { ...verdict, violations: [...verdict.violations, violation] };
}

/** The verdicts on the crashes of one run. */
export class Judge {
  readonly #run: SimulatedRun;
  readonly #oracle: Oracle | undefined;
  /** The last verdict on each outcome, by kind of crash: events are looked at in their order. */
  readonly #verdicts: Record<CrashKind, Map<Outcome, { readonly order: number; readonly verdict: Verdict }>> = {
    kill: new Map(),
    power: new Map(),
  };

  constructor(run: SimulatedRun, oracle?: Oracle) {
    this.#run = run;
    this.#oracle = oracle;
  }

  verdict(crash: Crash, outcome: Outcome): Verdict {
    const order = this.#run.timeline[crash.knownAt]?.order ?? 0;
    const verdicts = this.#verdicts[crash.model.crash];
    const known = verdicts.get(outcome);
    if (known?.order === order) return known.verdict;
    const verdict = verdictOf(this.#run, crash.knownAt, crash.model.crash, outcome, this.#oracle);
    verdicts.set(outcome, { order, verdict });
    return verdict;
  }
}
