/**
 * `twolog bench`: throughput of both engines beside redis-server with the same fsync policy.
 *
 * On a shared machine a figure alone means nothing, so all servers are up at once, every round asks each of them the same
 * thing in rotating order, and what is reported is the median over the rounds of the ratio within one round.
 */
import { writeResult } from "../result-file.ts";
import type { BenchPolicy, LoadTest } from "./choices.ts";
import { isInstalled, type Load, type LoadGenerator, ownClient, redisBenchmark } from "./load.ts";
import { median } from "./median.ts";
import { PEER_NAMES, type Peer, type PeerName, startPeer } from "./peers.ts";

export interface BenchOptions {
  readonly policy: BenchPolicy;
  readonly tests: readonly LoadTest[];
  readonly pipelines: readonly number[];
  readonly rounds: number;
  readonly connections: number;
  /** Requests per measurement at pipeline 1; deeper pipelines send up to 8 times as many, to last as long. */
  readonly requests: number;
  readonly keys: number;
  readonly valueBytes: number;
  readonly json?: string;
}

/** One line of the result: what each server did, the medians over the rounds. */
export interface BenchRow {
  readonly test: LoadTest;
  readonly pipeline: number;
  readonly peers: Partial<
    Record<PeerName, { requestsPerSecond: number; p50Ms: number; p99Ms: number; ratio?: number }>
  >;
  /** kv-wal's throughput as a part of kv-aof's in the same round. */
  readonly walToAof: number;
}

/** Runs the benchmark, printing each line as it is known. Returns the exit status. */
export async function runBench(options: BenchOptions, print: (line: string) => void): Promise<number> {
  const withRedis = await isInstalled("redis-server");
  const generator = (await isInstalled("redis-benchmark")) ? redisBenchmark : ownClient;
  const peers: Peer[] = [];
  const rows: BenchRow[] = [];
  try {
    for (const name of PEER_NAMES) {
      if (name !== "redis-server" || withRedis) peers.push(await startPeer(name, options.policy));
    }
    printHead(options, peers, generator, print);
    for (const test of options.tests) {
      for (const pipeline of options.pipelines) {
        const row = await measure(peers, generator, loadOf(options, test, pipeline), options.rounds);
        rows.push(row);
        print(lineOf(row, peers));
      }
    }
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
  writeResult(options.json, JSON.stringify({ options, rows }, undefined, 2));
  return 0;
}

function loadOf(options: BenchOptions, test: LoadTest, pipeline: number): Load {
  const { connections, keys, valueBytes } = options;
  return { test, pipeline, connections, keys, valueBytes, requests: options.requests * Math.min(8, pipeline) };
}

async function measure(
  peers: readonly Peer[],
  generator: LoadGenerator,
  load: Load,
  rounds: number,
): Promise<BenchRow> {
  const results = new Map(peers.map((peer) => [peer.name, [] as Awaited<ReturnType<LoadGenerator>>[]]));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < peers.length; i++) {
      const peer = peers[(i + round) % peers.length]!;
      results.get(peer.name)!.push(await generator(peer.port, load));
    }
  }
  const redis = results.get("redis-server");
  const aof = results.get("kv-aof")!;
  const row: BenchRow = {
    test: load.test,
    pipeline: load.pipeline,
    peers: {},
    walToAof: median(results.get("kv-wal")!.map((run, round) => run.requestsPerSecond / aof[round]!.requestsPerSecond)),
  };
  for (const [name, runs] of results) {
    row.peers[name] = {
      requestsPerSecond: median(runs.map((run) => run.requestsPerSecond)),
      p50Ms: median(runs.map((run) => run.p50Ms)),
      p99Ms: median(runs.map((run) => run.p99Ms)),
      ...(redis && {
        ratio: median(runs.map((run, round) => run.requestsPerSecond / redis[round]!.requestsPerSecond)),
      }),
    };
  }
  return row;
}

function printHead(
  options: BenchOptions,
  peers: readonly Peer[],
  generator: LoadGenerator,
  print: (line: string) => void,
): void {
  const tool =
    generator === redisBenchmark ? "redis-benchmark" : "twolog's own client (redis-benchmark is not installed)";
  print(`${tool}, ${options.connections} connections, ${options.keys} keys, values of ${options.valueBytes} B,`);
  print(`median of ${options.rounds} interleaved rounds; × is the ratio to redis-server in the same round`);
  for (const peer of peers) print(`  ${peer.name.padEnd(13)} ${peer.settings}`);
  if (!peers.some((peer) => peer.name === "redis-server")) print("  redis-server is not installed: no ratios");
  print("");
  print(`test pipeline${peers.map((peer) => `${peer.name} req/s`.padStart(24)).join("")}  wal/aof     p99 ms`);
}

function lineOf(row: BenchRow, peers: readonly Peer[]): string {
  const cells = peers.map(({ name }) => {
    const { requestsPerSecond, ratio } = row.peers[name]!;
    const ratioText = ratio === undefined || name === "redis-server" ? "" : `  ×${ratio.toFixed(2)}`;
    return (Math.round(requestsPerSecond).toLocaleString("en-US") + ratioText).padStart(24);
  });
  const latencies = peers.map(({ name }) => row.peers[name]!.p99Ms.toFixed(2)).join(" / ");
  return `${row.test.padEnd(4)} ${String(row.pipeline).padStart(8)}${cells.join("")}${`×${row.walToAof.toFixed(2)}`.padStart(9)}     ${latencies}`;
}
