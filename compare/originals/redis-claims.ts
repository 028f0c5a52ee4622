/** What the installed redis-server shows of claims A2, A10, A11, A13 and A15: the scenarios of compare/claims, with the real program. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { toBuffer } from "../../common/bytes.ts";
import {
  DAMAGE_TO_ONE,
  DAMAGE_TO_TWO,
  type Damage,
  FIRST_INCREMENT,
  type HarmedFiles,
  LAST_COMMAND_TORN,
  MANIFEST,
  SECOND_INCREMENT,
  THREE_KEYS,
  ZEROS_AT_END,
} from "../claims/aof-damage.ts";
import { encodeCommand } from "../in-process.ts";
import { type CallFault, killFaulty, runFaulty } from "./faulty-program.ts";
import { redisConnection } from "./redis.ts";
import type { Observing, Scenario, Scenarios } from "./scenario.ts";
import { type RunningProcess, run, whenReady } from "./server.ts";

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
  const { command, args } = observing
    .server("always")
    .with(...more)
    .commandFor(folder);
  const life = await connected(run(command, args), folder);
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
    const size = statSync(join(folder, FIRST_INCREMENT)).size;
    await ask(life.redis, command);
    const isLonger = statSync(join(folder, FIRST_INCREMENT)).size > size;
    await kill(life);
    return isLonger ? "appended" : "not appended";
  };
}

const TEXT = [["SET", "k", "text"]];

function harmedFiles(folder: string): HarmedFiles {
  return {
    read: (path) => readFileSync(join(folder, path)),
    write: (path, bytes) => writeFileSync(join(folder, path), bytes),
    remove: (path) => rmSync(join(folder, path)),
  };
}

/** What a start shows of three keys in one increment that something happened to. */
function damaged(damage: Damage, ...more: string[]): Scenario {
  return async (observing) => {
    const folder = await folderAfter(observing, THREE_KEYS);
    damage(harmedFiles(folder));
    return shownBy(observing, folder, ["a", "b", "c"], ...more);
  };
}

const REWRITE_BEGUN = "file appendonly.aof.2.incr.aof seq 2 type i\n";

/** The same, with a second increment that a rewrite which never ended has left. */
function harmed(damage: Damage): Scenario {
  return async (observing) => {
    const folder = await folderAfter(observing, THREE_KEYS);
    const files = harmedFiles(folder);
    files.write(SECOND_INCREMENT, toBuffer(encodeCommand(["SELECT", "0"]) + encodeCommand(["SET", "d", "4"])));
    files.write(MANIFEST, Buffer.concat([files.read(MANIFEST), Buffer.from(REWRITE_BEGUN)]));
    damage(files);
    return shownBy(observing, folder, ["a", "b", "c", "d"]);
  };
}

function scenariosOf(damages: Readonly<Record<string, Damage>>, scenario: (damage: Damage) => Scenario) {
  return Object.fromEntries(Object.entries(damages).map(([when, damage]) => [when, scenario(damage)]));
}

const WRITES = 40;
const WRITES_MAX = 400;
const WRITE_EVERY_MS = 70;

/** A load on a disk that fails from some call on: how it goes on, and whether what was acknowledged is there afterwards. */
function onFaultyDisk(policy: string, call: CallFault["call"], effect: string) {
  return async (observing: Observing): Promise<string> => {
    const folder = await folderAfter(observing, []);
    const life = await start(observing, folder, policy, { call, effect, path: join(folder, FIRST_INCREMENT) });
    if (life === undefined) return "refused";
    const told: string[] = [];
    let misconf = false;
    // Whatever the machine is busy with: until the server notices.
    const isGoingOn = (turn: number): boolean => turn <= WRITES || (!misconf && turn <= WRITES_MAX);
    for (let turn = 1; isGoingOn(turn) && life.redis.status === "ready"; turn++) {
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
    ...scenariosOf(DAMAGE_TO_ONE, damaged),
    "torn, aof-load-truncated no": damaged(LAST_COMMAND_TORN, "--aof-load-truncated", "no"),
  },
  A11: {
    "always, a write fails with EIO": onFaultyDisk("always", "write", "error=EIO:when=5+"),
    "always, an fsync fails with EIO": onFaultyDisk("always", "fdatasync", "error=EIO:when=5+"),
    "always, the disk is full": onFaultyDisk("always", "write", "error=ENOSPC:when=5+"),
    "everysec, the disk is full": onFaultyDisk("everysec", "write", "error=ENOSPC:when=5+"),
    "everysec, an fsync fails with EIO": onFaultyDisk("everysec", "fdatasync", "error=EIO:when=2+"),
  },
  A13: scenariosOf(ZEROS_AT_END, damaged),
  A15: scenariosOf(DAMAGE_TO_TWO, harmed),
};
