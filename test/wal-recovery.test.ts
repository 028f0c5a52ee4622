/**
 * kv-wal loses nothing that it has acknowledged and keeps nothing half: a small workload is crashed at every single
 * operation on the disk, and recovered twice.
 */
import t from "tap";
import type { Disk } from "../common/disk/disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { Crash, CrashingDisk } from "./support/crashing-disk.ts";
import { openWal } from "./support/wal-fixture.ts";
import { judge, settle, setUp, TRANSFERS, transfer } from "./support/wal-workload.ts";

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
