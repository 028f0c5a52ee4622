/**
 * A crash with interactive transactions open: what was committed is there, whole; what was not is gone, and the old versions are
 * back. A play of several clients is crashed at every single operation on the disk.
 */
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { binlogContents } from "./support/binlog-contents.ts";
import { contentsOf } from "./support/contents.ts";
import { Crash, CrashingDisk } from "./support/crashing-disk.ts";
import { Sessions } from "./support/sessions.ts";
import { openWal } from "./support/wal-fixture.ts";

const LONG = "long ".repeat(8000);
const LONGER = "longer ".repeat(9000);

/**
 * Clients and what they do. A line with a list commits: the list says what has happened then, in words that a client without
 * transactions would use. `pass` lets a second pass: redo is synced, purge runs, pages are cleaned.
 */
const PLAY: readonly (readonly [client: string, line: string, committed?: readonly string[]])[] = [
  ["S", "MSET a 100 b 100 c 100 gone 1", ["MSET a 100 b 100 c 100 gone 1"]],
  ["S", "HSET h f 1 g 2", ["HSET h f 1 g 2"]],
  ["S", `SET long "${LONG}"`, [`SET long "${LONG}"`]],
  ["S", "SET expires 1 PXAT 1900000000000", ["SET expires 1 PXAT 1900000000000"]],
  // A reader whose snapshot keeps everything.
  ["R", "BEGIN"],
  ["R", "MGET a b c gone"],
  // Two transfers side by side, and a third that stays open.
  ["A", "BEGIN"],
  ["B", "BEGIN"],
  ["A", "DECRBY a 10"],
  ["X", "BEGIN"],
  ["X", "DECRBY c 50"],
  ["X", "DEL gone expires"],
  ["A", "INCRBY b 10"],
  ["B", "HSET h g 3 new 4"],
  ["S", "INCR counter", ["INCR counter"]],
  ["X", "HSET gone was 1"],
  ["B", `SET long "${LONGER}"`],
  ["A", "COMMIT", ["MSET a 90 b 110"]],
  ["S", "pass"],
  ["X", "SAVEPOINT s"],
  ["X", "SET x 1"],
  ["X", "ROLLBACK TO s"],
  ["B", "DEL h"],
  ["B", "HSET h only 1"],
  ["S", "DEL counter", ["DEL counter"]],
  ["B", "COMMIT", [`SET long "${LONGER}"`, "DEL h", "HSET h only 1"]],
  ["S", "SET counter 7", ["SET counter 7"]],
  ["A", "BEGIN"],
  ["A", "DEL long a"],
  ["A", `SET a "${LONG}"`],
  ["A", "ROLLBACK"],
  ["S", "pass"],
  ["S", "INCR a", ["INCR a"]],
  ["R", "COMMIT"],
  ["S", "pass"],
  ["A", "BEGIN"],
  ["A", "INCR a"],
  ["A", "DEL counter"],
  ["A", "COMMIT", ["INCR a", "DEL counter"]],
  ["X", "SET late 1"],
  ["S", "SET last 1", ["SET last 1"]],
];

/** What is there after so many commits, by commands that are transactions of their own. */
const STATES: readonly string[] = (() => {
  const sessions = new Sessions();
  const states = [contentsOf(sessions.engine.keyspace).join("\n")];
  for (const [, , committed] of PLAY) {
    if (committed === undefined) continue;
    for (const line of committed) sessions.ask("S", line);
    states.push(contentsOf(sessions.engine.keyspace).join("\n"));
  }
  return states;
})();

interface Played {
  readonly memory: MemoryDisk;
  /** Commits that were answered; −1: not even the folder was there. */
  readonly acknowledged: number;
  /** The crash came while a commit was on its way. */
  readonly undecided: boolean;
  readonly crashed: boolean;
}

/** Plays until the operation on the disk that crashes. */
function crashAt(operation: number): Played {
  let memory = new MemoryDisk();
  let acknowledged = -1;
  let undecided = false;
  try {
    const sessions = new Sessions(new MemoryDisk(), {}, (disk) => {
      memory = disk;
      return new CrashingDisk(disk, operation);
    });
    acknowledged = 0;
    for (const [client, line, committed] of PLAY) {
      undecided = committed !== undefined;
      if (line === "pass") {
        sessions.host.pass(1100);
        if (sessions.failure !== undefined) throw sessions.failure;
      } else sessions.ask(client, line);
      if (committed !== undefined) acknowledged++;
      undecided = false;
    }
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
    return { memory, acknowledged, undecided, crashed: true };
  }
  return { memory, acknowledged, undecided, crashed: false };
}

/** What is wrong with what is recovered; "" when nothing is. */
function judge(disk: MemoryDisk, { acknowledged, undecided }: Played): string {
  const recovered = disk.clone();
  const engine = openWal(recovered);
  const found = contentsOf(engine.keyspace).join("\n");
  const { views, versions } = engine.storage;
  if (versions.markedRows + versions.inUse + views.activeCount > 0) return "something of a transaction is left";
  const allowed = [STATES[Math.max(acknowledged, 0)], undecided ? STATES[acknowledged + 1] : undefined];
  if (!allowed.includes(found)) {
    const place = STATES.indexOf(found);
    return `${acknowledged} commits were answered, found ${place < 0 ? found : `the state after ${place}`}`;
  }
  if (acknowledged >= 0 && binlogContents(recovered).join("\n") !== found) return "the binlog says something else";
  const problems = checkWal(disk);
  return problems.length > 0 ? `the checker says ${problems}` : "";
}

const WAYS = {
  "power loss: what was not synced is gone": (disk: MemoryDisk) => disk.afterPowerLoss(),
  "process killed: what was written stays": (disk: MemoryDisk) => disk.clone(),
} as const;

for (const [name, survive] of Object.entries(WAYS)) {
  t.test(`crash at every operation, ${name}`, async (t) => {
    let crashes = 0;
    for (let operation = 0; ; operation++) {
      const played = crashAt(operation);
      if (!played.crashed) break;
      crashes++;
      const disk = survive(played.memory);
      const problem = judge(disk, played);
      if (problem !== "") t.fail(`operation ${operation}: ${problem}`);
      if (operation % 3 !== 0) continue;
      // Recovery crashes, too, and runs again (I7).
      const again = survive(played.memory);
      try {
        openWal(new CrashingDisk(again, operation % 7));
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
      }
      const problemAgain = judge(survive(again), played);
      if (problemAgain !== "") t.fail(`operation ${operation}, recovery crashed: ${problemAgain}`);
    }
    t.ok(crashes > 100, `${crashes} crashes`);
  });
}
