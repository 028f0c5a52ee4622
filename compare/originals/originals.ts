/**
 * `twolog compare --originals`: the installed redis-server and mariadbd beside kv-aof and kv-wal. Each runs the same workload
 * under strace; the folders that a kill or a power loss may leave are rebuilt from the record, and the real program is
 * started on each and judged by the lab's oracle. Then each cell of the measured matrix (claims/measured.ts) is rebuilt on both
 * and compared, and the original is really killed at system calls while it writes.
 *
 * Exit status: 0 every cell as measured, and whatever else was found explained; 1 not so; 2 this machine cannot record, or
 * nothing is installed.
 */

import { recordingObstacle } from "../crash-program/strace.ts";
import { modelOf } from "../lab/models/index.ts";
import { POLICIES, type Policy } from "../policy.ts";
import { Progress } from "../progress.ts";
import { SeededRandom } from "../random.ts";
import { checkResultFile, writeResult } from "../result-file.ts";
import { makeFolder } from "../server-process.ts";
import { fitted, terminalWidth } from "../terminal-lines.ts";
import { type CrashColumns, crashColumns } from "./crash-columns.ts";
import { type Finding, findingsOf } from "./explanations.ts";
import { installedOriginals } from "./installed.ts";
import { type ObservedCell, ONE_CHANGE, observeCells } from "./observed-cells.ts";
import { originalsJson, policyText, verdictLine } from "./originals-report.ts";
import { ownEngine } from "./own-engine.ts";
import { KILL_LOAD, killAt, killPlaces, type RealKill } from "./real-kills.ts";
import { type Load, type RecordedRun, recordRun } from "./recorded-run.ts";
import type { CrashedServer } from "./server.ts";

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
  readonly findings: readonly Finding[];
}

export interface ServerResult {
  readonly name: string;
  readonly operations: number;
  readonly columns: CrashColumns;
}

/** A cell of the measured matrix on both. */
export interface PairCell {
  readonly original: ObservedCell;
  readonly twin: ObservedCell;
}

export interface OriginalsResult {
  readonly pairs: readonly Pair[];
  readonly cells: readonly PairCell[];
  readonly kills: readonly RealKill[];
  readonly missing: readonly string[];
  readonly seconds: number;
}

const STATUS_CANNOT = 2;
/** Restarting redis-server takes about 55 ms, mariadbd several times as long, the engines in this process nothing. */
const STATES = { "redis-server": 80, mariadbd: 16, own: 60 } as const;

export async function runOriginals(options: OriginalsOptions, printLine: (line: string) => void): Promise<number> {
  checkResultFile(options.json);
  const width = terminalWidth();
  const print = (text: string): void => {
    for (const line of text.split("\n")) for (const part of fitted(line, width)) printLine(part);
  };
  const obstacle = recordingObstacle();
  if (obstacle !== undefined) {
    print(`--originals: ${obstacle}`);
    return STATUS_CANNOT;
  }
  const startedAt = performance.now();
  const policies = POLICIES.filter(
    ({ engine, name }) => (options.engine ?? engine) === engine && (options.policy ?? name) === name,
  );
  const { servers, missing } = await installedOriginals(policies);
  if (servers.size === 0) {
    for (const reason of missing) print(`--originals: ${reason}`);
    return STATUS_CANNOT;
  }
  for (const reason of missing) print(`${reason}: its columns are missing`);
  const work = new Work(options, servers);
  await work.run(policies, print);
  const result: OriginalsResult = {
    pairs: work.pairs,
    cells: work.cells,
    kills: work.kills,
    missing,
    seconds: (performance.now() - startedAt) / 1000,
  };
  print(verdictLine(result));
  writeResult(options.json, JSON.stringify(originalsJson(result), bigintText, 2));
  return isAsMeasured(result) ? 0 : 1;
}

function bigintText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** Everything that was found is explained or as measured. */
function isAsMeasured({ pairs, cells, kills }: OriginalsResult): boolean {
  return (
    pairs.every(({ findings }) => findings.every(({ why }) => why !== undefined)) &&
    cells.every(({ original, twin }) => [original, twin].every(({ agrees, why }) => agrees || why !== undefined)) &&
    kills.every(({ broken, reached }) => broken === "" && reached)
  );
}

class Work {
  readonly pairs: Pair[] = [];
  readonly cells: PairCell[] = [];
  readonly kills: RealKill[] = [];
  readonly #options: OriginalsOptions;
  readonly #originals: ReadonlyMap<Policy, CrashedServer>;
  readonly #progress = new Progress(0);
  readonly #folders = [makeFolder(), makeFolder()] as const;
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
      const [pairs, cells, kills] = [this.pairs.length, this.cells.length, this.kills.length];
      await this.#pair(policy, original, false);
      if (isStrict(policy)) await this.#pair(policy, original, true);
      await this.#compareCells(original);
      await this.#kill(original);
      this.#progress.end();
      print(
        policyText({
          pairs: this.pairs.slice(pairs),
          cells: this.cells.slice(cells),
          kills: this.kills.slice(kills),
        }),
      );
    }
  }

  async #pair(policy: Policy, original: CrashedServer, isFirstStart: boolean): Promise<void> {
    // Policies that sync once a second need some seconds to show it.
    const pace = isStrict(policy) ? { writes: 24, gapMs: 20 } : { writes: 40, gapMs: 80 };
    const load: Load = { ...pace, restMs: 300, ...(isFirstStart ? {} : { earlier: "OLD" }) };
    const [first, second] = await this.#recordBoth(original, load);
    const [one, two] = [await this.#columns(first), await this.#columns(second)];
    const findings = findingsOf(policy, isFirstStart, one.columns, two.columns);
    this.pairs.push({ policy, isFirstStart, original: one, twin: two, findings });
  }

  #recordBoth(original: CrashedServer, load: Load): Promise<[RecordedRun, RecordedRun]> {
    this.#progress.advance(0, `recording ${original.name} ${original.policy.name}`);
    return Promise.all([recordRun(original, load), recordRun(ownEngine(original.policy), load)]);
  }

  async #columns(run: RecordedRun): Promise<ServerResult> {
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
    const columns = await crashColumns(run, plan, () =>
      this.#progress.advance(1, `restarting ${name} ${run.server.policy.name}`),
    );
    return { name, operations: run.points.operations.length, columns };
  }

  async #compareCells(original: CrashedServer): Promise<void> {
    const runs = await this.#recordBoth(original, ONE_CHANGE);
    this.#progress.advance(0, `measured cells of ${original.name} ${original.policy.name}`);
    const [ours, theirs] = this.#folders;
    const [first, second] = await Promise.all([observeCells(runs[0], ours), observeCells(runs[1], theirs)]);
    for (const [index, cell] of first.entries())
      this.cells.push({ original: cell, twin: second[index] as ObservedCell });
  }

  async #kill(original: CrashedServer): Promise<void> {
    const { name, policy } = original;
    this.#progress.advance(0, `looking for the calls of ${name} ${policy.name}`);
    const places = killPlaces(await recordRun(original, KILL_LOAD), this.#random);
    for (const place of places) {
      this.#progress.advance(0, `killing ${name} ${policy.name} at ${place.call}`);
      this.kills.push(await killAt(original, place, this.#folders[0]));
    }
  }
}

/** Nothing acknowledged may be lost, whatever happens. */
function isStrict({ kill, power }: Policy): boolean {
  return kill.keeps === "everything" && power.keeps === "everything";
}
