/**
 * The tablespace as a file: pages that are freed and taken again, a file that becomes smaller, torn pages and their
 * doublewrite copies.
 */
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { NO_EXPIRY } from "../common/keyspace/keyspace.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { PAGE_SIZE } from "../kv-wal/page.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { Crash } from "./support/crashing-disk.ts";
import { openWal } from "./support/wal-fixture.ts";
import { commit, fileBytes, fill, Machine, strings } from "./support/wal-machine.ts";

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
  for (let at = 0; ; at += 8) {
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
  t.ok(crashes > 8, `${crashes} crashes`);
  t.ok(smallest < before / 2, `${before} bytes, then ${smallest}`);
});

t.test("a page that was given up before it was ever written: a checkpoint may lie between its changes", async (t) => {
  const { engine, disk } = new Machine();
  fill(engine, 30, 1600);
  const { pool, cleaner, redo, purge, header } = engine.storage;
  cleaner.cleanAll();
  const end = header.pages;
  commit(engine, () => strings(engine).set("long", "x".repeat(100_000), NO_EXPIRY));
  redo.flushNow();
  // Everything but the new pages is written, as it happens when frames are short.
  cleaner.writeFrames(pool.oldestDirty(1000, Number.POSITIVE_INFINITY).filter((frame) => pool.pageIn(frame) < end));
  commit(engine, () => engine.keyspace.databases[0]!.delete("long"));
  redo.flushNow();
  purge.run(undefined, 64);
  header.freeSpace.sort(100);
  t.ok(header.freeSpace.shrink(1));
  t.equal(header.pages, end);
  redo.flushNow();
  cleaner.checkpoint();
  t.same(checkWal(disk.clone()), [], "replay meets no page that is not there");
  cleaner.cleanAll();
  engine.storage.trimmer.cut();
  t.equal(fileBytes(disk), end * PAGE_SIZE);
  t.same(checkWal(disk.clone()), []);
});

t.test(
  "a batch is copied some pages in each turn: what changes between two of them is written, then or later",
  async (t) => {
    const machine = new Machine(new MemoryDisk(), undefined, { "buffer-pool-size": "4mb" });
    const { engine, disk } = machine;
    fill(engine, 800, 1600);
    const below = pseudoRandom(5);
    const expected = new Map<string, string>();
    const problems: string[] = [];
    let turns = 0;
    let changes = 0;
    machine.rest(3, () => {
      turns++;
      if (changes < 60) {
        const key = `key ${13 * changes}`;
        const value = `${changes++}`.repeat(400);
        commit(engine, () => strings(engine).set(key, value, NO_EXPIRY));
        // Durable when its group is: there may be another one on its way.
        engine.settle(() => expected.set(key, value));
      }
      if (below(4) > 0) return;
      for (const left of [disk.clone(), disk.afterPowerLoss()]) {
        problems.push(...checkWal(left));
        const again = openWal(left);
        for (const [key, value] of expected)
          if (strings(again).get(key) !== value) problems.push(`turn ${turns}: ${key}`);
      }
    });
    t.same(problems, []);
    t.ok(turns > 20 && changes > 20, `${turns} turns, ${changes} changes between them`);
    t.ok(engine.storage.cleaner.pagesWritten > 100, `${engine.storage.cleaner.pagesWritten} pages written`);
    await machine.close();
    t.same(checkWal(disk), []);
  },
);

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
      const repaired = new Set<number>();
      const refused = new Set<number>();
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
          try {
            const problems = problemsOf(disk, directives, sectors % 10 === 1);
            if (problems.length > 0) t.fail(`page ${page}, ${sectors} sectors: ${problems[0]}`);
            else if (isTorn) repaired.add(page);
          } catch (error) {
            const isNamed = doublewrite === "no" && isTorn && String(error).includes(`page ${page} is damaged`);
            if (!isNamed) t.fail(`page ${page}, ${sectors} sectors: ${String(error)}`);
            refused.add(page);
          }
        }
      }
      t.same(
        [...repaired].filter((page) => refused.has(page)),
        [],
        "a page is repaired wherever it is torn, or nowhere",
      );
      if (doublewrite === "yes")
        t.ok(refused.size === 0 && repaired.size > pages.length / 2, "every torn page is repaired");
      else t.ok(refused.size > 0 && repaired.size > 0, "without copies, those are that redo makes anew");
    });
  }
});

t.test("a torn doublewrite file: the pages in place are whole still", async (t) => {
  const { before, after } = crashedBatch({});
  const copies = bytesOf(after, "wal/doublewrite");
  const harmful: string[] = [];
  let cuts = 0;
  for (let cut = 512; cut < copies.length; cut += copies.length < 40 * 512 ? 512 : 7 * 512) {
    const disk = before.clone();
    disk.open("wal/doublewrite", "update").write(0, copies.subarray(0, cut));
    const problems = problemsOf(disk, {});
    if (problems.length > 0) harmful.push(`cut at ${cut}: ${problems[0]}`);
    cuts++;
  }
  t.same(harmful, []);
  t.ok(cuts > 30, `${cuts} cuts`);
});
