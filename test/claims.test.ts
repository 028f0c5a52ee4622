/**
 * The claims of the documents: our engines show what was measured on redis-server and MariaDB, cell by cell; every claim is
 * judged by what its scenario observed; and a claim can fail. The whole set, with real processes and the real disk, is
 * `twolog compare --claims`.
 */
import t from "tap";
import { CLAIMS } from "../compare/claims/all.ts";
import { type Case, type Claim, judgeCases, judgeClaim, walCase } from "../compare/claims/claim.ts";
import { observeCell, outcomeAt, quietWrite } from "../compare/claims/matrix.ts";
import { CELLS, type Cell, outcomeText } from "../compare/claims/measured.ts";
import { killedCases } from "../compare/claims/real-kill.ts";
import { detailLines, runClaims, tableLines } from "../compare/claims/run-claims.ts";
import { answerOf, Stage } from "../compare/claims/stage.ts";
import { createBinlogNotSynced } from "../compare/orders/binlog-not-synced.ts";
import { createReplyBeforeFsync } from "../compare/orders/reply-before-fsync.ts";
import { policyOf } from "../compare/policy.ts";
import { fitted } from "../compare/terminal-lines.ts";

const SIMULATED = { real: false };
/** These take seconds each, or measure the machine: the command runs them. */
const LONG = new Set(["A4", "A5", "A6", "A7", "W2", "W15", "W16", "W21", "W22", "W30"]);

function claimOf(id: string): Claim {
  const found = CLAIMS.find((claim) => claim.id === id);
  if (found === undefined) throw new Error(`no claim ${id}`);
  return found;
}

t.test("every row of CLAIMS.md is there, once", async (t) => {
  const ids = [
    ...Array.from({ length: 15 }, (_, row) => `A${row + 1}`),
    ...Array.from({ length: 33 }, (_, row) => `W${row + 1}`),
  ];
  t.same(
    CLAIMS.map(({ id }) => id),
    ids,
  );
});

t.test("every measured cell of redis-server and MariaDB: our engines show the same", async (t) => {
  const different = CELLS.map((cell) => {
    const due = outcomeText(cell.policy, cell.measured);
    const shown = outcomeText(cell.policy, observeCell(cell));
    return due === shown ? "" : `${cell.policy.name} ${cell.point} ${cell.crash}: ${shown} instead of ${due}`;
  }).filter((text) => text !== "");
  t.equal(CELLS.length, 104);
  t.same(different, []);
});

for (const claim of CLAIMS.filter(({ id }) => !LONG.has(id))) {
  t.test(`${claim.id}: ${claim.claim}`, async (t) => {
    const judged = await judgeClaim(claim, SIMULATED);
    t.same(judged.deviations, []);
    if (judged.cases.length === 0) t.ok(claim.notShown, "what is not shown says why");
    else t.ok(judged.observed, `on the original: ${judged.measured}; twolog: ${judged.observed}`);
  });
}

/** A cell of a wrong engine, as a case of the claim that covers it. */
function wrongCell(cell: Cell, create: NonNullable<Parameters<typeof quietWrite>[1]>["create"]): Case {
  const run = quietWrite(cell.policy, { ...(create && { create }) });
  const shown = outcomeAt(run, cell.crash, run.write.answeredAt ?? 0);
  const due = outcomeText(cell.policy, cell.measured);
  return walCase("right after the reply", due, due, outcomeText(cell.policy, shown));
}

t.test("a claim can fail: a wrong order deviates from what was measured", async (t) => {
  const always = CELLS.find((cell) => cell.policy.name === "always" && cell.point === "R3" && cell.crash === "power");
  const strict = CELLS.find((cell) => cell.policy.name === "1/1" && cell.point === "P6" && cell.crash === "power");
  if (always === undefined || strict === undefined) throw new Error("no such cell");
  const right = judgeCases(claimOf("A7"), [wrongCell(always, undefined)]);
  t.same(right.deviations, [], "the right order shows what was measured");
  t.equal(right.observed, "holds");
  const early = judgeCases(claimOf("A7"), [
    wrongCell(always, (_name, host, config) => createReplyBeforeFsync(host, config)),
  ]);
  t.match(early.deviations[0], /shows "acknowledged, OLD" instead of "acknowledged, NEW"/);
  t.equal(early.observed, "false", "and the claim is false of it");
  const unsynced = judgeCases(claimOf("W14"), [
    wrongCell(strict, (_name, host, config) => createBinlogNotSynced(host, config)),
  ]);
  t.match(unsynced.deviations.join("\n"), /shows "acknowledged, OLD in both" instead of "acknowledged, NEW in both"/);
});

t.test("a verdict is computed from the cases", async (t) => {
  const claim = claimOf("W6");
  const one = (claimed: string, measured: string, observed: string): Case => walCase("x", claimed, measured, observed);
  t.equal(judgeCases(claim, [one("a", "a", "a"), one("a", "b", "b")]).observed, "holds only if");
  t.equal(judgeCases(claim, [one("a", "b", "b")]).observed, "false");
  t.equal(judgeCases(claim, [one("a", "a", "a")]).observed, "holds");
  t.match(
    judgeCases(claim, [one("a", "a", "a")]).deviations,
    [/CLAIMS\.md has "holds only if"/],
    "a bent scenario shows",
  );
  t.equal(judgeCases(claimOf("A5"), [one("a", "a", "a"), one("a", "b", "b")]).observed, "false", "a bound needs one");
  const better = { shows: "c", because: "it is better" };
  t.same(judgeCases(claimOf("W33"), [{ ...one("c", "b", "c"), better }]).deviations, []);
  t.equal(
    judgeCases(claimOf("W33"), [{ ...one("c", "b", "b"), better }]).deviations.length,
    1,
    "the improvement is due",
  );
});

t.test("a step that never came is no evidence", async (t) => {
  const stage = new Stage(policyOf("wal", "1/1"));
  stage.ask("SET", "k", "v");
  t.throws(() => stage.behind("wal.doublewrite", 0), /wal\.doublewrite never came/);
  t.throws(() => answerOf(stage.send(["GET", "k"])), /GET k was never answered/);
});

t.test("a scenario that breaks is a deviation", async (t) => {
  const run = (): never => {
    throw new Error("no disk");
  };
  const { deviations } = await judgeClaim({ ...claimOf("A1"), run }, SIMULATED);
  t.same(deviations, ["the scenario broke: no disk"]);
});

t.test("a real process, killed at a step, shows what the simulator shows", async (t) => {
  const cases = await killedCases(
    { real: true },
    "wal",
    ({ policy, point }) => point === "P3" && (policy.name === "1/1" || policy.name === "0/1"),
    { isSo: ({ inBinlog, value }) => inBinlog === (value === "NEW"), else: "in both or in neither" },
  );
  const [both, torn] = ["not acknowledged, NEW in both", "not acknowledged, OLD in the engine, NEW in the binlog"];
  t.same(
    cases.map(({ claimed, observed, how }) => [claimed, observed, how]),
    [
      [both, both, "killed"],
      ["in both or in neither", torn, "killed"],
    ],
    "and contradicts the claim where the measurement does",
  );
});

t.test("the table and the details", async (t) => {
  const judged = await judgeClaim(claimOf("W5"), SIMULATED);
  t.match(tableLines([judged])[1], /^W5 .*holds only if holds only if +6$/);
  const text = detailLines(judged).join("\n");
  t.match(text, /W5 {2}a transaction whose binlog was written will be committed \(document 001 002\)/);
  t.match(text, /- kv-wal, 1\/1, power loss between the binlog's write and its sync: OLD \(as measured\)/);
  const derived = detailLines(await judgeClaim(claimOf("A3"), SIMULATED)).join("\n");
  t.match(
    derived,
    /- kv-aof, SET, which cannot fail: a legal state \(as derived\)/,
    "Redis's order cannot be reversed",
  );
  const policies = detailLines(await judgeClaim(claimOf("W8"), SIMULATED));
  const shown = policies.filter((line) => /^ {4}- /.test(line)).length;
  const [more, right] = policies.flatMap((line) => /… and (\d+) /.exec(line)?.[1] ?? []).map(Number);
  t.equal(
    shown + (more ?? 0) + (right ?? 0),
    (await judgeClaim(claimOf("W8"), SIMULATED)).cases.length,
    "none is lost",
  );
  const narrow = [...tableLines([judged], 60), ...detailLines(judged).flatMap((line) => fitted(line, 60))];
  t.same(
    narrow.filter((line) => line.length > 60),
    [],
    "as wide as the terminal",
  );
  const lines: string[] = [];
  t.equal(await runClaims({ claim: ["A8", "w31"], simulated: true }, (line) => lines.push(line)), 0);
  t.match(lines.at(-1), /2 claims, 5 cases: 1 holds, 1 holds only if …, 0 false/);
  await t.rejects(
    runClaims({ claim: ["Z1"] }, () => {}),
    /unknown claim 'Z1'/,
  );
  await t.rejects(
    runClaims({ claim: ["A8"], simulated: true, json: t.testdirName + "/none/x" }, () =>
      t.fail("nothing is run before"),
    ),
    /cannot write .*: ENOENT/,
  );
  t.equal(policyOf("aof", "no").name, "no");
});
