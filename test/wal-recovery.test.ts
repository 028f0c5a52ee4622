/**
 * kv-wal loses nothing that it has acknowledged and keeps nothing half: a small workload is crashed at every single
 * operation on the disk, and recovered twice.
 */
import t from "tap";
import type { Disk } from "../common/disk/disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { createWalEngine } from "../kv-wal/engine.ts";
import { RecoveryReport } from "../kv-wal/recovery-report.ts";
import { Crash, CrashingDisk } from "./support/crashing-disk.ts";
import { TestHost } from "./support/test-host.ts";
import { openWal, walConfig } from "./support/wal-fixture.ts";
import { dump, judge, settle, setUp, TRANSFERS, transfer } from "./support/wal-workload.ts";

/** The last round acknowledged, −1 when not even the accounts were; −2 when the crash came before the folder was open. */
function work(disk: Disk): { acknowledged: number; crashed: boolean } {
  let acknowledged = -2;
  try {
    const engine = openWal(disk);
    acknowledged = -1;
    setUp(engine);
    settle(engine);
    acknowledged = 0;
    for (let round = 1; round <= TRANSFERS; round++) {
      transfer(engine, round);
      settle(engine);
      acknowledged = round;
      if (round % 6 === 0) engine.storage.cleaner.cleanAll();
      if (round % 8 === 0) engine.storage.purge.run(undefined, 10);
    }
    return { acknowledged, crashed: false };
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
    return { acknowledged, crashed: true };
  }
}

for (const [name, survive] of [
  ["power loss: what was not synced is gone", (disk: MemoryDisk) => disk.afterPowerLoss()],
  ["process killed: what was written stays", (disk: MemoryDisk) => disk.clone()],
] as const) {
  t.test(`crash at every operation, ${name}`, async (t) => {
    let crashes = 0;
    for (let at = 0; ; at++) {
      const disk = new MemoryDisk();
      const { acknowledged, crashed } = work(new CrashingDisk(disk, at));
      const left = survive(disk);
      const problem = judge(left, acknowledged);
      if (problem !== "") t.fail(`operation ${at}: ${problem}`);
      if (!crashed) break;
      crashes++;
      // Recovery is crashed in the middle, too, and then run again (I7).
      const again = survive(disk);
      try {
        openWal(new CrashingDisk(again, at % 7));
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
      }
      const problemAgain = judge(survive(again), acknowledged);
      if (problemAgain !== "") t.fail(`operation ${at}, recovery crashed: ${problemAgain}`);
    }
    t.ok(crashes > 100, `${crashes} crashes`);
  });
}

type Survive = (disk: MemoryDisk) => MemoryDisk;
const POWER_LOSS: Survive = (disk) => disk.afterPowerLoss();
const KILL: Survive = (disk) => disk.clone();

/** Recovers with a crash before operation `at`. Undefined when recovery needs no more operations than that. */
function crashRecovery(disk: MemoryDisk, at: number, survive: Survive): MemoryDisk | undefined {
  const copy = disk.clone();
  try {
    openWal(new CrashingDisk(copy, at));
    return undefined;
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
    return survive(copy);
  }
}

/** Every way to crash the recovery of this disk once. */
function* crashedRecoveries(disk: MemoryDisk, ways: readonly Survive[] = [POWER_LOSS, KILL]): Generator<MemoryDisk> {
  for (const survive of ways) {
    for (let at = 0; ; at++) {
      const left = crashRecovery(disk, at, survive);
      if (left === undefined) break;
      yield left;
    }
  }
}

/** The workload, crashed before operation `at`, with some pages in place and others torn by the doublewrite's crash. */
function crashedFolder(at: number, survive: Survive): { disk: MemoryDisk; acknowledged: number } {
  const disk = new MemoryDisk();
  const { acknowledged } = work(new CrashingDisk(disk, at));
  return { disk: survive(disk), acknowledged };
}

t.test("recovery crashed at every one of its operations comes to the same end (I7)", async (t) => {
  let crashes = 0;
  for (let at = 20; at < 118; at += 7) {
    for (const ways of [[POWER_LOSS, KILL], [KILL]]) {
      // After a kill and then a power loss, what only the page cache had may be gone: the end may be another one.
      const { disk, acknowledged } = crashedFolder(at, ways[0]!);
      const end = dump(openWal(disk.clone()));
      for (const left of crashedRecoveries(disk, ways)) {
        crashes++;
        if (dump(openWal(left.clone())) !== end)
          t.fail(`operation ${at}: another end than without a crash in recovery`);
        const problem = judge(left, acknowledged);
        if (problem !== "") t.fail(`operation ${at}: ${problem}`);
      }
    }
  }
  t.ok(crashes > 300, `${crashes} crashes of recovery`);
});

t.test("a power loss in the recovery after a kill: what was acknowledged is there", async (t) => {
  let crashes = 0;
  for (let at = 21; at < 118; at += 8) {
    const { disk, acknowledged } = crashedFolder(at, KILL);
    for (const left of crashedRecoveries(disk, [POWER_LOSS])) {
      crashes++;
      const problem = judge(left, acknowledged);
      if (problem !== "") t.fail(`operation ${at}: ${problem}`);
    }
  }
  t.ok(crashes > 50, `${crashes} crashes of recovery`);
});

t.test(
  "the recovery of a crashed recovery, crashed at every one of its operations, comes to the same end",
  async (t) => {
    const { disk, acknowledged } = crashedFolder(61, POWER_LOSS);
    const end = dump(openWal(disk.clone()));
    let crashes = 0;
    for (const once of crashedRecoveries(disk)) {
      for (const twice of crashedRecoveries(once)) {
        crashes++;
        if (dump(openWal(twice)) !== end) t.fail(`after crash ${crashes}: another end`);
        if (crashes % 10 === 0 && judge(twice, acknowledged) !== "") t.fail(judge(twice, acknowledged));
      }
    }
    t.ok(crashes > 100, `${crashes} crashes of recovery after a crash of recovery`);
  },
);

t.test("recovery says what it does while it does it, and where the time went", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk);
  setUp(engine);
  for (let round = 1; round <= 50; round++) {
    transfer(engine, round % TRANSFERS);
    settle(engine);
  }
  const told: string[] = [];
  const { lines } = createWalEngine(new TestHost(disk.clone()), walConfig()).recover((line) => told.push(line));
  t.same(told, lines, "every line is told, in order");
  t.match(
    lines.join("\n"),
    /replayed redo from LSN \d+ to \d+: \d+ mini-transactions, \d+ records applied, \d+ already in/,
  );
  t.match(lines.at(-1), /^recovery took [\d.]+ s: repair [\d.]+ s, redo [\d.]+ s, binlog [\d.]+ s, decide [\d.]+ s/);
});

t.test("a long phase tells every few seconds how far it is", async (t) => {
  const host = new TestHost();
  const told: string[] = [];
  const report = new RecoveryReport(host.clock, (line) => told.push(line));
  for (let done = 0; done < 100_000; done++) {
    host.nowMs += 0.2;
    report.progress("replaying redo", done, 100_000);
  }
  t.same(
    told.map((line) => line.replace(/\(.*?\)/, "()").replace(/\.\d+ s$/, " s")),
    ["replaying redo: 25 % () after 5 s", "replaying redo: 50 % () after 10 s", "replaying redo: 75 % () after 15 s"],
  );
  t.same(report.lines, [], "progress is not part of the result");
});
