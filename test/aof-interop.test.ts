/**
 * Real Redis programs judge kv-aof's files, and the other way round: what we wrote is loaded by redis-server and accepted
 * by redis-check-aof; what redis-server wrote, snapshot included, is loaded by us. All keys are compared.
 */
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { Bytes } from "../common/bytes.ts";
import { RealDisk } from "../common/disk/real-disk.ts";
import { CorruptFile } from "../common/errors.ts";
import { checkAof } from "../kv-aof/inspect.ts";
import { AofFixture } from "./support/aof-fixture.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { needs } from "./support/installed.ts";
import { RedisServer } from "./support/redis-server.ts";
import type { Reply } from "./support/replies.ts";

const withRedis = needs("redis-server");

type Run = (...args: Bytes[]) => unknown;

/** Random commands on all types there are, in three databases, with binary, numeric, long and compressible values. */
function workload(seed: number, count: number, run: Run): void {
  const pick = pseudoRandom(seed);
  const value = (): Bytes => {
    switch (pick(6)) {
      case 0:
        return String(pick(2 ** 32) - 2 ** 31);
      case 1:
        return String.fromCharCode(...Array.from({ length: pick(40) }, () => pick(256)));
      case 2:
        return "compress me ".repeat(pick(300));
      case 3:
        return String(BigInt(pick(2 ** 31)) * 4_000_000_000n);
      case 4:
        return pick(20) === 0 ? "x".repeat(20_000 + pick(9)) : "x".repeat(pick(100));
      default:
        return "";
    }
  };
  for (let i = 0; i < count; i++) {
    if (pick(40) === 0) run("SELECT", String(pick(3) * 4));
    const key = `key:${pick(80)}`;
    switch (pick(12)) {
      case 0:
      case 1:
        run("SET", key, value());
        break;
      case 2:
        run("SET", key, value(), "EX", String(1000 + pick(100_000)));
        break;
      case 3:
        run("DEL", key);
        break;
      case 4:
        run("APPEND", key, value());
        break;
      case 5:
        run("INCR", `counter:${pick(3)}`);
        break;
      case 6:
        run("SETRANGE", key, String(pick(50)), `${value()}x`);
        break;
      case 7:
        run("EXPIRE", key, String(1000 + pick(9000)));
        break;
      case 8:
        run("RENAME", key, `key:${pick(80)}`);
        break;
      default:
        for (let n = 1 + pick(8); n > 0; n--) run("HSET", `hash:${pick(6)}`, `${pick(300)}`, value());
    }
  }
}

/** Every key of every database of a real Redis: "0 key value @expiry" with expiry in absolute ms. */
async function contentsOfRedis(redis: RedisServer): Promise<string[]> {
  const lines: string[] = [];
  for (let db = 0; db < 16; db++) {
    await redis.run(["SELECT", String(db)]);
    for (const key of itemsOf(await redis.run(["KEYS", "*"]))) {
      const expiry = textOf(await redis.run(["PEXPIRETIME", key]));
      const isHash = textOf(await redis.run(["TYPE", key])) === "hash";
      const value = isHash ? pairsOf(await redis.run(["HGETALL", key])) : textOf(await redis.run(["GET", key]));
      lines.push(`${db} ${key} ${value} @${expiry}`);
    }
  }
  return lines.sort();
}

function textOf(reply: Reply): Bytes {
  return "text" in reply ? reply.text : `no text but ${reply.kind}`;
}

function itemsOf(reply: Reply): Bytes[] {
  return "items" in reply ? reply.items.map(textOf) : [];
}

function pairsOf(reply: Reply): string {
  const flat = itemsOf(reply);
  const pairs: string[] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push(`${flat[i]}=${flat[i + 1]}`);
  return `{${pairs.sort().join(" ")}}`;
}

/** kv-aof on a real folder. */
function open(folder: string, directives: Readonly<Record<string, string>> = {}): AofFixture {
  return new AofFixture(new RealDisk(folder), { appendfsync: "always", ...directives }, Date.now());
}

t.test("a redis-server loads what we wrote, and redis-check-aof accepts it", withRedis, async (t) => {
  const folder = t.testdir();
  const aof = open(folder);
  let commands = 0;
  workload(1, 3000, (...args) => {
    if (args[0] === "SELECT") aof.select(Number(args[1]));
    else aof.run(...args);
    if (++commands % 50 === 0) aof.settle();
  });
  aof.settle();
  await aof.engine.close();

  const checked = spawnSync("redis-check-aof", [join(folder, "appendonlydir/appendonly.aof.manifest")]);
  t.match(String(checked.stdout), /All AOF files and manifest are valid/);
  t.equal(checked.status, 0);

  const redis = await RedisServer.start(t, "--appendonly", "yes", "--appenddirname", "appendonlydir", "--dir", folder);
  const contents = aof.contents();
  t.ok(contents.length > 100);
  t.same(await contentsOfRedis(redis), contents);
});

t.test("we load what a redis-server wrote: snapshot, then increments", withRedis, async (t) => {
  const redis = await RedisServer.start(t, "--appendonly", "yes", "--enable-debug-command", "yes");
  const pending: Promise<Reply>[] = [];
  workload(2, 2000, (...args) => pending.push(redis.run(args)));
  await Promise.all(pending);
  await redis.run(["BGREWRITEAOF"]);
  await rewritten(redis);
  pending.length = 0;
  workload(3, 300, (...args) => pending.push(redis.run(args)));
  await Promise.all(pending);
  const expected = await contentsOfRedis(redis);

  const folder = t.testdir();
  cpSync(join(redis.folder, "appendonlydir"), join(folder, "appendonlydir"), { recursive: true });
  const names = readdirSync(join(folder, "appendonlydir"));
  t.ok(
    names.some((name) => name.endsWith(".base.rdb")),
    "Redis begins with a snapshot",
  );
  const report = checkAof(new RealDisk(folder));
  t.equal(report.whole, true);
  t.ok(report.files[0]!.snapshotKeys > 50);

  const aof = open(folder);
  t.same(aof.contents(), expected);
  aof.line("SET ours 1");
  aof.settle();
  await aof.engine.close();
  const again = open(folder);
  t.same(again.contents(), aof.contents(), "we go on in Redis's files");
  await again.engine.close();
  const checked = spawnSync("redis-check-aof", [join(folder, "appendonlydir/appendonly.aof.manifest")]);
  t.match(String(checked.stdout), /All AOF files and manifest are valid/, "which Redis's tool still accepts");

  await t.test("a damaged snapshot is refused", async (t) => {
    const base = join(folder, "appendonlydir", names.find((name) => name.endsWith(".base.rdb"))!);
    const bytes = readFileSync(base);
    for (const offset of [0.1, 0.5, 0.9].map((part) => Math.floor(bytes.length * part))) {
      const damaged = Buffer.from(bytes);
      damaged[offset]! ^= 4;
      writeFileSync(base, damaged);
      t.throws(() => open(folder), CorruptFile);
    }
    writeFileSync(base, bytes.subarray(0, bytes.length - 9));
    t.throws(() => open(folder), /the snapshot ends too early/);
  });
});

t.test("types that we do not have, and times that we cannot keep, are refused by name", withRedis, async (t) => {
  const cases: [command: string, name: RegExp][] = [
    ["RPUSH k a", /a list \(RDB type \d+\), which this server cannot load, at offset \d+/],
    ["SADD k a", /a set/],
    ["ZADD k 1 a", /a sorted set/],
    ["XADD k * f v", /a stream/],
    [
      "SET k v PXAT 9223372036854775807",
      /an expiry of 9223372036854775807 ms, which this server cannot keep, at offset \d+/,
    ],
  ];
  for (const [command, name] of cases) {
    const redis = await RedisServer.start(t, "--appendonly", "yes");
    await redis.run(command.split(" "));
    await redis.run(["BGREWRITEAOF"]);
    await rewritten(redis);
    const folder = t.testdir();
    cpSync(join(redis.folder, "appendonlydir"), join(folder, "appendonlydir"), { recursive: true });
    t.throws(() => open(folder), name);
  }
});

for (const preamble of ["yes", "no"]) {
  t.test(`what we rewrite goes to Redis and comes back (aof-use-rdb-preamble ${preamble})`, withRedis, async (t) => {
    const folder = t.testdir();
    const aof = open(folder, { "aof-use-rdb-preamble": preamble, "hash-max-listpack-entries": "100" });
    const run: Run = (...args) => (args[0] === "SELECT" ? aof.select(Number(args[1])) : aof.run(...args));
    workload(4, 3000, run);
    aof.settle();
    aof.engine.logRewrite.begin();
    for (let n = 0; aof.engine.logRewrite.inProgress; n++) {
      workload(100 + n, 20, run);
      aof.settle();
      aof.engine.idle(0);
      await sleep(1);
    }
    workload(5, 300, run);
    aof.settle();
    const contents = aof.contents();
    await aof.engine.close();

    const path = join(folder, "appendonlydir/appendonly.aof.manifest");
    t.match(
      readFileSync(path, "utf8"),
      /^#twolog 1\nfile .*\.base\..* type b\n#twolog sealed .*\nfile .*\n#twolog manifest/,
    );
    const checked = spawnSync("redis-check-aof", [path]);
    t.match(String(checked.stdout), /All AOF files and manifest are valid/);

    const redis = await RedisServer.start(t, "--appendonly", "yes", "--dir", folder);
    t.same(await contentsOfRedis(redis), contents);
    t.match(readFileSync(path, "utf8"), /^#twolog 1\n/, "Redis leaves the manifest as it is until it rewrites");
    await redis.run(["BGREWRITEAOF"]);
    await rewritten(redis);
    await redis.run(["SET", "theirs", "1"]);
    const theirs = await contentsOfRedis(redis);
    await redis.close();
    t.notMatch(readFileSync(path, "utf8"), /#/, "then our lines are gone");
    t.same(open(folder).contents(), theirs);
  });
}

t.test("both cut a torn end at the same place", withRedis, async (t) => {
  const source = join(t.testdir(), "source");
  const aof = open(source);
  aof.line("SET a 1");
  aof.line("HSET h f v");
  aof.line("SET b 22");
  aof.settle();
  await aof.engine.close();
  const name = "appendonlydir/appendonly.aof.1.incr.aof";
  const whole = readFileSync(join(source, name));
  for (const cut of [1, 9, 30]) {
    const [ours, theirs] = [`${source}-ours-${cut}`, `${source}-theirs-${cut}`];
    for (const folder of [ours, theirs]) {
      cpSync(source, folder, { recursive: true });
      writeFileSync(join(folder, name), whole.subarray(0, whole.length - cut));
    }
    await RedisServer.start(t, "--appendonly", "yes", "--dir", theirs);
    t.ok(open(ours).recovery.lines.some((line) => line.startsWith("cut ")));
    t.same(readFileSync(join(ours, name)), readFileSync(join(theirs, name)));
  }
});

/** Waits for the end of the rewrite that was asked for. */
async function rewritten(redis: RedisServer): Promise<void> {
  for (;;) {
    const info = textOf(await redis.run(["INFO", "persistence"]));
    if (info.includes("aof_rewrite_in_progress:0") && info.includes("aof_rewrite_scheduled:0")) return;
    await sleep(20);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
