/**
 * `twolog bench --peers`: single-row upserts per second, each of them durable when it is answered, of kv-wal beside other
 * stores with the same promise.
 *
 *     mariadb                 a server, as kv-wal is: 50 connections with one upsert in flight each, and with more, which
 *                             both protocols allow: a MariaDB connection runs them one after the other, kv-wal commits
 *                             those of a turn as one group
 *     sqlite, lmdb, leveldb   inside the program that uses them: one writer; so kv-wal is measured with one client, too
 *
 * Everything is filled with all keys first. In every round each store is asked for some seconds, in rotating order; a ratio
 * is that of two figures of the same round, and the median over the rounds is reported. All clients are the same kind of
 * program (commit-client.ts), and their own processor time is in the table: a client near 100 % is what was measured.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { mariadbVersion } from "../originals/mariadb.ts";
import { writeResult } from "../result-file.ts";
import { makeFolder, removeFolder } from "../server-process.ts";
import type { CommitPeer } from "./choices.ts";
import type { ClientPlan, ClientResult } from "./commit-client.ts";
import { MARIADB_SETTINGS, startMariadb } from "./mariadb-server.ts";
import { median } from "./median.ts";
import { startWal } from "./peers.ts";
import { type EmbeddedName, PACKAGES, whyNotInstalled } from "./upserts.ts";

export interface CommitOptions {
  readonly peers: readonly CommitPeer[];
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  /** Upserts in flight per connection of a server, each in turn. */
  readonly pipelines: readonly number[];
  readonly keys: number;
  readonly valueBytes: number;
  readonly json?: string;
}

type Load = Pick<ClientPlan, "writers" | "inFlight">;

interface Contestant extends Load {
  readonly name: string;
  readonly settings: string;
  readonly target: ClientPlan["target"];
  readonly port: number;
  readonly folder: string;
  readonly results: ClientResult[];
  stop(): Promise<void>;
}

/** One line of the result: the medians over the rounds. */
export interface CommitRow extends ClientResult, Load {
  readonly name: string;
  readonly settings: string;
  /** How often kv-wal with as many writers, and as much in flight, does what this one does once. */
  readonly ratio: number;
}

const CLIENT = fileURLToPath(new URL("./commit-client.js", import.meta.url));
const WAL = { "flush-log-at-trx-commit": "1", "sync-binlog": "1" };
const WAL_SETTINGS = "flush_log_at_trx_commit 1, sync_binlog 1, binlog_format ROW";
const EMBEDDED_SETTINGS: Readonly<Record<EmbeddedName, string>> = {
  sqlite: "journal_mode WAL, synchronous FULL, one prepared statement",
  lmdb: "synced at every commit (no overlapping sync)",
  leveldb: "put with sync",
};

/** Runs the benchmark, printing each line as it is known. Returns the exit status. */
export async function runCommitBench(options: CommitOptions, print: (line: string) => void): Promise<number> {
  const contestants: Contestant[] = [];
  try {
    print(`single-row upserts, durable when answered: ${options.keys} keys, values of ${options.valueBytes} B,`);
    print(`median of ${options.rounds} interleaved rounds of ${options.seconds} s each`);
    for (const peer of options.peers) await addPeer(contestants, peer, options, print);
    await addWal(contestants, options);
    for (const contestant of oneOfEach(contestants)) {
      print(`  ${contestant.name.padEnd(8)} ${contestant.settings}`);
      await runClient(contestant, "fill", options);
    }
    for (let round = 0; round < options.rounds; round++) {
      for (let i = 0; i < contestants.length; i++) {
        const contestant = contestants[(i + round) % contestants.length]!;
        contestant.results.push(JSON.parse(await runClient(contestant, "measure", options)) as ClientResult);
      }
    }
  } finally {
    for (const contestant of oneOfEach(contestants)) await contestant.stop();
  }
  const rows = contestants.map((contestant) => rowOf(contestant, contestants));
  printRows(rows, print);
  writeResult(options.json, JSON.stringify({ options, rows }, undefined, 2));
  return 0;
}

async function addPeer(
  contestants: Contestant[],
  peer: CommitPeer,
  options: CommitOptions,
  print: (line: string) => void,
): Promise<void> {
  if (peer === "mariadb") {
    const version = mariadbVersion();
    if (version === undefined) {
      print("  mariadb  not installed: apt-get install mariadb-server");
      return;
    }
    const server = await startMariadb();
    const settings = `${version}: ${MARIADB_SETTINGS}`;
    for (const inFlight of options.pipelines) {
      const load = { writers: options.connections, inFlight };
      contestants.push({ ...server, ...load, name: peer, settings, target: peer, folder: "", results: [] });
    }
    return;
  }
  const reason = await whyNotInstalled(peer);
  if (reason !== undefined) {
    print(`  ${peer.padEnd(8)} ${reason}`);
    return;
  }
  const folder = makeFolder();
  const settings = `${PACKAGES[peer].replace("@", " ")}: ${EMBEDDED_SETTINGS[peer]}`;
  const stop = async () => removeFolder(folder);
  const load = { writers: 1, inFlight: 1 };
  contestants.push({ name: peer, settings, target: peer, ...load, port: 0, folder, results: [], stop });
}

/** kv-wal with the load of each of the others; one server, which is asked by one client at a time. */
async function addWal(contestants: Contestant[], options: CommitOptions): Promise<void> {
  const server = await startWal(WAL);
  const loads: Load[] = options.pipelines.map((inFlight) => ({ writers: options.connections, inFlight }));
  for (const other of contestants) if (!loads.some((load) => isSameLoad(load, other))) loads.push(other);
  for (const { writers, inFlight } of loads) {
    const settings = WAL_SETTINGS;
    const shared = { ...server, name: "kv-wal", settings, target: "redis", folder: "" } as const;
    contestants.push({ ...shared, writers, inFlight, results: [] });
  }
}

function isSameLoad(a: Load, b: Load): boolean {
  return a.writers === b.writers && a.inFlight === b.inFlight;
}

/** Of those that share a server, or a folder, the first. */
function oneOfEach(contestants: readonly Contestant[]): Contestant[] {
  return contestants.filter(({ name }, i) => contestants.findIndex((other) => other.name === name) === i);
}

/** What the client prints. */
async function runClient(contestant: Contestant, mode: ClientPlan["mode"], options: CommitOptions): Promise<string> {
  const { target, port, folder, writers, inFlight } = contestant;
  const { seconds, keys, valueBytes } = options;
  const plan: ClientPlan = { target, port, folder, mode, writers, inFlight, seconds, keys, valueBytes };
  const child = spawn(process.execPath, [CLIENT, JSON.stringify(plan)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const [status] = await once(child, "close");
  if (status !== 0) throw new Error(`the client of ${contestant.name} failed`);
  return output;
}

function rowOf(contestant: Contestant, contestants: readonly Contestant[]): CommitRow {
  const { name, settings, writers, inFlight, results } = contestant;
  const wal = contestants.find((other) => other.target === "redis" && isSameLoad(other, contestant))!;
  return {
    name,
    settings,
    writers,
    inFlight,
    commitsPerSecond: median(results.map((result) => result.commitsPerSecond)),
    p50Ms: median(results.map((result) => result.p50Ms)),
    p99Ms: median(results.map((result) => result.p99Ms)),
    cpuShare: median(results.map((result) => result.cpuShare)),
    ratio: median(results.map((result, round) => wal.results[round]!.commitsPerSecond / result.commitsPerSecond)),
  };
}

function nameOf({ name, writers, inFlight }: CommitRow): string {
  if (writers === 1) return `${name}, 1 writer`;
  return `${name}, ${writers} writers${inFlight === 1 ? "" : ` × ${inFlight}`}`;
}

function printRows(rows: readonly CommitRow[], print: (line: string) => void): void {
  print("");
  print(`${"".padEnd(25)}${"commits/s".padStart(10)}   kv-wal is    p50 ms   p99 ms   client CPU`);
  for (const row of rows) {
    const commits = Math.round(row.commitsPerSecond).toLocaleString("en-US").padStart(10);
    const ratio = row.name === "kv-wal" ? "" : `×${row.ratio.toFixed(2)}`;
    const cpu = `${Math.round(row.cpuShare * 100)} %`;
    const latencies = `${row.p50Ms.toFixed(2).padStart(10)}${row.p99Ms.toFixed(2).padStart(9)}`;
    print(`${nameOf(row).padEnd(25)}${commits}${ratio.padStart(12)}${latencies}${cpu.padStart(13)}`);
  }
}
