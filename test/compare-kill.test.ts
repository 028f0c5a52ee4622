/**
 * Real processes, really killed: each engine at every step of its write path and at random times, restarted, read back and
 * judged; the folder's lock; and the programs `twolog compare` and `twolog trace` as a person starts them.
 *
 * KILLS=100 makes the hundred random kills per engine of the long campaign.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { STEPS } from "../common/steps.ts";
import { type KillMoment, runKill } from "../compare/kill.ts";
import { POLICIES, type Policy } from "../compare/policy.ts";
import { makeFolder, removeFolder, StartRefused, startServer } from "../compare/server-process.ts";
import { killText, SMALL } from "../compare/survey.ts";

const KILLS = Number(process.env["KILLS"] ?? 3);

function policy(engine: string, name: string): Policy {
  const found = POLICIES.find((candidate) => candidate.engine === engine && candidate.name === name);
  if (found === undefined) throw new Error("no such policy");
  return found;
}
const STRICT = [policy("aof", "always"), policy("wal", "1/1")];

const kill = (under: Policy, seed: number, moment: KillMoment, again = false) =>
  runKill({ policy: under, seed, moment, clients: 3, loadMs: 4000, directives: SMALL[under.engine], again });

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
    for (let seed = 1; seed <= KILLS; seed++) {
      const moment = { afterMs: 40 + ((seed * 97) % 400) };
      const { verdict } = await kill(under, seed, moment, true);
      t.same(verdict.violations, [], killText(under, seed, moment));
      t.equal(verdict.survived, verdict.acknowledged);
      t.ok(verdict.acknowledged > 0, `${verdict.acknowledged} acknowledged writes`);
    }
  });
}

t.test("the second server on a folder is refused and names the first", async (t) => {
  for (const { engine, name } of STRICT) {
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

const TWOLOG = fileURLToPath(new URL("../dist/compare/twolog.js", import.meta.url));

async function twolog(...args: string[]): Promise<{ code: number | null; out: string; errors: string }> {
  const child = spawn(process.execPath, [TWOLOG, ...args], { env: { ...process.env, NODE_OPTIONS: "" } });
  let out = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, errors };
}

t.test("twolog compare prints a table and writes JSON", async (t) => {
  const json = join(t.testdir(), "result.json");
  const { code, out, errors } = await twolog(
    "compare",
    "--engine",
    "aof",
    "--policy",
    "always",
    "--seed",
    "5",
    "--json",
    json,
  );
  t.equal(errors, "", "no progress when it is not a terminal");
  t.equal(code, 0);
  t.match(out, /kv-aof {2}appendfsync always/);
  t.match(out, /power {2}aof\.reply +yes {3}yes/);
  t.match(out, /seed 5/);
  t.notMatch(out, "\u001b[", "no colour when it is not a terminal");
  const result = JSON.parse(readFileSync(json, "utf8"));
  t.match(result, { version: 1, seed: 5, policies: [{ engine: "aof", name: "always" }] });
  t.ok(result.rows.every((row: { promised: boolean }) => row.promised));
  t.match(await twolog("compare", "--policy", "sometimes"), { code: Number, errors: /sometimes/ });
});

t.test("twolog trace shows the steps of both engines in order", async (t) => {
  const { code, out } = await twolog("trace", "SET k v", "--json");
  t.equal(code, 0);
  const { traces } = JSON.parse(out) as { traces: { engine: string; reply: string; events: { step?: string }[] }[] };
  for (const { engine, reply, events } of traces) {
    t.equal(reply, "OK");
    const steps = events.flatMap(({ step }) => (step === undefined ? [] : [step]));
    const first = STEPS.filter((step) => step.engine === engine && step.phase !== "later").map(({ name }) => name);
    t.same(
      [...new Set(steps)].slice(0, first.length),
      first,
      `kv-${engine}: the steps of common/steps.ts, in their order`,
    );
  }
});

t.test("an interrupted comparison leaves neither processes nor folders behind", async (t) => {
  const temporary = t.testdir();
  const folders = () => readdirSync(temporary).length;
  const child = spawn(process.execPath, [TWOLOG, "compare", "--engine", "aof", "--policy", "no", "--seed", "1"], {
    env: { ...process.env, NODE_OPTIONS: "", TMPDIR: temporary },
    stdio: "ignore",
  });
  for (let waited = 0; waited < 400 && folders() === 0; waited++) await new Promise((done) => setTimeout(done, 50));
  t.ok(folders() > 0, "it is in the middle of its kills");
  child.kill("SIGINT");
  const [code] = await once(child, "close");
  t.equal(code, 130);
  t.equal(folders(), 0);
});
