/**
 * kv-wal on a disk that fails: EIO, ENOSPC and short writes at every single call that changes anything, while it works and
 * while it recovers. Nothing is acknowledged afterwards, the failure says what failed, and on a disk that works again
 * everything acknowledged is there, with the transaction in flight whole or not at all.
 */
import t, { type Test } from "tap";
import type { Disk } from "../common/disk/disk.ts";
import { type Fault, FaultyDisk } from "../common/disk/faulty-disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { DiskFailure } from "../common/errors.ts";
import { createWalEngine } from "../kv-wal/engine.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { TestHost, turns } from "./support/test-host.ts";
import { openWal, walConfig } from "./support/wal-fixture.ts";
import { judge, roundOf, setUp, TRANSFERS, transfer } from "./support/wal-workload.ts";

type Directives = Readonly<Record<string, string>>;

/** What can go wrong with one call. */
const KINDS: readonly Omit<Fault, "nth">[] = [
  { call: "write", code: "EIO" },
  { call: "write", code: "ENOSPC", written: 700 },
  { call: "sync", code: "EIO" },
  { call: "truncate", code: "EIO" },
  { call: "rename", code: "ENOSPC" },
  { call: "remove", code: "EIO" },
  { call: "open", code: "EMFILE" },
  { call: "sync-dir", code: "EIO" },
  { call: "make-dir", code: "ENOSPC" },
];

interface Outcome {
  /** The last round acknowledged; −1: not even the accounts, −2: the folder was not open. */
  readonly acknowledged: number;
  readonly failure: unknown;
  /** Acknowledged after the failure: must be nothing. */
  readonly afterwards: number;
}

/** Works until the disk fails. */
async function work(disk: Disk, directives: Directives): Promise<Outcome> {
  const host = new TestHost(disk);
  const engine = createWalEngine(host, walConfig(directives));
  let acknowledged = -2;
  let failure: unknown;
  let afterwards = 0;
  const answer = (round: number) => (problem: Error | undefined) => {
    if (failure !== undefined && problem === undefined) afterwards++;
    failure ??= problem;
    if (problem === undefined) acknowledged = round;
  };
  try {
    engine.recover();
    acknowledged = -1;
    setUp(engine);
    engine.settle(answer(0));
    for (let round = 1; round <= TRANSFERS; round++) {
      transfer(engine, round);
      engine.settle(answer(round));
      host.nowMs += 300;
      if (round % 4 === 0) {
        engine.idle(1);
        await turns(4);
      }
      if (round % 6 === 0) engine.storage.cleaner.cleanAll();
    }
    await engine.close();
  } catch (error) {
    failure ??= error;
  }
  // The process stops now; what is on its way in the background must not confirm anything either.
  await turns(4);
  return { acknowledged, failure, afterwards };
}

/** Works with a fault at the n-th call, for every n, and hands each outcome to `visit`. Returns how many there were. */
async function eachFault(
  kind: Omit<Fault, "nth">,
  make: () => MemoryDisk,
  directives: Directives,
  visit: (disk: MemoryDisk, outcome: Outcome, nth: number) => void,
): Promise<number> {
  for (let nth = 1; ; nth++) {
    const memory = make();
    const outcome = await work(new FaultyDisk(memory, [{ ...kind, nth }]), directives);
    if (outcome.failure === undefined) return nth - 1;
    visit(memory, outcome, nth);
  }
}

const STRICT = { "max-binlog-size": "4096" };
const LAZY = { ...STRICT, "flush-log-at-trx-commit": "2", "sync-binlog": "0" };

/** A failure must be named, and nothing may be confirmed after it. */
function wrongWith({ failure, afterwards }: Outcome, kind: Omit<Fault, "nth">): string {
  if (!(failure instanceof DiskFailure)) return `not a disk failure: ${(failure as Error).stack}`;
  if (failure.code !== kind.code || !failure.message.includes("wal")) return `unclear: ${failure.message}`;
  return afterwards === 0 ? "" : "acknowledged after the failure";
}

function survivalsOf(t: Test, policy: string, disk: MemoryDisk, acknowledged: number): string {
  const killed = judge(disk.clone(), acknowledged);
  if (killed !== "") return `killed: ${killed}`;
  const left = disk.afterPowerLoss();
  if (policy === "1/1") return judge(left, acknowledged);
  // Acknowledged transactions may be lost, the last ones first; what is left is whole.
  const engine = openWal(left);
  const found = roundOf(engine);
  if (found < -1) t.fail("2/0: a state that never was");
  return found > acknowledged + 1 ? "2/0: more than was begun" : checkWal(left).join("; ");
}

for (const [policy, directives] of [
  ["1/1", STRICT],
  ["2/0", LAZY],
] as const) {
  t.test(`policy ${policy}: a failure at every call`, async (t) => {
    const folder = new MemoryDisk();
    await openWal(folder, directives).close();
    for (const kind of KINDS) {
      const count = await eachFault(
        kind,
        () => folder.clone(),
        directives,
        (disk, outcome, nth) => {
          const problem = wrongWith(outcome, kind) || survivalsOf(t, policy, disk, outcome.acknowledged);
          if (problem !== "") t.fail(`${kind.call} ${nth}, ${kind.code}: ${problem}`);
        },
      );
      // In a folder that is there, this work makes no folder and removes no file.
      const comes = kind.call !== "make-dir" && kind.call !== "remove";
      t.equal(count > 0, comes, `${kind.call} ${kind.code}: ${count} places`);
    }
  });
}

t.test("a failure while the folder is made: the next start makes it", async (t) => {
  for (const kind of KINDS) {
    let places = 0;
    for (let nth = 1; ; nth++) {
      const memory = new MemoryDisk();
      try {
        openWal(new FaultyDisk(memory, [{ ...kind, nth }]));
        break;
      } catch (error) {
        if (!(error instanceof DiskFailure)) throw error;
      }
      places++;
      for (const left of [memory.clone(), memory.afterPowerLoss()]) {
        const problem = judge(left, -1, 0);
        if (problem !== "") t.fail(`${kind.call} ${nth}: ${problem}`);
      }
    }
    t.equal(places > 0, kind.call !== "remove", `${kind.call} ${kind.code}: ${places} places`);
  }
});

/** Folders as crashes leave them: by n, with pages in place, undecided transactions, a full redo log. */
async function crashedFolders(): Promise<{ disk: MemoryDisk; acknowledged: number }[]> {
  const folders: { disk: MemoryDisk; acknowledged: number }[] = [];
  const kind = { call: "sync", code: "EIO" } as const;
  await eachFault(
    kind,
    () => new MemoryDisk(),
    STRICT,
    (disk, { acknowledged }, nth) => {
      if (nth % 12 !== 0 || acknowledged < 0) return;
      folders.push({ disk: disk.clone(), acknowledged }, { disk: disk.afterPowerLoss(), acknowledged });
    },
  );
  return folders;
}

t.test("recovery on a failing disk, or a full one, fails and can be done again", async (t) => {
  let recoveries = 0;
  for (const { disk, acknowledged } of await crashedFolders()) {
    for (const kind of KINDS) {
      for (const times of [1, 1e9]) {
        for (let nth = 1; ; nth++) {
          const memory = disk.clone();
          try {
            openWal(new FaultyDisk(memory, [{ ...kind, nth, times }]));
            break;
          } catch (error) {
            if (!(error instanceof DiskFailure) || error.code !== kind.code) throw error;
          }
          recoveries++;
          const problem = judge(nth % 2 === 0 ? memory.clone() : memory.afterPowerLoss(), acknowledged);
          if (problem !== "") t.fail(`${kind.call} ${nth}: ${problem}`);
        }
      }
    }
  }
  t.ok(recoveries > 100, `${recoveries} recoveries failed`);
});
