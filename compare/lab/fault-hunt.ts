/**
 * Hunts over the faults of a run (faults.ts): each is injected, the run goes on as far as it gets, is crashed from the fault
 * on by a kill and by a power loss, recovered and judged by the same oracles as any other.
 */
import { SeededRandom } from "../random.ts";
import type { RunPlan } from "../simulated-run.ts";
import { crashAt } from "./crashes.ts";
import {
  FAULT_KINDS,
  type FaultEnd,
  type FaultedRun,
  faultsOf,
  type InjectedFault,
  isServedFromMemory,
  runFaulted,
} from "./faults.ts";
import { type Finding, type Hunt, type HuntOptions, huntRun, recordingOf } from "./hunt.ts";
import { verdictOf } from "./judge.ts";
import { modelOf } from "./models/index.ts";
import { PageStore } from "./page-store.ts";
import { Subject } from "./subject.ts";

/** The two crashes that need no model of what is in between; a write in flight is torn in every way. */
const MODELS = [modelOf("kill"), modelOf("dropped")];
const LIMITS = { exhaustive: 64, sampled: 24 };

export interface FaultHuntOptions extends Pick<HuntOptions, "store" | "subject" | "seen" | "check"> {
  /** At most so many faults of a run, chosen by its seed. */
  readonly faultsMax: number;
  /** Crash after one event in so many, and at the end. */
  readonly cutOneIn: number;
}

/** What became of one fault. */
export interface HuntedFault {
  readonly fault: InjectedFault;
  readonly end: FaultEnd;
  readonly hunt: Hunt;
  readonly finding: Finding | undefined;
}

export interface FaultHunt {
  /** By name of the fault: how many calls it could have hit. */
  readonly calls: ReadonlyMap<string, number>;
  readonly hunted: readonly HuntedFault[];
}

/** Injects the faults that can hit the plan's run: all, or as many as the options allow. */
export function huntFaults(plan: RunPlan, options: FaultHuntOptions): FaultHunt {
  const faults = faultsOf(plan);
  const calls = new Map<string, number>(FAULT_KINDS.map(({ name }) => [name, 0]));
  for (const { kind } of faults) calls.set(kind.name, (calls.get(kind.name) ?? 0) + 1);
  const chosen = someOf(faults, options.faultsMax, new SeededRandom(plan.seed));
  return { calls, hunted: chosen.map((fault) => huntFault(plan, fault, options)) };
}

/** Injects one fault. */
export function huntFault(plan: RunPlan, fault: InjectedFault, options: FaultHuntOptions): HuntedFault {
  const faulted = runFaulted(plan, fault);
  const { store, subject, seen, check, cutOneIn } = options;
  const last = faulted.run.timeline.length - 1;
  const isCut = (event: number): boolean =>
    event === last || (event >= faulted.from && event % cutOneIn === plan.seed % cutOneIn);
  const hunt = huntRun(faulted.run, {
    ...{ models: MODELS, limits: LIMITS, againOneIn: 0, goOn: true, mayStop: true },
    ...{ store, subject, seen, check, isCut },
  });
  const { finding } = hunt;
  const engine = plan.policy.engine;
  const isPromised = finding !== undefined && !isServedFromMemory(engine, fault.kind.name, finding.violation.kind);
  return { fault, end: faulted.end, hunt, finding: isPromised ? finding : hiddenFailure(faulted, options) };
}

/** The engine said nothing, or went on: shown at the end of the run. */
export function hiddenFailure(
  { run, violation }: FaultedRun,
  { check }: Pick<FaultHuntOptions, "check">,
): Finding | undefined {
  if (violation === undefined) return undefined;
  const crash = crashAt(recordingOf(run, new PageStore()), modelOf("kill"), run.timeline.length - 1);
  if (crash === undefined) return undefined;
  const outcome = new Subject(run.plan, check).outcomeOf(crash.image);
  const verdict = verdictOf(run, crash.knownAt, "kill", outcome);
  return { run, crash, outcome, verdict, violation };
}

function someOf<T>(items: readonly T[], most: number, random: SeededRandom): readonly T[] {
  if (items.length <= most) return items;
  const left = [...items];
  return Array.from({ length: most }, () => left.splice(random.below(left.length), 1)[0] as T);
}
