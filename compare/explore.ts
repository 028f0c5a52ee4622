/**
 * Crashes one recorded run at every event, recovers every disk that the crash may have left, and judges it.
 *
 * At each event, in this order: the torn states of a write about to be done; then, with the event done, a process kill, a
 * power loss that drops everything unsynced, and now and then power losses that keep some of it. Recovery runs once per
 * distinct disk; a later event that changes only what the clients know is judged with what that recovery found.
 *
 * Every recovered disk is recovered again (I7): as it is, after a power loss right after recovery, and after a crash in
 * the middle of recovery at an operation chosen by the seed.
 */

import { AssertionError } from "../common/assert.ts";
import type { Disk } from "../common/disk/disk.ts";
import type { MemoryDisk } from "../common/disk/memory-disk.ts";
import { type DiskOperation, RecordingDisk } from "../common/disk/recording-disk.ts";
import { CorruptFile, DiskFailure } from "../common/errors.ts";
import { STEPS, type StepName } from "../common/steps.ts";
import { CrashStates } from "./crash-states.ts";
import { configFor, createEngine, readCells } from "./engines.ts";
import type { Cells } from "./model.ts";
import { judge, judgeRefusal, type Verdict, type Violation } from "./oracle.ts";
import { type CrashKind, promiseOf, promiseText } from "./policy.ts";
import { SeededRandom } from "./random.ts";
import type { RunPlan, SimulatedRun } from "./simulated-run.ts";
import { Simulation, type TimelineEvent } from "./simulator.ts";

const MATRIX: ReadonlyMap<string, string> = new Map(STEPS.map((step) => [step.name, step.matrix]));

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
  readonly from?: number;
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
  const simulation = new Simulation(plan.seed);
  const { create = createEngine, wrapDisk = (inner: Disk) => inner } = plan.recovery ?? {};
  const host = {
    disk: wrapDisk(disk, (run) => simulation.after(0, run)),
    clock: simulation,
    random: simulation.random,
    afterTick: (run: () => void) => simulation.afterTick(run),
    tracing: false,
    trace: () => {},
  };
  try {
    const { engine: name, directives } = plan.policy;
    const engine = create(name, host, configFor(name, { ...directives, ...plan.directives }));
    engine.recover();
    return { cells: readCells(engine, plan.clients) };
  } catch (error) {
    if (error instanceof CorruptFile || error instanceof DiskFailure || error instanceof AssertionError) {
      return { refused: error.message };
    }
    throw error;
  }
}

/** Is told every crash, in order; false ends the exploration. */
export type VisitCrash = (judged: Judged) => unknown;

/** Calls `visit` for every crash of `run`, in order. */
export function explore(run: SimulatedRun, options: ExploreOptions, visit: VisitCrash): Exploration {
  return new Explorer(run, options, visit).explore();
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
  #isOver = false;
  readonly #random: SeededRandom;
  readonly #states: CrashStates;
  /** The last verdict of a state, for events that change neither the disk nor what the clients know. */
  readonly #verdicts = new Map<
    CrashState,
    { readonly version: number; readonly order: number; readonly verdict: Verdict }
  >();
  readonly #cache = new Map<
    CrashState,
    { readonly version: number; readonly recovered: Recovered; readonly unstable: string }
  >();
  #event = 0;
  /** The crash point of CRASH-MATRIX.md: that of the last step done. */
  #matrix = "";
  #judged = 0;
  #recovered = 0;

  constructor(run: SimulatedRun, options: ExploreOptions, visit: VisitCrash) {
    this.#run = run;
    this.#options = options;
    this.#visit = visit;
    this.#random = new SeededRandom(options.seed);
    this.#states = new CrashStates(run.plan.base);
  }

  explore(): Exploration {
    const { timeline } = this.#run;
    const { states, from = 0 } = this.#options;
    for (this.#event = 0; this.#event < timeline.length && !this.#isOver; this.#event++) {
      const event = timeline[this.#event]!;
      const isWatched = event.order >= from;
      if (event.kind === "disk") {
        if (isWatched && states.has("kill, write torn")) {
          for (const disk of this.#states.killDuring(event.operation)) this.#try("kill, write torn", disk);
        }
        this.#states.apply(event.operation);
      }
      if (event.kind === "step") this.#matrix = MATRIX.get(event.step) ?? "";
      if (!isWatched) continue;
      if (states.has("kill")) this.#tryVersion("kill", this.#states.killVersion, () => this.#states.kill());
      if (states.has("power, unsynced dropped")) {
        this.#tryVersion("power, unsynced dropped", this.#states.powerVersion, () => this.#states.power());
      }
      if (event.kind !== "disk" || !this.#random.oneIn(this.#options.partlyKeptOneIn)) continue;
      for (const order of ["in order", "any order"] as const) {
        const state = order === "in order" ? "power, kept in order" : "power, kept in any order";
        if (states.has(state)) this.#try(state, this.#states.powerSome(this.#random, order));
      }
    }
    return { judged: this.#judged, recovered: this.#recovered };
  }

  /** A state that depends on the version only: recovered when that has changed. */
  #tryVersion(state: CrashState, version: number, disk: () => MemoryDisk): void {
    let known = this.#cache.get(state);
    if (known?.version !== version) {
      known = { version, ...this.#recover(disk()) };
      this.#cache.set(state, known);
    }
    const { order } = this.#run.timeline[this.#event]!;
    const last = this.#verdicts.get(state);
    if (last?.version === version && last.order === order) this.#tell(state, last.verdict);
    else this.#verdicts.set(state, { version, order, verdict: this.#judge(state, known.recovered, known.unstable) });
  }

  #try(state: CrashState, disk: MemoryDisk): void {
    const { recovered, unstable } = this.#recover(disk);
    this.#judge(state, recovered, unstable);
  }

  #recover(disk: MemoryDisk): { recovered: Recovered; unstable: string } {
    this.#recovered++;
    const { againOneIn } = this.#options;
    const again = againOneIn > 0 && this.#random.oneIn(againOneIn);
    const { plan } = this.#run;
    if (!again) return { recovered: recoverAndRead(plan, disk), unstable: "" };

    const operations: DiskOperation[] = [];
    const before = disk.clone();
    const recovered = recoverAndRead(plan, new RecordingDisk(disk, (operation) => operations.push(operation)));
    return { recovered, unstable: this.#recoverAgain(before, disk, operations, recovered) };
  }

  /** I7: whatever happens to a recovery, the next gives the same. Says what differed. */
  #recoverAgain(before: MemoryDisk, after: MemoryDisk, operations: DiskOperation[], first: Recovered): string {
    const { plan } = this.#run;
    const power = after.afterPowerLoss();
    if (!isSame(recoverAndRead(plan, after), first)) return "a second recovery gives another result";
    if (!isSame(recoverAndRead(plan, power), first)) return "a power loss right after recovery changes the result";
    if (operations.length === 0) return "";
    const states = new CrashStates(before);
    const cut = this.#random.below(operations.length);
    for (const operation of operations.slice(0, cut + 1)) states.apply(operation);
    const what = `recovery, crashed after its disk operation ${cut + 1} of ${operations.length}`;
    if (!isSame(recoverAndRead(plan, states.kill()), first)) return `${what} by a kill, gives another result`;
    if (!isSame(recoverAndRead(plan, states.power()), first)) return `${what} by a power loss, gives another result`;
    const some = states.powerSome(this.#random, "in order");
    return isSame(recoverAndRead(plan, some), first)
      ? ""
      : `${what} by a power loss that kept some, gives another result`;
  }

  #judge(state: CrashState, recovered: Recovered, unstable: string): Verdict {
    const verdict = this.#verdict(state, this.#run.timeline[this.#event]!, recovered, unstable);
    this.#tell(state, verdict);
    return verdict;
  }

  #tell(state: CrashState, verdict: Verdict): void {
    this.#judged++;
    const event = this.#run.timeline[this.#event]!;
    const step = event.kind === "step" ? event.step : undefined;
    if (!this.#isOver && this.#visit({ event: this.#event, state, step, verdict }) === false) this.#isOver = true;
  }

  #verdict(state: CrashState, event: TimelineEvent, recovered: Recovered, unstable: string): Verdict {
    const { plan, history, setupClient, longestSyncMs } = this.#run;
    const evidence = {
      policy: plan.policy,
      crash: crashKind(state),
      cut: event.order,
      cutMs: event.ms,
      diskMs: 2 * longestSyncMs,
      history,
      setupClient,
      matrix: this.#matrix,
    };
    if ("refused" in recovered) return judgeRefusal(evidence, recovered.refused);
    const verdict = judge({ ...evidence, found: recovered.cells });
    if (unstable === "") return verdict;
    const promise = promiseText(promiseOf(plan.policy, evidence.crash));
    const violation: Violation = {
      kind: "unstable recovery",
      rule: "I7",
      matrix: plan.policy.engine === "aof" ? "A10" : "W16",
      promise,
      command: "",
      detail: unstable,
    };
    return { ...verdict, violations: [...verdict.violations, violation] };
  }
}

/** Which of the two crashes leaves such a disk. */
export function crashKind(state: CrashState): CrashKind {
  return state.startsWith("kill") ? "kill" : "power";
}

function isSame(a: Recovered, b: Recovered): boolean {
  if ("refused" in a || "refused" in b) return "refused" in a && "refused" in b;
  if (a.cells.size !== b.cells.size) return false;
  for (const [cell, value] of a.cells) if (b.cells.get(cell) !== value) return false;
  return true;
}
