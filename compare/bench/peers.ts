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
import type { BenchPolicy } from "./choices.ts";

export const PEER_NAMES = ["kv-aof", "kv-wal", "redis-server"] as const;
export type PeerName = (typeof PEER_NAMES)[number];

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

/** What a server has said last, kept for the case that it does not start. */
const LAST_WORDS = 4000;
const TWOLOG = fileURLToPath(new URL("../twolog.js", import.meta.url));
const START_TIMEOUT_MS = 60_000;

/** Starts a peer and waits until it accepts connections. */
export async function startPeer(name: PeerName, policy: BenchPolicy): Promise<Peer> {
  const port = name === "redis-server" ? await freePort() : OWN_CHOICE;
  const folder = makeFolder();
  const [program, args, settings] = commandLine(name, policy, port, folder);
  return { name, settings, ...(await startProgram({ name, program, args, port, folder })) };
}

/** kv-wal with settings of the caller's own. */
export async function startWal(settings: Readonly<Record<string, string>>): Promise<StartedProgram> {
  const folder = makeFolder();
  const directives = Object.entries({ port: String(OWN_CHOICE), dir: folder, ...settings });
  const args = [TWOLOG, "server", "--engine", "wal", ...directives.flatMap(([name, value]) => [`--${name}`, value])];
  return startProgram({ name: "kv-wal", program: process.execPath, args, port: OWN_CHOICE, folder });
}

export interface StartedProgram {
  readonly port: number;
  readonly processId: number;
  stop(): Promise<void>;
}

/** The port of a server that finds a free one by itself and says which it is: nobody can take it in between. */
const OWN_CHOICE = 0;

/**
 * Starts a server and waits until it accepts connections. What it says on standard error is told when it does not start.
 * Its folder is removed when it is stopped.
 */
export async function startProgram(plan: {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly port: number;
  readonly folder: string;
}): Promise<StartedProgram> {
  const { name, folder } = plan;
  const child = spawn(plan.program, plan.args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  const abandon = () => child.kill("SIGKILL");
  process.once("exit", abandon);
  const port = await untilListening(name, child, plan.port);
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

async function untilListening(name: string, child: ChildProcess, wanted: number): Promise<number> {
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-LAST_WORDS);
  });
  const giveUpAt = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const port = wanted === OWN_CHOICE ? Number(/connections on port (\d+)\n/.exec(said)?.[1]) : wanted;
    if (port > 0 && (await accepts(port))) return port;
    if (child.exitCode !== null) throw new Error(`${name} has ended with status ${child.exitCode}: ${said.trim()}`);
    if (performance.now() > giveUpAt) throw new Error(`${name} does not listen: ${said.trim()}`);
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
