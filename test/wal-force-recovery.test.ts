/**
 * A damaged folder is read once more: what each level of force-recovery passes over, and that nothing wrong is served; in this
 * process, and by a real server with real clients.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { CorruptFile, UsageError } from "../common/errors.ts";
import { slotOffset } from "../kv-wal/checkpoint-slot.ts";
import { createWalEngine, type WalEngine } from "../kv-wal/engine.ts";
import { PAGE_SIZE, PageType } from "../kv-wal/page.ts";
import { clientOf } from "./support/client.ts";
import { CommandRunner } from "./support/command-runner.ts";
import { serve } from "./support/program.ts";
import { TestHost } from "./support/test-host.ts";
import { openWal, stageSet, walConfig } from "./support/wal-fixture.ts";
import { settle } from "./support/wal-workload.ts";

const KEYS = 400;

/**
 * A killed server's folder: keys in many leaves, all pages in place, then redo that pages do not have yet, and a
 * transaction that was prepared and is not in the binlog.
 */
function crashed(): { disk: MemoryDisk; leaves: number[]; newestUndo: number } {
  const disk = new MemoryDisk();
  const engine = openWal(disk);
  for (let n = 0; n < KEYS; n++) {
    stageSet(engine, `key ${n}`, `${n} `.repeat(100));
    settle(engine);
  }
  engine.storage.purge.run(undefined, 1e9);
  engine.storage.cleaner.cleanAll();
  const { arena } = engine.storage.pool;
  const leaves: number[] = [];
  for (let page = 1; page < engine.storage.header.pages; page++) {
    engine.storage.pool.beginOperation();
    if (arena.typeOf(engine.storage.pool.fetch(page) * PAGE_SIZE) === PageType.LEAF) leaves.push(page);
  }
  for (let n = 0; n < KEYS; n += 20) {
    stageSet(engine, `key ${n}`, "newer");
    settle(engine);
  }
  stageSet(engine, "key 1", "in flight");
  engine.commits.flushPrepared = (_group, _next) => {};
  engine.settle(() => {});
  engine.storage.redo.flushNow();
  return { disk: disk.clone(), leaves, newestUndo: engine.storage.header.newestUndo };
}

function rot(disk: MemoryDisk, path: string, offset: number): MemoryDisk {
  const rotten = disk.clone();
  const file = rotten.open(path, "update");
  file.write(offset, Buffer.from("rot"));
  file.close();
  return rotten;
}

function rotPage(disk: MemoryDisk, page: number): MemoryDisk {
  return rot(disk, "wal/space", page * PAGE_SIZE + 5000);
}

function open(disk: MemoryDisk, level: number): { engine: WalEngine; lines: string } {
  const engine = createWalEngine(new TestHost(disk), walConfig({ "force-recovery": String(level) }));
  const lines = engine.recover().lines.join("\n");
  return { engine, lines };
}

function keysOf(engine: WalEngine): string[] {
  const keys: string[] = [];
  engine.keyspace.databases[0]!.scan(0, 1e9, (key) => keys.push(key));
  return keys;
}

/** Name and content of every file, in short. */
function digestOf(disk: MemoryDisk): string[] {
  return [...disk.snapshot()].map(([path, bytes]) => {
    return `${path} ${bytes === undefined ? "" : createHash("sha256").update(bytes).digest("hex")}`;
  });
}

function expectedOf(n: number): string {
  return n % 20 === 0 ? "newer" : `${n} `.repeat(100);
}

const folder = crashed();
/** Somewhere in the middle. */
const lostLeaf = folder.leaves[Math.floor(folder.leaves.length / 2)]!;

t.test("0: a damaged page that redo changes is refused, with file and offset", async (t) => {
  t.throws(() => open(rotPage(folder.disk, lostLeaf), 0), {
    name: "CorruptFile",
    path: "wal/space",
    offset: lostLeaf * PAGE_SIZE,
  });
});

t.test("1: the damaged page is named and passed over; nothing wrong is served; nobody writes", async (t) => {
  const disk = rotPage(folder.disk, lostLeaf);
  const { engine, lines } = open(disk, 1);
  t.match(lines, new RegExp(`passed over wal/space: page ${lostLeaf} is damaged .* offset ${lostLeaf * PAGE_SIZE}`));
  t.match(lines, /left out \d+ redo records of damaged pages/);
  const keys = keysOf(engine);
  t.ok(keys.length > KEYS * 0.8 && keys.length < KEYS, `${keys.length} of ${KEYS} keys are left`);
  const { strings } = engine.keyspace.databases[0]!;
  t.same(
    keys.filter((key) => strings.get(key) !== expectedOf(Number(key.slice(4)))),
    [],
    "what is served is right",
  );
  const client = new CommandRunner(engine.keyspace, (call) => engine.execute(call));
  const lost = Array.from({ length: KEYS }, (_, n) => `key ${n}`).filter((key) => !keys.includes(key));
  t.match(client.run("GET", lost[0]!), new RegExp(`^-ERR wal/space: page ${lostLeaf} is damaged`));
  t.match(client.run("GET", keys[0]!), /^\$/);
  t.match(engine.writeRefusal, /^READONLY .*force-recovery is 1/);
  await engine.close();
  const again = open(disk, 0);
  t.equal(again.engine.keyspace.databases[0]!.strings.get(keys[0]!), expectedOf(Number(keys[0]!.slice(4))));
  t.throws(() => again.engine.keyspace.databases[0]!.strings.get(lost[0]!), CorruptFile, "level 0 met it only here");
});

t.test("every leaf, damaged, hides its own keys only", async (t) => {
  let hidden = 0;
  for (const leaf of folder.leaves) hidden += KEYS - keysOf(open(rotPage(folder.disk, leaf), 4).engine).length;
  t.equal(hidden, KEYS);
});

t.test("3: what was not over stays visible, and is rolled back by the next start", async (t) => {
  const disk = folder.disk.clone();
  const { engine, lines } = open(disk, 3);
  t.match(lines, /left 1 transaction \(XID \d+\) as they are, not rolled back/);
  t.equal(engine.keyspace.databases[0]!.strings.get("key 1"), "in flight");
  await engine.close();
  const again = open(disk, 0);
  t.match(again.lines, /rolled back 1 prepared transaction/);
  t.equal(again.engine.keyspace.databases[0]!.strings.get("key 1"), expectedOf(1));
});

t.test("4: nothing in the folder changes", async (t) => {
  for (const level of [4, 5, 6]) {
    const disk = rotPage(folder.disk, lostLeaf);
    const before = digestOf(disk);
    const { engine } = open(disk, level);
    keysOf(engine);
    engine.idle(10);
    await engine.close();
    t.same(digestOf(disk), before, `level ${level}`);
  }
});

t.test("5: undo log and binlog may be damaged", async (t) => {
  const noBinlog = rot(folder.disk, "wal/binlog.000001", 200);
  t.throws(() => open(noBinlog, 4), CorruptFile);
  const { engine } = open(noBinlog, 5);
  t.equal(keysOf(engine).length, KEYS);
  t.equal(engine.keyspace.databases[0]!.strings.get("key 1"), "in flight", "what was not over counts as committed");
  const noUndo = rotPage(folder.disk, folder.newestUndo);
  t.throws(() => open(noUndo, 4), CorruptFile);
  t.equal(keysOf(open(noUndo, 5).engine).length, KEYS);
});

t.test("6: redo and checkpoint may be damaged: pages as they are in the file", async (t) => {
  const noCheckpoint = rot(rot(folder.disk, "wal/redo.0", slotOffset(0) + 9), "wal/redo.0", slotOffset(1) + 9);
  t.throws(() => open(noCheckpoint, 5), CorruptFile);
  const { engine, lines } = open(noCheckpoint, 6);
  t.match(lines, /goes on without a checkpoint/);
  t.equal(keysOf(engine).length, KEYS);
  t.equal(engine.keyspace.databases[0]!.strings.get("key 0"), "0 ".repeat(100), "redo has the newer value");
});

t.test("what no level can do is said", async (t) => {
  t.throws(() => open(rotPage(folder.disk, 0), 6), CorruptFile, "the space header");
  t.throws(() => open(rot(folder.disk, "wal/redo.1", 8), 6), CorruptFile, "the header of a redo file");
  t.throws(() => open(new MemoryDisk(), 1), UsageError, "there is no folder to force");
  t.throws(() => walConfig({ "force-recovery": "7" }), /force-recovery/);
});

t.test("a byte of wal/space rots under a stopped server: no client ever reads it", async (t) => {
  const directory = t.testdir({});
  const flags = ["--engine", "wal", "--dir", directory, "--redo-log-file-size", "1mb"];
  const first = await serve(t, ...flags);
  const writer = clientOf(t, first.port);
  await Promise.all(Array.from({ length: 300 }, (_, n) => writer.set(`key ${n}`, expectedOf(n))));
  writer.disconnect();
  t.equal(await first.end("SIGTERM"), 0);
  const space = join(directory, "wal/space");
  const pages = readFileSync(space).length / PAGE_SIZE;
  const leaf = Array.from({ length: pages }, (_, page) => page).findLast(
    (page) => readFileSync(space)[page * PAGE_SIZE + 14] === PageType.LEAF,
  )!;
  const file = openSync(space, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, leaf * PAGE_SIZE + 9000);
  writeSync(file, Buffer.from([byte[0]! ^ 16]), 0, 1, leaf * PAGE_SIZE + 9000);
  closeSync(file);

  const damaged = await serve(t, ...flags);
  const reader = clientOf(t, damaged.port);
  let served = 0;
  let failed = 0;
  for (let n = 0; n < 300; n++) {
    const value = await reader.get(`key ${n}`).catch(() => undefined);
    if (value === undefined) failed++;
    else if (value !== expectedOf(n)) t.fail(`key ${n}: ${value}`);
    else served++;
  }
  t.ok(failed > 0, `${served} served, ${failed} not: the server has stopped at the damaged page`);
  t.equal(await damaged.ended, 1);
  t.match(damaged.log(), new RegExp(`page ${leaf} is damaged .* offset ${leaf * PAGE_SIZE}`));

  const forced = await serve(t, ...flags, "--force-recovery", "1");
  const dumper = clientOf(t, forced.port);
  t.match(forced.log(), /force-recovery is 1/);
  await t.rejects(dumper.set("new", "value"), /READONLY/);
  let left = 0;
  for (let n = 0; n < 300; n++) {
    const value = await dumper.get(`key ${n}`).catch((error: Error) => error);
    if (value instanceof Error && value.message.includes(`page ${leaf} is damaged`)) continue;
    if (value === expectedOf(n)) left++;
    else t.fail(`key ${n}: ${value}`);
  }
  const [, keys] = await dumper.scan(0, "COUNT", 1000);
  t.equal(keys.length, left, "SCAN finds what GET finds");
  t.match(await dumper.info("wal"), `damaged_pages:${leaf}`);
  t.equal(await forced.end("SIGTERM"), 0);
});
