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
  for (let at = 0; ; at += 3) {
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
  t.ok(crashes > 20, `${crashes} crashes`);
  t.ok(smallest < before / 2, `${before} bytes, then ${smallest}`);
});
