/**
 * Real processes, really killed: each engine at every step of its write path and at random times, restarted, read back and
 * judged; and the folder's lock.
 *
 * KILLS=100 makes the hundred random kills per engine of the long campaign.
 */
import t from "tap";
import { STEPS } from "../common/steps.ts";
import { type KillMoment, runKill } from "../compare/kill.ts";
import { type Policy, policyOf } from "../compare/policy.ts";
import { makeFolder, removeFolder, StartRefused, startServer } from "../compare/server-process.ts";
import { killText, SMALL } from "../compare/survey.ts";

const KILLS = Number(process.env["KILLS"] ?? 2);
/** Every step comes within a second or two; on a machine that is busy with other things it may take its time. */
const LOAD_MS = 120_000;

/** More than the set-up, which is answered before each kill. */
const ANSWERED_MIN = 20;

const STRICT = [policyOf("aof", "always"), policyOf("wal", "1/1")];

const kill = (under: Policy, seed: number, moment: KillMoment, again = false) =>
  runKill({ policy: under, seed, moment, clients: 3, loadMs: LOAD_MS, directives: SMALL[under.engine], again });

for (const under of STRICT) {
  t.test(`kv-${under.engine} ${under.name}, killed at each step: what was acknowledged is there`, async (t) => {
    for (const [index, { name }] of STEPS.filter((step) => step.engine === under.engine).entries()) {
      const moment = { step: name, nth: 2 };
      const { happened, verdict } = await kill(under, index, moment);
      t.ok(happened, `killed at the second ${name}`);
      t.same(verdict.violations, [], killText(under, index, moment));
    }
  });

  t.test(`kv-${under.engine} ${under.name}, killed at random times, and again after recovery`, async (t) => {
    let acknowledged = 0;
    // On a machine that is busy with other things nobody may have been answered before the kill: then there is another.
    for (let seed = 1; seed <= KILLS || acknowledged <= ANSWERED_MIN; seed++) {
      const moment = { afterMs: 40 + ((seed * 97) % 400) };
      const { verdict } = await kill(under, seed, moment, true);
      t.same(verdict.violations, [], killText(under, seed, moment));
      t.equal(verdict.survived, verdict.acknowledged, `${verdict.acknowledged} acknowledged writes`);
      acknowledged += verdict.acknowledged;
    }
  });
}

t.test("the second server on a folder is refused and names the first", async (t) => {
  for (const { engine, name } of STRICT) {
    // Folder and servers are removed by the lab's own end, if not here.
    const folder = makeFolder();
    const plan = { engine, policy: name, folder, directives: SMALL[engine] };
    const first = await startServer(plan);
    await t.rejects(startServer(plan), { constructor: StartRefused, message: /in use by process \d+/ });
    first.kill();
    await first.exited;
    const next = await startServer(plan);
    next.kill();
    await next.exited;
    removeFolder(folder);
  }
});
