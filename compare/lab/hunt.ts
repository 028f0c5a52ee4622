/**
 * From a plan to verdicts: simulate, take every crash that the models allow, recover, judge. A hunt ends at the first
 * violation of a promise, or when everything has been looked at.
 */
import type { Verdict, Violation } from "../oracle.ts";
import { SeededRandom } from "../random.ts";
import { type RunPlan, type SimulatedRun, simulate } from "../simulated-run.ts";
import type { Check } from "./checks.ts";
import { CoverageTable, type Crash, type CrashOptions, crashesOf } from "./crashes.ts";
import { DiskImage } from "./disk-image.ts";
import { isPromised, Judge, withUnstable } from "./judge.ts";
import type { PersistenceModel } from "./models/model.ts";
import { PageStore } from "./page-store.ts";
import type { Recording } from "./recording.ts";
import { convergence } from "./recover-again.ts";
import type { EnumerationLimits } from "./state-space.ts";
import { type Outcome, Subject } from "./subject.ts";

export interface HuntOptions {
  readonly models: readonly PersistenceModel[];
  readonly limits: EnumerationLimits;
  /** Crash and repeat one recovery in so many (I7); 0: never, 1: each. */
  readonly againOneIn: number;
  /** Stop after so many crashes. */
  readonly crashesMax?: number | undefined;
  /** Go on behind a violation, and count. */
  readonly goOn?: boolean | undefined;
  readonly check?: Check | undefined;
  /** Shared by the hunts of a campaign: pages and outcomes that they have in common are kept once. */
  readonly store?: PageStore | undefined;
  readonly subject?: Subject | undefined;
  /** Digests of the disks seen: a distinct disk is counted once. */
  readonly seen?: Set<number> | undefined;
  readonly isCut?: CrashOptions["isCut"];
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
  /** Disks left by a crash of a recovery, and recovered again. */
  readonly nested: number;
  readonly ms: number;
  readonly coverage: CoverageTable;
  readonly tallies: ReadonlyMap<string, Tally>;
}

/** Runs the plan, crashes it everywhere, and says what broke. */
export function hunt(plan: RunPlan, options: HuntOptions): Hunt {
  const started = performance.now();
  return new Hunter(simulate(plan), options, started).hunt();
}

/** The record of a simulated run. */
export function recordingOf(run: SimulatedRun, store: PageStore): Recording {
  const { base } = run.plan;
  return { base: base === undefined ? DiskImage.empty(store) : DiskImage.of(store, base), events: run.timeline };
}

class Hunter {
  readonly #run: SimulatedRun;
  readonly #options: HuntOptions;
  readonly #started: number;
  readonly #subject: Subject;
  readonly #seen: Set<number>;
  readonly #judge: Judge;
  readonly #tallies = new Map<string, Tally>();
  readonly #coverage = new CoverageTable();
  #crashes = 0;
  #states = 0;
  #nested = 0;

  constructor(run: SimulatedRun, options: HuntOptions, started: number) {
    this.#run = run;
    this.#options = options;
    this.#started = started;
    this.#subject = options.subject ?? new Subject(run.plan, options.check);
    this.#judge = new Judge(run);
    this.#seen = options.seen ?? new Set();
  }

  hunt(): Hunt {
    const { models, limits, crashesMax = Number.POSITIVE_INFINITY, isCut } = this.#options;
    const recoveriesBefore = this.#subject.recoveries;
    const recording = recordingOf(this.#run, this.#options.store ?? new PageStore());
    const crashes = crashesOf(recording, { models, limits, seed: this.#run.plan.seed, isCut }, this.#coverage);
    let finding: Finding | undefined;
    for (const crash of crashes) {
      finding ??= this.#look(crash);
      if ((finding !== undefined && this.#options.goOn !== true) || this.#crashes >= crashesMax) break;
    }
    return {
      run: this.#run,
      finding,
      crashes: this.#crashes,
      states: this.#states,
      recoveries: this.#subject.recoveries - recoveriesBefore,
      nested: this.#nested,
      ms: performance.now() - this.#started,
      coverage: this.#coverage,
      tallies: this.#tallies,
    };
  }

  #look(crash: Crash): Finding | undefined {
    this.#crashes++;
    const { digest } = crash.image;
    const isNew = !this.#seen.has(digest);
    if (isNew) {
      this.#seen.add(digest);
      this.#states++;
    }
    const outcome = this.#subject.outcomeOf(crash.image);
    let verdict = this.#judge.verdict(crash, outcome);
    const { againOneIn } = this.#options;
    // Chosen by the disk, not by chance: a chunk of a campaign gives the same wherever it runs.
    if (isNew && againOneIn > 0 && outcome.refused === undefined && digest % againOneIn === 0) {
      verdict = this.#again(crash, verdict);
    }
    this.#count(crash, verdict);
    const [violation] = verdict.violations;
    if (violation === undefined || !isPromised(crash.model, this.#run.plan.policy.engine)) return undefined;
    return { run: this.#run, crash, outcome, verdict, violation };
  }

  /** I7: whatever happens to a recovery, the next gives the same. */
  #again(crash: Crash, verdict: Verdict): Verdict {
    const random = new SeededRandom(crash.image.digest % 2 ** 32);
    const again = convergence(this.#subject, crash.image, crash.model, this.#options.limits, random);
    this.#nested += again.images.length;
    for (const { digest } of again.images) {
      if (this.#seen.has(digest)) continue;
      this.#seen.add(digest);
      this.#states++;
    }
    if (again.problem === undefined) return verdict;
    return withUnstable(verdict, this.#run, again.problem);
  }

  #count(crash: Crash, verdict: Verdict): void {
    const { name } = crash.model;
    let tally = this.#tallies.get(name);
    if (tally === undefined) {
      tally = { crashes: 0, lossy: 0, refused: 0, violations: new Map(), lost: 0, lostMs: 0 };
      this.#tallies.set(name, tally);
    }
    tally.crashes++;
    if (verdict.lost > 0) tally.lossy++;
    if (verdict.refused !== undefined) tally.refused++;
    for (const { kind } of verdict.violations) tally.violations.set(kind, (tally.violations.get(kind) ?? 0) + 1);
    tally.lost = Math.max(tally.lost, verdict.lost);
    tally.lostMs = Math.max(tally.lostMs, verdict.lostMs);
  }
}
