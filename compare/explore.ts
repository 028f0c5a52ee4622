/**
 * Crashes one recorded run at every event, recovers every disk that the crash may have left, and judges it: the states of
 * four models (lab/models/) under the names that the comparison's table has for them.
 *
 * At each event: the torn states of a write about to be done, a process kill, a power loss that drops everything unsynced,
 * and now and then power losses that keep some of it. One recovered disk in so many is recovered again, and its recovery
 * crashed everywhere (I7).
 */
import type { Disk } from "../common/disk/disk.ts";
import type { MemoryDisk } from "../common/disk/memory-disk.ts";
import type { StepName } from "../common/steps.ts";
import { CrashStates } from "./crash-states.ts";
import { isRefusal, readCells } from "./engines.ts";
import { CoverageTable, type Crash, type CrashOptions, crashesOf, withChoice } from "./lab/crashes.ts";
import { recordingOf } from "./lab/hunt.ts";
import { Judge, withUnstable } from "./lab/judge.ts";
import { modelOf } from "./lab/models/index.ts";
import type { PersistenceModel } from "./lab/models/model.ts";
import { PageStore } from "./lab/page-store.ts";
import type { Recording } from "./lab/recording.ts";
import { convergence } from "./lab/recover-again.ts";
import { Subject } from "./lab/subject.ts";
import type { Cells } from "./model.ts";
import type { Verdict } from "./oracle.ts";
import type { CrashKind } from "./policy.ts";
import { SeededRandom } from "./random.ts";
import { recoverEngine } from "./recover-engine.ts";
import type { RunPlan, SimulatedRun } from "./simulated-run.ts";
import { Simulation } from "./simulator.ts";

/** Which disk a crash left. */
export type CrashState =
  | "kill"
  | "kill, write torn"
  | "power, unsynced dropped"
  | "power, kept in order"
  | "power, kept in any order";

export interface ExploreOptions {
  readonly states: ReadonlySet<CrashState>;
  /** One operation in so many is followed by power losses that keep a part: recovering each would take the time. */
  readonly partlyKeptOneIn: number;
  /** Recover each recovered disk again, one in so many; 0: never. */
  readonly againOneIn: number;
  readonly seed: number;
  /** Only events of this order or a higher one: whatever has a lower one had happened before. */
  readonly from?: number | undefined;
}

/** One judged crash. */
export interface Judged {
  /** Index of the last timeline event that had happened. */
  readonly event: number;
  readonly state: CrashState;
  /** The step that the event was, if it was one. */
  readonly step: StepName | undefined;
  readonly verdict: Verdict;
}

export interface Exploration {
  /** Crashes judged, and disks recovered for them. */
  readonly judged: number;
  readonly recovered: number;
}

/** What recovery made of a disk. */
export type Recovered = { readonly cells: Cells } | { readonly refused: string };

/** Recovers `disk` and reads everything. */
export function recoverAndRead(plan: RunPlan, disk: Disk): Recovered {
  try {
    return { cells: readCells(recoverEngine(plan, disk, new Simulation(plan.seed)).engine, plan.clients) };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { refused: error.message };
  }
}

/** Is told every crash, in order. */
export type VisitCrash = (judged: Judged) => void;

/** A power loss that keeps something, at one moment: what it keeps is chosen by chance. */
const SOME = { exhaustive: 1, sampled: 1 };
const ALL = { exhaustive: Number.MAX_SAFE_INTEGER, sampled: 0 };
/** The states of a crashed recovery: nothing kept, everything kept. */
const AGAIN = { exhaustive: 2, sampled: 2 };

/** Calls `visit` for every crash of `run`, in order: first those that the disk's contract decides, then the partly kept. */
export function explore(run: SimulatedRun, options: ExploreOptions, visit: VisitCrash): Exploration {
  const { seed, from, partlyKeptOneIn } = options;
  const explorer = new Explorer(run, options, visit);
  const random = new SeededRandom(seed);
  const chosen = new Map<number, boolean>();
  const isChosen = (event: number): boolean => {
    const known = chosen.get(event) ?? (run.timeline[event]?.kind === "disk" && random.oneIn(partlyKeptOneIn));
    chosen.set(event, known);
    return known;
  };
  explorer.look({ models: [KILL, DROPPED], limits: ALL, seed, from });
  explorer.look({ models: [IN_ORDER, ANY_ORDER], limits: SOME, seed, from, isCut: isChosen });
  return explorer.result;
}

/** A disk that a crash of `run` may leave: at an event that the seed chooses, of a kind that it chooses. */
export function crashSomewhere(run: SimulatedRun, seed: number): MemoryDisk {
  const random = new SeededRandom(seed);
  const states = new CrashStates(run.plan.base);
  for (const event of run.timeline.slice(0, 1 + random.below(run.timeline.length))) {
    if (event.kind === "disk") states.apply(event.operation);
  }
  return random.pick([() => states.kill(), () => states.power(), () => states.powerSome(random, "in order")])();
}

class Explorer {
  readonly #run: SimulatedRun;
  readonly #options: ExploreOptions;
  readonly #visit: VisitCrash;
  readonly #random: SeededRandom;
  readonly #subject: Subject;
  readonly #judge: Judge;
  readonly #recording: Recording;
  #judged = 0;

  constructor(run: SimulatedRun, options: ExploreOptions, visit: VisitCrash) {
    this.#run = run;
    this.#options = options;
    this.#visit = visit;
    this.#random = new SeededRandom(options.seed);
    this.#subject = new Subject(run.plan);
    this.#judge = new Judge(run);
    this.#recording = recordingOf(run, new PageStore());
  }

  get result(): Exploration {
    return { judged: this.#judged, recovered: this.#subject.recoveries };
  }

  look(options: CrashOptions): void {
    const models = options.models.filter((model) => this.#wants(model));
    for (const given of crashesOf(this.#recording, { ...options, models }, new CoverageTable())) {
      const crash = options.limits === SOME ? this.#partOf(given) : given;
      const state = stateOf(crash);
      if (crash.event < 0 || !this.#options.states.has(state)) continue;
      this.#judged++;
      const { event, step } = crash;
      this.#visit({ event, state, step, verdict: this.#verdict(crash) });
    }
  }

  /** Instead of what enumeration begins with, which is that nothing is kept. */
  #partOf(crash: Crash): Crash {
    return withChoice(
      crash,
      crash.space.dimensions.map(({ values }) => this.#random.below(values.length)),
    );
  }

  #wants(model: PersistenceModel): boolean {
    const { states } = this.#options;
    return model === KILL
      ? states.has("kill") || states.has("kill, write torn")
      : states.has(STATES.get(model) ?? "kill");
  }

  #verdict(crash: Crash): Verdict {
    const outcome = this.#subject.outcomeOf(crash.image);
    const verdict = this.#judge.verdict(crash, outcome);
    const { againOneIn } = this.#options;
    if (crash.isRepeated || againOneIn === 0 || !this.#random.oneIn(againOneIn)) return verdict;
    const { problem } = convergence(this.#subject, crash.image, {
      model: crash.model,
      limits: AGAIN,
      random: this.#random,
      deeperOneIn: 16,
    });
    return problem === undefined ? verdict : withUnstable(verdict, this.#run, problem);
  }
}

const KILL = modelOf("kill");
const DROPPED = modelOf("dropped");
const IN_ORDER = modelOf("ext4-like");
const ANY_ORDER = modelOf("posix-weak");
const STATES: ReadonlyMap<PersistenceModel, CrashState> = new Map([
  [DROPPED, "power, unsynced dropped"],
  [IN_ORDER, "power, kept in order"],
  [ANY_ORDER, "power, kept in any order"],
]);

function stateOf(crash: Crash): CrashState {
  const state = STATES.get(crash.model);
  if (state !== undefined) return state;
  return crash.choice.some((value) => value > 0) ? "kill, write torn" : "kill";
}

/** Which of the two crashes leaves such a disk. */
export function crashKind(state: CrashState): CrashKind {
  return state.startsWith("kill") ? "kill" : "power";
}
