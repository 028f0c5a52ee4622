/**
 * kv-aof's order of steps, its three fsync policies, and what it does when the disk fails: on a disk in memory whose
 * syncs end when the test says so, and a clock that the test moves.
 */
import t from "tap";
import { FaultyDisk } from "../common/disk/faulty-disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { DiskFailure } from "../common/errors.ts";
import { AofFixture, aofText, fileOf, INCREMENT, ManualSyncs } from "./support/aof-fixture.ts";

const isIncrement = (path: string): boolean => path === INCREMENT;

/** More changes than a turn may have to be synced in place. */
function manyChanges(aof: AofFixture): void {
  for (let i = 0; i < 40; i++) aof.line(`SET many${i} v`);
}

t.test("the file", async (t) => {
  t.test("has effects in the order in which they happened, with the database that they happened in", async (t) => {
    const disk = new MemoryDisk();
    const aof = new AofFixture(disk);
    aof.line("SET a 1");
    aof.line("INCR a");
    aof.select(3);
    aof.line("HSET h f v");
    aof.select(0);
    aof.line("APPEND a x");
    aof.settle();
    const expected = aofText("SELECT 0", "SET a 1", "INCR a", "SELECT 3", "HSET h f v", "SELECT 0", "APPEND a x");
    t.equal(fileOf(disk, INCREMENT).toString("latin1"), expected.toString("latin1"));
  });

  t.test("has no command that failed or changed nothing (I2)", async (t) => {
    const disk = new MemoryDisk();
    const aof = new AofFixture(disk);
    aof.line("SET a text");
    t.match(aof.line("INCR a"), /^-ERR/);
    t.match(aof.line("HSET a f v"), /^-WRONGTYPE/);
    t.equal(aof.line("DEL missing"), ":0\r\n");
    t.equal(aof.line("GET a"), "$4\r\ntext\r\n");
    aof.settle();
    t.equal(fileOf(disk, INCREMENT).toString("latin1"), aofText("SELECT 0", "SET a text").toString("latin1"));
  });

  t.test("has absolute times, and a DEL before what met an expired key", async (t) => {
    const disk = new MemoryDisk();
    const aof = new AofFixture(disk, {}, 1_000_000);
    aof.line("SET a 1 PX 50");
    aof.nowMs += 50;
    t.equal(aof.line("APPEND a x"), ":1\r\n");
    aof.settle();
    const lines = ["SELECT 0", "SET a 1 PXAT 1000050", "MULTI", "DEL a", "APPEND a x", "EXEC"];
    t.equal(fileOf(disk, INCREMENT).toString("latin1"), aofText(...lines).toString("latin1"));
  });

  t.test("has a DEL for what active expiry removes", async (t) => {
    const disk = new MemoryDisk();
    const aof = new AofFixture(disk, {}, 1_000_000);
    aof.line("SET a 1 PX 50");
    aof.nowMs += 60;
    aof.engine.idle(5);
    aof.settle();
    t.equal(aof.engine.keyspace.databases[0]!.size, 0);
    t.ok(fileOf(disk, INCREMENT).toString("latin1").endsWith(aofText("DEL a").toString("latin1")));
  });

  t.test("holds any bytes, and a value of a mebibyte", async (t) => {
    const disk = new MemoryDisk();
    const aof = new AofFixture(disk);
    const bytes = String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code));
    aof.run("SET", bytes, bytes);
    aof.run("SET", "large", "x".repeat(1024 * 1024));
    aof.settle();
    await aof.engine.close();
    t.same(new AofFixture(disk).contents(), aof.contents());
  });
});

t.test("the steps of a turn come in this order", async (t) => {
  const aof = new AofFixture(new MemoryDisk(), { appendfsync: "always" });
  aof.line("SET a 1");
  aof.line("GET a");
  t.same(aof.steps, ["aof.apply", "aof.append"]);
  t.equal(aof.settle().outcome, "sent");
  t.same(aof.steps, ["aof.apply", "aof.append", "aof.write", "aof.fsync"]);
});

t.test("always", async (t) => {
  t.test("a small turn is synced in place: what was acknowledged survives a power loss", async (t) => {
    const disk = new MemoryDisk();
    const aof = new AofFixture(disk, { appendfsync: "always" });
    aof.line("SET a 1");
    t.equal(aof.settle().outcome, "sent");
    t.same(new AofFixture(disk.afterPowerLoss()).contents(), aof.contents());
  });

  t.test("a large turn is synced in the background, and its replies wait", async (t) => {
    const manual = new ManualSyncs();
    const aof = new AofFixture(manual.disk, { appendfsync: "always" });
    manyChanges(aof);
    const turn = aof.settle();
    t.equal(turn.outcome, "pending");
    t.equal(manual.disk.afterPowerLoss().open(INCREMENT, "read").size(), 0);
    manual.endOne();
    t.equal(turn.outcome, "sent");
    t.same(new AofFixture(manual.disk.afterPowerLoss()).contents(), aof.contents());
  });

  t.test("a turn during a background sync waits for the next one, which began after its write", async (t) => {
    const manual = new ManualSyncs();
    const aof = new AofFixture(manual.disk, { appendfsync: "always" });
    manyChanges(aof);
    const first = aof.settle();
    aof.line("SET late 1");
    const second = aof.settle();
    manual.endOne();
    t.same([first.outcome, second.outcome], ["sent", "pending"]);
    manual.endOne();
    t.equal(second.outcome, "sent");
    t.same(new AofFixture(manual.disk.afterPowerLoss()).contents(), aof.contents());
  });

  t.test("a turn that only reads waits for what it may have seen (I1)", async (t) => {
    const manual = new ManualSyncs();
    const aof = new AofFixture(manual.disk, { appendfsync: "always" });
    manyChanges(aof);
    aof.settle();
    t.equal(aof.line("GET many1"), "$1\r\nv\r\n");
    const reader = aof.settle();
    t.equal(reader.outcome, "pending");
    while (manual.running > 0) manual.endOne();
    t.equal(reader.outcome, "sent");
  });

  t.test("replies keep their order when the policy changes while some wait", async (t) => {
    const manual = new ManualSyncs();
    const aof = new AofFixture(manual.disk, { appendfsync: "always" });
    manyChanges(aof);
    const first = aof.settle();
    aof.config.set([["appendfsync", "no"]]);
    aof.line("SET later 1");
    const second = aof.settle();
    t.same([first.outcome, second.outcome], ["pending", "pending"]);
    while (manual.running > 0) manual.endOne();
    t.same([first.outcome, second.outcome], ["sent", "sent"]);
  });

  for (const call of ["write", "sync"] as const) {
    t.test(`a failed ${call} stops everything`, async (t) => {
      const disk = new FaultyDisk(new MemoryDisk(), [{ call, path: isIncrement, nth: 1, code: "EIO" }]);
      const aof = new AofFixture(disk, { appendfsync: "always" });
      aof.line("SET a 1");
      t.throws(() => aof.settle(), DiskFailure);
    });
  }

  t.test("after a failed background sync nothing is acknowledged any more (I6)", async (t) => {
    const disk = new FaultyDisk(new MemoryDisk(), [{ call: "sync", path: isIncrement, nth: 1, code: "EIO" }]);
    const aof = new AofFixture(disk, { appendfsync: "always" });
    manyChanges(aof);
    const turn = aof.settle();
    await Promise.resolve();
    t.equal(turn.outcome, "dropped");
    t.throws(() => aof.settle(), DiskFailure);
    t.throws(() => aof.engine.idle(1), DiskFailure);
  });
});

t.test("everysec", async (t) => {
  t.test("replies after the write; one sync a second, in the background", async (t) => {
    const manual = new ManualSyncs();
    const aof = new AofFixture(manual.disk, { appendfsync: "everysec" });
    aof.line("SET a 1");
    t.equal(aof.settle().outcome, "sent");
    t.equal(manual.running, 0);
    t.same(new AofFixture(manual.disk.clone()).contents(), aof.contents(), "a killed process loses nothing");
    t.same(new AofFixture(manual.disk.afterPowerLoss()).contents(), [], "a power loss takes the second");
    aof.nowMs += 1000;
    aof.engine.idle(1);
    t.equal(manual.running, 1);
    manual.endOne();
    t.same(new AofFixture(manual.disk.afterPowerLoss()).contents(), aof.contents());
  });

  t.test("a sync that takes long postpones the write, for two seconds; the replies leave (A1p)", async (t) => {
    const manual = new ManualSyncs();
    const aof = new AofFixture(manual.disk, { appendfsync: "everysec" });
    aof.line("SET a 1");
    aof.nowMs += 1000;
    aof.settle();
    t.equal(manual.running, 1);
    aof.line("SET b 2");
    t.equal(aof.settle().outcome, "sent");
    t.same(new AofFixture(manual.disk.clone()).contents(), ["0 a 1 @-1"], "a killed process loses what was postponed");
    aof.nowMs += 1999;
    aof.engine.idle(1);
    t.same(new AofFixture(manual.disk.clone()).contents(), ["0 a 1 @-1"]);
    aof.nowMs += 1;
    aof.engine.idle(1);
    t.same(new AofFixture(manual.disk.clone()).contents(), aof.contents());
    t.equal(infoOf(aof, "aof_delayed_fsync"), 1);
  });

  t.test("what was postponed is written as soon as the sync ends", async (t) => {
    const manual = new ManualSyncs();
    const aof = new AofFixture(manual.disk, { appendfsync: "everysec" });
    aof.line("SET a 1");
    aof.nowMs += 1000;
    aof.settle();
    aof.line("SET b 2");
    aof.settle();
    manual.endOne();
    t.same(new AofFixture(manual.disk.clone()).contents(), aof.contents());
    t.equal(infoOf(aof, "aof_delayed_fsync"), 0);
  });

  t.test("a failed sync stops the process, as in Redis it does not", async (t) => {
    const disk = new FaultyDisk(new MemoryDisk(), [{ call: "sync", path: isIncrement, nth: 1, code: "EIO" }]);
    const aof = new AofFixture(disk, { appendfsync: "everysec" });
    aof.line("SET a 1");
    aof.nowMs += 1000;
    aof.settle();
    await Promise.resolve();
    t.throws(() => aof.settle(), DiskFailure);
  });
});

t.test("no: never syncs, except at the end", async (t) => {
  const manual = new ManualSyncs();
  const aof = new AofFixture(manual.disk, { appendfsync: "no" });
  aof.line("SET a 1");
  aof.nowMs += 60_000;
  t.equal(aof.settle().outcome, "sent");
  aof.engine.idle(1);
  t.equal(manual.running, 0);
  const closed = aof.engine.close();
  manual.endOne();
  await closed;
  t.same(new AofFixture(manual.disk.afterPowerLoss()).contents(), aof.contents());
});

for (const policy of ["everysec", "no"]) {
  t.test(`a full disk, ${policy}`, async (t) => {
    const memory = new MemoryDisk();
    const fault = { call: "write", path: isIncrement, nth: 2, times: 2, code: "ENOSPC", written: 10 } as const;
    const aof = new AofFixture(new FaultyDisk(memory, [fault]), { appendfsync: policy });
    aof.line("SET a 1");
    aof.settle();
    const whole = fileOf(memory, INCREMENT);

    aof.line("SET b 2");
    const turn = aof.settle();
    t.equal(turn.outcome, "dropped", "what is not written is not acknowledged");
    t.match(turn.failure, { code: "ENOSPC" });
    t.same(fileOf(memory, INCREMENT), whole, "the file ends with the last whole batch");
    t.equal(aof.engine.writeRefusal, "MISCONF Errors writing to the AOF file: No space left on device");
    t.equal(infoOf(aof, "aof_last_write_status"), "err");

    aof.line("GET a");
    t.equal(aof.settle().outcome, "sent", "reads go on");
    aof.nowMs += 999;
    aof.engine.idle(1);
    t.equal(infoOf(aof, "aof_last_write_status"), "err");
    aof.nowMs += 1;
    aof.engine.idle(1);
    t.equal(aof.engine.writeRefusal === undefined, false, "the first retry fails, too");
    aof.nowMs += 1000;
    aof.engine.idle(1);
    t.equal(aof.engine.writeRefusal, undefined, "the second one has written it");
    t.equal(infoOf(aof, "aof_last_write_status"), "ok");
    t.same(new AofFixture(memory.clone()).contents(), aof.contents());
  });
}

t.test("SELECT is written again after a restart (pitfall 49)", async (t) => {
  const disk = new MemoryDisk();
  const first = new AofFixture(disk);
  first.select(5);
  first.line("SET a 1");
  first.settle();
  await first.engine.close();
  const second = new AofFixture(disk);
  second.line("SET b 2");
  second.settle();
  t.same(new AofFixture(disk.clone()).contents(), ["0 b 2 @-1", "5 a 1 @-1"]);
});

function infoOf(aof: AofFixture, name: string): string | number | undefined {
  const entries = aof.engine.info().find((section) => section.name === "persistence")!.entries;
  return entries.find(([key]) => key === name)?.[1];
}
