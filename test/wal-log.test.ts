/**
 * kv-wal's two logs: what a crash at each step of the write path leaves (shared/CRASH-MATRIX.md W4–W10), where a damaged redo
 * log ends or is refused, and the binlog in MySQL's format.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { CorruptFile } from "../common/errors.ts";
import type { StepName } from "../common/steps.ts";
import { createWalEngine, type WalEngine } from "../kv-wal/engine.ts";
import type { Item } from "../kv-wal/inspect/listing.ts";
import { checkWal, inspectWal } from "../kv-wal/inspect.ts";
import { bytesOf } from "./support/contents.ts";
import { Crash } from "./support/crashing-disk.ts";
import { needs } from "./support/installed.ts";
import { TestHost } from "./support/test-host.ts";
import { openWal, stageSet, walConfig } from "./support/wal-fixture.ts";

/** Stops at a step, after it was done. */
class StoppingHost extends TestHost {
  override readonly tracing = true as never;
  stopAt: StepName | undefined;
  override trace(step?: StepName): void {
    if (step === this.stopAt) throw new Crash();
  }
}

function set(engine: WalEngine, key: string, value: string): void {
  stageSet(engine, key, value);
  engine.settle(() => {});
}

function read(disk: MemoryDisk, key: string): string | undefined {
  return openWal(disk).keyspace.databases[0]!.strings.get(key);
}

function lines(disk: MemoryDisk): string[] {
  return [...createWalEngine(new TestHost(disk), walConfig()).recover().lines];
}

/** Sets `key` to "old" and then, with these policies, to "new", stopping at `step`. */
function crashAt(step: StepName, directives: Record<string, string>): MemoryDisk {
  const disk = new MemoryDisk();
  const host = new StoppingHost(disk);
  const engine = createWalEngine(host, walConfig(directives));
  engine.recover();
  set(engine, "key", "old");
  engine.storage.redo.flushNow();
  engine.storage.binlog.syncNow();
  host.stopAt = step;
  try {
    set(engine, "key", "new");
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
  }
  return disk;
}

function inspect(disk: MemoryDisk, ...what: string[]): Item[] {
  const lines: string[] = [];
  inspectWal(disk, what, { json: true }, (line) => lines.push(line));
  return JSON.parse(lines.join("\n"));
}

/** What must be found after a kill, and after a power loss. */
const MATRIX: readonly (readonly [policy: string, step: StepName, kill: string, power: string])[] = [
  ["1/1", "wal.undo", "old", "old"],
  ["1/1", "wal.page", "old", "old"],
  ["1/1", "wal.prepare", "old", "old"],
  ["1/1", "wal.redo-write", "old", "old"],
  ["1/1", "wal.redo-sync", "old", "old"],
  ["1/1", "wal.binlog-write", "new", "old"],
  ["1/1", "wal.binlog-sync", "new", "new"],
  ["1/1", "wal.commit", "new", "new"],
  ["2/1", "wal.redo-write", "old", "old"],
  ["2/1", "wal.binlog-sync", "new", "old"],
  ["2/1", "wal.commit", "new", "old"],
  ["0/1", "wal.binlog-sync", "old", "old"],
  ["0/1", "wal.commit", "old", "old"],
  ["1/0", "wal.binlog-write", "new", "old"],
  ["1/0", "wal.commit", "new", "old"],
  ["2/0", "wal.commit", "new", "old"],
];

t.test("the crash matrix", async (t) => {
  for (const [policy, step, kill, power] of MATRIX) {
    const [flush, sync] = policy.split("/");
    const disk = crashAt(step, { "flush-log-at-trx-commit": flush!, "sync-binlog": sync! });
    t.equal(read(disk.clone(), "key"), kill, `${policy}, killed at ${step}`);
    t.equal(read(disk.afterPowerLoss(), "key"), power, `${policy}, power lost at ${step}`);
    t.same(checkWal(disk.afterPowerLoss()), []);
  }
});

t.test("recovery says when the two logs disagree", async (t) => {
  const lost = crashAt("wal.commit", { "flush-log-at-trx-commit": "2" }).afterPowerLoss();
  t.match(lines(lost).join("\n"), /1 transactions are in the binlog that the engine has lost/);
  const decided = crashAt("wal.binlog-sync", {}).afterPowerLoss();
  t.match(lines(decided).join("\n"), /committed 1 prepared transaction \(XID \d+\) whose XID is in the binlog/);
  const undecided = crashAt("wal.redo-sync", {}).afterPowerLoss();
  t.match(lines(undecided).join("\n"), /rolled back 1 prepared transaction \(XID \d+\) without XID/);
});

t.test("ids of transactions that only the binlog remembers are not given again", async (t) => {
  const disk = crashAt("wal.commit", { "flush-log-at-trx-commit": "0" }).clone();
  const xids = inspect(disk, "binlog").filter(({ title }) => title === "xid");
  const lastXid = Number(xids.at(-1)?.fields.find(({ name }) => name === "xid")?.value);
  const engine = openWal(disk);
  t.ok(engine.storage.header.takeId() > lastXid, `beyond ${lastXid}`);
});

/** A disk with `count` durable transactions and no page written. */
function workload(count: number): MemoryDisk {
  const disk = new MemoryDisk();
  const engine = openWal(disk);
  for (let n = 0; n < count; n++) set(engine, `key ${n % 10}`, String(n).repeat(40));
  return disk.afterPowerLoss();
}

t.test("a redo log torn at any block: what the binlog has decides, and damage is named", async (t) => {
  const whole = workload(30);
  const end = Number(/LSN (\d+)/.exec(inspect(whole, "redo").at(-1)!.title)?.[1]);
  const blocks = Math.floor(end / 488);
  let refused = 0;
  for (let block = 1; block <= blocks; block++) {
    const disk = whole.clone();
    const file = disk.open("wal/redo.0", "update");
    file.write(2048 + block * 512 + 100, Buffer.from("rot"));
    file.syncNow();
    try {
      openWal(disk);
      t.same(checkWal(disk), [], `block ${block}`);
    } catch (error) {
      t.ok(error instanceof CorruptFile && error.offset === 2048 + block * 512, `block ${block}: ${String(error)}`);
      refused++;
    }
  }
  t.ok(refused >= blocks - 4, `${refused} of ${blocks} damaged blocks were known to be durable, and refused`);
});

t.test("a log that goes round many times: writers wait, nothing is lost, old laps are not read", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk);
  for (let n = 0; n < 3000; n++) set(engine, `key ${n % 50}`, `${n} `.repeat(60));
  const { redo, cleaner } = engine.storage;
  t.ok(redo.log.appended > 3 * redo.ring.capacity, `${redo.log.appended} bytes through ${redo.ring.capacity}`);
  t.ok(cleaner.logWaits > 0, `${cleaner.logWaits} waits`);
  for (const left of [disk.clone(), disk.afterPowerLoss()]) {
    const again = openWal(left);
    for (let n = 2950; n < 3000; n++) {
      const value = again.keyspace.databases[0]!.strings.get(`key ${n % 50}`);
      if (value !== `${n} `.repeat(60)) t.fail(`key ${n % 50}: ${value?.slice(0, 20)}`);
    }
    t.same(checkWal(left), []);
  }
});

t.test("a bit flipped in a page, in the binlog: named, never served", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk);
  for (let n = 0; n < 50; n++) set(engine, `key ${n}`, "v".repeat(100));
  await engine.close();
  const flip = (path: string, at: number) => {
    const damaged = disk.clone();
    const file = damaged.open(path, "update");
    const byte = Buffer.alloc(1);
    file.read(at, byte);
    byte[0]! ^= 4;
    file.write(at, byte);
    return damaged;
  };
  t.throws(() => read(flip("wal/space", 16_384 + 5000), "key 1"), {
    name: "CorruptFile",
    path: "wal/space",
    offset: 16_384,
  });
  t.throws(() => openWal(flip("wal/binlog.000001", 1000)), { name: "CorruptFile", path: "wal/binlog.000001" });
});

t.test("the binlog rotates, and is MySQL's format", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk, { "max-binlog-size": "4096" });
  for (let n = 0; n < 60; n++) set(engine, 'k\0"\\', `${n}\xff\n`);
  await engine.close();
  t.ok(engine.storage.binlog.files > 2, `${engine.storage.binlog.files} files`);
  const events = inspect(disk, "binlog").map(({ title }) => title);
  t.equal(events.filter((title) => title === "xid").length, 60);
  t.ok(events.includes("update-rows"));
  t.match(openWal(disk).keyspace.databases[0]!.strings.get('k\0"\\'), "59\xff\n");

  t.test("mariadb-binlog reads it", needs("mariadb-binlog"), async (t) => {
    const path = join(t.testdir(), "binlog.000001");
    writeFileSync(path, bytesOf(disk, "wal/binlog.000001"));
    const flags = ["--verify-binlog-checksum", "-vv", "--base64-output=DECODE-ROWS"];
    const decoded = execFileSync("mariadb-binlog", [...flags, path], { encoding: "latin1" });
    t.match(decoded, /BEGIN\n\/\*!\*\/;/);
    t.match(decoded, /Xid = \d+\nCOMMIT/);
    t.match(decoded, /UPDATE `twolog`.`kv_string`/);
  });
});
