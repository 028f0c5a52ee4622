/**
 * kv-wal's binlog: what it says is what the engine has, in every format; and mariadb-binlog can read it.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import type { Bytes } from "../common/bytes.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { applyBinlog } from "../kv-wal/binlog/apply.ts";
import type { RowImage, RowValue } from "../kv-wal/binlog/row-events.ts";
import { readCall } from "../kv-wal/binlog/schema.ts";
import { OVERFLOW } from "../kv-wal/binlog/transaction-events.ts";
import { BinlogChain, eachTransaction, isStatement } from "../kv-wal/binlog/transactions.ts";
import { createWalEngine, type WalEngine } from "../kv-wal/engine.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { CommandRunner, pseudoRandom } from "./support/command-runner.ts";
import { bytesOf, contentsOf } from "./support/contents.ts";
import { needs } from "./support/installed.ts";
import { ModelKeyspace } from "./support/model-keyspace.ts";
import { holds } from "./support/property.ts";
import { Sessions } from "./support/sessions.ts";
import { TestHost } from "./support/test-host.ts";
import { openWal, walConfig } from "./support/wal-fixture.ts";

const NOW = 1_700_000_000_000;
const FORMATS = ["ROW", "STATEMENT", "MIXED"] as const;
const LONG = "long ".repeat(5000);

/** A client of an engine in this process. */
class Client {
  readonly engine: WalEngine;
  readonly runner: CommandRunner;
  constructor(engine: WalEngine) {
    this.engine = engine;
    this.runner = new CommandRunner(engine.keyspace, (call) => engine.execute(call));
    engine.keyspace.events.now = NOW;
  }
  run(line: string): Bytes {
    const args = line.split(" ").map((word) => (word === "LONG" ? LONG : word));
    if (args[0] === "SELECT") {
      this.runner.select(Number(args[1]));
      return "";
    }
    const reply = this.runner.run(...args);
    this.engine.settle(() => {});
    return reply;
  }
}

/** What the binlog on the disk says, as contents of a keyspace. */
function replayed(disk: MemoryDisk): string[] {
  const keyspace = new ModelKeyspace(16);
  applyBinlog(disk, keyspace, { config: walConfig(), now: NOW, pick: pseudoRandom(1) });
  keyspace.events.now = -1;
  return contentsOf(keyspace);
}

function contents(engine: WalEngine): string[] {
  engine.keyspace.events.now = -1;
  const lines = contentsOf(engine.keyspace);
  engine.keyspace.events.now = NOW;
  return lines;
}

const key = fc.constantFrom("a", "b", "c", "k".repeat(1100));
const value = fc.constantFrom("1", "22", "x\"'\\y", "LONG", "", "5");
const field = fc.constantFrom("f", "g", "h", "F".repeat(1030));
const time = fc.constantFrom(String(NOW + 5000), String(NOW + 90_000), String(NOW - 1));
const line = fc.oneof(
  fc.tuple(fc.constantFrom("SET", "SETNX", "APPEND", "GETSET"), key, value),
  fc.tuple(fc.constant("SET"), key, value, fc.constant("PXAT"), time),
  fc.tuple(fc.constant("SET"), key, value, fc.constant("KEEPTTL")),
  fc.tuple(fc.constantFrom("INCR", "DECR", "DEL", "GETDEL", "PERSIST", "GET"), key),
  fc.tuple(fc.constant("SETRANGE"), key, fc.constantFrom("0", "3", "17000"), fc.constantFrom("z", "zz")),
  fc.tuple(fc.constant("INCRBYFLOAT"), key, fc.constant("1.5")),
  fc.tuple(fc.constantFrom("MSET", "MSETNX"), key, value, key, value),
  fc.tuple(fc.constantFrom("HSET", "HSETNX"), key, field, value),
  fc.tuple(fc.constant("HSET"), key, field, value, field, value),
  fc.tuple(fc.constantFrom("HDEL", "HGET"), key, field),
  fc.tuple(fc.constant("HINCRBY"), key, field, fc.constant("7")),
  fc.tuple(fc.constant("PEXPIREAT"), key, time),
  fc.tuple(fc.constantFrom("RENAME", "RENAMENX"), key, key),
  fc.tuple(fc.constant("COPY"), key, key, fc.constant("REPLACE")),
  fc.tuple(fc.constant("COPY"), key, key, fc.constant("DB"), fc.constant("3"), fc.constant("REPLACE")),
  fc.tuple(fc.constant("MOVE"), key, fc.constantFrom("0", "3")),
  fc.tuple(fc.constant("SELECT"), fc.constantFrom("0", "3")),
  fc.constant(["SWAPDB", "0", "3"]),
  fc.constant(["FLUSHDB"]),
  fc.constant(["FLUSHALL"]),
  fc.constant(["SLEEP"]),
);

for (const format of FORMATS) {
  for (const image of format === "ROW" ? ["FULL", "MINIMAL"] : ["FULL"]) {
    t.test(`random commands, ${format}, ${image} images: the binlog says what the engine has`, async (t) => {
      holds(
        t,
        fc.property(fc.array(line, { minLength: 5, maxLength: 60 }), (lines) => {
          const disk = new MemoryDisk();
          const engine = openWal(disk, {
            "binlog-format": format,
            "binlog-row-image": image,
            "max-binlog-size": "16kb",
          });
          const client = new Client(engine);
          for (const words of lines) {
            if (words[0] === "SLEEP") engine.keyspace.events.now += 6000;
            else client.run(words.join(" "));
          }
          const expected = contents(engine);
          const said = replayed(disk);
          if (said.join("\n") !== expected.join("\n")) {
            throw new Error(`engine ${JSON.stringify(expected)}\nbinlog ${JSON.stringify(said)}`);
          }
        }),
        { seed: 20261121, numRuns: 150 },
      );
    });
  }
}

/** What mariadb-binlog makes of a file. */
function decode(folder: string, bytes: Buffer): string {
  const path = join(folder, "binlog");
  writeFileSync(path, bytes);
  const flags = ["--verify-binlog-checksum", "-vv", "--base64-output=DECODE-ROWS"];
  return execFileSync("mariadb-binlog", [...flags, path], { encoding: "latin1", stdio: ["ignore", "pipe", "pipe"] });
}

const EVERY_COMMAND = [
  "SET s old",
  "SET s new",
  `SET s newer PXAT ${NOW + 9000}`,
  "PERSIST s",
  "SETNX s no",
  "APPEND s !",
  "SETRANGE s 1 E",
  "GETSET s 7",
  "INCR s",
  "INCRBYFLOAT s 0.5",
  "MSET m1 1 m2 2",
  "GETDEL m1",
  `PEXPIREAT s ${NOW + 9000}`,
  "HSET h f 1 g 2",
  "HSETNX h f no",
  "HINCRBY h f 41",
  "HINCRBYFLOAT h f 0.25",
  `PEXPIREAT h ${NOW + 9000}`,
  "RENAME h h2",
  "COPY h2 h3",
  "MOVE h3 2",
  "HDEL h2 f",
  "SET h2 string",
  "SET big LONG",
  "RENAME big bigger",
  "COPY bigger big",
  "APPEND big more",
  "DEL big bigger m2",
  "SWAPDB 0 1",
  "SELECT 1",
  "SLEEP",
  "SLEEP",
  "GET s",
  "FLUSHALL",
] as const;

function runAll(disk: MemoryDisk, directives: Record<string, string>, lines: readonly string[]): WalEngine {
  const engine = openWal(disk, directives);
  const client = new Client(engine);
  for (const text of lines) {
    if (text === "SLEEP") engine.keyspace.events.now += 6000;
    else client.run(text);
  }
  return engine;
}

function shown(value: RowValue): string {
  return value === null ? "NULL" : typeof value === "number" ? String(value) : `'${value}'`;
}

function textOf(args: readonly Bytes[]): string {
  return [args[0], ...args.slice(1).map((arg) => `"${arg}"`)].join(" ");
}

/** Our reading of a binlog file: rows as mariadb-binlog prints them, statements as their text. */
function rowText(disk: MemoryDisk, path: string): string[] {
  const text: string[] = [];
  const values = (image: RowImage | undefined) =>
    (image ?? []).flatMap((value, index) => (value === undefined ? [] : [`@${index + 1}=${shown(value)}`]));
  eachTransaction(disk.open(path, "read"), 0, ({ changes }) => {
    for (const change of changes) {
      if (isStatement(change)) {
        text.push(textOf(change.args));
        continue;
      }
      const verb = change.before === undefined ? "INSERT INTO" : change.after === undefined ? "DELETE FROM" : "UPDATE";
      text.push(`${verb} ${change.table.name}`);
      if (change.before !== undefined) text.push("WHERE", ...values(change.before));
      if (change.after !== undefined) text.push("SET", ...values(change.after));
    }
    return true;
  });
  return text;
}

/** The same out of mariadb-binlog's output. */
function decodedText(decoded: string): string[] {
  return decoded.split("\n").flatMap((each) => {
    const row = /^### +(.*?)( \/\*.*\*\/)?$/.exec(each)?.[1];
    if (row !== undefined) return [row.replace(/`twolog`\.`(\w+)`/, "$1")];
    const call = readCall(each);
    if (call !== undefined) return [textOf(call.args)];
    return /^[A-Z]+ "|^FLUSHDB$|^FLUSHALL$/.test(each) ? [each] : [];
  });
}

t.test("mariadb-binlog reads the same as we do", needs("mariadb-binlog"), async (t) => {
  for (const [format, image] of [
    ["ROW", "FULL"],
    ["ROW", "MINIMAL"],
    ["STATEMENT", "FULL"],
    ["MIXED", "FULL"],
  ] as const) {
    const disk = new MemoryDisk();
    runAll(disk, { "binlog-format": format, "binlog-row-image": image }, EVERY_COMMAND);
    const ours = rowText(disk, "wal/binlog.000001");
    const verbs = new Set(ours.map((each) => each.split(" ")[0]));
    if (format === "ROW")
      t.ok(verbs.has("DELETE") && verbs.has("FLUSHDB") && verbs.has("SWAPDB") && !verbs.has("HSET"));
    if (format === "STATEMENT") t.ok(verbs.has("RENAME") && verbs.has("INCR") && !verbs.has("UPDATE"));
    if (format === "MIXED")
      t.ok(verbs.has("HSET") && verbs.has("UPDATE") && !verbs.has("INCR") && !verbs.has("RENAME"));
    const decoded = decode(t.testdir(), bytesOf(disk, "wal/binlog.000001"));
    t.same(decodedText(decoded), ours, `${format} ${image}: ${ours.length} lines`);
  }
});

t.test("a transaction with more events than max_binlog_cache_size is refused, and undone", async (t) => {
  for (const format of FORMATS) {
    const disk = new MemoryDisk();
    const engine = openWal(disk, { "binlog-format": format, "max-binlog-cache-size": "8kb" });
    const client = new Client(engine);
    client.run("MSET a 1 b 2");
    client.run("HSET h f 1");
    const before = contents(engine);
    const { committed } = engine.commits;
    for (const text of ["MSET a x new LONG b LONG", "HSET h f 2 g LONG", "SET a LONG", "APPEND b LONG"]) {
      t.equal(client.run(text), `-${OVERFLOW}\r\n`, `${format} ${text}`);
    }
    t.same(contents(engine), before);
    t.equal(engine.commits.committed, committed);
    t.equal(client.run("SET a 3"), "+OK\r\n");
    t.equal(engine.storage.header.keys(0), 3);
    const after = contents(engine);
    t.same(replayed(disk), after);
    t.same(contents(openWal(disk.afterPowerLoss())), after);
    t.same(checkWal(disk), []);
  }
});

t.test(
  "keys that expire together may have more events than max_binlog_cache_size, and one key alone, too",
  async (t) => {
    for (const format of FORMATS) {
      const host = new TestHost();
      const limit = { "max-binlog-cache-size": "4kb" };
      const engine = createWalEngine(host, walConfig({ "binlog-format": format }));
      engine.recover();
      const client = new Client(engine);
      for (let n = 0; n < 50; n++) client.runner.run("SET", `key ${n}`, "v".repeat(400), "PXAT", String(NOW + 100));
      client.runner.run("SET", "long", LONG, "PXAT", String(NOW + 100));
      client.run("SET stays 1");
      await engine.close();
      const limited = createWalEngine(host, walConfig({ "binlog-format": format, ...limit }));
      limited.recover();
      host.nowMs = NOW + 200;
      limited.idle(5);
      t.equal(limited.storage.header.keys(0), 1, format);
      const disk = host.disk as MemoryDisk;
      t.same(replayed(disk), contents(limited));
      t.same(checkWal(disk), []);
    }
  },
);

t.test("an event of many chunks: values that are longer than the cache's buffers", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk, { "buffer-pool-size": "32mb", "redo-log-file-size": "32mb" });
  const client = new Client(engine);
  const { runner } = client;
  const value = "0123456789abcdef".repeat(400_000);
  for (const text of [value, `${value}!`]) {
    runner.run("MSET", "small", "1", "large", text, "small too", "2");
    runner.run("SET", "large", text);
    engine.settle(() => {});
  }
  t.same(replayed(disk), contents(engine));
});

t.test(
  "interleaved interactive transactions, savepoints, rollbacks, lock waits: the binlog has what committed, in order",
  async (t) => {
    for (const format of FORMATS) {
      let commits = 0;
      let first: Buffer | undefined;
      for (let seed = 1; seed <= 25; seed++) {
        const pick = pseudoRandom(seed);
        const sessions = new Sessions(new MemoryDisk(), { "binlog-format": format, "max-binlog-size": "32kb" });
        for (let step = 0; step < 150; step++) {
          const session = sessions.of(`client ${pick(4)}`);
          if (session.waits) {
            if (pick(10) === 0) sessions.host.pass(60_000);
            continue;
          }
          const [key, hash] = [`k${pick(6)}`, `h${pick(3)}`];
          const lines = [
            "BEGIN",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT s",
            "ROLLBACK TO s",
            `SET ${key} ${step}`,
            `SET ${key} ${LONG.slice(0, 9000).replaceAll(" ", "-")}`,
            `INCR ${key}`,
            `DEL ${key}`,
            `HSET ${hash} f${pick(4)} ${step} g ${step}`,
            `HDEL ${hash} f${pick(4)}`,
            `RENAME ${hash} h${pick(3)}`,
            `COPY ${key} k${pick(6)} REPLACE`,
            `PEXPIREAT ${key} 2000000000000`,
            `MSET ${key} ${step} other ${step}`,
          ];
          const line = lines[pick(lines.length)]!;
          if (session.ask(line).startsWith("+OK") && line === "COMMIT") commits++;
        }
        for (let n = 0; n < 4; n++) sessions.of(`client ${n}`).leave();
        t.equal(sessions.failure, undefined);
        const { engine, host } = sessions;
        const said = replayed(host.memory);
        const expected = contents(engine);
        if (said.join("\n") !== expected.join("\n")) {
          t.fail(`${format}, seed ${seed}: engine ${JSON.stringify(expected)}\nbinlog ${JSON.stringify(said)}`);
        }
        let last = 0;
        new BinlogChain(host.memory).each({ file: 1, position: 0 }, ({ xid }) => {
          if (xid <= last) t.fail(`XID ${xid} behind ${last}`);
          last = xid;
          return true;
        });
        first ??= bytesOf(host.memory, "wal/binlog.000001");
      }
      t.ok(commits > 50, `${format}: ${commits} transactions committed`);
      t.test(`mariadb-binlog decodes it, checksums verified (${format})`, needs("mariadb-binlog"), async (t) => {
        t.match(decode(t.testdir(), first as Buffer), /COMMIT/);
      });
    }
  },
);
