/**
 * The bug bench: pitfalls of real systems, brought back as wrappers around the engines, are caught. A short slice, one or two
 * of each kind; all of them are `twolog compare --bugs`.
 */
import t from "tap";
import { BUGS, NOT_SEEDED } from "../compare/bugs/all.ts";
import type { Bug } from "../compare/bugs/bug.ts";
import { type Hunt, hunt } from "../compare/bugs/hunt.ts";
import { bugLine, runBug, summaryLines } from "../compare/bugs/run-bugs.ts";
import { COMMANDS_GOAL } from "../compare/lab/shrink-script.ts";

/** Pitfall, engine, and the oracle that says so: those that are caught in a fraction of a second. */
const SLICE: readonly (readonly [pitfall: number, engine: string, oracle: string])[] = [
  [1, "aof", "refused"],
  [2, "aof", "refused"],
  [4, "wal", "refused"],
  [7, "aof", "refused"],
  [7, "wal", "refused"],
  [8, "aof", "refused"],
  [16, "wal", "refused"],
  [20, "aof", "lost write"],
  [28, "wal", "refused"],
  [29, "aof", "vanished read"],
  [31, "aof", "lost write"],
  [35, "wal", "stopped"],
  [40, "aof", "lost write"],
  [41, "aof", "lost write"],
  [45, "aof", "invented data"],
  [48, "aof", "wrong sum"],
  [52, "aof", "lost write"],
  [58, "aof", "lost write"],
  [64, "aof", "sentinel missed"],
  [68, "aof", "right engine accused"],
];

function bugOf(pitfall: number, engine: string): Bug {
  const found = BUGS.find((bug) => bug.pitfall === pitfall && bug.engine === engine);
  if (found === undefined) throw new Error(`no bug of pitfall ${pitfall} in ${engine}`);
  return found;
}

t.test("at least fifty bugs; every pitfall is seeded, or says why not", async (t) => {
  t.ok(BUGS.length >= 50, `${BUGS.length} bugs`);
  const seeded = new Set(BUGS.map(({ pitfall }) => pitfall));
  const excused = Object.values(NOT_SEEDED).flat();
  const missing = Array.from({ length: 70 }, (_, index) => index + 1).filter(
    (pitfall) => !seeded.has(pitfall) && !excused.includes(pitfall),
  );
  t.same(missing, []);
  t.same(
    excused.filter((pitfall) => seeded.has(pitfall)),
    [],
    "nothing is both",
  );
});

for (const [pitfall, engine, oracle] of SLICE) {
  const bug = bugOf(pitfall, engine);
  t.test(`caught: pitfall ${pitfall}, kv-${engine}: ${bug.what}`, async (t) => {
    const { caughtBy, states, small } = await runBug(bug, 1, Infinity);
    t.equal(caughtBy, oracle, small?.finding.violation.detail ?? "missed");
    t.ok(states < 2000, `${states} states`);
    t.ok((small?.commands ?? Infinity) <= COMMANDS_GOAL, `${small?.commands} commands`);
    t.ok((small?.lostWrites ?? Infinity) <= 3, `${small?.lostWrites} lost writes`);
  });
}

/** The same hunt without the bug. */
function withoutBug(bug: Bug): Hunt {
  const { create: _engine, wrapDisk: _disk, recovery: _recovery, judge: _judge, ...right } = bug.hunt;
  return right;
}

t.test("the right engines are not caught by the same hunts, on torn disks of an earlier life neither", async (t) => {
  for (const [pitfall, engine] of [
    [8, "aof"],
    [36, "wal"],
    [35, "wal"],
    [29, "aof"],
    [48, "aof"],
  ] as const) {
    const { caught, states } = hunt(withoutBug(bugOf(pitfall, engine)), { seed: 1, seedsMax: 1, limitMs: 600 });
    t.equal(caught, undefined, `${pitfall}: ${states} states`);
  }
});

t.test("a bug that is not caught is shown as missed, and never hidden", async (t) => {
  const bug = bugOf(40, "aof");
  const harmless: Bug = { ...bug, what: "nothing is wrong", hunt: { ...withoutBug(bug), operations: 2, clients: 1 } };
  const result = await runBug(harmless, 1, 300);
  t.equal(result.caughtBy, undefined);
  t.match(bugLine(result, "never"), /aof nothing is wrong +MISSED +\d+ +[\d.]+ s +– +– +– +never$/);
  t.match(summaryLines([result], 1)[0], /^0 of 1 seeded bugs caught/);
});
