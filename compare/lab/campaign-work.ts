/**
 * The work of a campaign, cut into chunks: a few runs of one workload under one policy. Chunks are numbered, the same for
 * everybody: whoever runs chunk 17 of a campaign gets the same result, on whatever machine. What a chunk found is plain
 * data, so that it can be sent by a worker, written to a file, and added up.
 */
import { type EngineName, POLICIES, type Policy } from "../policy.ts";
import { everyCheck } from "./checks.ts";
import { type Hunt, type HuntOptions, hunt, type Tally } from "./hunt.ts";
import { modelOf } from "./models/index.ts";
import { PageStore } from "./page-store.ts";
import { planOf, runNameText } from "./replay.ts";
import type { EnumerationLimits } from "./state-space.ts";
import { Subject } from "./subject.ts";
import { WAL_ONLY } from "./workloads.ts";

/** What a campaign explores: two campaigns with equal plans have equal chunks. */
export interface CampaignPlan {
  readonly seed: number;
  /** "wal:1/1". */
  readonly policies: readonly string[];
  readonly models: readonly string[];
  readonly workloads: readonly string[];
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

/** The crashes of one policy under one model. */
export interface CampaignRow {
  readonly engine: EngineName;
  readonly policy: string;
  readonly model: string;
  crashes: number;
  /** States looked at and states that there are, over all moments: decimal numbers, because they are large. */
  covered: string;
  total: string;
  /** Moments of which every state was looked at, and all. */
  exhausted: number;
  moments: number;
  lossy: number;
  lost: number;
  lostMs: number;
  refused: number;
  violations: Record<string, number>;
}

export interface ChunkResult {
  runs: number;
  crashes: number;
  recoveries: number;
  nested: number;
  /** Of the disks not seen before by this worker. */
  readonly digests: Float64Array;
  readonly rows: readonly CampaignRow[];
  readonly findings: readonly CampaignFinding[];
}

/** Runs of a chunk: about a second of work each. */
const RUNS: Readonly<Record<string, number>> = { sequences: 12 };
/** Runs with so many events that only some of them are crashed. */
const LONG: ReadonlySet<string> = new Set(["log-full"]);
const LONG_ONE_IN = 12;
/** An AOF is recovered in a fifth of the time. */
const LIMITS: Readonly<Record<EngineName, EnumerationLimits>> = {
  aof: { exhaustive: 256, sampled: 192 },
  wal: { exhaustive: 64, sampled: 24 },
};
const LONG_LIMITS = { exhaustive: 8, sampled: 6 };
const AGAIN_ONE_IN = 40;
const CHECK_ONE_IN = 8;
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
  const runs = policy.engine === "aof" && WAL_ONLY.has(workload) ? 0 : (RUNS[workload] ?? 1);
  return { policy, workload, from: seed + round * runs, runs };
}

export function policyName({ engine, name }: Policy): string {
  return `${engine}:${name}`;
}

/** Runs chunks one after the other; what they share is kept. */
export class ChunkRunner {
  readonly #plan: CampaignPlan;
  readonly #seen = new Set<number>();
  #store = new PageStore();
  readonly #subjects = new Map<string, Subject>();

  constructor(plan: CampaignPlan) {
    this.#plan = plan;
  }

  run(number: number): ChunkResult {
    const { policy, workload, from, runs } = chunkOf(this.#plan, number);
    const before = this.#seen.size;
    const sums = { runs, crashes: 0, recoveries: 0, nested: 0 };
    const rows = new Map<string, CampaignRow>();
    const findings: CampaignFinding[] = [];
    for (let seed = from; seed < from + runs; seed++) {
      const name = { policy, workload, seed };
      const found = this.#hunt(policy, workload, planOf(name));
      sums.crashes += found.crashes;
      sums.recoveries += found.recoveries;
      sums.nested += found.nested;
      addRows(rows, policy, found);
      if (found.finding !== undefined && findings.length < FINDINGS_MAX) {
        findings.push(describe(runNameText(name), found.finding));
      }
    }
    const digests = Float64Array.from([...this.#seen].slice(before));
    return { ...sums, digests, rows: [...rows.values()], findings };
  }

  #hunt(policy: Policy, workload: string, plan: ReturnType<typeof planOf>): Hunt {
    if (this.#store.size > PAGES_MAX) {
      this.#store = new PageStore();
      this.#subjects.clear();
    }
    const subject = this.#subjects.get(policyName(policy)) ?? new Subject(plan, everyCheck(CHECK_ONE_IN));
    this.#subjects.set(policyName(policy), subject);
    const isLong = LONG.has(workload);
    const options: HuntOptions = {
      models: this.#plan.models.map(modelOf),
      limits: isLong ? LONG_LIMITS : LIMITS[policy.engine],
      againOneIn: AGAIN_ONE_IN,
      goOn: true,
      store: this.#store,
      subject,
      seen: this.#seen,
      ...(isLong && { isCut: (event: number) => event % LONG_ONE_IN === plan.seed % LONG_ONE_IN }),
    };
    return hunt(plan, options);
  }
}

function describe(run: string, { crash, violation }: NonNullable<Hunt["finding"]>): CampaignFinding {
  const { kind, rule, matrix, promise, command, detail } = violation;
  return { run, model: crash.model.name, event: crash.event, kind, rule, matrix, promise, command, detail };
}

function addRows(rows: Map<string, CampaignRow>, policy: Policy, found: Hunt): void {
  for (const [model, tally] of found.tallies) {
    const { covered, total, exhaustedMoments, moments } = found.coverage.of(model);
    addRow(rows, {
      engine: policy.engine,
      policy: policy.name,
      model,
      ...plainTally(tally),
      covered: String(covered),
      total: String(total),
      exhausted: exhaustedMoments,
      moments,
    });
  }
}

function plainTally({ crashes, lossy, refused, lost, lostMs, violations }: Tally) {
  return { crashes, lossy, refused, lost, lostMs, violations: Object.fromEntries(violations) };
}

/** Adds a row to those of the same policy and model. */
export function addRow(rows: Map<string, CampaignRow>, row: CampaignRow): void {
  const key = `${row.engine} ${row.policy} ${row.model}`;
  const sum = rows.get(key);
  if (sum === undefined) {
    rows.set(key, { ...row, violations: { ...row.violations } });
    return;
  }
  sum.crashes += row.crashes;
  sum.covered = String(BigInt(sum.covered) + BigInt(row.covered));
  sum.total = String(BigInt(sum.total) + BigInt(row.total));
  sum.exhausted += row.exhausted;
  sum.moments += row.moments;
  sum.lossy += row.lossy;
  sum.lost = Math.max(sum.lost, row.lost);
  sum.lostMs = Math.max(sum.lostMs, row.lostMs);
  sum.refused += row.refused;
  for (const [kind, count] of Object.entries(row.violations)) {
    sum.violations[kind] = (sum.violations[kind] ?? 0) + count;
  }
}
