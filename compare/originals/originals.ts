/**
 * `twolog compare --originals`: the installed redis-server and mariadbd beside kv-aof and kv-wal. Each runs the same workload
 * under strace; the folders that a kill or a power loss may leave are rebuilt from the record, and the real program is
 * started on each and judged by the lab's oracle. Then each measured cell of truth.ts is rebuilt and compared, and some
 * servers are really killed at system calls.
 *
 * Exit status: 0 all as measured, and every difference between an original and its twin explained; 1 not so; 2 this machine
 * cannot record, or nothing is installed.
 */
import { writeFileSync } from "node:fs";
import { recordingObstacle } from "../crash-program/strace.ts";
import { modelOf } from "../lab/models/index.ts";
import { POLICIES, type Policy } from "../policy.ts";
import { Progress } from "../progress.ts";
import { SeededRandom } from "../random.ts";
import { makeFolder } from "../server-process.ts";
import { type CrashColumns, crashColumns, verdictOf } from "./crash-columns.ts";
import { type Difference, differencesOf } from "./explanations.ts";
import { makeMariadbTemplate, mariadbServer, mariadbVersion } from "./mariadb.ts";
import { policyText, verdictLine } from "./originals-report.ts";
import { ownEngine } from "./own-engine.ts";
import { type Load, type RecordedRun, recordRun } from "./recorded-run.ts";
import { redisServer, redisVersion } from "./redis.ts";
import type { CrashedServer } from "./server.ts";
import { checkTruth, type TruthResult } from "./truth-check.ts";

export interface OriginalsOptions {
  readonly seed: number;
  /** States per server and policy; without it, as many as take a few seconds. */
  readonly states?: number | undefined;
  readonly engine?: "aof" | "wal" | undefined;
  readonly policy?: string | undefined;
  readonly models: readonly string[];
  readonly json?: string | undefined;
}

/** Both servers under one policy. */
export interface Pair {
  readonly policy: Policy;
  /** The server's first start ever, with everything that makes; else it had a life before. */
  readonly isFirstStart: boolean;
  readonly original: ServerResult;
  readonly twin: ServerResult;
  readonly differences: readonly Difference[];
}

export interface ServerResult {
  readonly name: string;
  readonly operations: number;
  readonly columns: CrashColumns;
}

/** A server that was really killed at a system call. */
export interface RealKill {
  readonly name: string;
  readonly policy: string;
  readonly call: string;
  readonly nth: number;
  /** False: the call never came so often, and the server was killed when all was written. */
  readonly reached: boolean;
  readonly acknowledged: number;
  readonly lost: number;
  readonly broken: string;
}

export interface OriginalsResult {
  readonly pairs: readonly Pair[];
  readonly truth: readonly { readonly name: string; readonly results: readonly TruthResult[] }[];
  readonly kills: readonly RealKill[];
  readonly missing: readonly string[];
  readonly seconds: number;
}

const STATUS_CANNOT = 2;
/** Restarting redis-server takes about 55 ms, mariadbd several times as long, the engines in this process nothing. */
const STATES = { "redis-server": 80, mariadbd: 16, own: 60 } as const;
const OLD = "OLD";
/** The once-a-second work of a server with nothing to do is over by then. */
const QUIET_MS = 3200;
/** System calls to kill at, and the number behind which the start of the server is over. */
const KILLS: Readonly<Record<"aof" | "wal", readonly { readonly call: string; readonly after: number }[]>> = {
  aof: [
    { call: "write", after: 24 },
    { call: "fdatasync", after: 4 },
  ],
  wal: [
    { call: "sendto", after: 4 },
    { call: "fdatasync", after: 40 },
  ],
};
const KILL_WRITES = 40;

export async function runOriginals(options: OriginalsOptions, print: (line: string) => void): Promise<number> {
  const obstacle = recordingObstacle();
  if (obstacle !== undefined) {
    print(`--originals: ${obstacle}`);
    return STATUS_CANNOT;
  }
  const startedAt = performance.now();
  const missing: string[] = [];
  const policies = POLICIES.filter(
    ({ engine, name }) => (options.engine ?? engine) === engine && (options.policy ?? name) === name,
  );
  const originals = await originalsFor(policies, missing);
  if (originals.size === 0) {
    for (const reason of missing) print(`--originals: ${reason}`);
    return STATUS_CANNOT;
  }
  for (const reason of missing) print(`${reason}: its columns are missing`);
  const work = new Work(options, originals);
  await work.run(policies, print);
  const result: OriginalsResult = {
    pairs: work.pairs,
    truth: work.truth,
    kills: work.kills,
    missing,
    seconds: (performance.now() - startedAt) / 1000,
  };
  print(verdictLine(result));
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, bigintText, 2)}\n`);
  return isAsMeasured(result) ? 0 : 1;
}

function bigintText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function isAsMeasured({ pairs, truth, kills }: OriginalsResult): boolean {
  return (
    pairs.every(({ differences }) => differences.every(({ why }) => why !== undefined)) &&
    truth.every(({ results }) => results.every(({ agrees }) => agrees)) &&
    kills.every(({ broken }) => broken === "")
  );
}

/** The original of every policy whose program is installed. */
async function originalsFor(policies: readonly Policy[], missing: string[]): Promise<Map<Policy, CrashedServer>> {
  const servers = new Map<Policy, CrashedServer>();
  const wants = (engine: string): boolean => policies.some((policy) => policy.engine === engine);
  const redis = redisVersion();
  const mariadb = mariadbVersion();
  if (redis === undefined && wants("aof")) missing.push("redis-server is not installed");
  if (mariadb === undefined && wants("wal")) missing.push("mariadbd is not installed");
  const template = mariadb === undefined || !wants("wal") ? "" : await makeMariadbTemplate();
  for (const policy of policies) {
    if (policy.engine === "aof" && redis !== undefined) servers.set(policy, redisServer(policy, redis));
    if (policy.engine === "wal" && mariadb !== undefined) servers.set(policy, mariadbServer(policy, mariadb, template));
  }
  return servers;
}

class Work {
  readonly pairs: Pair[] = [];
  readonly truth: { name: string; results: TruthResult[] }[] = [];
  readonly kills: RealKill[] = [];
  readonly #options: OriginalsOptions;
  readonly #originals: ReadonlyMap<Policy, CrashedServer>;
  readonly #progress = new Progress(0);
  readonly #folders = [makeFolder(), makeFolder()];
  readonly #random: SeededRandom;

  constructor(options: OriginalsOptions, originals: ReadonlyMap<Policy, CrashedServer>) {
    this.#options = options;
    this.#originals = originals;
    this.#random = new SeededRandom(options.seed);
  }

  async run(policies: readonly Policy[], print: (text: string) => void): Promise<void> {
    for (const policy of policies) {
      const original = this.#originals.get(policy);
      if (original === undefined) continue;
      const [pairs, truth, kills] = [this.pairs.length, this.truth.length, this.kills.length];
      await this.#pair(policy, original, false);
      if (isStrict(policy)) await this.#pair(policy, original, true);
      await this.#compareTruth(original);
      for (const place of KILLS[policy.engine]) await this.#kill(original, place);
      this.#progress.end();
      print(
        policyText({
          pairs: this.pairs.slice(pairs),
          truth: this.truth.slice(truth),
          kills: this.kills.slice(kills),
        }),
      );
    }
  }

  async #pair(policy: Policy, original: CrashedServer, isFirstStart: boolean): Promise<void> {
    // Policies that sync once a second need some seconds to show it.
    const pace = isStrict(policy) ? { writes: 24, gapMs: 20 } : { writes: 40, gapMs: 80 };
    const load: Load = { ...pace, restMs: 300, ...(isFirstStart ? {} : { earlier: OLD }) };
    this.#progress.advance(0, `recording ${original.name} ${policy.name}`);
    const runs = await Promise.all([recordRun(original, load), recordRun(ownEngine(policy), load)]);
    const results: ServerResult[] = [];
    for (const run of runs) {
      const columns = await this.#columns(run);
      results.push({ name: run.server.name, operations: run.points.operations.length, columns });
    }
    const [first, second] = results as [ServerResult, ServerResult];
    const differences = differencesOf(policy.engine, policy.name, first.columns, second.columns, isFirstStart);
    this.pairs.push({ policy, isFirstStart, original: first, twin: second, differences });
  }

  #columns(run: RecordedRun): Promise<CrashColumns> {
    const { name, isOriginal } = run.server;
    const usual = !isOriginal ? STATES.own : name.startsWith("redis") ? STATES["redis-server"] : STATES.mariadbd;
    const states = this.#options.states ?? usual;
    this.#progress.expect(states);
    const plan = {
      models: this.#options.models.map(modelOf),
      states,
      seed: this.#options.seed,
      workFolders: this.#folders,
    };
    return crashColumns(run, plan, () => this.#progress.advance(1, `restarting ${name} ${run.server.policy.name}`));
  }

  async #compareTruth(original: CrashedServer): Promise<void> {
    const name = `${original.name} ${original.policy.name}`;
    this.#progress.advance(0, `measured cells of ${name}`);
    const run = await recordRun(original, { writes: 1, gapMs: 0, restMs: QUIET_MS, earlier: OLD });
    this.truth.push({ name, results: await checkTruth(run, this.#folders[0] ?? "") });
  }

  /** Gate 1 compares the folder that the kill left with the record; the restart shows what it is worth. */
  async #kill(original: CrashedServer, { call, after }: { call: string; after: number }): Promise<void> {
    const nth = after + this.#random.below(16);
    this.#progress.advance(0, `killing ${original.name} ${original.policy.name} at ${call}`);
    const run = await recordRun(original, {
      writes: KILL_WRITES,
      gapMs: 5,
      restMs: 0,
      earlier: OLD,
      killAt: { call, nth },
    });
    const [space] = modelOf("kill").spaces(run.points.at(run.points.operations.length));
    if (space === undefined) return;
    const restarted = await original.restart(space.build([]), run.recording.before, this.#folders[0] ?? "");
    const printed = run.points.printed.length;
    const state = { model: modelOf("kill"), point: run.points.operations.length, printed };
    const verdict = verdictOf(run, state, restarted);
    const violation = verdict.violations[0];
    this.kills.push({
      ...{ name: original.name, policy: original.policy.name, call, nth, acknowledged: printed, lost: verdict.lost },
      reached: printed < KILL_WRITES,
      broken: violation === undefined ? "" : `${violation.kind}: ${violation.command} ${violation.detail}`.trim(),
    });
  }
}

/** Nothing acknowledged may be lost, whatever happens. */
function isStrict({ kill, power }: Policy): boolean {
  return kill.keeps === "everything" && power.keeps === "everything";
}
