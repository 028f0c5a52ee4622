/** The lab as a person starts it: `twolog compare` and `twolog trace`, and Ctrl-C in the middle. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { STEPS } from "../common/steps.ts";

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
