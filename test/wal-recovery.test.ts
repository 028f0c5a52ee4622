/**
 * kv-wal loses nothing that it has acknowledged and keeps nothing half: a small workload is crashed at every single
 * operation on the disk, and recovered twice.
 */
import t from "tap";
import { Effects } from "../common/command/call.ts";
import type { Disk, DiskFile, OpenMode } from "../common/disk/disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { NO_EXPIRY } from "../common/keyspace/keyspace.ts";
import type { WalEngine } from "../kv-wal/engine.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { openWal, runOn } from "./support/wal-fixture.ts";

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

const ACCOUNTS = 4;
const TOTAL = 400;
const TRANSFERS = 14;

const account = (n: number) => `account:${n}`;

/** Commits one change; returns only when it is durable as the policy promises. */
function commit(engine: WalEngine, change: () => void): void {
  const effects = new Effects();
  effects.push(0, ["SET", "what", "ever"]);
  runOn(engine, effects, change);
  let settled = false;
  engine.settle((failure) => {
    settled = failure === undefined;
  });
  if (!settled) throw new Error("a small group is settled in place");
}

/** Transfers between accounts; each also counts itself, grows a hash and replaces a value of many pages. */
function transfer(engine: WalEngine, round: number): void {
  const { strings, hashes } = engine.keyspace.databases[0]!;
  const from = account(round % ACCOUNTS);
  const to = account((round * 3 + 1) % ACCOUNTS);
  commit(engine, () => {
    strings.set(from, String(Number(strings.get(from)) - round), NO_EXPIRY);
    strings.set(to, String(Number(strings.get(to)) + round), NO_EXPIRY);
    strings.set("round", String(round), NO_EXPIRY);
    hashes.set("rounds", `field ${round}`, "x".repeat(round * 20));
    if (round % 5 === 0) strings.set("large", String(round % 10).repeat(20_000 + round), 1_800_000_000_000 + round);
    if (round % 7 === 0) hashes.delete("rounds", `field ${round - 1}`);
  });
}

function setUp(engine: WalEngine): void {
  const { strings } = engine.keyspace.databases[0]!;
  commit(engine, () => {
    for (let n = 0; n < ACCOUNTS; n++) strings.set(account(n), String(TOTAL / ACCOUNTS), NO_EXPIRY);
    strings.set("round", "0", NO_EXPIRY);
  });
}

/** The last round acknowledged, −1 when not even the accounts were; −2 when the crash came before the folder was open. */
function work(disk: Disk): { acknowledged: number; crashed: boolean } {
  let acknowledged = -2;
  try {
    const engine = openWal(disk);
    acknowledged = -1;
    setUp(engine);
    acknowledged = 0;
    for (let round = 1; round <= TRANSFERS; round++) {
      transfer(engine, round);
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

/** Everything in database 0, as text. */
function dump(engine: WalEngine): string {
  const database = engine.keyspace.databases[0]!;
  const lines: string[] = [];
  const keys: string[] = [];
  database.scan(0, 1e9, (key) => keys.push(key));
  for (const key of keys.sort()) {
    const value = key === "rounds" ? "" : `${database.strings.get(key)} ${database.expiryOf(key)}`;
    lines.push(`${key} ${value}`);
  }
  const fields: string[] = [];
  database.hashes.each("rounds", (field, value) => fields.push(`${field}=${value.length}`));
  return [...lines, ...fields.sort(), `${database.size} ${database.hashes.length("rounds")}`].join("\n");
}

/** What must be there after round `round`, by doing the same without a crash. */
const expected = (() => {
  const engine = openWal(new MemoryDisk());
  const states: string[] = [dump(engine)];
  setUp(engine);
  states.push(dump(engine));
  for (let round = 1; round <= TRANSFERS; round++) {
    transfer(engine, round);
    states.push(dump(engine));
  }
  return states;
})();

function judge(disk: MemoryDisk, acknowledged: number): string {
  const engine = openWal(disk);
  const state = dump(engine);
  const found = expected.lastIndexOf(state) - 1;
  if (found < -1) return `a state that never was: ${state.slice(0, 200)}`;
  if (found < acknowledged) return `round ${acknowledged} was acknowledged, found only ${found}`;
  if (found > acknowledged + 1) return `round ${found} had not begun`;
  const problems = checkWal(disk);
  return problems.length > 0 ? problems.join("; ") : "";
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
