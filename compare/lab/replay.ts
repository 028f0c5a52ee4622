/**
 * How a finding is found again: a line of text that names the run, or a file that holds all of it.
 *
 *     line   ENGINE:POLICY:WORKLOAD:SEED, "wal:1/1:mix:17": the hunt that this means, as the campaign ran it; with a fault
 *            of the disk behind it, "wal:1/1:mix:17:sync-EIO@3", the run in which the third sync failed
 *     file   the same as JSON with the script itself, the model, the event and the choice: one crash, after minimising
 */
import { readFileSync } from "node:fs";
import { UsageError } from "../../common/errors.ts";
import type { Directives } from "../engines.ts";
import type { Violation } from "../oracle.ts";
import { type EngineName, POLICIES, type Policy } from "../policy.ts";
import { writeResult } from "../result-file.ts";
import { type RunPlan, type Script, simulate } from "../simulated-run.ts";
import { SMALL } from "../survey.ts";
import { freshFolder } from "./bases.ts";
import type { Check } from "./checks.ts";
import { crashAt, withChoice } from "./crashes.ts";
import { faultText, type InjectedFault, parseFault, runFaulted } from "./faults.ts";
import { type Finding, recordingOf } from "./hunt.ts";
import { verdictOf } from "./judge.ts";
import { modelOf } from "./models/index.ts";
import { findingOf } from "./one-crash.ts";
import { PageStore } from "./page-store.ts";
import { scriptOfRun } from "./shrink-script.ts";
import { Subject } from "./subject.ts";
import { scriptOf } from "./workloads.ts";

const VERSION = 1;

/** Which run a line means. */
export interface RunName {
  readonly policy: Policy;
  readonly workload: string;
  readonly seed: number;
  /** The disk fails in it. */
  readonly fault?: InjectedFault;
}

export function parseRunName(line: string): RunName {
  const [engine, name, workload = "", seed = "", fault] = line.split(":");
  const policy = POLICIES.find((candidate) => candidate.engine === engine && candidate.name === name);
  if (policy === undefined || !/^\d+$/.test(seed)) {
    throw new UsageError(`'${line}' names no run: ENGINE:POLICY:WORKLOAD:SEED, as in wal:1/1:mix:17, or a file`);
  }
  return { policy, workload, seed: Number(seed), ...(fault !== undefined && { fault: parseFault(fault) }) };
}

export function runNameText({ policy, workload, seed, fault }: RunName): string {
  const run = `${policy.engine}:${policy.name}:${workload}:${seed}`;
  return fault === undefined ? run : `${run}:${faultText(fault)}`;
}

/** Every third run begins on an empty disk: the making of the folder is crashed as well. */
const EMPTY_ONE_IN = 3;

/** The plan of a run; `script` instead of the workload's when a file has given it. */
export function planOf({ policy, workload, seed }: RunName, script: Script = scriptOf(workload, seed)): RunPlan {
  const directives: Directives = SMALL[policy.engine];
  const isEmpty = workload !== "sequences" && seed % EMPTY_ONE_IN === 0;
  return {
    policy,
    seed,
    clients: script.clients.length,
    operations: 0,
    batch: 1 + (seed % 3) * 2,
    thinkMs: [0, 1],
    // Long enough for the pages to be written, now and then for what happens once a second.
    restMs: seed % 5 === 0 ? 1500 : 250,
    directives,
    script,
    ...(isEmpty || script.bank ? {} : { base: freshFolder(policy, directives) }),
  };
}

/** What a file holds. */
interface ReplayFile {
  readonly version: number;
  readonly engine: EngineName;
  readonly policy: string;
  readonly workload: string;
  readonly seed: number;
  readonly directives: Directives;
  readonly isEmpty: boolean;
  readonly batch: number;
  readonly thinkMs: readonly [number, number];
  readonly restMs: number;
  readonly script: Script;
  readonly fault?: string | undefined;
  readonly model: string;
  readonly event: number;
  readonly spaceIndex: number;
  readonly choice: readonly number[];
  readonly kind: Violation["kind"];
  readonly detail: string;
}

/** Writes a finding to a file. */
export function saveFinding(path: string, finding: Finding): void {
  const { run, crash, violation } = finding;
  const { plan } = run;
  const file: ReplayFile = {
    version: VERSION,
    engine: plan.policy.engine,
    policy: plan.policy.name,
    workload: plan.script?.name ?? "recorded",
    seed: plan.seed,
    directives: plan.directives ?? {},
    isEmpty: plan.base === undefined,
    batch: plan.batch,
    thinkMs: plan.thinkMs,
    restMs: plan.restMs ?? 0,
    script: scriptOfRun(run),
    fault: plan.fault,
    model: crash.model.name,
    event: crash.event,
    spaceIndex: crash.spaceIndex,
    choice: crash.choice,
    kind: violation.kind,
    detail: violation.detail,
  };
  writeResult(path, JSON.stringify(file, null, 1));
}

export function loadFinding(path: string): ReplayFile {
  try {
    const file = JSON.parse(readFileSync(path, "utf8")) as ReplayFile;
    if (file.version !== VERSION) throw new UsageError(`${path} is of version ${file.version}, not ${VERSION}`);
    return file;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot read ${path} as a finding: ${(error as Error).message}`);
  }
}

/** Runs and crashes again what a file says: what breaks as it says, or in another way. Undefined: every promise is kept now. */
export function replayFile(path: string, check?: Check): Finding | undefined {
  const file = loadFinding(path);
  const policy = POLICIES.find(({ engine, name }) => engine === file.engine && name === file.policy);
  if (policy === undefined) throw new UsageError(`${path}: no policy ${file.engine} ${file.policy}`);
  const { seed, directives, batch, thinkMs, restMs, script } = file;
  const base = file.isEmpty ? {} : { base: freshFolder(policy, directives) };
  const sound: RunPlan = {
    policy,
    seed,
    clients: script.clients.length,
    operations: 0,
    batch,
    thinkMs,
    restMs,
    directives,
    script,
    ...base,
  };
  const fault = file.fault === undefined ? undefined : parseFault(file.fault);
  const { run, violation: hidden } = fault ? runFaulted(sound, fault) : { run: simulate(sound), violation: undefined };
  const crash = crashAt(recordingOf(run, new PageStore()), modelOf(file.model), file.event, file.spaceIndex);
  if (crash === undefined || crash.space.dimensions.length !== file.choice.length) return undefined;
  const chosen = withChoice(crash, file.choice);
  const subject = new Subject(run.plan, check);
  const finding = findingOf(run, chosen, file.kind, subject);
  if (finding !== undefined) return finding;
  const outcome = subject.outcomeOf(chosen.image);
  const verdict = verdictOf(run, chosen.knownAt, chosen.model.crash, outcome);
  const violation = hidden ?? verdict.violations[0];
  return violation && { run, crash: chosen, outcome, verdict, violation };
}
