/**
 * The redo log: replayed once or twice, in one batch or many; a hole in it; another size at the next start; written when the
 * policy says so.
 */
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { CorruptFile } from "../common/errors.ts";
import { createWalEngine, type WalEngine } from "../kv-wal/engine.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { BLOCK_PAYLOAD, BLOCK_SIZE } from "../kv-wal/redo-block.ts";
import { bytesOf } from "./support/contents.ts";
import { Crash, CrashingDisk } from "./support/crashing-disk.ts";
import { Sessions } from "./support/sessions.ts";
import { TestHost, turns } from "./support/test-host.ts";
import { openWal, stageSet, walConfig } from "./support/wal-fixture.ts";

/** SET, acknowledged if the policy lets it be. */
function set(engine: WalEngine, key: string, value: string): void {
  stageSet(engine, key, value);
  engine.settle(() => {});
}

function get(engine: WalEngine, key: string): string | undefined {
  return engine.keyspace.databases[0]!.strings.get(key);
}

/** The tablespace after recovery and an orderly end, without what says how often that has happened. */
async function spaceAfter(disk: MemoryDisk): Promise<Buffer> {
  const engine = openWal(disk);
  await engine.close();
  return bytesOf(disk, "wal/space");
}

t.test("replaying twice is replaying once", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk);
  for (let n = 0; n < 300; n++) set(engine, `key ${n % 40}`, `${n} `.repeat(100));
  const crashed = disk.afterPowerLoss();
  const once = await spaceAfter(crashed.clone());
  // Recovered, some of its pages written, and crashed again: some pages have the changes, some have not.
  for (const pages of [1, 3, 1000]) {
    const again = crashed.clone();
    const first = openWal(again);
    const { cleaner, pool } = first.storage;
    cleaner.writeFrames(pool.oldestDirty(pages, Number.POSITIVE_INFINITY));
    const twice = again.afterPowerLoss();
    const lines = createWalEngine(new TestHost(twice.clone()), walConfig()).recover().lines.join("\n");
    t.match(lines, /replayed redo .* [1-9]\d* already in their pages/);
    t.ok((await spaceAfter(twice)).equals(once), `${pages} pages written in between`);
  }
});

t.test("a log of several batches, in a pool much smaller than the pages that it changes", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk, { "redo-log-capacity": "64mb" });
  const values = new Map<string, string>();
  for (let n = 0; engine.storage.redo.log.appended < 20e6; n++) {
    const value = `${n} `.repeat(1 + (n % 700));
    set(engine, `key ${n % 997}`, value);
    values.set(`key ${n % 997}`, value);
  }
  const crashed = disk.afterPowerLoss();
  const again = openWal(crashed);
  t.ok(again.storage.header.pages > 2 * again.storage.pool.frames);
  for (const [key, value] of values) if (get(again, key) !== value) t.fail(key);
  t.same(checkWal(crashed), []);
});

t.test("a hole in the log is damage, wherever the blocks behind it are", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk, { "redo-log-file-size": "4mb" });
  for (let n = 0; n < 600; n++) set(engine, `key ${n % 10}`, `${n} `.repeat(400));
  const end = Math.floor(engine.storage.redo.log.appended / BLOCK_PAYLOAD);
  const whole = disk.afterPowerLoss();
  t.ok(end > 3000, `${end} blocks`);
  for (const [from, blocks] of [
    [100, 1],
    [500, 70],
    [end - 300, 100],
    [1000, 900],
  ] as const) {
    const damaged = whole.clone();
    const file = damaged.open("wal/redo.0", "update");
    file.write(2048 + from * BLOCK_SIZE, Buffer.alloc(blocks * BLOCK_SIZE));
    t.throws(() => openWal(damaged), CorruptFile, `${blocks} blocks from ${from} on`);
  }
});

t.test("the redo log gets another size at the next start, whatever crashes meanwhile", async (t) => {
  const before = new MemoryDisk();
  const engine = openWal(before);
  for (let n = 0; n < 60; n++) set(engine, `key ${n}`, `${n} `.repeat(100));
  const folder = (disk: MemoryDisk) => disk.list("wal").filter((name) => name.startsWith("redo."));
  t.same(folder(before), ["redo.0", "redo.1"]);
  const larger = { "redo-log-file-size": "512kb", "redo-log-files-in-group": "3" };
  let crashes = 0;
  for (let at = 0; ; at++) {
    const disk = before.afterPowerLoss();
    let crashed = false;
    try {
      const resized = openWal(new CrashingDisk(disk, at), larger);
      for (let n = 60; n < 70; n++) set(resized, `key ${n}`, "new");
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      crashed = true;
    }
    for (const left of [disk.clone(), disk.afterPowerLoss()]) {
      for (const directives of [{}, larger, { "redo-log-capacity": "1mb" }]) {
        const again = left.clone();
        const opened = openWal(again, directives);
        for (let n = 0; n < 60; n++) if (get(opened, `key ${n}`) !== `${n} `.repeat(100)) t.fail(`${at}: key ${n}`);
        if (!crashed && get(opened, "key 69") !== "new") t.fail(`${at}: what was written behind it`);
        if (folder(again).length !== opened.storage.redo.ring.files) t.fail(`${at}: ${folder(again)}`);
      }
      const problems = checkWal(left);
      if (problems.length > 0) t.fail(`${at}: ${problems}`);
    }
    if (!crashed) {
      t.same(folder(disk), ["redo.0", "redo.1.2", "redo.2.2"]);
      break;
    }
    crashes++;
  }
  t.ok(crashes > 30, `${crashes} crashes`);
});

t.test("policies: when the redo log is written and synced", async (t) => {
  const states = (policy: string) => {
    const disk = new MemoryDisk();
    const host = new TestHost(disk);
    const engine = createWalEngine(host, walConfig({ "flush-log-at-trx-commit": policy }));
    engine.recover();
    const { log } = engine.storage.redo;
    const start = log.appended;
    const state = () => {
      if (log.durable >= log.appended - 64) return "synced";
      return log.written > start ? "written" : "in memory";
    };
    set(engine, "key", "value");
    const atCommit = state();
    const found = [disk.clone(), disk.afterPowerLoss()].map((left) => get(openWal(left), "key"));
    host.nowMs += 900;
    engine.idle(1);
    const soon = state();
    host.nowMs += 101;
    engine.idle(1);
    return { atCommit, found, soon, engine, log };
  };
  const [zero, one, two] = [states("0"), states("1"), states("2")];
  t.match(zero, { atCommit: "in memory", soon: "in memory", found: [undefined, undefined] });
  t.match(one, { atCommit: "synced", found: ["value", "value"] });
  t.match(two, { atCommit: "written", soon: "written", found: ["value", undefined] });
  for (const { log } of [zero, one, two]) {
    await turns();
    t.equal(log.durable, log.appended, "and all of it is synced once a second");
  }
});

t.test("even the smallest log lets many commands in before they wait", async (t) => {
  const sessions = new Sessions(new MemoryDisk(), { "redo-log-file-size": "256kb", "redo-log-files-in-group": "1" });
  for (let n = 0; n < 300; n++) {
    const writer = sessions.of("writer");
    const answer = writer.ask(`SET key${n % 20} ${"v".repeat(500)}`) || writer.take();
    if (answer !== "+OK") t.fail(`write ${n}: ${answer}`);
  }
  const [, waits] = /redo_log_waits:(\d+)/.exec(sessions.ask("writer", "INFO wal")) ?? [];
  t.ok(Number(waits) > 0 && Number(waits) < 60, `${waits} of 300 have waited`);
});

t.test("a full log makes writers wait; readers go on, and nothing is lost", async (t) => {
  const syncs: (() => void)[] = [];
  const disk = new MemoryDisk((complete) => syncs.push(complete));
  const sessions = new Sessions(new MemoryDisk(), { "redo-log-file-size": "512kb" }, () => disk);
  const writer = sessions.of("writer");
  const value = (n: number) => `${n}-`.repeat(1500);
  let waits = 0;
  for (let n = 0; n < 400; n++) {
    let answer = writer.ask(`SET key${n % 50} ${value(n)}`);
    if (answer === "") {
      waits++;
      t.ok(writer.waits, `write ${n} waits`);
      t.equal(sessions.ask("reader", `GET key${(n - 1) % 50}`), value(n - 1), "a reader does not");
      t.equal(sessions.ask("other", "SET small x"), "", "another writer does");
      const info = sessions.ask("reader", "INFO wal");
      t.match(info, /redo_log_waits_current:2/);
      t.match(info, new RegExp(`log_sequence_number:${sessions.engine.storage.redo.log.appended}`));
      while (syncs.length > 0) {
        syncs.shift()?.();
        sessions.host.settle();
      }
      answer = writer.take();
      t.equal(sessions.of("other").take(), "+OK");
    }
    if (answer !== "+OK") t.fail(`write ${n}: ${answer}`);
  }
  t.ok(waits > 3, `${waits} waits`);
  t.match(sessions.ask("reader", "INFO wal"), /redo_log_waits_in_place:0/, "no command wrote pages itself");
  const again = openWal(disk.afterPowerLoss(), { "redo-log-file-size": "512kb" });
  for (let n = 350; n < 400; n++) if (get(again, `key${n % 50}`) !== value(n)) t.fail(`key${n % 50}`);
  t.test("a client that leaves while it waits is forgotten", async (t) => {
    let n = 0;
    while (!writer.waits) writer.ask(`SET key ${value(n++)}`);
    writer.leave();
    while (syncs.length > 0) {
      syncs.shift()?.();
      sessions.host.settle();
    }
    t.equal(sessions.ask("reader", "SET key x"), "+OK");
  });
});

t.test(
  "the page cleaner: nothing for a young log, more and more from half of it, all the time from three quarters",
  async (t) => {
    const syncs: (() => void)[] = [];
    const disk = new MemoryDisk((complete) => syncs.push(complete));
    const host = new TestHost(disk);
    host.afterTick = (run) => void syncs.push(run);
    const engine = createWalEngine(
      host,
      walConfig({ "redo-log-capacity": "16mb", "buffer-pool-size": "64mb", "io-capacity": "1000" }),
    );
    engine.recover();
    const { redo, cleaner, pool } = engine.storage;
    const endSyncs = () => {
      for (let end = syncs.shift(); end !== undefined; end = syncs.shift()) end();
    };
    let n = 0;
    /** Writes until the checkpoint's age is this part of the log. */
    const writeTo = (part: number) => {
      while (redo.age < part * redo.ageMax) set(engine, `key ${n++ % 3000}`, "v".repeat(2000));
    };
    const idle = () => {
      host.nowMs += 100;
      set(engine, "busy", "x");
      const before = cleaner.pagesWritten;
      engine.idle(1);
      endSyncs();
      return cleaner.pagesWritten - before;
    };
    idle();
    writeTo(0.45);
    const young = idle();
    writeTo(0.55);
    const early = idle();
    t.equal(young, 0, "below half of the log");
    t.ok(early > 0 && early <= 50, `a little above it: ${early} of 100 pages that io-capacity allows`);
    writeTo(0.7);
    const later = idle();
    t.ok(later > early, `more, the older: ${later}`);
    writeTo(0.76);
    idle();
    t.ok(redo.age < 0.76 * redo.ageMax, `from three quarters on until it is below: ${redo.age / redo.ageMax}`);
    const dirty = pool.dirtyCount;
    host.nowMs += 100;
    engine.idle(1);
    host.nowMs += 100;
    engine.idle(1);
    endSyncs();
    t.ok(pool.dirtyCount < dirty, "and when nobody writes");
    t.equal(cleaner.logWaits, 0, "nobody had to write pages himself");
  },
);

t.test("the page cleaner: dirty pages count, too", async (t) => {
  const syncs: (() => void)[] = [];
  const disk = new MemoryDisk((complete) => syncs.push(complete));
  const host = new TestHost(disk);
  const engine = createWalEngine(host, walConfig({ "redo-log-capacity": "64mb", "max-dirty-pages-pct": "50" }));
  engine.recover();
  const { cleaner, pool } = engine.storage;
  engine.idle(1);
  for (let n = 0; pool.dirtyCount < 0.45 * pool.frames; n++) set(engine, `key ${n}`, "v".repeat(2000));
  host.nowMs += 100;
  engine.idle(1);
  while (syncs.length > 0) syncs.shift()?.();
  t.ok(cleaner.pagesWritten > 0, `${cleaner.pagesWritten} pages written of ${pool.frames}`);
});
