/**
 * `twolog compare`: crashes both engines under every policy, and prints what survived and why (survey.ts has the
 * experiments, table.ts the output). Exit status 0: every promise was kept; 1: one was broken, or a server refused to start.
 */
import { UsageError } from "../common/errors.ts";
import type { StepName } from "../common/steps.ts";
import { STEPS } from "../common/steps.ts";
import { type KillMoment, runKill } from "./kill.ts";
import { type CrashKind, type EngineName, POLICIES, type Policy } from "./policy.ts";
import { Progress } from "./progress.ts";
import { SeededRandom } from "./random.ts";
import { writeResult } from "./result-file.ts";
import { simulate } from "./simulated-run.ts";
import {
  ANY_OPERATION,
  ANY_ORDER,
  addVerdict,
  DEFAULT_POWER,
  IN_ORDER,
  isBroken,
  killText,
  LATER,
  matrixOf,
  newRow,
  type PowerPlan,
  type Probe,
  powerPlan,
  probe,
  RANDOM_MOMENT,
  type Row,
  reasonOf,
  SMALL,
  stepsOf,
  surveyPower,
  TORN_WRITE,
} from "./survey.ts";
import { summaryText, tableText } from "./table.ts";
import { terminalWidth } from "./terminal-lines.ts";

export interface CompareOptions {
  /** Chosen by the clock when left out; always printed. */
  readonly seed?: number | undefined;
  readonly engine?: EngineName | undefined;
  /** A policy's name: "always", "1/1". */
  readonly policy?: string | undefined;
  /** A file for the whole result. */
  readonly json?: string | undefined;
  /** So many kills at random times and as many simulated runs per policy, instead of 2 and 1. */
  readonly rounds?: number | undefined;
}

const CLIENTS = 4;
const KILLS_AT_ONCE = 2;
const RANDOM_KILLS = 2;
/** How often a step comes in a run under load, roughly: the occurrence that kills is chosen below it. */
const OCCURRENCES: Readonly<Record<string, number>> = { execute: 300, settle: 30, later: 2 };
const LOAD_MS = 1600;
const RANDOM_KILL_MS: readonly [number, number] = [30, 400];

/** Runs the comparison and prints it. Returns the exit status. */
export async function runCompare(options: CompareOptions): Promise<number> {
  const seed = options.seed ?? Date.now() % 1_000_000;
  const policies = choosePolicies(options);
  const comparison = new Comparison(policies, seed, options.rounds);
  const startedAt = performance.now();
  await comparison.run();
  const seconds = (performance.now() - startedAt) / 1000;
  const { rows } = comparison;

  const color = process.stdout.isTTY === true && !process.env["NO_COLOR"];
  const style = { color, width: terminalWidth() };
  const broken = rows.filter(isBroken);
  process.stdout.write(`${tableText(policies, rows, style)}\n\n${summaryText(policies, rows, style)}\n\n`);
  const crashes = rows.reduce((sum, row) => sum + row.crashes, 0);
  process.stdout.write(`${crashes.toLocaleString("en")} crashes in ${seconds.toFixed(0)} s, seed ${seed}\n`);
  if (options.json !== undefined) writeJson(options.json, seed, seconds, policies, rows);
  return broken.length === 0 ? 0 : 1;
}

/** The policies that the options mean: all, of one engine, or one. */
export function choosePolicies(options: Pick<CompareOptions, "engine" | "policy">): Policy[] {
  const { engine, policy } = options;
  if (engine !== undefined && engine !== "aof" && engine !== "wal") {
    throw new UsageError(`unknown engine '${String(engine)}': aof or wal`);
  }
  const ofEngine = POLICIES.filter((candidate) => engine === undefined || candidate.engine === engine);
  const chosen = ofEngine.filter((candidate) => policy === undefined || candidate.name === policy);
  if (chosen.length > 0) return chosen;
  throw new UsageError(`unknown policy '${policy}': one of ${ofEngine.map(({ name }) => name).join(", ")}`);
}

/** `version` changes when a field changes its meaning. */
function writeJson(
  path: string,
  seed: number,
  seconds: number,
  policies: readonly Policy[],
  rows: readonly Row[],
): void {
  const described = rows.map((row) => {
    const policy = policies.find(({ engine, name }) => engine === row.engine && name === row.policy) as Policy;
    return { ...row, promised: !isBroken(row), reason: reasonOf(row, policy) };
  });
  const result = { version: 1, seed, seconds, policies, rows: described };
  writeResult(path, JSON.stringify(result, null, 2));
}

interface KillTask {
  readonly policy: Policy;
  readonly seed: number;
  readonly moment: KillMoment;
}

class Comparison {
  readonly rows: Row[] = [];
  readonly #policies: readonly Policy[];
  readonly #seed: number;
  readonly #rounds: number | undefined;
  readonly #progress: Progress;

  constructor(policies: readonly Policy[], seed: number, rounds: number | undefined) {
    this.#policies = policies;
    this.#seed = seed;
    this.#rounds = rounds;
    for (const policy of policies) this.#makeRows(policy);
    this.#progress = new Progress(policies.length * (rounds ?? 1));
  }

  async run(): Promise<void> {
    for (const policy of this.#policies) {
      for (let run = 0; run < (this.#rounds ?? 1); run++) {
        this.#power(policy, this.#seed + run);
        this.#progress.advance(1, `power loss, kv-${policy.engine} ${policy.name}`);
        // Lets a signal through.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const tasks = this.#killTasks();
    this.#progress.expect(tasks.length);
    const worker = async (): Promise<void> => {
      for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) await this.#kill(task);
    };
    await Promise.all(Array.from({ length: KILLS_AT_ONCE }, worker));
    this.#progress.end();
  }

  /** The rows of a policy, in the order in which they are shown, with the probe's answers. */
  #makeRows(policy: Policy): void {
    const probes = probe(policy, SMALL[policy.engine]);
    for (const crash of ["kill", "power"] as const) {
      for (const step of stepsOf(policy.engine)) {
        const found: Probe | undefined = probes[crash].get(step);
        this.rows.push(newRow(policy, crash, step, matrixOf(step), found));
      }
      this.rows.push(newRow(policy, crash, LATER, policy.engine === "aof" ? "A5" : "W10", probes[crash].get(LATER)));
      for (const point of crash === "kill" ? [RANDOM_MOMENT, TORN_WRITE] : [ANY_OPERATION, IN_ORDER, ANY_ORDER]) {
        this.rows.push(newRow(policy, crash, point, policy.engine === "aof" ? "A0–A10" : "W0–W22"));
      }
    }
  }

  #row(policy: Policy, crash: CrashKind, point: string): Row {
    const found = this.rows.find(
      (row) => row.engine === policy.engine && row.policy === policy.name && row.crash === crash && row.point === point,
    );
    if (found === undefined) throw new Error(`no row for ${crash} at ${point}`);
    return found;
  }

  #power(policy: Policy, seed: number): void {
    const size: PowerPlan = DEFAULT_POWER;
    const run = simulate(powerPlan(policy, seed, size, SMALL[policy.engine]));
    if (run.failure !== undefined) throw run.failure;
    surveyPower(run, size, (crash, point) => this.#row(policy, crash, point));
  }

  /** Which processes are killed, and when; the same list for the same seed. */
  #killTasks(): KillTask[] {
    const random = new SeededRandom(this.#seed);
    const tasks: KillTask[] = [];
    for (const policy of this.#policies) {
      const nextSeed = (): number => this.#seed + tasks.length;
      if (this.#rounds === undefined) {
        for (const step of stepsOf(policy.engine)) {
          if (!this.#isTaken(policy, step)) continue;
          tasks.push({ policy, seed: nextSeed(), moment: { step, nth: 1 + random.below(occurrences(policy, step)) } });
        }
      }
      for (let kill = 0; kill < (this.#rounds ?? RANDOM_KILLS); kill++) {
        tasks.push({ policy, seed: nextSeed(), moment: { afterMs: Math.round(random.between(...RANDOM_KILL_MS)) } });
      }
    }
    return tasks;
  }

  /** Under some policies a step never comes: `appendfsync no` never syncs. The simulated run has seen which. */
  #isTaken(policy: Policy, step: StepName): boolean {
    return this.#row(policy, "kill", step).probe !== undefined || this.#row(policy, "power", step).crashes > 0;
  }

  async #kill(task: KillTask): Promise<void> {
    const { policy, seed, moment } = task;
    const text = killText(policy, seed, moment);
    const outcome = await runKill({
      policy,
      seed,
      moment,
      clients: CLIENTS,
      loadMs: LOAD_MS,
      directives: SMALL[policy.engine],
      again: !("step" in moment),
    });
    const point = "step" in moment && outcome.happened ? moment.step : RANDOM_MOMENT;
    addVerdict(this.#row(policy, "kill", point), outcome.verdict, text);
    this.#progress.advance(1, text);
  }
}

/** The highest occurrence of a step to kill at: one that surely comes while the load runs. */
function occurrences(policy: Policy, step: StepName): number {
  const phase = STEPS.find(({ name }) => name === step)?.phase ?? "later";
  const isOnceASecond = step.endsWith("sync") && policy.power.keeps !== "everything";
  return isOnceASecond ? 1 : (OCCURRENCES[phase] ?? 1);
}
