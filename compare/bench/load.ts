/**
 * Load on one server: `redis-benchmark` where it is installed, otherwise a pipelining client of our own. Both give the
 * same figures, so that a result names its load generator and nothing else changes.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import Parser from "redis-parser";
import { UsageError } from "../../common/errors.ts";
import type { LoadTest } from "./choices.ts";

export interface Load {
  readonly test: LoadTest;
  /** Requests in flight per connection. */
  readonly pipeline: number;
  readonly connections: number;
  readonly requests: number;
  /** Keys are drawn from this many; 1 is redis-benchmark's own default, a single key. */
  readonly keys: number;
  readonly valueBytes: number;
  /** How keys are drawn; redis-benchmark knows "even" only. */
  readonly choice?: KeyChoice;
}

/** Each key as likely as the others, or by Zipf's law; or all of them, one after the other. */
export type KeyChoice = "even" | "skewed" | "each";

export interface LoadResult {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export type LoadGenerator = (port: number, load: Load) => Promise<LoadResult>;

/** Runs redis-benchmark and reads its CSV line: test, rps, avg, min, p50, p95, p99, max. */
export const redisBenchmark: LoadGenerator = async (port, load) => {
  const keys = load.keys > 1 ? ["-r", String(load.keys)] : [];
  const child = spawn(
    "redis-benchmark",
    [
      "-p",
      port,
      "-t",
      load.test,
      "-P",
      load.pipeline,
      "-c",
      load.connections,
      "-n",
      load.requests,
      "-d",
      load.valueBytes,
    ]
      .map(String)
      .concat("--csv", keys),
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  let problems = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    problems += chunk;
  });
  const [status] = await once(child, "close");
  const columns = output.trim().split("\n").at(-1)?.replaceAll('"', "").split(",") ?? [];
  const [, requestsPerSecond, , , p50Ms, , p99Ms] = columns.map(Number);
  if (status !== 0 || !requestsPerSecond) throw new Error(`redis-benchmark failed: ${problems || output}`);
  return { requestsPerSecond, p50Ms: p50Ms ?? 0, p99Ms: p99Ms ?? 0 };
};

/** Is the program there? (`--version` is answered by all of Redis's tools.) */
export async function isInstalled(program: string): Promise<boolean> {
  const child = spawn(program, ["--version"], { stdio: "ignore" });
  return new Promise((resolve) => {
    child.on("error", () => resolve(false));
    child.on("exit", (status) => resolve(status === 0));
  });
}

/** The load generator for machines without redis-benchmark: one process, `connections` sockets, fixed pipelines. */
export const ownClient: LoadGenerator = async (port, load) => {
  const latenciesMs: number[] = [];
  const batches = Math.max(1, Math.floor(load.requests / load.connections / load.pipeline));
  const sockets = await Promise.all(Array.from({ length: load.connections }, () => open(port)));
  const next = keyChooser(load);
  const started = performance.now();
  await Promise.all(sockets.map((socket) => drive(socket, load, next, batches, latenciesMs)));
  const seconds = (performance.now() - started) / 1000;
  for (const socket of sockets) socket.destroy();
  latenciesMs.sort((a, b) => a - b);
  const quantile = (q: number) => latenciesMs[Math.floor((latenciesMs.length - 1) * q)] ?? 0;
  const requestsPerSecond = (batches * load.connections * load.pipeline) / seconds;
  return { requestsPerSecond, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
};

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** Sends `batches` pipelines on one connection, each when the replies of the one before are complete. */
function drive(socket: Socket, load: Load, next: () => number, batches: number, latenciesMs: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let awaited = 0;
    let left = batches;
    let sentAt = 0;
    const send = () => {
      left--;
      awaited = load.pipeline;
      sentAt = performance.now();
      socket.write(pipelineOf(load, next), "latin1");
    };
    const parser = new Parser({
      returnReply: () => {
        if (--awaited > 0) return;
        latenciesMs.push(performance.now() - sentAt);
        if (left > 0) send();
        else resolve();
      },
      returnError: (error: Error) => reject(error),
    });
    socket.on("data", (chunk) => parser.execute(chunk));
    socket.on("error", reject);
    socket.on("close", () => reject(new UsageError("the server closed the connection")));
    send();
  });
}

/** Zipf's exponent, as in YCSB. */
const THETA = 0.99;

/** The number of the next key. */
function keyChooser({ choice, keys }: Load): () => number {
  let last = -1;
  if (choice === "each") return () => (last = (last + 1) % keys);
  if (choice !== "skewed") return () => Math.floor(Math.random() * keys);
  // Gray et al., "Quickly generating billion-record synthetic databases", SIGMOD 1994.
  let zeta = 0;
  for (let rank = 1; rank <= keys; rank++) zeta += rank ** -THETA;
  const second = 0.5 ** THETA;
  const eta = (1 - (2 / keys) ** (1 - THETA)) / (1 - (1 + second) / zeta);
  return () => {
    const random = Math.random();
    if (random * zeta < 1) return 0;
    if (random * zeta < 1 + second) return 1;
    return Math.min(keys - 1, Math.floor(keys * (eta * random - eta + 1) ** (1 / (1 - THETA))));
  };
}

function pipelineOf(load: Load, next: () => number): string {
  let text = "";
  for (let i = 0; i < load.pipeline; i++) text += requestOf(load, next);
  return text;
}

function requestOf(load: Load, next: () => number): string {
  const key = () => `key:${String(next()).padStart(12, "0")}`;
  const value = "x".repeat(load.valueBytes);
  switch (load.test) {
    case "set":
      return encode(["SET", key(), value]);
    case "get":
      return encode(["GET", key()]);
    case "incr":
      return encode(["INCR", key().replace("key", "counter")]);
    case "mset":
      return encode(["MSET", ...Array.from({ length: 10 }, () => [key(), value]).flat()]);
  }
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
}
