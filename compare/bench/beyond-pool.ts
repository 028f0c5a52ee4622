/**
 * `twolog bench --beyond-pool`: kv-wal with ten times as much data as its buffer pool has room for. Reads and overwrites, of
 * keys drawn evenly (nearly every one a page that is not there) and skewed (Zipf, as YCSB draws them: few keys are most of
 * the traffic), and how much memory the server took beyond its pool.
 */

import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { writeResult } from "../result-file.ts";
import { type KeyChoice, type Load, ownClient } from "./load.ts";
import { type StartedProgram, startWal } from "./peers.ts";

export interface BeyondPoolOptions {
  readonly poolMegabytes: number;
  readonly connections: number;
  readonly requests: number;
  readonly valueBytes: number;
  readonly json?: string;
}

interface BeyondPoolRow {
  readonly test: "get" | "set";
  readonly choice: KeyChoice;
  readonly requestsPerSecond: number;
  /** Of the pages that were asked for. */
  readonly hitRatio: number;
  readonly residentMegabytes: number;
}

const TIMES = 10;
const PIPELINE = 16;
const MEGABYTE = 1 << 20;
/** What a row takes beside its value: key, words, transaction id, roll pointer, slot; pages are two thirds full or more. */
const ROW_BYTES = 48;

/** Runs the benchmark, printing each line as it is known. Returns the exit status. */
export async function runBeyondPool(options: BeyondPoolOptions, print: (line: string) => void): Promise<number> {
  const { poolMegabytes, valueBytes } = options;
  const keys = Math.ceil((TIMES * poolMegabytes * MEGABYTE) / (ROW_BYTES + valueBytes));
  const settings = { "flush-log-at-trx-commit": "2", "sync-binlog": "0", "buffer-pool-size": `${poolMegabytes}mb` };
  const server = await startWal(settings);
  const rows: BeyondPoolRow[] = [];
  try {
    print(`kv-wal, flush_log_at_trx_commit 2, sync_binlog 0, buffer pool of ${poolMegabytes} MiB, ${keys} keys,`);
    print(`values of ${valueBytes} B, ${options.connections} connections, pipeline ${PIPELINE}`);
    const empty = residentMegabytes(server);
    await fill(server, keys, options);
    const pages = await numberOf(server, "tablespace_pages");
    const times = (pages * 16384) / MEGABYTE / poolMegabytes;
    print(
      `the tablespace is ${times.toFixed(1)} times as large as the pool; started empty, the server took ${empty} MiB`,
    );
    print("");
    print("test keys        requests/s   pool hits   resident MiB");
    for (const test of ["get", "set"] as const) {
      for (const choice of ["even", "skewed"] as const) {
        const row = await measure(server, test, choice, keys, options);
        rows.push(row);
        const rate = Math.round(row.requestsPerSecond).toLocaleString("en-US").padStart(12);
        const hits = `${(100 * row.hitRatio).toFixed(1)} %`.padStart(11);
        print(`${test.padEnd(5)}${choice.padEnd(8)}${rate} ${hits}${String(row.residentMegabytes).padStart(15)}`);
      }
    }
  } finally {
    await server.stop();
  }
  writeResult(options.json, JSON.stringify({ options, rows }, undefined, 2));
  return 0;
}

async function measure(
  server: StartedProgram,
  test: "get" | "set",
  choice: KeyChoice,
  keys: number,
  options: BeyondPoolOptions,
): Promise<BeyondPoolRow> {
  const load: Load = { ...options, pipeline: PIPELINE, test, keys, choice };
  // The pool gets used to the load.
  await ownClient(server.port, load);
  const [requests, reads] = [
    await numberOf(server, "buffer_pool_requests"),
    await numberOf(server, "buffer_pool_reads"),
  ];
  const { requestsPerSecond } = await ownClient(server.port, load);
  const asked = (await numberOf(server, "buffer_pool_requests")) - requests;
  const read = (await numberOf(server, "buffer_pool_reads")) - reads;
  return { test, choice, requestsPerSecond, hitRatio: 1 - read / asked, residentMegabytes: residentMegabytes(server) };
}

/** Every key once, in order. */
async function fill(server: StartedProgram, keys: number, options: BeyondPoolOptions): Promise<void> {
  const load: Load = { ...options, test: "set", keys, choice: "each", requests: keys, pipeline: 64, connections: 8 };
  await ownClient(server.port, load);
}

/** A figure of INFO. */
function numberOf(server: StartedProgram, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: server.port, host: "127.0.0.1" }, () => socket.write("INFO wal\r\n"));
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk) => {
      text += chunk;
      const found = new RegExp(`^${name}:(\\d+)\\r$`, "m").exec(text);
      if (found === null) return;
      socket.destroy();
      resolve(Number(found[1]));
    });
    socket.on("error", reject);
  });
}

/** What the server's process has in memory; 0 where /proc does not tell. */
function residentMegabytes({ processId }: StartedProgram): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${processId}/status`, "latin1"))?.[1];
    return Math.round(Number(kilobytes ?? 0) / 1024);
  } catch {
    return 0;
  }
}
