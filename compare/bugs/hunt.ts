/**
 * Runs a wrong engine until the lab catches it: simulated runs of consecutive seeds, each hunted (lab/hunt.ts) as those of a
 * campaign are, and what is caught is made small by the same means (lab/shrink.ts). Orders (compare/orders) and seeded bugs
 * (compare/bugs) are both hunted here.
 *
 * What may be wrong: the engine that runs (`create`, `wrapDisk`), the one that recovers (`recovery`), or both. A bug that
 * refuses to start, stops while it runs, or answers with nonsense is caught as well: the oracle is then the one that says so.
 */
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { STEPS, type StepName } from "../../common/steps.ts";
import { type CreateEngine, type Directives, isRefusal } from "../engines.ts";
import { isAcknowledged, operationText } from "../history.ts";
import { binlogCheck } from "../lab/checks.ts";
import { type Finding, type HuntOptions, huntRun } from "../lab/hunt.ts";
import type { Oracle } from "../lab/judge.ts";
import { modelOf } from "../lab/models/index.ts";
import type { RecordedEvent } from "../lab/recording.ts";
import { type Minimised, shrink } from "../lab/shrink.ts";
import type { Violation } from "../oracle.ts";
import type { Policy } from "../policy.ts";
import { type RunPlan, simulate } from "../simulated-run.ts";
import type { DiskWrapper, SyncTiming } from "../simulator.ts";
import { powerPlan, SMALL } from "../survey.ts";
import type { Planned } from "../workload.ts";

/** What recovers the crashed disks; the honest engine on the bare disk when left out. */
export interface Recoverer {
  readonly create?: CreateEngine;
  readonly wrapDisk?: DiskWrapper;
}

/** What an earlier life left on the disk. */
export interface EarlierLife {
  /** Commands that its clients sent. */
  readonly commands: number;
  makeDisk(): MemoryDisk;
}

export interface Hunt {
  readonly policy: Policy;
  readonly create?: CreateEngine;
  readonly wrapDisk?: DiskWrapper;
  readonly recovery?: Recoverer;
  /** Names of persistence models (lab/models): what the crash may leave. */
  readonly models: readonly string[];
  readonly directives?: Directives;
  readonly timing?: SyncTiming;
  readonly clients?: number;
  readonly operations?: number;
  readonly batch?: number;
  readonly thinkMs?: readonly [number, number];
  readonly restMs?: number;
  readonly life?: EarlierLife;
  readonly plan?: (client: number, seed: number) => { next(): Planned };
  /** Only this oracle counts: a bug may show itself in several ways, and this is the one that is to be shown. */
  readonly wanted?: Violation["kind"];
  /** Replays the binlog and compares (1/1 only). */
  readonly binlog?: boolean;
  /** One event in so many is followed by disks that kept a part. */
  readonly partlyOneIn?: number;
  /** Judges instead of the lab's oracle: a weaker one, for the bugs of the lab itself. */
  readonly judge?: Oracle;
  /** Only events of these kinds are followed by crashes. */
  readonly crashAfter?: (event: RecordedEvent) => boolean;
  /** The run itself may stop with a failure: that is what the faulty disk is for. */
  readonly mayStop?: boolean;
}

export interface Caught {
  readonly finding: Finding;
  /** The violation's kind. */
  readonly oracle: Violation["kind"];
  readonly detail: string;
  /** The last step of the write path before the crash. */
  readonly step: StepName | undefined;
  readonly seed: number;
}

export interface SentOperation {
  readonly text: string;
  readonly told: boolean;
}

export interface Hunted {
  readonly caught: Caught | undefined;
  /** Disks recovered and judged. */
  readonly states: number;
  readonly ms: number;
}

const SEEDS_MAX = 40;
const LIMIT_MS = 60_000;
/** Of disks that kept a part: all, or the extremes and some that lost one thing. */
const LIMITS = { exhaustive: 8, sampled: 8 };
const PARTLY_ONE_IN = 4;

/** Hunts with seed after seed until caught, or until the time or the seeds are used up. */
export function hunt(plan: Hunt, options: { seed: number; seedsMax?: number; limitMs?: number }): Hunted {
  const { seed, seedsMax = SEEDS_MAX, limitMs = LIMIT_MS } = options;
  const startedAt = performance.now();
  const elapsed = (): number => performance.now() - startedAt;
  const isLate = (): boolean => elapsed() > limitMs;
  let states = 0;
  for (let run = 0; run < seedsMax && !isLate(); run++) {
    const hunted = huntRun(simulate(huntPlan(plan, seed + run)), { ...optionsOf(plan), kind: plan.wanted, isLate });
    states += hunted.crashes;
    if (hunted.finding !== undefined) return { caught: caughtBy(hunted.finding), states, ms: elapsed() };
  }
  return { caught: undefined, states, ms: elapsed() };
}

/** What was caught, as small as it gets. */
export function shrinkCaught(plan: Hunt, { finding }: Caught, limitMs?: number): Promise<Minimised> {
  return shrink(finding, { ...optionsOf(plan), ...(limitMs !== undefined && { limitMs }) });
}

/** The run that a seed means. */
export function huntPlan(plan: Hunt, seed: number): RunPlan {
  const size = { clients: plan.clients ?? 3, operations: plan.operations ?? 16 };
  const directives = { ...SMALL[plan.policy.engine], ...plan.directives };
  const usual = powerPlan(plan.policy, seed, size, directives);
  return {
    ...usual,
    ...(plan.batch !== undefined && { batch: plan.batch }),
    ...(plan.thinkMs && { thinkMs: plan.thinkMs }),
    ...(plan.restMs !== undefined && { restMs: plan.restMs }),
    ...(plan.timing && { timing: plan.timing }),
    ...(plan.life && { base: plan.life.makeDisk() }),
    ...(plan.create && { create: plan.create }),
    ...(plan.wrapDisk && { wrapDisk: plan.wrapDisk }),
    ...(plan.recovery && { recovery: plan.recovery }),
    ...(plan.plan && { plan: (client: number) => plan.plan!(client, seed) }),
  };
}

/** Under which crashes a run of the plan is hunted, and its finding made small. */
function optionsOf(plan: Hunt): HuntOptions {
  const { models, partlyOneIn = PARTLY_ONE_IN, crashAfter, binlog, judge: oracle, mayStop } = plan;
  return {
    models: models.map(modelOf),
    limits: LIMITS,
    againOneIn: 0,
    isCut: (event, model, happened) =>
      (crashAfter === undefined || (happened !== undefined && crashAfter(happened))) &&
      (model.name === "kill" || model.name === "dropped" || event % partlyOneIn === 0),
    check: binlog === true ? { oneIn: 1, look: binlogCheck } : undefined,
    oracle,
    isExpected: isBreakdown,
    mayStop,
  };
}

/** The last step of the write path before the crash, and its crash point. */
export function placeOf({ run, crash }: Finding): { readonly step: StepName | undefined; readonly matrix: string } {
  const step = run.timeline.slice(0, crash.event + 1).findLast((event) => event.kind === "step")?.step;
  return { step, matrix: STEPS.find(({ name }) => name === step)?.matrix ?? "" };
}

function caughtBy(finding: Finding): Caught {
  const { kind: oracle, detail } = finding.violation;
  return { finding, oracle, detail, step: placeOf(finding).step, seed: finding.run.plan.seed };
}

/** What had been sent before the crash, and whether it was acknowledged; the youngest last. */
export function sentBefore({ run, crash }: Finding): SentOperation[] {
  const cut = run.timeline[crash.knownAt]?.order ?? Number.POSITIVE_INFINITY;
  const sent = run.history.clients.flat().filter((operation) => operation.sent.order < cut);
  sent.sort((a, b) => a.sent.order - b.sent.order);
  return sent.map((operation) => ({ text: operationText(operation), told: isAcknowledged(operation, cut) }));
}

/** A failure that a wrong engine may end with: a refusal, or its own nonsense. */
function isBreakdown(error: unknown): error is Error {
  return isRefusal(error) || error instanceof RangeError || error instanceof TypeError;
}
