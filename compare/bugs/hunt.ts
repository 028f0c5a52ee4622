/**
 * Runs a wrong engine until the lab catches it: simulated runs of consecutive seeds, crashed at every event, every disk
 * recovered and judged by the same oracles as the right engines. Orders (compare/orders) and seeded bugs (compare/bugs) are
 * both hunted here.
 *
 * What may be wrong: the engine that runs (`create`, `wrapDisk`), the one that recovers (`recovery`), or both. A bug that
 * refuses to start, stops while it runs, or answers with nonsense is caught as well: the oracle is then the one that says so.
 */
import type { Config } from "../../common/config.ts";
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { STEPS, type StepName } from "../../common/steps.ts";
import { CrashStates } from "../crash-states.ts";
import { type CreateEngine, configFor, type Directives, readCells } from "../engines.ts";
import { isAcknowledged, operationText } from "../history.ts";
import { binlogDisagreement } from "../lab/binlog-agrees.ts";
import type { Cells } from "../model.ts";
import { type Evidence, judge, judgeRefusal, type Verdict, type Violation } from "../oracle.ts";
import type { CrashKind, Policy } from "../policy.ts";
import { SeededRandom } from "../random.ts";
import { isRefusal, recoverEngine } from "../recover-engine.ts";
import { type RunPlan, type SimulatedRun, simulate } from "../simulated-run.ts";
import { type DiskWrapper, Simulation, type SyncTiming, type TimelineEvent } from "../simulator.ts";
import { powerPlan, SMALL } from "../survey.ts";
import type { Planned } from "../workload.ts";

/** How a crashed disk may look; see crash-states.ts. */
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
  /** Recovers again what was recovered (I7), after a power loss right behind it. */
  readonly again?: boolean;
  /** One event in so many is followed by disks that kept a part. */
  readonly partlyOneIn?: number;
  /** Judges instead of the lab's oracle: a weaker one, for the bugs of the lab itself. */
  readonly judge?: (evidence: Evidence) => Verdict;
  /** Only events of these kinds are followed by crashes. */
  readonly crashAfter?: (event: TimelineEvent) => boolean;
  /** The run itself may stop with a failure: that is what the faulty disk is for. */
  readonly mayStop?: boolean;
}

export interface Caught {
  /** The oracle's name: the violation's kind, or "engine ≢ binlog", "stopped". */
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
    ...(plan.plan && { plan: (client: number) => plan.plan!(client, seed) }),
  };
}

class Search {
  readonly #plan: Hunt;
  readonly #seed: number;
  readonly #isLate: () => boolean;
  readonly #random: SeededRandom;
  #run: SimulatedRun | undefined;
  #event = 0;
  #caught: Caught | undefined;
  readonly #killed: KnownDisk = { version: -1, order: -1, cells: undefined };
  readonly #cut: KnownDisk = { version: -1, order: -1, cells: undefined };
  states = 0;
  /** The time was up. */
  isOver = false;

  constructor(plan: Hunt, seed: number, isLate: () => boolean) {
    this.#plan = plan;
    this.#seed = seed;
    this.#isLate = isLate;
    this.#random = new SeededRandom(seed);
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
    const states = new CrashStates(run.plan.base);
    // On a disk with an earlier life's data, judging begins when the setup has replaced them.
    const replaced = run.history.clients[run.setupClient]?.[0]?.answered?.order ?? Number.POSITIVE_INFINITY;
    for (this.#event = 0; this.#event < run.timeline.length; this.#event++) {
      const event = run.timeline[this.#event]!;
      const isJudged = run.plan.base === undefined || event.order > replaced;
      if (event.kind === "disk") {
        if (isJudged && this.#has("torn write")) {
          for (const disk of states.killDuring(event.operation)) this.#try("torn write", disk);
        }
        states.apply(event.operation);
      }
      if (!isJudged || this.#plan.crashAfter?.(event) === false) continue;
      this.#crash(states, event.order);
      if (this.#caught !== undefined) return this.#caught;
      if (this.#isLate()) {
        this.isOver = true;
        return undefined;
      }
    }
    if (run.failure !== undefined && this.#plan.mayStop !== true) {
      const detail = run.failure instanceof Error ? run.failure.message : String(run.failure);
      return this.#note("run", { kind: "stopped", detail });
    }
    return undefined;
  }

  /** After the event: every kind of disk that a crash leaves here. A disk that is known is judged by what is known now. */
  #crash(states: CrashStates, order: number): void {
    if (this.#has("kill")) {
      this.#tryVersion("kill", this.#killed, states.killVersion, order, () => states.kill());
    }
    if (this.#has("power")) {
      this.#tryVersion("power", this.#cut, states.powerVersion, order, () => states.power());
    }
    if (!this.#random.oneIn(this.#plan.partlyOneIn ?? 4)) return;
    if (this.#has("kept in order")) this.#try("kept in order", states.powerSome(this.#random, "in order"));
    if (this.#has("kept in any order")) this.#try("kept in any order", states.powerSome(this.#random, "any order"));
  }

  #tryVersion(state: DiskState, known: KnownDisk, version: number, order: number, disk: () => MemoryDisk): void {
    if (known.version === version && known.order === order) return;
    if (known.version !== version || known.cells === undefined) {
      known.version = version;
      known.cells = this.#try(state, disk());
    } else {
      this.states++;
      this.#judge(state, known.cells);
    }
    known.order = order;
  }

  #has(state: DiskState): boolean {
    return this.#caught === undefined && this.#plan.states.includes(state);
  }

  /** Recovers and judges one disk; returns what was found on it. */
  #try(state: DiskState, disk: MemoryDisk): Cells | string | undefined {
    if (this.#caught !== undefined) return undefined;
    this.states++;
    const cells = this.#recover(disk);
    this.#judge(state, cells);
    if (this.#caught !== undefined || typeof cells === "string") return cells;
    if (this.#plan.binlog === true) {
      const detail = binlogDisagreement(disk, this.#config, cells, (of) => readCells(of, this.#run!.plan.clients));
      if (detail !== undefined) this.#note(state, { kind: "engine ≢ binlog", rule: "I5", detail });
    }
    if (this.#plan.again === true) this.#recoverAgain(state, disk, cells);
    return cells;
  }

  #judge(state: DiskState, found: Cells | string): void {
    const run = this.#run!;
    const event = run.timeline[this.#event]!;
    const evidence = {
      policy: this.#plan.policy,
      crash: crashOf(state),
      cut: event.order,
      cutMs: event.ms,
      diskMs: 2 * run.longestSyncMs,
      history: run.history,
      setupClient: run.setupClient,
      matrix: "",
    };
    const verdict =
      typeof found === "string" ? judgeRefusal(evidence, found) : (this.#plan.judge ?? judge)({ ...evidence, found });
    this.#tell(state, verdict.violations[0]);
  }

  #recoverAgain(state: DiskState, disk: MemoryDisk, first: Cells): void {
    const power = disk.afterPowerLoss();
    for (const [again, what] of [
      [power, "a power loss right after recovery"],
      [disk, "a second recovery"],
    ] as const) {
      const second = this.#recover(again);
      if (typeof second !== "string" && isSame(first, second)) continue;
      const how = typeof second === "string" ? `refuses: ${second}` : "gives other data";
      this.#note(state, { kind: "unstable recovery", rule: "I7", detail: `${what} ${how}` });
      return;
    }
  }

  /** The recovered data, or why there is none. */
  #recover(disk: MemoryDisk): Cells | string {
    const { policy, recovery } = this.#plan;
    const { clients, directives } = this.#run!.plan;
    const plan = { policy, ...(directives && { directives }), ...(recovery && { recovery }) };
    try {
      return readCells(recoverEngine(plan, disk, new Simulation(this.#seed)).engine, clients);
    } catch (error) {
      if (isBreakdown(error)) return error.message;
      throw error;
    }
  }

  get #config(): Config {
    const { policy } = this.#plan;
    return configFor(policy.engine, { ...policy.directives, ...this.#run!.plan.directives });
  }

  #tell(state: DiskState, violation: Violation | undefined): void {
    if (violation !== undefined) this.#note(state, violation);
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

/** A disk that was recovered, and when it was judged last. */
interface KnownDisk {
  version: number;
  order: number;
  cells: Cells | string | undefined;
}

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

function crashOf(state: DiskState): CrashKind {
  return state === "kill" || state === "torn write" ? "kill" : "power";
}

function isSame(a: Cells, b: Cells): boolean {
  if (a.size !== b.size) return false;
  for (const [cell, value] of a) if (b.get(cell) !== value) return false;
  return true;
}
