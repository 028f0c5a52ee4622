/**
 * The originals beside our engines: recorded by strace, really killed while they write, restarted on what is left,
 * judged by the same oracle. The whole comparison is `twolog compare --originals`.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { CLAIMS } from "../compare/claims/all.ts";
import { type Case, type Claim, judgeClaim } from "../compare/claims/claim.ts";
import type { Column } from "../compare/originals/crash-columns.ts";
import { findingsOf } from "../compare/originals/explanations.ts";
import { ONE_CHANGE, observeCells, shownText } from "../compare/originals/observed-cells.ts";
import { observeClaims } from "../compare/originals/observed-claims.ts";
import { runOriginals } from "../compare/originals/originals.ts";
import { ownEngine } from "../compare/originals/own-engine.ts";
import { recordRun } from "../compare/originals/recorded-run.ts";
import { type Policy, policyOf } from "../compare/policy.ts";
import { makeFolder } from "../compare/server-process.ts";

const ALWAYS = policyOf("aof", "always");
const STRICT = policyOf("wal", "1/1");

t.test(
  "redis-server beside kv-aof: cells as measured, differences explained, killed at each call of a write",
  async (t) => {
    const json = join(t.testdir(), "result.json");
    const lines: string[] = [];
    const options = {
      seed: 1,
      states: 12,
      engine: "aof",
      policy: "always",
      models: ["kill", "dropped", "ext4-like"],
      json,
    } as const;
    const status = await runOriginals(options, (line) => lines.push(line));
    const text = lines.join("\n");
    t.equal(status, 0, text);
    t.match(
      text,
      /always +R1, power loss between the AOF's write and its fsync +not acknowledged, OLD +the same +the same/,
    );
    t.match(
      text,
      /killed entering fdatasync of appendonly\.aof\.1\.incr\.aof \(its number \d+\): folder as recorded; \d+ ack/,
    );
    t.match(text, /0 of them unexplained/);
    const { cells, kills, pairs } = JSON.parse(readFileSync(json, "utf8"));
    t.equal(cells.length, 8);
    t.equal(kills.length, 3, "to the AOF, its sync, to the client");
    for (const { where, acknowledged } of kills) t.ok(acknowledged >= 3, `${where}: while a client writes`);
    t.equal(pairs.length, 2, "after an earlier life, and at the very first start");
  },
);

t.test("kv-wal, recorded by strace like the originals, shows every measured cell", async (t) => {
  const cells = await observeCells(await recordRun(ownEngine(STRICT), { ...ONE_CHANGE, restMs: 300 }), makeFolder());
  t.equal(cells.length, 16);
  for (const { cell, outcome, agrees } of cells)
    t.ok(agrees, `${cell.point} ${cell.crash}: ${shownText(cell, outcome)}`);
});

t.test("claims on the installed originals: what they show, and that a deviation is told", async (t) => {
  const zeros = await judgeClaim(CLAIMS.find(({ id }) => id === "A13") as Claim, { real: false });
  const [seen] = await observeClaims([zeros], () => {});
  t.same(
    seen?.cases.map(({ original }) => original),
    [{ shows: "refused" }, { shows: "refused" }],
  );
  t.same(seen?.deviations, []);
  const [first, second] = zeros.cases as [Case, Case];
  const [bent] = await observeClaims([{ ...zeros, cases: [{ ...first, measured: "1 2 3" }, second] }], () => {});
  t.same(bent?.deviations, ['the installed original, behind a whole command: shows "refused", "1 2 3" was measured']);
  const [renamed] = await observeClaims([{ ...zeros, cases: [{ ...first, when: "elsewhere" }, second] }], () => {});
  t.match(renamed?.deviations, [
    /elsewhere: shows "the scenario broke: nobody looks, and nobody says why not"/,
    /no case is called "behind a whole command", and a scenario is/,
  ]);
  const [unseen] = await observeClaims(
    [await judgeClaim(CLAIMS.find(({ id }) => id === "A3") as Claim, { real: false })],
    () => {},
  );
  for (const { original } of unseen?.cases ?? []) t.match(original, { unseen: /its order cannot be reversed/ });
  t.same(unseen?.deviations, [], "what cannot be seen says why, and is no deviation");
});

function column(crash: "kill" | "power", more: Partial<Column> = {}): Column {
  const counts = { states: 1, lost: 0, lostMs: 0, ghosts: 0, refused: 0, binlogAhead: 0, binlogBehind: 0, broken: 0 };
  return { crash, ...counts, refusals: [], partings: [], violations: [], ...more };
}

t.test("what nobody has explained fails, also when both servers show it", async (t) => {
  const fine = { kill: column("kill"), power: column("power") };
  const whys = (policy: Policy, original: typeof fine, twin: typeof fine, isFirstStart = false) =>
    findingsOf(policy, isFirstStart, original, twin).map(({ trait, shownBy, why }) => [
      trait,
      shownBy,
      why !== undefined,
    ]);
  t.same(whys(STRICT, fine, fine), []);
  const parted = { ...fine, power: column("power", { binlogBehind: 2 }) };
  t.same(whys(STRICT, parted, parted), [["binlog behind", "both", false]], "1/1 lets nothing part the two");
  t.same(whys(policyOf("wal", "1/0"), parted, parted), [["binlog behind", "both", true]]);
  t.same(
    whys(policyOf("wal", "2/1"), parted, fine),
    [["binlog behind", "original", false]],
    "2/1 lets the binlog be ahead only",
  );
  const broken = { ...fine, power: column("power", { broken: 1, lost: 1, violations: ["lost write: SET a"] }) };
  t.same(whys(ALWAYS, broken, fine, true), [["broken", "original", true]], "redis-server's first start");
  t.same(whys(ALWAYS, broken, fine), [["broken", "original", false]], "but not a later one");
  t.same(whys(ALWAYS, fine, broken, true), [["broken", "twin", false]], "and never ours");
  const refused = { ...fine, power: column("power", { refused: 1, refusals: ["Bad signature"] }) };
  t.same(whys(ALWAYS, refused, fine), [["refused", "original", false]], "it says something else than what is known");
});
