/**
 * The work of a campaign, cut into chunks: a few runs of one workload under one policy. Chunks are numbered, the same for
 * everybody: whoever runs chunk 17 of a campaign gets the same result, on whatever machine. What a chunk found is plain
 * data, so that it can be sent by a worker, written to a file, and added up.
 */
import { type EngineName, POLICIES, type Policy } from "../policy.ts";
import type { RunPlan } from "../simulated-run.ts";
import { addRow, type CampaignRow, type CheckRow, type FaultRow, type RecoveryRow } from "./campaign-rows.ts";
import { everyCheck } from "./checks.ts";
import type { CoverageCount } from "./crashes.ts";
import { type HuntedFault, huntFaults } from "./fault-hunt.ts";
import { type Finding, type Hunt, type HuntOptions, hunt, SeenDisks, type Tally } from "./hunt.ts";
import { modelOf } from "./models/index.ts";
import { PageStore } from "./page-store.ts";
import { planOf, type RunName, runNameText } from "./replay.ts";
import type { EnumerationLimits } from "./state-space.ts";
import { Subject } from "./subject.ts";
import { threadMs } from "./thread-time.ts";
import { canRun } from "./workloads.ts";

/** What a campaign explores: two campaigns with equal plans have equal chunks. */
export interface CampaignPlan {
  readonly seed: number;
  /** "wal:1/1". */
  readonly policies: readonly string[];
  readonly models: readonly string[];
  readonly workloads: readonly string[];
  /** Of longer workloads, the recovery of one distinct disk in so many is crashed everywhere; of short ones every. 0: none. */
  readonly againOneIn: number;
  /** One recovery in so many, of disks that a crashed recovery left, is crashed as well. 0: none. */
  readonly deeperOneIn: number;
  /** Disk faults are injected into one run in so many. 0: none. */
  readonly faultsOneIn: number;
}

/** The runs of one chunk: `runs` seeds from `from` on. */
export interface Chunk {
  readonly policy: Policy;
  readonly workload: string;
  readonly from: number;
  readonly runs: number;
}

/** A violation, by the line that finds it again. */
export interface CampaignFinding {
  readonly run: string;
  readonly model: string;
  readonly event: number;
  readonly kind: string;
  readonly rule: string;
  readonly matrix: string;
  readonly promise: string;
  readonly command: string;
  readonly detail: string;
}

/** What a chunk has done: sums, and rows. */
export interface Sums {
  runs: number;
  /** Runs into which faults were injected, and how often. */
  faultRuns: number;
  faults: number;
  crashes: number;
  recoveries: number;
  nested: number;
}

export interface ChunkResult {
  readonly sums: Sums;
  /** Of the distinct disks. */
  readonly digests: Float64Array;
  readonly rows: readonly CampaignRow[];
  readonly recoveryRows: readonly RecoveryRow[];
  readonly checkRows: readonly CheckRow[];
  readonly faultRows: readonly FaultRow[];
  readonly findings: readonly CampaignFinding[];
  /** Processor time of the thread. */
  readonly busyMs: number;
}

/** Short workloads, and how many runs a chunk has of them: some seconds of work. */
const SHORT: Readonly<Record<string, number>> = { sequences: 4 };
/** Runs with so many events that only some of them are crashed. */
const LONG: ReadonlySet<string> = new Set(["log-full", "shrink"]);
const LONG_ONE_IN = 12;
/** An AOF is recovered in a fifth of the time. */
const LIMITS: Readonly<Record<EngineName, EnumerationLimits>> = {
  aof: { exhaustive: 256, sampled: 192 },
  wal: { exhaustive: 64, sampled: 24 },
};
const LONG_LIMITS = { exhaustive: 8, sampled: 6 };
/** The checker of kv-wal reads every page. */
const CHECK_ONE_IN: Readonly<Record<EngineName, number>> = { aof: 1, wal: 8 };
/** Of a short run every fault is injected, and every event from there on crashed; of others so many, and one event in so many. */
const FAULTS_MAX = 24;
const FAULT_CUT_ONE_IN = 8;
/** Pages kept by a worker: 4 KiB each. */
const PAGES_MAX = 24_000;
const FINDINGS_MAX = 3;

/** Chunk `number` of a campaign. */
export function chunkOf(plan: CampaignPlan, number: number): Chunk {
  const { policies, workloads, seed } = plan;
  const name = policies[number % policies.length] ?? "";
  const rest = Math.floor(number / policies.length);
  const workload = workloads[rest % workloads.length] ?? "";
  const round = Math.floor(rest / workloads.length);
  const policy = POLICIES.find((candidate) => policyName(candidate) === name);
  if (policy === undefined) throw new Error(`no policy ${name}`);
  const runs = canRun(policy.engine, workload) ? (SHORT[workload] ?? 1) : 0;
  return { policy, workload, from: seed + round * runs, runs };
}

export function isShort({ workload }: Chunk): boolean {
  return SHORT[workload] !== undefined;
}

/** Its runs by name, as --replay takes them. */
export function runsOf({ policy, workload, from, runs }: Chunk): string[] {
  return Array.from({ length: runs }, (_, index) => runNameText({ policy, workload, seed: from + index }));
}

export function policyName({ engine, name }: Policy): string {
  return `${engine}:${name}`;
}

/** Runs chunks one after the other. What they share saves time; no result depends on it but the counts of recoveries. */
export class ChunkRunner {
  readonly #plan: CampaignPlan;
  #store = new PageStore();
  readonly #subjects = new Map<string, Subject>();

  constructor(plan: CampaignPlan) {
    this.#plan = plan;
  }

  run(number: number): ChunkResult {
    const chunk = chunkOf(this.#plan, number);
    if (this.#store.size > PAGES_MAX) {
      this.#store = new PageStore();
      this.#subjects.clear();
    }
    const { policy } = chunk;
    const name = policyName(policy);
    const subject =
      this.#subjects.get(name) ?? new Subject(planOf({ ...chunk, seed: 0 }), everyCheck(CHECK_ONE_IN[policy.engine]));
    this.#subjects.set(name, subject);
    const before = threadMs();
    const result = new ChunkRun(this.#plan, chunk, subject, this.#store).result();
    return { ...result, busyMs: threadMs() - before };
  }
}

/** One chunk. */
class ChunkRun {
  readonly #plan: CampaignPlan;
  readonly #chunk: Chunk;
  readonly #subject: Subject;
  readonly #store: PageStore;
  readonly #seen = new SeenDisks();
  readonly #sums: Sums = { runs: 0, faultRuns: 0, faults: 0, crashes: 0, recoveries: 0, nested: 0 };
  readonly #rows = new Map<string, CampaignRow>();
  readonly #recoveryRows = new Map<string, RecoveryRow>();
  readonly #faultRows = new Map<string, FaultRow>();
  readonly #findings: CampaignFinding[] = [];

  constructor(plan: CampaignPlan, chunk: Chunk, subject: Subject, store: PageStore) {
    this.#plan = plan;
    this.#chunk = chunk;
    this.#subject = subject;
    this.#store = store;
  }

  result(): Omit<ChunkResult, "busyMs"> {
    const { policy, workload, from, runs } = this.#chunk;
    const { recoveries, checked } = this.#subject;
    const { faultsOneIn } = this.#plan;
    for (let seed = from; seed < from + runs; seed++) {
      const name = { policy, workload, seed };
      this.#hunt(name, planOf(name));
      if (faultsOneIn > 0 && seed % faultsOneIn === 0) this.#injectFaults(name, planOf(name));
    }
    this.#sums.recoveries = this.#subject.recoveries - recoveries;
    const checkRow: CheckRow = {
      ...this.#ofPolicy,
      recoveries: this.#sums.recoveries,
      checked: this.#subject.checked - checked,
      binlogs: comparesBinlog(policy) ? this.#subject.checked - checked : 0,
    };
    return {
      sums: this.#sums,
      digests: Float64Array.from(this.#seen.all),
      rows: [...this.#rows.values()],
      recoveryRows: [...this.#recoveryRows.values()],
      checkRows: [checkRow],
      faultRows: [...this.#faultRows.values()],
      findings: this.#findings,
    };
  }

  get #ofPolicy() {
    const { engine, name: policy } = this.#chunk.policy;
    return { engine, policy };
  }

  get #isShort(): boolean {
    return isShort(this.#chunk);
  }

  #hunt(name: RunName, plan: RunPlan): void {
    const { models, againOneIn, deeperOneIn } = this.#plan;
    const isLong = LONG.has(this.#chunk.workload);
    const options: HuntOptions = {
      models: models.map(modelOf),
      limits: isLong ? LONG_LIMITS : LIMITS[this.#chunk.policy.engine],
      againOneIn: this.#isShort ? Math.min(1, againOneIn) : againOneIn,
      deeperOneIn,
      goOn: true,
      store: this.#store,
      subject: this.#subject,
      seen: this.#seen,
      ...(isLong && { isCut: (event: number) => event % LONG_ONE_IN === plan.seed % LONG_ONE_IN }),
    };
    const found = hunt(plan, options);
    this.#sums.runs++;
    this.#sums.crashes += found.crashes;
    this.#sums.nested += found.again.nested;
    for (const [model, tally] of found.tallies) {
      addRow(this.#rows, {
        ...this.#ofPolicy,
        model,
        ...plainTally(tally),
        ...plainCount(found.coverage.of(model)),
      });
    }
    this.#addRecoveries(found);
    this.#note(runNameText(name), found.finding);
  }

  #addRecoveries({ again }: Hunt): void {
    const { eligible, crashed, nested, deeper, coverage } = again;
    addRow(this.#recoveryRows, {
      ...this.#ofPolicy,
      length: this.#isShort ? "short" : "long",
      ...{ eligible, crashed, nested, deeper },
      ...plainCount(coverage.sum()),
    });
  }

  #injectFaults(name: RunName, plan: RunPlan): void {
    const { calls, hunted } = huntFaults(plan, {
      store: this.#store,
      subject: this.#subject,
      seen: this.#seen,
      faultsMax: this.#isShort ? Number.POSITIVE_INFINITY : FAULTS_MAX,
      cutOneIn: this.#isShort ? 1 : FAULT_CUT_ONE_IN,
    });
    this.#sums.faultRuns++;
    this.#sums.faults += hunted.length;
    for (const [fault, count] of calls) addRow(this.#faultRows, { ...this.#noFault(fault), calls: count });
    for (const each of hunted) {
      addRow(this.#faultRows, this.#faultRow(each));
      this.#note(runNameText({ ...name, fault: each.fault }), each.finding);
    }
  }

  #noFault(fault: string): FaultRow {
    const none = { calls: 0, injected: 0, stopped: 0, refusedWrites: 0, wentOn: 0, crashes: 0, lost: 0, lostMs: 0 };
    return { ...this.#ofPolicy, fault, ...none, violations: {} };
  }

  #faultRow({ fault, end, hunt: { crashes, tallies }, finding }: HuntedFault): FaultRow {
    this.#sums.crashes += crashes;
    const all = [...tallies.values()].map(plainTally);
    const violations: Record<string, number> = {};
    for (const tally of all) {
      for (const [kind, count] of Object.entries(tally.violations)) violations[kind] = (violations[kind] ?? 0) + count;
    }
    if (finding?.violation.kind === "failure hidden") violations["failure hidden"] = 1;
    return {
      ...this.#noFault(fault.kind.name),
      injected: 1,
      stopped: end === "stopped" ? 1 : 0,
      refusedWrites: end === "refused writes" ? 1 : 0,
      wentOn: end === "went on" ? 1 : 0,
      crashes,
      lost: Math.max(0, ...all.map(({ lost }) => lost)),
      lostMs: Math.max(0, ...all.map(({ lostMs }) => lostMs)),
      violations,
    };
  }

  #note(run: string, finding: Finding | undefined): void {
    if (finding === undefined || this.#findings.length >= FINDINGS_MAX) return;
    const { crash, violation } = finding;
    const { kind, rule, matrix, promise, command, detail } = violation;
    const { name: model } = crash.model;
    this.#findings.push({ run, model, event: crash.event, kind, rule, matrix, promise, command, detail });
  }
}

/** checks.ts compares the two logs of kv-wal where neither may lose anything. */
function comparesBinlog({ engine, name }: Policy): boolean {
  return engine === "wal" && name === "1/1";
}

function plainTally({ violations, breaches, ...counts }: Tally) {
  return { ...counts, violations: Object.fromEntries(violations), breaches: Object.fromEntries(breaches) };
}

function plainCount({ covered, total, exhaustedMoments, moments }: CoverageCount) {
  return { covered: String(covered), total: String(total), exhausted: exhaustedMoments, moments };
}
