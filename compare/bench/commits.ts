/**
 * `twolog bench --peers`: single-row upserts per second, each of them durable when it is answered, of kv-wal beside other
 * stores with the same promise.
 *
 *     mariadb                 a server, as kv-wal is: 50 connections, each with one upsert in flight; group commit counts
 *     sqlite, lmdb, leveldb   inside the program that uses them: one writer; so kv-wal is measured with one client, too
 *
 * Everything is filled with all keys first. In every round each store is asked for some seconds, in rotating order; a ratio
 * is that of two figures of the same round, and the median over the rounds is reported. All clients are the same kind of
 * program (commit-client.ts), and their own processor time is in the table: a client near 100 % is what was measured.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { mariadbVersion } from "../originals/mariadb.ts";
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
  readonly keys: number;
  readonly valueBytes: number;
  readonly json?: string;
}

interface Contestant {
  readonly name: string;
  readonly settings: string;
  readonly target: ClientPlan["target"];
  readonly writers: number;
  readonly port: number;
  readonly folder: string;
  readonly results: ClientResult[];
  stop(): Promise<void>;
}

/** One line of the result: the medians over the rounds. */
export interface CommitRow extends ClientResult {
  readonly name: string;
  readonly settings: string;
  readonly writers: number;
  /** How often kv-wal with as many writers does what this one does once. */
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
    for (const { name, writers, settings } of contestants) print(`  ${nameOf(name, writers).padEnd(20)} ${settings}`);
    for (const contestant of contestants) await runClient(contestant, "fill", options);
    for (let round = 0; round < options.rounds; round++) {
      for (let i = 0; i < contestants.length; i++) {
        const contestant = contestants[(i + round) % contestants.length]!;
        contestant.results.push(JSON.parse(await runClient(contestant, "measure", options)) as ClientResult);
      }
    }
  } finally {
    for (const contestant of contestants) await contestant.stop();
  }
  const rows = contestants.map((contestant) => rowOf(contestant, contestants));
  printRows(rows, print);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ options, rows }, undefined, 2)}\n`);
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
      print("  mariadb              not installed: apt-get install mariadb-server");
      return;
    }
    const server = await startMariadb();
    const settings = `${version}: ${MARIADB_SETTINGS}`;
    const { connections: writers } = options;
    contestants.push({ ...server, name: peer, settings, target: peer, writers, folder: "", results: [] });
    return;
  }
  const reason = await whyNotInstalled(peer);
  if (reason !== undefined) {
    print(`  ${peer.padEnd(20)} ${reason}`);
    return;
  }
  const folder = makeFolder();
  const settings = `${PACKAGES[peer].replace("@", " ")}: ${EMBEDDED_SETTINGS[peer]}`;
  const stop = async () => removeFolder(folder);
  contestants.push({ name: peer, settings, target: peer, writers: 1, port: 0, folder, results: [], stop });
}

/** kv-wal with as many writers as each of the others has; one server, which is asked by one client at a time. */
async function addWal(contestants: Contestant[], options: CommitOptions): Promise<void> {
  const { port, stop } = await startWal(WAL);
  const writers = new Set([options.connections, ...contestants.map((other) => other.writers)]);
  const settings = WAL_SETTINGS;
  let stopped = false;
  const stopOnce = async () => {
    if (!stopped) await stop();
    stopped = true;
  };
  for (const count of writers) {
    const shared = { name: "kv-wal", settings, target: "redis", port, folder: "", stop: stopOnce } as const;
    contestants.push({ ...shared, writers: count, results: [] });
  }
}

/** What the client prints. */
async function runClient(contestant: Contestant, mode: ClientPlan["mode"], options: CommitOptions): Promise<string> {
  const { target, port, folder, writers } = contestant;
  const { seconds, keys, valueBytes } = options;
  const plan: ClientPlan = { target, port, folder, mode, writers, seconds, keys, valueBytes };
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
  const { name, settings, writers, results } = contestant;
  const wal = contestants.find((other) => other.target === "redis" && other.writers === writers)!;
  return {
    name,
    settings,
    writers,
    commitsPerSecond: median(results.map((result) => result.commitsPerSecond)),
    p50Ms: median(results.map((result) => result.p50Ms)),
    p99Ms: median(results.map((result) => result.p99Ms)),
    cpuShare: median(results.map((result) => result.cpuShare)),
    ratio: median(results.map((result, round) => wal.results[round]!.commitsPerSecond / result.commitsPerSecond)),
  };
}

function nameOf(name: string, writers: number): string {
  return `${name}, ${writers} ${writers === 1 ? "writer" : "writers"}`;
}

function printRows(rows: readonly CommitRow[], print: (line: string) => void): void {
  print("");
  print(`${"".padEnd(22)}${"commits/s".padStart(10)}   kv-wal is    p50 ms   p99 ms   client CPU`);
  for (const row of rows) {
    const commits = Math.round(row.commitsPerSecond).toLocaleString("en-US").padStart(10);
    const ratio = row.name === "kv-wal" ? "" : `×${row.ratio.toFixed(2)}`;
    const cpu = `${Math.round(row.cpuShare * 100)} %`;
    const latencies = `${row.p50Ms.toFixed(2).padStart(10)}${row.p99Ms.toFixed(2).padStart(9)}`;
    print(`${nameOf(row.name, row.writers).padEnd(22)}${commits}${ratio.padStart(12)}${latencies}${cpu.padStart(13)}`);
  }
}
