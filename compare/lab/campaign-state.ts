/**
 * What a campaign has done so far, as two files that survive a kill -9 at any moment:
 *
 *     FILE           JSON: the plan, the chunks that are done, the sums, the findings, and how many digests belong to it
 *     FILE.digests   8 bytes (little-endian double) per distinct disk, appended only
 *
 * The digests are appended and synced first; then FILE is written anew beside itself, synced and renamed. A crash in
 * between leaves digests that FILE does not count: they are cut off at the next start, and their chunks are run again.
 * States of the same plan, from several machines, merge: chunks are counted once, disks by their digests.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { UsageError } from "../../common/errors.ts";
import {
  addRow,
  type CampaignRow,
  type CheckRow,
  type FaultRow,
  type RateRow,
  type RecoveryRow,
} from "./campaign-rows.ts";
import {
  type CampaignFinding,
  type CampaignPlan,
  type ChunkResult,
  chunkOf,
  isShort,
  runsOf,
  type Sums,
} from "./campaign-work.ts";

const VERSION = 3;
const FINDINGS_KEPT = 20;

interface StateFile {
  readonly version: number;
  readonly plan: CampaignPlan;
  readonly chunks: readonly number[];
  readonly sums: AllSums;
  readonly rows: readonly CampaignRow[];
  readonly recoveryRows: readonly RecoveryRow[];
  readonly checkRows: readonly CheckRow[];
  readonly faultRows: readonly FaultRow[];
  readonly rateRows: readonly RateRow[];
  readonly findings: readonly CampaignFinding[];
  readonly digests: number;
}

interface AllSums extends Sums {
  /** Processor time and wall clock, of all lives of the campaign. */
  cpuMs: number;
  wallMs: number;
}

export class CampaignState {
  readonly plan: CampaignPlan;
  readonly chunks = new Set<number>();
  readonly sums: AllSums = {
    ...{ runs: 0, faultRuns: 0, faults: 0, crashes: 0, recoveries: 0, nested: 0 },
    ...{ cpuMs: 0, wallMs: 0 },
  };
  readonly rows = new Map<string, CampaignRow>();
  readonly recoveryRows = new Map<string, RecoveryRow>();
  readonly checkRows = new Map<string, CheckRow>();
  readonly faultRows = new Map<string, FaultRow>();
  readonly rateRows = new Map<string, RateRow>();
  readonly findings: CampaignFinding[] = [];
  /** The runs of all chunks that are done, by name. */
  readonly runs = new Set<string>();
  /** More than one when others were merged into it. */
  readonly seeds = new Set<number>();
  readonly #digests = new Set<number>();
  /** Digests in the file, and those that are not. */
  #saved = 0;
  #unsaved: number[] = [];

  constructor(plan: CampaignPlan) {
    this.plan = plan;
    this.seeds.add(plan.seed);
  }

  /** Distinct disks. */
  get states(): number {
    return this.#digests.size;
  }

  add(chunk: number, result: ChunkResult): void {
    if (this.chunks.has(chunk)) return;
    this.#note(chunk);
    this.#addSums(result.sums);
    const before = this.states;
    for (const digest of result.digests) this.#addDigest(digest);
    this.#addRows({ ...result, rateRows: [this.#rateOf(chunk, result, this.states - before)] });
    for (const finding of result.findings) if (this.findings.length < FINDINGS_KEPT) this.findings.push(finding);
  }

  #rateOf(number: number, { sums, busyMs }: ChunkResult, disks: number): RateRow {
    const chunk = chunkOf(this.plan, number);
    const judged = sums.crashes + sums.nested;
    return { engine: chunk.policy.engine, length: isShort(chunk) ? "short" : "long", disks, judged, busyMs };
  }

  #note(chunk: number): void {
    this.chunks.add(chunk);
    for (const run of runsOf(chunkOf(this.plan, chunk))) this.runs.add(run);
  }

  #addDigest(digest: number): void {
    if (this.#digests.has(digest)) return;
    this.#digests.add(digest);
    this.#unsaved.push(digest);
  }

  /**
   * Adds what another campaign has done, whose plan is the same but for the seed. They must not have run the same: what both
   * have would count twice. For reports: a campaign that others were merged into is not gone on with.
   */
  merge(other: CampaignState): void {
    if (JSON.stringify({ ...other.plan, seed: 0 }) !== JSON.stringify({ ...this.plan, seed: 0 })) {
      throw new UsageError(
        "the campaigns have other plans: merge those of equal policies, models, workloads and flags",
      );
    }
    const both = [...other.runs].find((run) => this.runs.has(run));
    if (both !== undefined)
      throw new UsageError(`both campaigns have run ${both}: divide them with --shard, or by seed`);
    for (const run of other.runs) this.runs.add(run);
    for (const seed of other.seeds) this.seeds.add(seed);
    this.#addSums(other.sums);
    this.#addRows(other.#plainRows());
    this.findings.push(...other.findings.slice(0, FINDINGS_KEPT - this.findings.length));
    for (const digest of other.#digests) this.#addDigest(digest);
  }

  #addSums(more: Partial<AllSums>): void {
    for (const sum of Object.keys(this.sums) as (keyof AllSums)[]) this.sums[sum] += more[sum] ?? 0;
  }

  #addRows(more: Pick<StateFile, "rows" | "recoveryRows" | "checkRows" | "faultRows" | "rateRows">): void {
    for (const row of more.rows) addRow(this.rows, row);
    for (const row of more.recoveryRows) addRow(this.recoveryRows, row);
    for (const row of more.checkRows) addRow(this.checkRows, row);
    for (const row of more.faultRows) addRow(this.faultRows, row);
    for (const row of more.rateRows) addRow(this.rateRows, row);
  }

  #plainRows() {
    return {
      rows: [...this.rows.values()],
      recoveryRows: [...this.recoveryRows.values()],
      checkRows: [...this.checkRows.values()],
      faultRows: [...this.faultRows.values()],
      rateRows: [...this.rateRows.values()],
    };
  }

  save(path: string): void {
    this.#appendDigests(`${path}.digests`);
    const { plan, sums } = this;
    const file: StateFile = {
      version: VERSION,
      plan,
      chunks: [...this.chunks],
      sums,
      ...this.#plainRows(),
      findings: this.findings,
      digests: this.#saved,
    };
    const draft = `${path}.new`;
    writeFileSync(draft, JSON.stringify(file));
    sync(draft);
    renameSync(draft, path);
    sync(dirname(path));
  }

  #appendDigests(path: string): void {
    const file = openSync(path, existsSync(path) ? "r+" : "w");
    ftruncateSync(file, this.#saved * 8);
    const bytes = Buffer.from(Float64Array.from(this.#unsaved).buffer);
    writeSync(file, bytes, 0, bytes.length, this.#saved * 8);
    fsyncSync(file);
    closeSync(file);
    this.#saved += this.#unsaved.length;
    this.#unsaved = [];
  }

  /** What a file says; undefined when there is none. */
  static load(path: string): CampaignState | undefined {
    if (!existsSync(path)) return undefined;
    let file: StateFile;
    try {
      file = JSON.parse(readFileSync(path, "utf8")) as StateFile;
    } catch (error) {
      throw new UsageError(`${path} is not the state of a campaign: ${(error as Error).message}`);
    }
    if (file.version !== VERSION) throw new UsageError(`${path} is of version ${file.version}, not ${VERSION}`);
    const state = new CampaignState(file.plan);
    for (const chunk of file.chunks) state.#note(chunk);
    Object.assign(state.sums, file.sums);
    state.#addRows(file);
    state.findings.push(...file.findings);
    const bytes = readFileSync(`${path}.digests`);
    for (let at = 0; at < file.digests; at++) state.#digests.add(bytes.readDoubleLE(at * 8));
    state.#saved = file.digests;
    return state;
  }
}

function sync(path: string): void {
  const file = openSync(path, "r");
  fsyncSync(file);
  closeSync(file);
}
