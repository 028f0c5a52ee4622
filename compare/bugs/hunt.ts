/**
 * Runs a wrong engine until the lab catches it: simulated runs of consecutive seeds, each explored (explore.ts) as the right
 * engines are: crashed at every event, every disk recovered and judged by the same oracles. Orders (compare/orders) and
 * seeded bugs (compare/bugs) are both hunted here.
 *
 * What may be wrong: the engine that runs (`create`, `wrapDisk`), the one that recovers (`recovery`), or both. A bug that
 * refuses to start, stops while it runs, or answers with nonsense is caught as well: the oracle is then the one that says so.
 */
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { STEPS, type StepName } from "../../common/steps.ts";
import type { CreateEngine, Directives } from "../engines.ts";
import { type CrashState, type ExploreOptions, explore } from "../explore.ts";
import { isAcknowledged, operationText } from "../history.ts";
import { binlogCheck } from "../lab/checks.ts";
import type { Oracle } from "../lab/judge.ts";
import type { Policy } from "../policy.ts";
import { isRefusal } from "../recover-engine.ts";
import { type RunPlan, type SimulatedRun, simulate } from "../simulated-run.ts";
import type { DiskWrapper, SyncTiming, TimelineEvent } from "../simulator.ts";
import { powerPlan, SMALL } from "../survey.ts";
import type { Planned } from "../workload.ts";

/** How a crashed disk may look; see explore.ts. */
export type DiskState = "kill" | "torn write" | "power" | "kept in order" | "kept in any order";

/** What recovers the crashed disks; the honest engine on the bare disk when left out. */
export interface Recoverer {
  readonly create?: CreateEngine;
  readonly wrapDisk?: DiskWrapper;
}

export interface Hunt {
  readonly policy: Policy;
  readonly create?: CreateEngine;
  readonly wrapDisk?: DiskWrapper;
  readonly recovery?: Recoverer;
  readonly states: readonly DiskState[];
  readonly directives?: Directives;
  readonly timing?: SyncTiming;
  readonly clients?: number;
  readonly operations?: number;
  readonly batch?: number;
  readonly thinkMs?: readonly [number, number];
  readonly restMs?: number;
  /** What an earlier life left on the disk. */
  readonly makeBase?: () => MemoryDisk;
  readonly plan?: (client: number, seed: number) => { next(): Planned };
  /** Only this oracle counts: a bug may show itself in several ways, and this is the one that is to be shown. */
  readonly wanted?: string;
  /** Replays the binlog and compares (1/1 only). */
  readonly binlog?: boolean;
  /** One event in so many is followed by disks that kept a part. */
  readonly partlyOneIn?: number;
  /** Judges instead of the lab's oracle: a weaker one, for the bugs of the lab itself. */
  readonly judge?: Oracle;
  /** Only events of these kinds are followed by crashes. */
  readonly crashAfter?: (event: TimelineEvent) => boolean;
  /** The run itself may stop with a failure: that is what the faulty disk is for. */
  readonly mayStop?: boolean;
}

export interface Caught {
  /** The oracle's name: the violation's kind, or "stopped". */
  readonly oracle: string;
  readonly rule: string;
  readonly matrix: string;
  readonly promise: string;
  readonly command: string;
  readonly detail: string;
  readonly state: DiskState | "run";
  /** The last step of the write path before the crash. */
  readonly step: StepName | undefined;
  /** What had been sent, and whether it was acknowledged; the youngest last. */
  readonly sent: readonly SentOperation[];
  readonly seed: number;
  readonly event: number;
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

/** Hunts with seed after seed until caught, or until the time or the seeds are used up. */
export function hunt(plan: Hunt, options: { seed: number; seedsMax?: number; limitMs?: number }): Hunted {
  const startedAt = performance.now();
  const elapsed = (): number => performance.now() - startedAt;
  let states = 0;
  for (let run = 0; run < (options.seedsMax ?? SEEDS_MAX); run++) {
    const search = new Search(plan, options.seed + run, () => elapsed() > (options.limitMs ?? 60_000));
    const caught = search.run();
    states += search.states;
    if (caught !== undefined || search.isOver) return { caught, states, ms: elapsed() };
  }
  return { caught: undefined, states, ms: elapsed() };
}

const SMALLEST_SEEDS = 6;
const SMALLEST_OPERATIONS = [1, 2, 3, 5, 8] as const;

/** A smaller run of the same hunt that is caught as well: one client, as few operations as will do. */
export function smallest(plan: Hunt, options: { seed: number; limitMs?: number }): Hunted | undefined {
  const startedAt = performance.now();
  for (const operations of SMALLEST_OPERATIONS) {
    if (operations >= (plan.operations ?? 16) * (plan.clients ?? 3)) return undefined;
    const small: Hunt = { ...plan, clients: 1, operations, batch: plan.batch ?? 1, thinkMs: plan.thinkMs ?? [0, 200] };
    const limitMs = (options.limitMs ?? 5000) - (performance.now() - startedAt);
    if (limitMs <= 0) return undefined;
    const hunted = hunt(small, { seed: options.seed, seedsMax: SMALLEST_SEEDS, limitMs });
    if (hunted.caught !== undefined) return hunted;
  }
  return undefined;
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
    ...(plan.makeBase && { base: plan.makeBase() }),
    ...(plan.create && { create: plan.create }),
    ...(plan.wrapDisk && { wrapDisk: plan.wrapDisk }),
    ...(plan.recovery && { recovery: plan.recovery }),
    ...(plan.plan && { plan: (client: number) => plan.plan!(client, seed) }),
  };
}

class Search {
  readonly #plan: Hunt;
  readonly #seed: number;
  readonly #isLate: () => boolean;
  #run: SimulatedRun | undefined;
  #event = 0;
  #caught: Caught | undefined;
  states = 0;
  /** The time was up. */
  isOver = false;

  constructor(plan: Hunt, seed: number, isLate: () => boolean) {
    this.#plan = plan;
    this.#seed = seed;
    this.#isLate = isLate;
  }

  run(): Caught | undefined {
    let run: SimulatedRun;
    try {
      run = simulate(huntPlan(this.#plan, this.#seed));
    } catch (error) {
      if (!isBreakdown(error)) throw error;
      return this.#note("run", { kind: "stopped", detail: error.message });
    }
    this.#run = run;
    explore(run, this.#options(run), ({ event, state, verdict }) => {
      this.states++;
      this.#event = event;
      const [violation] = verdict.violations;
      if (violation !== undefined) this.#note(STATES.get(state) ?? "kill", violation);
      this.isOver = this.#caught === undefined && this.#isLate();
      return this.#caught === undefined && !this.isOver;
    });
    if (this.#caught !== undefined || this.isOver) return this.#caught;
    if (run.failure !== undefined && this.#plan.mayStop !== true) {
      const detail = run.failure instanceof Error ? run.failure.message : String(run.failure);
      return this.#note("run", { kind: "stopped", detail });
    }
    return undefined;
  }

  #options(run: SimulatedRun): ExploreOptions {
    const { states, partlyOneIn = 4, crashAfter, binlog, judge: oracle } = this.#plan;
    // On a disk with an earlier life's data, judging begins when the setup has replaced them.
    const replaced = run.history.clients[run.setupClient]?.[0]?.answered?.order ?? Number.POSITIVE_INFINITY;
    return {
      states: new Set([...STATES].flatMap(([state, name]) => (states.includes(name) ? [state] : []))),
      partlyKeptOneIn: partlyOneIn,
      againOneIn: 0,
      seed: this.#seed,
      from: run.plan.base === undefined ? undefined : replaced + 1,
      isCut: crashAfter && ((event) => event >= 0 && crashAfter(run.timeline[event]!)),
      check: binlog === true ? { oneIn: 1, look: binlogCheck } : undefined,
      oracle,
      isExpected: isBreakdown,
    };
  }

  #note(state: Caught["state"], found: Found): Caught | undefined {
    if (this.#plan.wanted !== undefined && found.kind !== this.#plan.wanted) return undefined;
    const { kind, rule = "", promise = "", command = "", detail } = found;
    const step = this.#run?.timeline.slice(0, this.#event + 1).findLast((event) => event.kind === "step")?.step;
    this.#caught = {
      oracle: kind,
      rule,
      matrix: STEPS.find(({ name }) => name === step)?.matrix ?? "",
      promise,
      command,
      detail,
      state,
      step,
      sent: this.#sent(),
      seed: this.#seed,
      event: this.#event,
    };
    return this.#caught;
  }

  #sent(): SentOperation[] {
    const run = this.#run;
    const cut = run?.timeline[this.#event]?.order ?? Number.POSITIVE_INFINITY;
    if (run === undefined) return [];
    const sent = run.history.clients.flat().filter((operation) => operation.sent.order < cut);
    sent.sort((a, b) => a.sent.order - b.sent.order);
    return sent.map((operation) => ({ text: operationText(operation), told: isAcknowledged(operation, cut) }));
  }
}

/** The explorer's names of the states. */
const STATES: ReadonlyMap<CrashState, DiskState> = new Map([
  ["kill", "kill"],
  ["kill, write torn", "torn write"],
  ["power, unsynced dropped", "power"],
  ["power, kept in order", "kept in order"],
  ["power, kept in any order", "kept in any order"],
]);

/** What an oracle says; those of this file have no promise and no command. */
interface Found {
  readonly kind: string;
  readonly detail: string;
  readonly rule?: string;
  readonly promise?: string;
  readonly command?: string;
}

/** A failure that a wrong engine may end with: a refusal, or its own nonsense. */
function isBreakdown(error: unknown): error is Error {
  return isRefusal(error) || error instanceof RangeError || error instanceof TypeError;
}
