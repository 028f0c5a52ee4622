/**
 * Makes a finding small enough to be read: first the script (shrink-script.ts), each attempt a whole hunt under the same model;
 * then, at the crash that is left, what the crash took. What remains cannot do without any of its commands or losses: the last
 * round of minimise.ts has tried, unless the time was up.
 *
 * When a call of the disk failed in the run, one fails in every attempt: of the same kind, on such a file, at any number.
 */
import { type RunPlan, type SimulatedRun, simulate } from "../simulated-run.ts";
import { type Crash, crashAt, lossesOfCrash, withChoice } from "./crashes.ts";
import { hiddenFailure } from "./fault-hunt.ts";
import { type FaultedRun, faultsLike, type InjectedFault, parseFault, pathPattern, runFaulted } from "./faults.ts";
import { type Finding, type HuntOptions, huntRun, recordingOf } from "./hunt.ts";
import { isBreach } from "./judge.ts";
import { minimiseChoice } from "./minimise.ts";
import { modelOf } from "./models/index.ts";
import { findingOf } from "./one-crash.ts";
import { PageStore } from "./page-store.ts";
import { commandsOf, ScriptShrinker, scriptOfRun } from "./shrink-script.ts";
import { Subject } from "./subject.ts";

export interface Minimised {
  readonly finding: Finding;
  /** Commands that the clients send. */
  readonly commands: number;
  /** Operations of the disk whose effect was lost or torn. */
  readonly lostWrites: number;
  /** Without any one of its commands, pauses and losses the promise is kept: each was tried. */
  readonly isMinimal: boolean;
  /** Runs and recoveries that it took. */
  readonly attempts: number;
  readonly ms: number;
}

/** How the finding was found, as far as its model does not say it; the same for every attempt. */
export interface ShrinkOptions extends Pick<HuntOptions, "check" | "oracle" | "isExpected" | "mayStop"> {
  readonly limits?: HuntOptions["limits"] | undefined;
  readonly limitMs?: number;
}

/** Enough to find again what has been found. */
const LIMITS = { exhaustive: 64, sampled: 48 };
const CRASHES_MAX = 4000;
const LIMIT_MS = 20_000;

/** The finding, as small as it gets. */
export async function shrink(finding: Finding, options: ShrinkOptions = {}): Promise<Minimised> {
  const started = performance.now();
  const { limitMs = LIMIT_MS } = options;
  const shrinker = new Shrinker(finding, options, () => performance.now() - started > limitMs);
  await shrinker.shrinkScript();
  const smallest = await shrinker.shrinkCrash();
  return {
    finding: smallest,
    commands: commandsOf(scriptOfRun(smallest.run)),
    lostWrites: new Set(lossesOfCrash(smallest.crash).map(({ operation }) => operation)).size,
    isMinimal: !shrinker.wasLate,
    attempts: shrinker.attempts,
    ms: performance.now() - started,
  };
}

class Shrinker {
  attempts = 0;
  /** The time was up before everything had been tried. */
  wasLate = false;
  readonly #options: HuntOptions;
  readonly #isLate: () => boolean;
  /** Crashes come at the same kind of moment only: after the same step, or the same call on the same file. */
  readonly #moment: string;
  readonly #isTorn: boolean;
  /** The call that failed, and on which file. */
  readonly #failed: { readonly fault: InjectedFault; readonly path: string } | undefined;
  #smallest: Finding;

  constructor(finding: Finding, options: ShrinkOptions, isLate: () => boolean) {
    const { run, crash, violation } = finding;
    const { kind } = violation;
    this.#smallest = finding;
    this.#isTorn = crash.knownAt > crash.event;
    this.#moment = momentText(run, crash.event, this.#isTorn);
    this.#isLate = isLate;
    this.#failed = failedCall(run.plan);
    const { limits = LIMITS } = options;
    const againOneIn = kind === "unstable recovery" ? 1 : 0;
    this.#options = {
      ...{ ...options, kind, limits, againOneIn, isLate },
      ...{ models: [finding.crash.model], crashesMax: CRASHES_MAX },
    };
  }

  async shrinkScript(): Promise<void> {
    const { run, crash } = this.#smallest;
    const cut = this.#isAboutRun ? Number.POSITIVE_INFINITY : (run.timeline[crash.knownAt]?.order ?? 0);
    const plan = { ...run.plan, script: scriptOfRun(run) };
    await new ScriptShrinker(plan, (smaller) => this.#fails(smaller)).shrink(run, cut);
  }

  #isOver(): boolean {
    this.wasLate ||= this.#isLate();
    return this.wasLate;
  }

  /** What the run itself has shown: the crash at its end takes nothing. */
  get #isAboutRun(): boolean {
    const { kind } = this.#smallest.violation;
    return kind === "stopped" || kind === "failure hidden";
  }

  /** Does this break the same promise? If it does, it is the smallest so far. */
  #fails(plan: RunPlan): boolean {
    if (this.#isOver()) return false;
    if (this.#failed === undefined) return this.#keeps(this.#findingOf(simulate(plan)));
    const { fault, path } = this.#failed;
    return faultsLike(fault, path, plan).some(
      (each) => !this.#isOver() && this.#keeps(this.#findingOfFaulted(runFaulted(plan, each))),
    );
  }

  #keeps(finding: Finding | undefined): boolean {
    this.attempts++;
    if (finding !== undefined) this.#smallest = finding;
    return finding !== undefined;
  }

  #findingOf(run: SimulatedRun): Finding | undefined {
    return huntRun(run, {
      ...this.#options,
      isCut: (event) => momentText(run, event, this.#isTorn) === this.#moment,
    }).finding;
  }

  #findingOfFaulted(faulted: FaultedRun): Finding | undefined {
    const isHidden = this.#options.kind === "failure hidden";
    return isHidden ? hiddenFailure(faulted, this.#options) : this.#findingOf(faulted.run);
  }

  /** The fewest losses with which the crash still breaks it. */
  async shrinkCrash(): Promise<Finding> {
    const { run, crash } = this.#smallest;
    if (this.#isAboutRun) return this.#smallest;
    const store = new PageStore();
    const recording = recordingOf(run, store);
    const subject = new Subject(run.plan, this.#options.check, this.#options.isExpected);
    let best: Finding = this.#smallest;
    for (const name of new Set([crash.model.name, "ext4-like", "posix-weak"])) {
      const model = name === crash.model.name ? crash.model : modelOf(name);
      if (model.crash !== crash.model.crash || !isBreach(model, run.plan.policy.engine, best.violation)) continue;
      const again = crashAt(recording, model, crash.event, crash.spaceIndex);
      if (again === undefined) continue;
      const choice = model === crash.model ? crash.choice : again.space.dimensions.map(({ lost }) => lost);
      const look = (candidate: Crash): Finding | undefined =>
        findingOf(run, candidate, best.violation.kind, subject, this.#options.oracle);
      const first = look(withChoice(again, choice));
      if (first === undefined) continue;
      const few = await minimiseChoice(again.space, choice, (_, next) => {
        this.attempts++;
        return !this.#isOver() && look(withChoice(again, next)) !== undefined;
      });
      const small = look(withChoice(again, few));
      if (small !== undefined && lossCount(small) <= lossCount(best)) best = small;
    }
    return best;
  }
}

/** The call that the plan lets fail, and the file that it hits. */
function failedCall(plan: RunPlan): { fault: InjectedFault; path: string } | undefined {
  if (plan.fault === undefined) return undefined;
  const fault = parseFault(plan.fault);
  const { path } = runFaulted(plan, fault);
  return path === undefined ? undefined : { fault, path };
}

/** What happened last before a crash; of a write that it tore, that write. Numbers of files are left out. */
function momentText({ timeline }: SimulatedRun, event: number, isTorn: boolean): string {
  const happened = timeline[isTorn ? event + 1 : event];
  if (happened?.kind === "step") return happened.step;
  if (happened?.kind !== "disk") return happened?.kind ?? "";
  return `${happened.operation.kind} ${pathPattern(happened.operation.path)}`;
}

/** `dropped` loses everything, and has no names for it. */
function lossCount({ crash }: Finding): number {
  if (crash.model.name === "dropped") return Number.POSITIVE_INFINITY;
  return new Set(lossesOfCrash(crash).map(({ operation }) => operation)).size;
}
