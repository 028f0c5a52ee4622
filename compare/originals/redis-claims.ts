/** What the installed redis-server shows of claims A2, A10, A11, A13 and A15: the scenarios of compare/claims, with the real program. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { toBuffer } from "../../common/bytes.ts";
import { encodeCommand } from "../in-process.ts";
import { type CallFault, killFaulty, runFaulty } from "./faulty-program.ts";
import type { Observing, Scenarios } from "./observed-claims.ts";
import { redisConnection } from "./redis.ts";
import { type RunningProcess, run, whenReady } from "./server.ts";

const FIRST = "appendonlydir/appendonly.aof.1.incr.aof";
const SECOND = "appendonlydir/appendonly.aof.2.incr.aof";
const MANIFEST = "appendonlydir/appendonly.aof.manifest";

interface Life {
  readonly redis: Redis;
  readonly running: RunningProcess;
}

/** Starts redis-server on a folder; undefined: it refused. */
async function start(
  observing: Observing,
  folder: string,
  policy = "always",
  fault?: CallFault,
): Promise<Life | undefined> {
  const { command, args } = observing.server(policy).commandFor(folder);
  return connected(fault === undefined ? run(command, args) : runFaulty(command, args, fault), folder);
}

async function connected(running: RunningProcess, folder: string): Promise<Life | undefined> {
  const redis = await whenReady(running.ended, () => redisConnection({ path: `${folder}.sock` }));
  return redis === undefined ? undefined : { redis, running };
}

async function kill({ redis, running }: Life): Promise<void> {
  redis.disconnect();
  running.child.kill("SIGKILL");
  await running.ended;
}

/** Sends a command; an error is an answer. */
async function ask(redis: Redis, words: readonly string[]): Promise<unknown> {
  const [name = "", ...rest] = words;
  return redis.call(name, ...rest).catch((error: Error) => error);
}

/** A folder after these commands and a kill. */
async function folderAfter(observing: Observing, commands: readonly (readonly string[])[]): Promise<string> {
  const folder = join(observing.folder, "data");
  mkdirSync(folder);
  const life = await start(observing, folder);
  if (life === undefined) throw new Error("redis-server does not start");
  for (const words of commands) await ask(life.redis, words);
  await kill(life);
  return folder;
}

/** What a start makes of a folder: the values of these keys. */
async function shownBy(
  observing: Observing,
  folder: string,
  keys: readonly string[],
  ...more: string[]
): Promise<string> {
  const { command, args } = observing.server("always").commandFor(folder);
  const life = await connected(run(command, [...args, ...more]), folder);
  if (life === undefined) return "refused";
  const values = await life.redis.mget(...keys);
  await kill(life);
  return values.map((value) => value ?? "-").join(" ");
}

function appended(before: readonly string[][], command: readonly string[]) {
  return async (observing: Observing): Promise<string> => {
    const folder = join(observing.folder, "data");
    mkdirSync(folder);
    const life = await start(observing, folder);
    if (life === undefined) return "refused";
    for (const words of before) await ask(life.redis, words);
    const size = statSync(join(folder, FIRST)).size;
    await ask(life.redis, command);
    const isLonger = statSync(join(folder, FIRST)).size > size;
    await kill(life);
    return isLonger ? "appended" : "not appended";
  };
}

const THREE_KEYS = [["SET", "a", "1"], ["MULTI"], ["SET", "b", "2"], ["SET", "c", "3"], ["EXEC"]];
const TEXT = [["SET", "k", "text"]];

function rewriteFile(folder: string, path: string, change: (bytes: Buffer) => Buffer): void {
  const file = join(folder, path);
  writeFileSync(file, change(readFileSync(file)));
}

function changed(bytes: Buffer, text: string, by: string): Buffer {
  const at = bytes.indexOf(text);
  if (at < 0) throw new Error(`there is no ${text} in the file`);
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(by, "latin1"), bytes.subarray(at + text.length)]);
}

/** a, b and c in one increment, which is changed. */
function damaged(change: (bytes: Buffer) => Buffer, ...more: string[]) {
  return async (observing: Observing): Promise<string> => {
    const folder = await folderAfter(observing, THREE_KEYS);
    rewriteFile(folder, FIRST, change);
    return shownBy(observing, folder, ["a", "b", "c"], ...more);
  };
}

/** A second increment with d, as a rewrite that never ended leaves it; then something is harmed. */
function harmed(harm: (folder: string) => void) {
  return async (observing: Observing): Promise<string> => {
    const folder = await folderAfter(observing, THREE_KEYS);
    writeFileSync(join(folder, SECOND), toBuffer(encodeCommand(["SELECT", "0"]) + encodeCommand(["SET", "d", "4"])));
    rewriteFile(folder, MANIFEST, (bytes) =>
      Buffer.concat([bytes, Buffer.from("file appendonly.aof.2.incr.aof seq 2 type i\n")]),
    );
    harm(folder);
    return shownBy(observing, folder, ["a", "b", "c", "d"]);
  };
}

const WRITES = 40;
const WRITE_EVERY_MS = 70;

/** A load on a disk that fails from some call on: how it goes on, and whether what was acknowledged is there afterwards. */
function onFaultyDisk(policy: string, call: CallFault["call"], error: CallFault["error"], when: string) {
  return async (observing: Observing): Promise<string> => {
    const folder = await folderAfter(observing, []);
    const life = await start(observing, folder, policy, { call, error, when, path: join(folder, FIRST) });
    if (life === undefined) return "refused";
    const told: string[] = [];
    let misconf = false;
    for (let turn = 1; turn <= WRITES && life.redis.status === "ready"; turn++) {
      const answer = await ask(life.redis, ["SET", `k${turn}`, "v"]);
      if (answer === "OK") told.push(`k${turn}`);
      misconf ||= String(answer).includes("MISCONF");
      await delay(WRITE_EVERY_MS);
    }
    const isAlive = (await ask(life.redis, ["GET", "k1"])) === "v";
    life.redis.disconnect();
    await killFaulty(life.running);
    const values = await shownBy(observing, folder, told);
    const kept = values === told.map(() => "v").join(" ");
    const then = isAlive ? `${misconf ? "MISCONF" : "nothing said"}, reads go on` : "it stops";
    return `${then}; ${kept ? "every acknowledged write is there" : "an acknowledged write is missing"}`;
  };
}

const zeros = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(4096)]);

export const REDIS_SCENARIOS: Scenarios = {
  A2: {
    "SET that succeeds": appended([], ["SET", "k", "v"]),
    "INCR of a text": appended(TEXT, ["INCR", "k"]),
    "HSET on a string": appended(TEXT, ["HSET", "k", "f", "v"]),
    "wrong number of arguments": appended(TEXT, ["SET", "k"]),
    "DEL of a missing key": appended(TEXT, ["DEL", "other"]),
    "SET NX of an existing key": appended(TEXT, ["SET", "k", "v", "NX"]),
    "HDEL of a missing field": appended([["HSET", "h", "f", "v"]], ["HDEL", "h", "other"]),
  },
  A10: {
    "the file is whole": damaged((bytes) => bytes),
    "its last command is torn": damaged((bytes) => bytes.subarray(0, bytes.length - 3)),
    "EXEC is missing": damaged((bytes) => bytes.subarray(0, bytes.length - 14)),
    "torn, aof-load-truncated no": damaged(
      (bytes) => bytes.subarray(0, bytes.length - 3),
      "--aof-load-truncated",
      "no",
    ),
    "a length in the middle is changed": damaged((bytes) => changed(bytes, "$1\r\na", "$7\r\na")),
    "a byte of a value is changed": damaged((bytes) => changed(bytes, "$1\r\n3\r\n", "$1\r\n9\r\n")),
  },
  A11: {
    "always, a write fails with EIO": onFaultyDisk("always", "write", "EIO", "5+"),
    "always, an fsync fails with EIO": onFaultyDisk("always", "fdatasync", "EIO", "5+"),
    "always, the disk is full": onFaultyDisk("always", "write", "ENOSPC", "5+"),
    "everysec, the disk is full": onFaultyDisk("everysec", "write", "ENOSPC", "5+"),
    "everysec, an fsync fails with EIO": onFaultyDisk("everysec", "fdatasync", "EIO", "2+"),
  },
  A13: {
    "behind a whole command": damaged(zeros),
    "behind a torn command": damaged((bytes) => zeros(bytes.subarray(0, bytes.length - 20))),
  },
  A15: {
    "the first increment is missing": harmed((folder) => rmSync(join(folder, FIRST))),
    "it is cut inside a command": harmed((folder) =>
      rewriteFile(folder, FIRST, (bytes) => bytes.subarray(0, bytes.length - 30)),
    ),
    "it is cut between two commands": harmed((folder) =>
      rewriteFile(folder, FIRST, (bytes) => bytes.subarray(0, bytes.indexOf("*1\r\n$5\r\nMULTI"))),
    ),
    "it is empty": harmed((folder) => rewriteFile(folder, FIRST, () => Buffer.alloc(0))),
    "a byte of a value in it is changed": harmed((folder) =>
      rewriteFile(folder, FIRST, (bytes) => changed(bytes, "$1\r\n3\r\n", "$1\r\n9\r\n")),
    ),
    "the manifest has lost its line": harmed((folder) =>
      rewriteFile(folder, MANIFEST, (bytes) =>
        Buffer.from(bytes.toString("latin1").replace(/file .*\.1\.incr\.aof .*\n/, ""), "latin1"),
      ),
    ),
    "the second increment is missing": harmed((folder) => rmSync(join(folder, SECOND))),
  },
};
