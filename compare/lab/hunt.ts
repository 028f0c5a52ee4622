/**
 * From a plan to verdicts: simulate, take every crash that the models allow, recover, judge. A hunt ends at the first
 * violation of what is owed, or when everything has been looked at.
 *
 * The same plan and options, the same hunt: which recoveries are crashed is chosen by the disks that this hunt, or those
 * that it shares `seen` with, have met; never by what the subject happens to know.
 */
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import type { Verdict, Violation } from "../oracle.ts";
import type { EngineName } from "../policy.ts";
import { SeededRandom } from "../random.ts";
import { type RunPlan, type SimulatedRun, simulate } from "../simulated-run.ts";
import type { Check } from "./checks.ts";
import { CoverageTable, type Crash, type CrashOptions, crashAt, crashesOf } from "./crashes.ts";
import { DiskImage } from "./disk-image.ts";
import { breachOf, isBreach, Judge, type Oracle, withStopped, withUnstable } from "./judge.ts";
import { modelOf } from "./models/index.ts";
import type { PersistenceModel } from "./models/model.ts";
import { PageStore } from "./page-store.ts";
import type { Recording } from "./recording.ts";
import { convergence } from "./recover-again.ts";
import type { EnumerationLimits } from "./state-space.ts";
import { type Outcome, Subject } from "./subject.ts";

export interface HuntOptions {
  readonly models: readonly PersistenceModel[];
  readonly limits: EnumerationLimits;
  /** Crash and repeat the recovery of one distinct disk in so many (I7); 0: never, 1: of each. */
  readonly againOneIn: number;
  /** Of these second recoveries, one in so many is crashed as well; 0: none. */
  readonly deeperOneIn?: number | undefined;
  /** Stop after so many crashes. */
  readonly crashesMax?: number | undefined;
  /** Go on behind a violation, and count. */
  readonly goOn?: boolean | undefined;
  readonly check?: Check | undefined;
  /** Shared by the hunts of a campaign: pages and outcomes that they have in common are kept once. */
  readonly store?: PageStore | undefined;
  readonly subject?: Subject | undefined;
  readonly seen?: SeenDisks | undefined;
  readonly isCut?: CrashOptions["isCut"];
  /** Only a violation of this kind is a finding. */
  readonly kind?: Violation["kind"] | undefined;
  /** The run may stop by itself: its disk fails. */
  readonly mayStop?: boolean | undefined;
  readonly oracle?: Oracle | undefined;
  /** What a recovery may end with; see Subject. */
  readonly isExpected?: ((error: unknown) => error is Error) | undefined;
  /** The time is up: what has been found until then is the result. */
  readonly isLate?: (() => boolean) | undefined;
}

/** Digests of disks, so that each is counted once, and its recovery crashed once. */
export class SeenDisks {
  /** All that were judged. */
  readonly all = new Set<number>();
  /** Those among them that a crash of a run left. */
  readonly ofRuns = new Set<number>();
}

/** A crash that broke a promise, or one that no promise covers. */
export interface Finding {
  readonly run: SimulatedRun;
  readonly crash: Crash;
  readonly outcome: Outcome;
  readonly verdict: Verdict;
  readonly violation: Violation;
}

/** How the crashes of one model ended. */
export interface Tally {
  crashes: number;
  /** Crashes in which acknowledged writes were lost, as far as the policy allows. */
  lossy: number;
  refused: number;
  /** Crashes with a violation, by its kind. */
  readonly violations: Map<string, number>;
  /** Of these, those of what the engine owes under the model. */
  readonly breaches: Map<string, number>;
  /** Replies of reads compared with what was gone. */
  reads: number;
  /** Of the worst crash. */
  lost: number;
  lostMs: number;
}

export interface Hunt {
  readonly run: SimulatedRun;
  /** The first violation of a promise. */
  readonly finding: Finding | undefined;
  /** Crashes judged. */
  readonly crashes: number;
  /** Distinct disks among them. */
  readonly states: number;
  /** Times that recovery ran for them; the others differ only where recovery does not look. */
  readonly recoveries: number;
  /** Crashes of recoveries. */
  readonly again: Again;
  readonly ms: number;
  readonly coverage: CoverageTable;
  readonly tallies: ReadonlyMap<string, Tally>;
}

/** How recovery was crashed itself (I7). */
export interface Again {
  /** Distinct disks that recovery accepted, and on how many of them it was crashed at every operation. */
  eligible: number;
  crashed: number;
  /** The disks that these crashes left, each recovered and compared. */
  nested: number;
  /** On how many of them the second recovery was crashed, too. */
  deeper: number;
  /** States of the moments of the recoveries. */
  readonly coverage: CoverageTable;
}

/** The medium fails once: what comes after a fault that is not promised is an ordinary power loss. */
const ORDINARY = modelOf("ext4-like");
const KILL = modelOf("kill");

/** What a crash of a recovery leaves, when the crash of the run was of this model. */
export function modelOfRecovery(model: PersistenceModel, engine: EngineName): PersistenceModel {
  return model.owed[engine] === "everything" ? model : ORDINARY;
}

/** Runs the plan, crashes it everywhere, and says what broke. */
export function hunt(plan: RunPlan, options: HuntOptions): Hunt {
  const started = performance.now();
  return new Hunter(simulate(plan), options, started).hunt();
}

/** The same for a run that has been simulated. */
export function huntRun(run: SimulatedRun, options: HuntOptions): Hunt {
  return new Hunter(run, options, performance.now()).hunt();
}

/** Images of the disks on which runs began, which never change. */
const bases = new WeakMap<MemoryDisk, DiskImage>();

/** The record of a simulated run. */
export function recordingOf(run: SimulatedRun, store: PageStore): Recording {
  const { base } = run.plan;
  if (base === undefined) return { base: DiskImage.empty(store), events: run.timeline };
  let image = bases.get(base);
  if (image?.store !== store) {
    image = DiskImage.of(store, base);
    bases.set(base, image);
  }
  return { base: image, events: run.timeline };
}

class Hunter {
  readonly #run: SimulatedRun;
  readonly #options: HuntOptions;
  readonly #started: number;
  readonly #subject: Subject;
  readonly #seen: SeenDisks;
  readonly #judge: Judge;
  readonly #tallies = new Map<string, Tally>();
  readonly #coverage = new CoverageTable();
  #crashes = 0;
  #states = 0;
  readonly #again: Again = { eligible: 0, crashed: 0, nested: 0, deeper: 0, coverage: new CoverageTable() };

  constructor(run: SimulatedRun, options: HuntOptions, started: number) {
    this.#run = run;
    this.#options = options;
    this.#started = started;
    this.#subject = options.subject ?? new Subject(run.plan, options.check, options.isExpected);
    this.#judge = new Judge(run, options.oracle);
    this.#seen = options.seen ?? new SeenDisks();
  }

  hunt(): Hunt {
    const { models, limits, crashesMax = Number.POSITIVE_INFINITY, isCut, isLate } = this.#options;
    const recoveriesBefore = this.#subject.recoveries;
    const recording = recordingOf(this.#run, this.#options.store ?? new PageStore());
    const crashes = crashesOf(recording, { models, limits, seed: this.#run.plan.seed, isCut }, this.#coverage);
    let finding: Finding | undefined;
    for (const crash of crashes) {
      const found = this.#look(crash);
      finding ??= found;
      if ((finding !== undefined && this.#options.goOn !== true) || this.#crashes >= crashesMax) break;
      if (isLate?.() === true) break;
    }
    finding ??= this.#lookAtEnd(recording);
    return {
      run: this.#run,
      finding,
      crashes: this.#crashes,
      states: this.#states,
      recoveries: this.#subject.recoveries - recoveriesBefore,
      again: this.#again,
      ms: performance.now() - this.#started,
      coverage: this.#coverage,
      tallies: this.#tallies,
    };
  }

  #look(crash: Crash): Finding | undefined {
    this.#crashes++;
    const { digest } = crash.image;
    this.#see(digest);
    const isNew = !this.#seen.ofRuns.has(digest);
    this.#seen.ofRuns.add(digest);
    const outcome = this.#subject.outcomeOf(crash.image);
    let verdict = this.#judge.verdict(crash, outcome);
    if (isNew && outcome.refused === undefined) verdict = this.#crashAgain(crash, verdict);
    this.#count(crash, verdict);
    const violation = breachOf(crash.model, this.#run.plan.policy.engine, verdict, this.#options.kind);
    return violation && { run: this.#run, crash, outcome, verdict, violation };
  }

  /** An engine that has stopped by itself was not available, whatever is found later: shown as a kill at the end. */
  #lookAtEnd(recording: Recording): Finding | undefined {
    const { mayStop, kind = "stopped" } = this.#options;
    if (this.#run.failure === undefined || mayStop === true || kind !== "stopped") return undefined;
    const crash = crashAt(recording, KILL, this.#run.timeline.length - 1);
    if (crash === undefined) return undefined;
    const outcome = this.#subject.outcomeOf(crash.image);
    const verdict = withStopped(this.#judge.verdict(crash, outcome), this.#run);
    const violation = breachOf(KILL, this.#run.plan.policy.engine, verdict, "stopped");
    this.#count(crash, verdict);
    return violation && { run: this.#run, crash, outcome, verdict, violation };
  }

  #see(digest: number): void {
    if (this.#seen.all.has(digest)) return;
    this.#seen.all.add(digest);
    this.#states++;
  }

  /** I7: whatever happens to a recovery, the next gives the same. */
  #crashAgain(crash: Crash, verdict: Verdict): Verdict {
    const { againOneIn, deeperOneIn = 16, limits } = this.#options;
    const { digest } = crash.image;
    this.#again.eligible++;
    // Chosen by the disk, not by chance: the same wherever it runs.
    if (againOneIn === 0 || digest % againOneIn !== 0) return verdict;
    const random = new SeededRandom(digest % 2 ** 32);
    const model = modelOfRecovery(crash.model, this.#run.plan.policy.engine);
    const { coverage } = this.#again;
    const { images, problem, deeper } = convergence(this.#subject, crash.image, {
      model,
      limits,
      random,
      deeperOneIn,
      coverage,
    });
    this.#again.crashed++;
    this.#again.nested += images.length;
    this.#again.deeper += deeper;
    for (const image of images) this.#see(image.digest);
    return problem === undefined ? verdict : withUnstable(verdict, this.#run, problem);
  }

  #count(crash: Crash, verdict: Verdict): void {
    const { name } = crash.model;
    let tally = this.#tallies.get(name);
    if (tally === undefined) {
      tally = {
        crashes: 0,
        lossy: 0,
        refused: 0,
        violations: new Map(),
        breaches: new Map(),
        reads: 0,
        lost: 0,
        lostMs: 0,
      };
      this.#tallies.set(name, tally);
    }
    tally.crashes++;
    if (verdict.lost > 0) tally.lossy++;
    if (verdict.refused !== undefined) tally.refused++;
    for (const violation of verdict.violations) {
      countUp(tally.violations, violation.kind);
      if (isBreach(crash.model, this.#run.plan.policy.engine, violation)) countUp(tally.breaches, violation.kind);
    }
    tally.reads += verdict.reads;
    tally.lost = Math.max(tally.lost, verdict.lost);
    tally.lostMs = Math.max(tally.lostMs, verdict.lostMs);
  }
}

function countUp(counts: Map<string, number>, kind: string): void {
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
}
