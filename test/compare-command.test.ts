/** The lab as a person starts it: `twolog compare` and `twolog trace`, and Ctrl-C in the middle. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { STEPS } from "../common/steps.ts";
import { PLAIN_ENV, PROGRAM, twolog } from "./support/program.ts";

t.test("twolog compare prints a table and writes JSON", async (t) => {
  const json = join(t.testdir(), "result.json");
  const args = ["compare", "--engine", "aof", "--policy", "always", "--seed", "5", "--json", json];
  const { status, stdout, stderr } = twolog(...args);
  t.equal(stderr, "", "no progress when it is not a terminal");
  t.equal(status, 0);
  t.match(stdout, /kv-aof {2}appendfsync always/);
  t.match(stdout, /power {2}aof\.reply +yes {3}yes/);
  t.match(stdout, /seed 5/);
  t.notMatch(stdout, "\u001b[", "no colour when it is not a terminal");
  const result = JSON.parse(readFileSync(json, "utf8"));
  t.match(result, { version: 1, seed: 5, policies: [{ engine: "aof", name: "always" }] });
  t.ok(result.rows.every((row: { promised: boolean }) => row.promised));
  t.match(twolog("compare", "--policy", "sometimes"), { status: 2, stderr: /sometimes/ });
});

t.test("twolog trace shows the steps of both engines in order", async (t) => {
  const { status, stdout } = twolog("trace", "SET k v", "--json");
  t.equal(status, 0);
  const { traces } = JSON.parse(stdout) as { traces: { engine: string; reply: string; events: { step?: string }[] }[] };
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
  const args = ["compare", "--engine", "aof", "--policy", "no", "--seed", "1"];
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...PLAIN_ENV, TMPDIR: temporary },
    stdio: "ignore",
  });
  const ended = once(child, "close");
  // The first folder is that of the first kill.
  while (folders() === 0 && child.exitCode === null) await new Promise((done) => setTimeout(done, 5));
  t.equal(child.exitCode, null, "it is in the middle of its kills");
  child.kill("SIGINT");
  const [status] = await ended;
  t.equal(status, 130);
  t.equal(folders(), 0);
});
