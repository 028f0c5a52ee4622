/**
 * Makes a finding small enough to be read: first the script (commands, then the bodies of transactions), each attempt a whole
 * hunt under the same model; then, at the crash that is left, what the crash took. What remains cannot do without any of
 * its commands or losses: the last round of minimise.ts has tried.
 */
import { isAccount } from "../model.ts";
import type { Violation } from "../oracle.ts";
import { SeededRandom } from "../random.ts";
import type { RunPlan, Script } from "../simulated-run.ts";
import type { Planned } from "../workload.ts";
import { type Crash, crashAt, lossesOfCrash, withChoice } from "./crashes.ts";
import { type Finding, type HuntOptions, hunt, modelOfRecovery, recordingOf } from "./hunt.ts";
import { isBreach, verdictOf } from "./judge.ts";
import { minimiseChoice, minimiseList } from "./minimise.ts";
import { modelOf } from "./models/index.ts";
import { PageStore } from "./page-store.ts";
import { convergence } from "./recover-again.ts";
import { Subject } from "./subject.ts";

export interface Minimised {
  readonly finding: Finding;
  readonly commands: number;
  /** Operations of the disk whose effect was lost or torn. */
  readonly lostWrites: number;
  /** Runs and recoveries that it took. */
  readonly attempts: number;
  readonly ms: number;
}

/** Enough to find again what has been found; the same for every attempt. */
const LIMITS = { exhaustive: 64, sampled: 48 };
const CRASHES_MAX = 4000;

/** The finding, as small as it gets. */
export async function shrink(finding: Finding, options: Pick<HuntOptions, "check"> = {}): Promise<Minimised> {
  const started = performance.now();
  const shrinker = new Shrinker(finding, options);
  await shrinker.shrinkScript();
  const smallest = await shrinker.shrinkCrash();
  const script = scriptOfRun(smallest);
  return {
    finding: smallest,
    commands: script.clients.flat().reduce((sum, { commands }) => sum + commands.length, 0),
    lostWrites: new Set(lossesOfCrash(smallest.crash).map(({ operation }) => operation)).size,
    attempts: shrinker.attempts,
    ms: performance.now() - started,
  };
}

/** What the clients did, as a script. */
export function scriptOfRun({ run }: Pick<Finding, "run">): Script {
  if (run.plan.script !== undefined) return run.plan.script;
  const clients = run.history.clients.slice(0, run.setupClient);
  return {
    name: "recorded",
    clients: clients.map((operations) => operations.map(({ kind, commands }) => ({ kind, commands }))),
    bank: true,
  };
}

/** A step of a script, and whose it is. */
interface Item {
  readonly client: number;
  readonly step: Planned;
}

class Shrinker {
  attempts = 0;
  readonly #kind: Violation["kind"];
  readonly #options: HuntOptions;
  #smallest: Finding;

  constructor(finding: Finding, { check }: Pick<HuntOptions, "check">) {
    this.#smallest = finding;
    this.#kind = finding.violation.kind;
    const againOneIn = finding.violation.kind === "unstable recovery" ? 1 : 0;
    this.#options = { models: [finding.crash.model], limits: LIMITS, againOneIn, crashesMax: CRASHES_MAX, check };
  }

  async shrinkScript(): Promise<void> {
    const script = scriptOfRun(this.#smallest);
    const items = script.clients.flatMap((steps, client) => steps.map((step): Item => ({ client, step })));
    const build = (kept: readonly Item[], bank: boolean): Script => ({
      name: script.name,
      clients: script.clients.map((_, client) => kept.filter((item) => item.client === client).map(({ step }) => step)),
      bank,
    });
    // Without the bank a script is easier to read; it is kept only if it is needed.
    const withoutBank = items.filter(({ step }) => !step.commands.some(([, key = ""]) => isAccount(key)));
    const bank = script.bank && !this.#fails(build(withoutBank, false));
    const all = script.bank && !bank ? withoutBank : items;
    if (!this.#fails(build(all, bank))) return;
    let kept = await minimiseList(all, (list) => this.#fails(build(list, bank)));
    for (let index = 0; index < kept.length; index++) {
      const { client, step } = kept[index] as Item;
      if (step.commands.length < 2) continue;
      const withBody = (commands: Planned["commands"]): Item[] =>
        kept.with(index, { client, step: { ...step, commands } });
      const body = await minimiseList(
        step.commands,
        (commands) => commands.length > 0 && this.#fails(build(withBody(commands), bank)),
      );
      kept = withBody(body);
    }
    // The last attempt may have been one that did not fail: the smallest that did is kept by #fails.
    this.#fails(build(kept, bank));
  }

  /** Does this script break the same promise? If it does, it is the smallest so far. */
  #fails(script: Script): boolean {
    this.attempts++;
    const { plan } = this.#smallest.run;
    const smaller: RunPlan = { ...plan, script };
    const { finding } = hunt(smaller, this.#options);
    if (finding?.violation.kind !== this.#kind) return false;
    this.#smallest = finding;
    return true;
  }

  /** The fewest losses with which the crash still breaks it. */
  async shrinkCrash(): Promise<Finding> {
    const { run, crash } = this.#smallest;
    const store = new PageStore();
    const recording = recordingOf(run, store);
    const subject = new Subject(run.plan, this.#options.check);
    let best: Finding = this.#smallest;
    for (const name of new Set([crash.model.name, "ext4-like", "posix-weak"])) {
      const model = name === crash.model.name ? crash.model : modelOf(name);
      if (model.crash !== crash.model.crash || !isBreach(model, run.plan.policy.engine, best.violation)) continue;
      const again = crashAt(recording, model, crash.event, crash.spaceIndex);
      if (again === undefined) continue;
      const choice = model === crash.model ? crash.choice : again.space.dimensions.map(({ lost }) => lost);
      const look = (candidate: Crash): Finding | undefined => this.#judge(best, subject, candidate);
      const first = look(withChoice(again, choice));
      if (first === undefined) continue;
      const few = await minimiseChoice(again.space, choice, (_, next) => {
        this.attempts++;
        return look(withChoice(again, next)) !== undefined;
      });
      const small = look(withChoice(again, few));
      if (small !== undefined && lossCount(small) <= lossCount(best)) best = small;
    }
    return best;
  }

  #judge({ run }: Finding, subject: Subject, crash: Crash): Finding | undefined {
    const outcome = subject.outcomeOf(crash.image);
    const verdict = verdictOf(run, crash.knownAt, crash.model.crash, outcome);
    const violation = verdict.violations.find(({ kind }) => kind === this.#kind);
    if (violation !== undefined) return { run, crash, outcome, verdict, violation };
    if (this.#kind !== "unstable recovery") return undefined;
    const { problem } = convergence(subject, crash.image, {
      model: modelOfRecovery(crash.model, run.plan.policy.engine),
      limits: LIMITS,
      random: new SeededRandom(0),
      deeperOneIn: 16,
    });
    return problem === undefined
      ? undefined
      : { run, crash, outcome, verdict, violation: { ...this.#smallest.violation, detail: problem } };
  }
}

/** `dropped` loses everything, and has no names for it. */
function lossCount({ crash }: Finding): number {
  if (crash.model.name === "dropped") return Number.POSITIVE_INFINITY;
  return new Set(lossesOfCrash(crash).map(({ operation }) => operation)).size;
}
