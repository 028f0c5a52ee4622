/** The B+tree against a sorted list: random inserts, updates, deletes and scans, in a pool much smaller than the data. */
import fc from "fast-check";
import t from "tap";
import { Effects } from "../common/command/call.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { BulkLoad } from "../kv-wal/bulk-load.ts";
import { SpaceCheck } from "../kv-wal/check.ts";
import type { WalEngine } from "../kv-wal/engine.ts";
import { PAGE_SIZE, PageType, RECORD_SYSTEM_BYTES, RECORD_TAIL_AT } from "../kv-wal/page.ts";
import { Kind } from "../kv-wal/rows/layout.ts";
import { FIRST_PAGES, ROOT_PAGE } from "../kv-wal/space-header.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { holds } from "./support/property.ts";
import { openWal, runOn } from "./support/wal-fixture.ts";

const HI = Kind.FIELD << 24;
const MID = 7;

/** Keys that collide in their words, so that tails decide. */
const key = fc.record({
  low: fc.integer({ min: 0, max: 40 }),
  tail: fc.constantFrom("", "a", "ab", "b", "\xff", "t".repeat(900)),
});
const operation = fc.oneof(
  { weight: 5, arbitrary: fc.record({ put: key, length: fc.constantFrom(0, 1, 100, 3000, 7000) }) },
  { weight: 3, arbitrary: fc.record({ remove: key }) },
);

type Step = { put: { low: number; tail: string }; length: number } | { remove: { low: number; tail: string } };
type Model = Map<string, { low: number; tail: string; length: number }>;
const nameOf = (low: number, tail: string) => `${String(low).padStart(9, "0")} ${tail}`;

function put(engine: WalEngine, low: number, tail: string, length: number): void {
  const { tree, transactions } = engine.storage;
  const value = String.fromCharCode(low % 256).repeat(length);
  if (tree.search(HI, MID, low, tail)) transactions.update(0, "", value, false);
  else transactions.insert(HI, MID, low, tail, 0, "", value);
}

function remove(engine: WalEngine, low: number, tail: string): boolean {
  if (!engine.storage.tree.search(HI, MID, low, tail)) return false;
  engine.storage.transactions.delete();
  return true;
}

/** Does the same to the tree and to the model; a removal must find the same. */
function applySteps(engine: WalEngine, model: Model, steps: readonly Step[]): void {
  for (const step of steps) {
    if ("put" in step) {
      const { low, tail } = step.put;
      put(engine, low, tail, step.length);
      model.set(nameOf(low, tail), { low, tail, length: step.length });
    } else {
      const { low, tail } = step.remove;
      if (remove(engine, low, tail) !== model.delete(nameOf(low, tail))) throw new Error("remove: another answer");
    }
  }
}

function contents(engine: WalEngine): string[] {
  const { rows } = engine.storage;
  const seen: string[] = [];
  rows.each(HI, MID, 0, (record) => {
    seen.push(`${nameOf(rows.low(record), rows.tail(record))} ${rows.bodyLength(record, 0)}`);
    return true;
  });
  return seen;
}

function expected(model: Model): string[] {
  return [...model.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { length }]) => `${name} ${length}`);
}

/** The pages that the rows lie in. */
function leavesOf(engine: WalEngine): Set<number> {
  const { rows, pool } = engine.storage;
  const leaves = new Set<number>();
  rows.each(HI, MID, 0, (record) => {
    leaves.add(pool.pageIn(Math.floor(record / PAGE_SIZE)));
    return true;
  });
  return leaves;
}

/** What the checker says, but for the rows that no key of the directory owns. */
function problems(engine: WalEngine): string[] {
  engine.storage.purge.run(undefined, 1e9);
  const check = new SpaceCheck(engine.storage);
  check.run();
  return check.problems.filter((problem) => !problem.includes(" of container "));
}

t.test("random operations leave what a sorted list has", async (t) => {
  holds(
    t,
    fc.property(fc.array(operation, { minLength: 1, maxLength: 300 }), (operations) => {
      const engine = openWal(new MemoryDisk());
      engine.storage.transactions.mayChange = true;
      const model: Model = new Map();
      applySteps(engine, model, operations);
      const found = contents(engine);
      if (found.join("\n") !== expected(model).join("\n")) throw new Error(`contents: ${found.length} rows`);
      const wrong = problems(engine);
      if (wrong.length > 0) throw new Error(wrong.join("; "));
    }),
    { seed: 20_260_802, numRuns: 60 },
  );
});

t.test("so do committed ones, when the machine has crashed", async (t) => {
  const crash = fc.constantFrom("killed", "power lost");
  holds(
    t,
    fc.property(fc.array(fc.array(operation, { maxLength: 8 }), { maxLength: 30 }), crash, (transactions, how) => {
      const disk = new MemoryDisk();
      const engine = openWal(disk);
      const model: Model = new Map();
      for (const [n, operations] of transactions.entries()) {
        commit(engine, () => applySteps(engine, model, operations));
        if (n % 7 === 3) engine.storage.cleaner.cleanAll();
      }
      const again = openWal(how === "killed" ? disk.clone() : disk.afterPowerLoss());
      const found = contents(again);
      if (found.join("\n") !== expected(model).join("\n")) throw new Error(`contents: ${found.length} rows`);
      const wrong = problems(again);
      if (wrong.length > 0) throw new Error(wrong.join("; "));
    }),
    { seed: 20_260_803, numRuns: 60 },
  );
});

t.test("data ten times larger than the pool", async (t) => {
  const engine = openWal(new MemoryDisk());
  const { storage } = engine;
  storage.transactions.mayChange = true;
  const count = 6000;
  for (let i = 0; i < count; i++) put(engine, Math.imul(i, 2_654_435_761) >>> 0, `row ${i}`, 1500);
  t.ok(
    storage.header.pages > 10 * storage.pool.frames * 0.5,
    `${storage.header.pages} pages in ${storage.pool.frames} frames`,
  );
  t.equal(contents(engine).length, count);
  t.same(problems(engine), []);
  for (let i = 0; i < count; i++) {
    if (!remove(engine, Math.imul(i, 2_654_435_761) >>> 0, `row ${i}`)) t.fail(`row ${i} is not there`);
  }
  t.equal(contents(engine).length, 0);
  t.same(problems(engine), []);
  const { header } = storage;
  t.ok(header.freePages > header.pages * 0.4, `${header.freePages} of ${header.pages} pages are free again`);
});

t.test("ascending keys fill their pages", async (t) => {
  const engine = openWal(new MemoryDisk());
  engine.storage.transactions.mayChange = true;
  for (let i = 0; i < 3000; i++) put(engine, i, "", 100);
  const leaves = leavesOf(engine);
  t.ok(leaves.size < 28, `${leaves.size} leaves for 3,000 rows of 130 bytes`);
  t.same(problems(engine), []);
});

/** Runs changes as one transaction, committed and durable. */
function commit(engine: WalEngine, change: () => void): void {
  const effects = new Effects();
  effects.push(0, ["SET", "what", "ever"]);
  runOn(engine, effects, change);
  engine.settle(() => {});
}

/** Levels of the tree above its leaves. */
function heightOf(engine: WalEngine): number {
  const { pool } = engine.storage;
  pool.beginOperation();
  return pool.arena.levelOf(pool.fetch(ROOT_PAGE) * PAGE_SIZE);
}

/** Moves every page of the tree, leaves and nodes, to another place; returns how many. */
function moveAll(engine: WalEngine): number {
  const { pool, header, tree, redo } = engine.storage;
  const pages: number[] = [];
  for (let page = FIRST_PAGES; page < header.pages; page++) {
    pool.beginOperation();
    const type = pool.arena.typeOf(pool.fetch(page) * PAGE_SIZE);
    if (type === PageType.LEAF || type === PageType.NODE) pages.push(page);
  }
  for (const page of pages) tree.move(page);
  redo.flushNow();
  return pages.length;
}

t.test("a tree of several levels grows and shrinks in waves, with crashes in between", async (t) => {
  const below = pseudoRandom(7);
  let disk = new MemoryDisk();
  let engine = openWal(disk);
  const model: Model = new Map();
  // A long tail makes nodes that hold a dozen children, so that nodes split and merge as well as leaves.
  const tailOf = (n: number) => `${n} `.padEnd(900, "-");
  const operate = (growing: boolean) => {
    const n = below(4000);
    const [low, tail] = [n % 50, tailOf(n)];
    const name = nameOf(low, tail);
    if (below(10) < (growing ? 8 : 1)) {
      const length = [0, 50, 400][below(3)]!;
      put(engine, low, tail, length);
      model.set(name, { low, tail, length });
    } else if (remove(engine, low, tail) !== model.delete(name)) t.fail(`${name}: removed, or not`);
  };
  let merges = 0;
  let moved = 0;
  const heights: number[] = [];
  for (let wave = 0; wave < 8; wave++) {
    for (let n = 0; n < 40; n++) {
      commit(engine, () => {
        for (let i = 0; i < 60; i++) operate(wave % 4 < 2);
      });
    }
    heights.push(heightOf(engine));
    if (wave % 4 === 1) moved += moveAll(engine);
    merges += engine.storage.tree.merges;
    disk = wave % 2 === 0 ? disk.afterPowerLoss() : disk.clone();
    engine = openWal(disk);
    t.equal(contents(engine).join("\n"), expected(model).join("\n"), `wave ${wave}: ${model.size} rows`);
    t.same(problems(engine), []);
  }
  commit(engine, () => {
    for (const [name, { low, tail }] of model) if (!remove(engine, low, tail)) t.fail(`${name} is not there`);
  });
  t.ok(merges > 100, `${merges} merges`);
  t.ok(moved > 200, `${moved} pages moved`);
  t.ok(Math.max(...heights) >= 2, `heights ${heights}`);
  t.equal(heightOf(engine), 0, "an empty tree is a leaf");
  t.same(problems(engine), []);
});

t.test("what is left of many rows lies together", async (t) => {
  const engine = openWal(new MemoryDisk());
  const { storage } = engine;
  const rows = 4000;
  for (let i = 0; i < rows; i += 100) {
    commit(engine, () => {
      for (let n = i; n < i + 100; n++) put(engine, Math.imul(n, 2_654_435_761) >>> 0, "", 200);
    });
  }
  const leavesBefore = leavesOf(engine).size;
  for (let i = 0; i < rows; i += 100) {
    commit(engine, () => {
      for (let n = i; n < i + 100; n++) if (n % 8 !== 0) remove(engine, Math.imul(n, 2_654_435_761) >>> 0, "");
    });
  }
  const leaves = leavesOf(engine).size;
  t.ok(leaves <= leavesBefore / 3, `${leavesBefore} leaves, ${leaves} after seven of eight rows have gone`);
  t.equal(contents(engine).length, rows / 8);
  t.same(problems(engine), []);
  t.test("and so does what has become shorter", async (t) => {
    for (let i = 0; i < rows; i += 8) commit(engine, () => put(engine, Math.imul(i, 2_654_435_761) >>> 0, "", 10));
    t.ok(leavesOf(engine).size <= leaves / 2, `${leavesOf(engine).size} leaves of ${leaves}`);
    t.same(problems(engine), []);
    t.ok(storage.tree.merges > 0);
  });
});

/** A leaf record of a field row, as a bulk load takes it. */
function recordOf(low: number, tail: string, length: number): Buffer {
  const record = Buffer.alloc(RECORD_TAIL_AT + tail.length + RECORD_SYSTEM_BYTES + length, low % 256);
  record.fill(0, RECORD_TAIL_AT + tail.length, RECORD_TAIL_AT + tail.length + RECORD_SYSTEM_BYTES);
  record.writeUInt32LE(HI, 0);
  record.writeUInt32LE(MID, 4);
  record.writeUInt32LE(low, 8);
  record.writeUInt16LE(tail.length, 12);
  record.writeUInt16LE(length, 14);
  record.write(tail, RECORD_TAIL_AT, "latin1");
  return record;
}

t.test("bulk load: any sorted rows, then random operations on them", async (t) => {
  const row = fc.record({ low: fc.nat(10_000), tail: key.map(({ tail }) => tail), length: fc.nat(2000) });
  holds(
    t,
    fc.property(fc.array(row, { maxLength: 400 }), fc.array(operation, { maxLength: 60 }), (loaded, operations) => {
      const disk = new MemoryDisk();
      let engine = openWal(disk);
      const model: Model = new Map();
      for (const { low, tail, length } of loaded) model.set(nameOf(low, tail), { low, tail, length });
      const { mini, header, tree } = engine.storage;
      const load = new BulkLoad(mini, header, tree);
      for (const [, { low, tail, length }] of [...model].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const record = recordOf(low, tail, length);
        load.add(record, record.length);
      }
      load.finish();
      engine.storage.redo.flushNow();
      for (const again of [false, true]) {
        if (again) engine = openWal(disk.afterPowerLoss());
        const found = contents(engine).join("\n");
        if (found !== expected(model).join("\n")) throw new Error(`another content, restarted: ${again}`);
        const wrong = problems(engine);
        if (wrong.length > 0) throw new Error(wrong.join("; "));
      }
      engine.storage.transactions.mayChange = true;
      applySteps(engine, model, operations);
      if (contents(engine).join("\n") !== expected(model).join("\n")) throw new Error("another content, changed");
      const wrong = problems(engine);
      if (wrong.length > 0) throw new Error(wrong.join("; "));
    }),
    { seed: 7, numRuns: 40 },
  );
});

t.test("bulk load fills its leaves, and refuses rows that are out of order", async (t) => {
  const engine = openWal(new MemoryDisk());
  const { mini, header, tree } = engine.storage;
  const load = new BulkLoad(mini, header, tree);
  for (let n = 0; n < 5000; n++) load.add(recordOf(n, "", 100), recordOf(n, "", 100).length);
  t.throws(() => load.add(recordOf(17, "", 100), 128), { name: "AssertionError" });
  load.finish();
  const bytes = 5000 * (128 + 2);
  t.equal(load.leaves, Math.ceil(bytes / (((PAGE_SIZE - 32) * 15) / 16)), `${load.leaves} leaves of ${bytes} bytes`);
  t.equal(contents(engine).length, 5000);
  t.same(problems(engine), []);
  const late = new BulkLoad(mini, header, tree);
  late.add(recordOf(17, "", 100), 128);
  t.throws(() => late.finish(), { name: "AssertionError" }, "nor before what the tree has");
});
