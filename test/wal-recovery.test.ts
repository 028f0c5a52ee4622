/**
 * kv-wal loses nothing that it has acknowledged and keeps nothing half: a small workload is crashed at every single
 * operation on the disk, and recovered twice.
 */
import t from "tap";
import type { Disk, DiskFile, OpenMode } from "../common/disk/disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { openWal } from "./support/wal-fixture.ts";
import { judge, settle, setUp, TRANSFERS, transfer } from "./support/wal-workload.ts";

/** Thrown at the operation at which the machine stops. */
class Crash extends Error {}

/** A disk that stops the machine before its n-th operation that changes anything. */
class CrashingDisk implements Disk {
  readonly memory: MemoryDisk;
  left: number;
  constructor(memory: MemoryDisk, left: number) {
    this.memory = memory;
    this.left = left;
  }
  step(): void {
    if (this.left-- <= 0) throw new Crash();
  }
  open(path: string, mode: OpenMode): DiskFile {
    if (mode === "create" || (mode === "ensure" && !this.memory.exists(path))) this.step();
    const file = this.memory.open(path, mode);
    const step = () => this.step();
    return {
      path,
      size: () => file.size(),
      read: (at, into) => file.read(at, into),
      write(at, bytes) {
        step();
        file.write(at, bytes);
      },
      sync(done) {
        step();
        file.sync(done);
      },
      syncNow() {
        step();
        file.syncNow();
      },
      truncate(size) {
        step();
        file.truncate(size);
      },
      close: () => file.close(),
    };
  }
  exists = (path: string) => this.memory.exists(path);
  rename(from: string, to: string): void {
    this.step();
    this.memory.rename(from, to);
  }
  remove(path: string): void {
    this.step();
    this.memory.remove(path);
  }
  list = (folder: string) => this.memory.list(folder);
  makeDir(folder: string): void {
    this.step();
    this.memory.makeDir(folder);
  }
  syncDir(folder: string): void {
    this.step();
    this.memory.syncDir(folder);
  }
  lock = (path: string) => this.memory.lock(path);
}

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
