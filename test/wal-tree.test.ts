/** The B+tree against a sorted list: random inserts, updates, deletes and scans, in a pool much smaller than the data. */
import fc from "fast-check";
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { SpaceCheck } from "../kv-wal/check.ts";
import type { WalEngine } from "../kv-wal/engine.ts";
import { Kind } from "../kv-wal/rows/layout.ts";
import { openWal } from "./support/wal-fixture.ts";

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

/** What the checker says, but for the rows that no key of the directory owns. */
function problems(engine: WalEngine): string[] {
  engine.storage.purge.run(undefined, 1e9);
  const check = new SpaceCheck(engine.storage);
  check.run();
  return check.problems.filter((problem) => !problem.startsWith("container "));
}

t.test("random operations leave what a sorted list has", async (t) => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 1, maxLength: 300 }), (operations) => {
      const engine = openWal(new MemoryDisk());
      engine.storage.transactions.mayChange = true;
      const model: Model = new Map();
      for (const step of operations) {
        if ("put" in step) {
          const { low, tail } = step.put;
          put(engine, low, tail, step.length);
          model.set(nameOf(low, tail), { low, tail, length: step.length });
        } else {
          const { low, tail } = step.remove;
          const removed = remove(engine, low, tail);
          if (removed !== model.delete(nameOf(low, tail))) throw new Error("remove: another answer");
        }
      }
      const found = contents(engine);
      if (found.join("\n") !== expected(model).join("\n")) throw new Error(`contents: ${found.length} rows`);
      const wrong = problems(engine);
      if (wrong.length > 0) throw new Error(wrong.join("; "));
    }),
    { seed: 20_260_802, numRuns: 60 },
  );
  t.pass("60 runs");
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
  const leaves = new Set<number>();
  const { rows, pool } = engine.storage;
  rows.each(HI, MID, 0, (record) => {
    leaves.add(pool.pageIn(Math.floor(record / 16_384)));
    return true;
  });
  t.ok(leaves.size < 28, `${leaves.size} leaves for 3,000 rows of 130 bytes`);
  t.same(problems(engine), []);
});
