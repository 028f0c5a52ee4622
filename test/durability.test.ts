/**
 * Durability, seen by a sceptic: damage that must be refused instead of served, and failures of the disk that must not be
 * forgotten. Each case was a defect once.
 */
import { join } from "node:path";
import t from "tap";
import { Effects } from "../common/command/call.ts";
import type { DiskFile } from "../common/disk/disk.ts";
import { type Fault, FaultyDisk } from "../common/disk/faulty-disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { RealDisk } from "../common/disk/real-disk.ts";
import { CorruptFile, DiskFailure, UsageError } from "../common/errors.ts";
import { NO_EXPIRY } from "../common/keyspace/keyspace.ts";
import { Log } from "../common/log/log.ts";
import { wordsOf } from "../kv-wal/bytes-view.ts";
import { createWalEngine, type WalEngine } from "../kv-wal/engine.ts";
import { BLOCK_SIZE, sealChecksum } from "../kv-wal/redo-block.ts";
import { FIRST_PAGES } from "../kv-wal/space-header.ts";
import { TestHost, turns } from "./support/test-host.ts";
import { openWal, runOn, stageSet, walConfig } from "./support/wal-fixture.ts";
import { settle } from "./support/wal-workload.ts";

const PAGE = 16384;

/** SET, acknowledged. */
function set(engine: WalEngine, key: string, value: string): void {
  stageSet(engine, key, value);
  settle(engine);
}

/** A folder with `count` acknowledged keys, whose process was killed. */
function killed(count: number, valueBytes: number, before?: (engine: WalEngine) => void): MemoryDisk {
  const disk = new MemoryDisk();
  const engine = openWal(disk);
  for (let n = 0; n < count; n++) set(engine, `key ${n}`, "v".repeat(valueBytes));
  before?.(engine);
  return disk.clone();
}

function damage(disk: MemoryDisk, path: string, change: (file: DiskFile) => void): MemoryDisk {
  const damaged = disk.clone();
  const file = damaged.open(path, "update");
  change(file);
  file.syncNow();
  file.close();
  return damaged;
}

/** What recovery reports. */
function recover(disk: MemoryDisk, directives: Readonly<Record<string, string>> = {}): string {
  return createWalEngine(new TestHost(disk), walConfig(directives)).recover().lines.join("\n");
}

t.test("log: a background sync that fails is not forgotten because a sync in place came between", async (t) => {
  let endSync = () => {};
  const slow = (end: () => void) => {
    endSync = end;
  };
  const disk = new FaultyDisk(new MemoryDisk(), [{ call: "sync", nth: 1, code: "EIO", slow }]);
  const file = disk.open("log", "ensure");
  const log = new Log(
    {
      write: (at, bytes) => file.write(at, bytes),
      sync: (done) => file.sync(done),
      syncNow: () => file.syncNow(),
    },
    0,
  );
  log.appendBytes("one");
  log.write();
  log.whenDurable(log.written, () => {});
  await turns();
  log.appendBytes("two");
  log.write();
  log.syncNow(); // those who waited for the background sync have been answered
  endSync();
  t.throws(() => log.write(), DiskFailure);
  t.throws(() => log.syncNow(), DiskFailure);
  let answer: unknown;
  log.whenDurable(0, (failure) => {
    answer = failure;
  });
  t.type(answer, DiskFailure);
});

t.test("real disk: a folder that cannot be made is refused at once, and the reason is the right one", async (t) => {
  const folder = t.testdir({ file: "" });
  t.throws(() => new RealDisk("/proc/twolog/data"), UsageError, "the system's own mkdir -p never returns here");
  t.throws(() => new RealDisk(join(folder, "file", "data")), { message: /ENOTDIR/ });
  const disk = new RealDisk(join(folder, "a", "b"));
  disk.makeDir("wal");
  disk.makeDir("wal");
  t.same(disk.list(""), ["wal"]);
  t.throws(() => new RealDisk(folder).makeDir("file"), DiskFailure, "a file is in the way");
});

t.test("kv-wal refuses to lose acknowledged data to damage", async (t) => {
  t.test("a redo file that was cut short, where the log happens to end", async (t) => {
    const disk = damage(killed(40, 4000), "wal/redo.1", (file) => file.truncate(8192));
    t.throws(() => recover(disk), CorruptFile);
  });

  t.test("the checkpoint slot that opened the present epoch", async (t) => {
    const disk = killed(10, 10);
    const engine = openWal(disk);
    for (let n = 0; n < 10; n++) set(engine, `later ${n}`, "v");
    const slot = engine.storage.redo.checkpoint.number % 2 === 0 ? 512 : 1536;
    t.match(recover(disk.clone()), /replayed/, "undamaged");
    const rotten = damage(disk, "wal/redo.0", (file) => file.write(slot + 100, Buffer.from([1])));
    t.throws(() => recover(rotten), CorruptFile);
  });

  t.test("a page of zeros that redo changes, but does not make", async (t) => {
    const disk = killed(100, 1000, (engine) => {
      engine.storage.cleaner.cleanAll();
      for (let n = 0; n < 100; n++) set(engine, `key ${n}`, "w".repeat(1000));
    });
    const pages = disk.open("wal/space", "read").size() / PAGE;
    for (let page = FIRST_PAGES; page < pages; page++) {
      const rotten = damage(disk, "wal/space", (file) => file.write(page * PAGE, Buffer.alloc(PAGE)));
      t.throws(() => recover(rotten), CorruptFile, `page ${page}`);
    }
  });

  t.test("the last block of the redo log, when a page knows that there was more", async (t) => {
    let end = { path: "", offset: 0 };
    const disk = killed(100, 1000, ({ storage }) => {
      storage.cleaner.writeFrames(storage.pool.oldestDirty(1000, Number.POSITIVE_INFINITY));
      end = storage.redo.ring.placeOf(Math.floor(storage.redo.log.appended / 488));
    });
    const rotten = damage(disk, end.path, (file) => file.write(end.offset + 50, Buffer.from("rot")));
    t.throws(() => recover(rotten), { message: /page \d+ has changes up to LSN \d+, but the redo log ends/ });
  });

  t.test("a missing first redo file is not taken for a new folder", async (t) => {
    const disk = killed(5, 10);
    disk.remove("wal/redo.0");
    const size = disk.open("wal/binlog.000001", "read").size();
    t.throws(() => recover(disk), { message: /the redo log is missing, but the binlog has data/ });
    t.equal(disk.open("wal/binlog.000001", "read").size(), size, "nothing was touched");
  });

  t.test("a redo log of another version, before anything of it is replayed", async (t) => {
    const disk = damage(killed(5, 10), "wal/redo.0", (file) => {
      const header = Buffer.alloc(BLOCK_SIZE);
      file.read(0, header);
      header.writeUInt32LE(header.readUInt32LE(8) + 1, 8);
      sealChecksum(header, wordsOf(header), 0, BLOCK_SIZE);
      file.write(0, header);
    });
    t.throws(() => recover(disk), { message: /another version/ });
  });

  t.test("an index that has lost the newest binlog file", async (t) => {
    const directives = { "max-binlog-size": "4096" };
    const disk = new MemoryDisk();
    const engine = openWal(disk, directives);
    for (let n = 0; n < 60; n++) set(engine, `key ${n}`, "v".repeat(100));
    t.ok(engine.storage.binlog.number > 1);
    await engine.close();
    const cut = damage(disk, "wal/binlog.index", (file) => file.truncate("wal/binlog.000001\n".length));
    t.throws(() => recover(cut), CorruptFile);
  });
});

t.test("kv-wal: under a stricter policy nobody reads what the one before may still lose (I1)", async (t) => {
  const disk = new MemoryDisk();
  const config = walConfig({ "flush-log-at-trx-commit": "2", "sync-binlog": "0" });
  const engine = createWalEngine(new TestHost(disk), config);
  engine.recover();
  set(engine, "key", "v");
  t.equal(openWal(disk.afterPowerLoss()).keyspace.databases[0]!.strings.get("key"), undefined, "2/0 may lose it");
  config.set([
    ["flush-log-at-trx-commit", "1"],
    ["sync-binlog", "1"],
  ]);
  t.equal(engine.keyspace.databases[0]!.strings.get("key"), "v");
  engine.settle((failure) => t.equal(failure, undefined, "the read is answered"));
  t.equal(openWal(disk.afterPowerLoss()).keyspace.databases[0]!.strings.get("key"), "v");
});

t.test("kv-wal's recovery does not cry wolf", async (t) => {
  t.test("after a rotation the new binlog file is empty, which is no loss", async (t) => {
    const directives = { "max-binlog-size": "4096" };
    const disk = new MemoryDisk();
    const engine = openWal(disk, directives);
    for (let n = 0; engine.storage.binlog.number === 1; n++) set(engine, `key ${n}`, "v".repeat(100));
    t.notMatch(recover(disk.clone(), directives), /has lost/);
  });

  t.test("nor is a long transaction whose first undo page was purged", async (t) => {
    const disk = new MemoryDisk();
    const engine = openWal(disk);
    const effects = new Effects();
    effects.push(0, ["SET", "what", "ever"]);
    runOn(engine, effects, () => {
      const { strings } = engine.keyspace.databases[0]!;
      for (let n = 0; n < 2000; n++) strings.set(`key ${n}`, "v", NO_EXPIRY);
    });
    engine.settle(() => {});
    await engine.close();
    t.notMatch(recover(disk), /has lost/);
  });
});

/** So many transactions in one group, on a disk that begins to fail: fifty sync in the background, five in place. */
function failingGroup(fault: Pick<Fault, "call"> & { file: string }, count = 50) {
  let armed = false;
  const path = (name: string) => armed && name.includes(fault.file);
  const disk = new FaultyDisk(new MemoryDisk(), [{ call: fault.call, nth: 1, times: 1e9, code: "EIO", path }]);
  const engine = createWalEngine(new TestHost(disk), walConfig());
  engine.recover();
  for (let n = 0; n < count; n++) stageSet(engine, `key ${n}`, "v");
  armed = true;
  const answers: (Error | undefined)[] = [];
  const settle = () => engine.settle((failure) => answers.push(failure));
  return { engine, answers, settle };
}

t.test("kv-wal: a failure is told to those who wait, and stops everything (I6)", async (t) => {
  for (const fault of [
    { call: "sync", file: "redo" },
    { call: "write", file: "binlog" },
    { call: "sync", file: "binlog" },
  ] as const) {
    t.test(`${fault.call} of the ${fault.file}, in place`, async (t) => {
      const { engine, answers, settle } = failingGroup(fault, 5);
      t.throws(settle, DiskFailure);
      t.match(answers, [DiskFailure]);
      t.throws(() => engine.settle(() => t.fail("acknowledged")), DiskFailure);
      t.throws(() => engine.idle(1), DiskFailure);
    });
    t.test(`${fault.call} of the ${fault.file}, in the background`, async (t) => {
      const { engine, answers, settle } = failingGroup(fault);
      settle();
      await turns(5);
      t.match(answers, [DiskFailure]);
      t.throws(() => engine.settle(() => t.fail("acknowledged")), DiskFailure);
      t.throws(() => engine.idle(1), DiskFailure);
    });
    t.test(`${fault.call} of the ${fault.file}, while it closes`, async (t) => {
      const { engine, settle } = failingGroup(fault);
      settle();
      await t.rejects(engine.close(), DiskFailure);
    });
  }

  t.test(
    "the log of the second fails while a group waits for its binlog: it is answered once, and never confirmed",
    async (t) => {
      let endBinlogSync = () => {};
      let armed = false;
      const disk = new FaultyDisk(new MemoryDisk(), [
        {
          call: "sync",
          nth: 1,
          path: (name) => armed && name.includes("binlog"),
          slow(end) {
            endBinlogSync = end;
          },
        },
        { call: "sync", nth: 2, code: "EIO", path: (name) => armed && name.includes("redo") },
      ]);
      const host = new TestHost(disk);
      const engine = createWalEngine(host, walConfig());
      engine.recover();
      armed = true;
      for (let n = 0; n < 50; n++) stageSet(engine, `key ${n}`, "v");
      const answers: (Error | undefined)[] = [];
      engine.settle((failure) => answers.push(failure));
      await turns(5);
      t.same(answers, [], "the binlog's sync is running");
      stageSet(engine, "another", "v");
      host.nowMs += 2000;
      engine.idle(1);
      await turns(5);
      endBinlogSync();
      await turns(5);
      t.equal(answers.length, 1);
      t.match(answers, [DiskFailure]);
    },
  );
});
