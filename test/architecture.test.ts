/**
 * The house rules that a machine can check: who imports whom, where time and chance may be read, how long a file is.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cruise } from "dependency-cruiser";
import extractTSConfig from "dependency-cruiser/config-utl/extract-ts-config";
import t from "tap";
import { STEPS } from "../common/steps.ts";
import { IMPORT_RULES } from "./support/import-rules.ts";

const FOLDERS = ["common", "kv-aof", "kv-wal", "compare"];

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

const product = FOLDERS.flatMap(sources);

t.test("nobody imports what he must not (ARCHITECTURE.md §2)", async (t) => {
  const tsConfig = extractTSConfig("tsconfig.json");
  const { output } = await cruise([...FOLDERS, "test"], IMPORT_RULES, undefined, { tsConfig });
  if (typeof output === "string") throw new Error("dependency-cruiser gave text where a result was expected");
  t.ok(output.summary.totalCruised > product.length / 2, "the tree was read");
  t.strictSame(
    output.summary.violations.map((v) => `${v.rule.name}: ${v.from} → ${v.to}`),
    [],
  );
});

t.test("time, chance and timers come from Host", (t) => {
  const outside =
    /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bMath\.random\b|\bset(Timeout|Interval|Immediate)\(|\bprocess\.nextTick\b|\bqueueMicrotask\b/;
  const offenders = product
    .filter((path) => !path.startsWith("compare/") && path !== "common/host.ts")
    .filter((path) => outside.test(withoutComments(readFileSync(path, "utf8"))));
  t.strictSame(offenders, []);
  t.end();
});

t.test("storage and commands are synchronous: no async but close() and start-up", (t) => {
  const offenders = product
    .filter((path) => /^(kv-aof|kv-wal|common\/command|common\/keyspace|common\/log|common\/resp)/.test(path))
    .filter((path) => !path.endsWith("/main.ts"))
    .flatMap((path) =>
      withoutComments(readFileSync(path, "utf8"))
        .split("\n")
        .filter((line) => /\basync\b/.test(line) && !/async close\(\)/.test(line))
        .map((line) => `${path}: ${line.trim()}`),
    );
  t.strictSame(offenders, []);
  t.end();
});

t.test("a file is one idea: a header comment, at most 400 lines", (t) => {
  for (const path of product) {
    const text = readFileSync(path, "utf8");
    if (!path.endsWith("/index.ts")) t.match(text, /^(#!.*\n)?\/\*\*/, `${path} begins by saying what it is`);
    t.ok(text.split("\n").length <= 401, `${path} has ${text.split("\n").length} lines`);
    t.notMatch(text, /\b(TODO|FIXME|XXX)\b/, `${path} leaves nothing undone`);
  }
  t.end();
});

t.test("every step of the write paths is traced by the code that does it", (t) => {
  const textsUnder = (folder: string) => sources(folder).map((path) => readFileSync(path, "utf8"));
  const engines = { aof: textsUnder("kv-aof"), wal: textsUnder("kv-wal") };
  const server = textsUnder("common/server");
  for (const { name, engine } of STEPS) {
    const texts = name.endsWith(".reply") ? server : engines[engine];
    t.ok(
      texts.some((text) => text.includes(`"${name}"`)),
      `${name} is traced`,
    );
  }
  t.end();
});

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
}
