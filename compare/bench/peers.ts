/**
 * The servers that a benchmark compares: both engines, and a redis-server with the same promise, each a real process with
 * an empty data folder of its own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeFolder, removeFolder } from "../server-process.ts";

export const BENCH_POLICIES = ["always", "everysec", "no"] as const;
export type BenchPolicy = (typeof BENCH_POLICIES)[number];

export const PEER_NAMES = ["kv-aof", "kv-wal", "redis-server"] as const;
export type PeerName = (typeof PEER_NAMES)[number];

/** Beside whom durable commits are counted (commits.ts). */
export const COMMIT_PEERS = ["mariadb", "sqlite", "lmdb", "leveldb"] as const;
export type CommitPeer = (typeof COMMIT_PEERS)[number];

export interface Peer {
  readonly name: PeerName;
  /** The durability settings it runs with, as its users write them. */
  readonly settings: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** kv-wal's settings that promise the same as an appendfsync policy. Only Redis's `no` has no twin: 2/0 promises more. */
const WAL_SETTINGS: Readonly<Record<BenchPolicy, readonly [flushLog: string, syncBinlog: string]>> = {
  always: ["1", "1"],
  everysec: ["2", "0"],
  no: ["2", "0"],
};

const TWOLOG = fileURLToPath(new URL("../twolog.js", import.meta.url));
const START_TIMEOUT_MS = 10_000;

/** Starts a peer on a free port and waits until it accepts connections. */
export async function startPeer(name: PeerName, policy: BenchPolicy): Promise<Peer> {
  const port = await freePort();
  const folder = makeFolder();
  const [program, args, settings] = commandLine(name, policy, port, folder);
  return { name, settings, ...(await startProgram({ name, program, args, port, folder })) };
}

/** kv-wal with settings of the caller's own. */
export async function startWal(settings: Readonly<Record<string, string>>): Promise<StartedProgram> {
  const port = await freePort();
  const folder = makeFolder();
  const flags = Object.entries({ port: String(port), dir: folder, ...settings }).flatMap(([key, value]) => [
    `--${key}`,
    value,
  ]);
  const args = [TWOLOG, "server", "--engine", "wal", ...flags];
  return startProgram({ name: "kv-wal", program: process.execPath, args, port, folder });
}

export interface StartedProgram {
  readonly port: number;
  readonly processId: number;
  stop(): Promise<void>;
}

/** Starts a server and waits until it accepts connections. Its folder is removed when it is stopped. */
export async function startProgram(plan: {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly port: number;
  readonly folder: string;
}): Promise<StartedProgram> {
  const { name, port, folder } = plan;
  const child = spawn(plan.program, plan.args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  const abandon = () => child.kill("SIGKILL");
  process.once("exit", abandon);
  await untilListening(name, child, port);
  return {
    port,
    processId: child.pid ?? 0,
    async stop() {
      const exited = child.exitCode === null ? once(child, "exit") : undefined;
      child.kill("SIGTERM");
      await exited;
      process.off("exit", abandon);
      removeFolder(folder);
    },
  };
}

function commandLine(name: PeerName, policy: BenchPolicy, port: number, folder: string): [string, string[], string] {
  const [flushLog, syncBinlog] = WAL_SETTINGS[policy];
  const place = ["--port", String(port), "--dir", folder];
  const twolog = [TWOLOG, "server", ...place, "--engine"];
  switch (name) {
    case "kv-aof":
      return [process.execPath, [...twolog, "aof", "--appendfsync", policy], `appendfsync ${policy}`];
    case "kv-wal":
      return [
        process.execPath,
        [...twolog, "wal", "--flush-log-at-trx-commit", flushLog, "--sync-binlog", syncBinlog],
        `flush_log_at_trx_commit ${flushLog}, sync_binlog ${syncBinlog}`,
      ];
    case "redis-server":
      return [
        "redis-server",
        [...place, "--appendonly", "yes", "--appendfsync", policy, "--save", "", "--loglevel", "warning"],
        `appendfsync ${policy}`,
      ];
  }
}

async function untilListening(name: string, child: ChildProcess, port: number): Promise<void> {
  const giveUpAt = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${name} ended with status ${child.exitCode} before it listened`);
    if (await accepts(port)) return;
    if (performance.now() > giveUpAt) throw new Error(`${name} does not listen on port ${port}`);
    await delay(20);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
