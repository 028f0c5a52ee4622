/**
 * The tablespace as a file: pages that are freed and taken again, a file that becomes smaller, torn pages and their
 * doublewrite copies, pages in and out of a small buffer pool.
 */
import t from "tap";
import { Effects } from "../common/command/call.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { NO_EXPIRY } from "../common/keyspace/keyspace.ts";
import { createWalEngine, type WalEngine } from "../kv-wal/engine.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { PAGE_SIZE } from "../kv-wal/page.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { Crash, CrashingDisk } from "./support/crashing-disk.ts";
import { TestHost } from "./support/test-host.ts";
import { openWal, runOn, walConfig } from "./support/wal-fixture.ts";

/** Runs changes as one transaction, committed and durable. */
function commit(engine: WalEngine, change: () => void): void {
  const effects = new Effects();
  effects.push(0, ["SET", "what", "ever"]);
  runOn(engine, effects, change);
  engine.settle(() => {});
}

function strings(engine: WalEngine) {
  return engine.keyspace.databases[0]!.strings;
}

function fileBytes(disk: MemoryDisk): number {
  return disk.open("wal/space", "read").size();
}

/** A machine whose background syncs end when the test says so. */
class Machine {
  readonly disk: MemoryDisk;
  readonly host: TestHost;
  readonly engine: WalEngine;
  readonly #syncs: (() => void)[];

  /** Starts an engine on a copy of the disk; `stopBefore` is the operation before which the machine stops. */
  constructor(from = new MemoryDisk(), stopBefore?: number, directives = {}) {
    const syncs: (() => void)[] = [];
    this.#syncs = syncs;
    this.disk = from.clone((complete) => syncs.push(complete));
    this.host = new TestHost(stopBefore === undefined ? this.disk : new CrashingDisk(this.disk, stopBefore));
    this.engine = createWalEngine(this.host, walConfig(directives));
    this.engine.recover();
  }

  /** Idle calls, a tenth of a second apart. */
  rest(calls: number): void {
    for (let n = 0; n < calls; n++) {
      this.host.nowMs += 100;
      this.engine.idle(1);
      for (let end = this.#syncs.shift(); end !== undefined; end = this.#syncs.shift()) end();
    }
  }

  async close(): Promise<void> {
    await this.engine.close();
  }
}

t.test("random values come and go: every page has one use, whatever crashes", async (t) => {
  const below = pseudoRandom(11);
  let disk = new MemoryDisk();
  const model = new Map<string, string>();
  for (let life = 0; life < 6; life++) {
    const machine = new Machine(disk);
    const { engine } = machine;
    for (let n = 0; n < 60; n++) {
      commit(engine, () => {
        for (let i = 0; i < 5; i++) {
          const key = `key ${below(60)}`;
          if (below(3) > 0) {
            // From a few bytes to chains of twelve pages.
            const value = String.fromCharCode(below(256)).repeat(2 ** below(18));
            strings(engine).set(key, value, NO_EXPIRY);
            model.set(key, value);
          } else if (engine.keyspace.databases[0]!.delete(key) !== model.delete(key)) t.fail(`${key}: deleted, or not`);
        }
      });
      if (below(4) === 0) machine.rest(1);
    }
    disk = life % 2 === 0 ? machine.disk.afterPowerLoss() : machine.disk.clone();
    t.same(checkWal(disk), [], `life ${life}`);
    const again = openWal(disk);
    for (const [key, value] of model) if (strings(again).get(key) !== value) t.fail(`life ${life}: ${key}`);
    t.equal(again.keyspace.databases[0]!.size, model.size);
  }
});

/** Keys in the order of a shuffled deck, so that what is left after deleting most of them is anywhere. */
function fill(engine: WalEngine, keys: number, valueBytes: number): void {
  for (let from = 0; from < keys; from += 50) {
    commit(engine, () => {
      for (let n = from; n < Math.min(from + 50, keys); n++) {
        strings(engine).set(`key ${n}`, `${n} `.repeat(valueBytes / 8), NO_EXPIRY);
      }
    });
  }
}

t.test("the file becomes smaller when rows go, and grows again", async (t) => {
  const machine = new Machine();
  const { disk, engine } = machine;
  fill(engine, 4000, 1600);
  machine.rest(20);
  const full = fileBytes(disk);
  t.ok(full > 5e6, `${full} bytes`);
  for (let n = 0; n < 4000; n++) {
    if (n % 10 !== 0) commit(engine, () => engine.keyspace.databases[0]!.delete(`key ${n}`));
  }
  machine.rest(200);
  const tenth = fileBytes(disk);
  t.ok(tenth < full / 4, `${tenth} bytes with a tenth of the rows`);
  t.ok(engine.storage.trimmer.pagesMoved > 0, `${engine.storage.trimmer.pagesMoved} pages moved`);
  t.same(checkWal(disk), []);
  commit(engine, () => engine.keyspace.databases[0]!.clear());
  machine.rest(200);
  t.ok(fileBytes(disk) < 1.5e6, `${fileBytes(disk)} bytes with none`);
  t.same(checkWal(disk), []);
  fill(engine, 1000, 1600);
  t.same(checkWal(disk.afterPowerLoss()), []);
  commit(engine, () => engine.keyspace.databases[0]!.clear());
  await machine.close();
  t.ok(fileBytes(disk) < 1e6, `${fileBytes(disk)} bytes, closed and empty`);
  t.same(checkWal(disk), []);
});

t.test("a crash at every operation of shrinking, and growing again", async (t) => {
  const kept = (n: number) => n % 100 === 0;
  const first = new Machine();
  fill(first.engine, 3500, 1600);
  for (let n = 0; n < 3500; n++) {
    if (!kept(n)) commit(first.engine, () => first.engine.keyspace.databases[0]!.delete(`key ${n}`));
  }
  first.rest(3);
  const start = first.disk;
  const before = fileBytes(start);
  let smallest = before;
  let crashes = 0;
  for (let at = 0; ; at += 6) {
    let disk = start;
    let crashed = false;
    try {
      const machine = new Machine(start, at);
      disk = machine.disk;
      machine.rest(14);
      fill(machine.engine, 400, 1600);
      machine.rest(4);
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      crashed = true;
    }
    smallest = Math.min(smallest, fileBytes(disk));
    for (const left of [disk.clone(), disk.afterPowerLoss()]) {
      const engine = openWal(left);
      for (let n = 0; n < 3500; n += 100) {
        const found = strings(engine).get(`key ${n}`)?.slice(0, 20);
        if (!found?.startsWith(`${n} ${n} `)) t.fail(`operation ${at}: key ${n} is ${found}`);
      }
      const problems = checkWal(left);
      if (problems.length > 0) t.fail(`operation ${at}: ${problems.slice(0, 3).join("; ")}`);
    }
    if (!crashed) break;
    crashes++;
  }
  t.ok(crashes > 12, `${crashes} crashes`);
  t.ok(smallest < before / 2, `${before} bytes, then ${smallest}`);
});

/** A folder that crashed while a batch of pages was written in place, and what the pages were and should have become. */
function crashedBatch(directives: Readonly<Record<string, string>>) {
  const machine = new Machine(new MemoryDisk(), undefined, directives);
  const { engine, disk } = machine;
  fill(engine, 60, 1600);
  engine.storage.cleaner.cleanAll();
  fill(engine, 90, 1608);
  engine.storage.redo.flushNow();
  const before = disk.clone();
  const { pool, cleaner } = engine.storage;
  const pages = pool.oldestDirty(1000, Number.POSITIVE_INFINITY).map((frame) => pool.pageIn(frame));
  cleaner.writeFrames(pool.oldestDirty(1000, Number.POSITIVE_INFINITY));
  return { before, after: disk, pages };
}

function bytesOf(disk: MemoryDisk, path: string): Buffer {
  const file = disk.open(path, "read");
  const bytes = Buffer.alloc(file.size());
  file.read(0, bytes);
  return bytes;
}

function problemsOf(disk: MemoryDisk, directives: Readonly<Record<string, string>>, checksAll = true): string[] {
  const engine = openWal(disk, directives);
  const lost: string[] = [];
  for (let n = 0; n < 90; n++) if (strings(engine).get(`key ${n}`) !== `${n} `.repeat(201)) lost.push(`key ${n}`);
  return checksAll ? [...lost, ...checkWal(disk)] : lost;
}

t.test("a page torn at any sector boundary", async (t) => {
  for (const doublewrite of ["yes", "no"]) {
    t.test(`doublewrite ${doublewrite}`, async (t) => {
      const directives = { doublewrite };
      const { before, after, pages } = crashedBatch(directives);
      const newBytes = bytesOf(after, "wal/space");
      const oldBytes = Buffer.concat([bytesOf(before, "wal/space"), Buffer.alloc(newBytes.length)]);
      t.ok(pages.length >= 8, `a batch of ${pages.length} pages`);
      let repaired = 0;
      let refused = 0;
      for (const page of pages) {
        for (let sectors = 1; sectors < PAGE_SIZE / 512; sectors++) {
          const disk = before.clone();
          if (doublewrite === "yes") {
            const copies = disk.open("wal/doublewrite", "update");
            copies.write(0, bytesOf(after, "wal/doublewrite"));
          }
          // Every page of the batch may be old or new; this one is both.
          const space = disk.open("wal/space", "update");
          const cut = page * PAGE_SIZE + sectors * 512;
          space.write(page * PAGE_SIZE, newBytes.subarray(page * PAGE_SIZE, cut));
          const end = (page + 1) * PAGE_SIZE;
          const isOld = newBytes.subarray(page * PAGE_SIZE, cut).equals(oldBytes.subarray(page * PAGE_SIZE, cut));
          const isNew = newBytes.subarray(cut, end).equals(oldBytes.subarray(cut, end));
          const isTorn = !isOld && !isNew;
          if (doublewrite === "no" && isTorn) {
            const problem = `page ${page} is damaged`;
            try {
              openWal(disk, directives);
              t.fail(`page ${page}, ${sectors} sectors: served`);
            } catch (error) {
              if (!String(error).includes(problem)) t.fail(`page ${page}, ${sectors} sectors: ${String(error)}`);
              refused++;
            }
            continue;
          }
          const problems = problemsOf(disk, directives, sectors % 10 === 1);
          if (problems.length > 0) t.fail(`page ${page}, ${sectors} sectors: ${problems[0]}`);
          else if (isTorn) repaired++;
        }
      }
      t.ok(repaired + refused > pages.length * 10, `${repaired} torn pages repaired, ${refused} refused by name`);
    });
  }
});

t.test("a torn doublewrite file: the pages in place are whole still", async (t) => {
  const { before, after } = crashedBatch({});
  const copies = bytesOf(after, "wal/doublewrite");
  for (let cut = 512; cut < copies.length; cut += copies.length < 40 * 512 ? 512 : 7 * 512) {
    const disk = before.clone();
    disk.open("wal/doublewrite", "update").write(0, copies.subarray(0, cut));
    const problems = problemsOf(disk, {});
    if (problems.length > 0) t.fail(`cut at ${cut}: ${problems[0]}`);
  }
  t.pass("no cut does harm");
});

/** What `run` asked of the pool, and how many pages it had to wait for. */
function hits(engine: WalEngine, run: () => void): { requests: number; loads: number } {
  const { pool } = engine.storage;
  const [requests, loads] = [pool.requests, pool.loads];
  run();
  return { requests: pool.requests - requests, loads: pool.loads - loads };
}

t.test("a scan passes through the old part of the pool, and pages ahead of it are read together", async (t) => {
  const machine = new Machine(new MemoryDisk(), undefined, { "buffer-pool-size": "2mb" });
  const { engine, host } = machine;
  fill(engine, 6000, 1600);
  machine.rest(10);
  const { pool, space } = engine.storage;
  const readHot = () => {
    for (let n = 0; n < 40; n++) strings(engine).get(`key ${n * 7}`);
  };
  readHot();
  host.nowMs += 1001;
  readHot();
  t.ok(pool.lru.madeYoung > 20, `${pool.lru.madeYoung} pages made young`);
  const ahead = pool.pagesReadAhead;
  const calls = space.reads;
  const scanned = hits(engine, () => {
    let seen = 0;
    engine.keyspace.databases[0]!.scan(0, 1e9, () => seen++);
    t.equal(seen, 6000);
  });
  t.ok(scanned.loads > 100, `the scan waited for ${scanned.loads} pages`);
  t.ok(pool.pagesReadAhead >= ahead && space.reads > calls);
  t.ok(hits(engine, readHot).loads < 20, "what is used again and again is still there");
  t.equal(pool.lru.youngLength + pool.lru.oldLength, pool.usedFrames);
  const share = pool.lru.oldLength / pool.usedFrames;
  t.ok(share > 0.34 && share < 0.4, `old part: ${share}`);
});

t.test("leaves that lie as they were filled are read ahead", async (t) => {
  const machine = new Machine(new MemoryDisk(), undefined, { "buffer-pool-size": "2mb" });
  const { engine } = machine;
  const { tree, transactions, rows, pool } = engine.storage;
  // Rows in the order of their keys, as a bulk load makes them.
  transactions.mayChange = true;
  for (let n = 0; n < 5000; n++) {
    tree.search(0x7f000000, 1, n, "");
    transactions.insert(0x7f000000, 1, n, "", 0, "", "v".repeat(1000));
  }
  transactions.mayChange = false;
  const { loads } = hits(engine, () => {
    let seen = 0;
    rows.each(0x7f000000, 1, 0, () => {
      seen++;
      return true;
    });
    t.equal(seen, 5000);
  });
  t.ok(pool.pagesReadAhead > 150, `${pool.pagesReadAhead} pages read ahead`);
  t.ok(loads < 60, `the scan waited for ${loads} of 334 pages`);
});

t.test("pages in use stay", async (t) => {
  const { pool } = openWal(new MemoryDisk()).storage;
  pool.beginOperation();
  const frame = pool.fetch(1);
  t.throws(() => pool.unpin(frame), { name: "AssertionError" }, "a pin is given back once");
  pool.pin(frame);
  t.throws(() => pool.discard(1), { name: "AssertionError" }, "nor is a page given up that somebody holds");
  pool.beginOperation();
  pool.freeFrames(pool.frames - 8);
  t.equal(pool.pageIn(frame), 1);
  t.ok(pool.isInUse(frame), "a pinned frame is not evicted");
  pool.unpin(frame);
});
