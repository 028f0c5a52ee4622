/**
 * `twolog compare --bugs`: every seeded bug is hunted until it is caught. A table says by which oracle, after how many states,
 * how small the smallest example is, how long it took, and which commit found it last. A bug that is not caught is MISSED, and
 * fails the command.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../common/errors.ts";
import { BUGS, NOT_SEEDED } from "./all.ts";
import type { Bug } from "./bug.ts";
import { type Caught, type Hunt, type Hunted, hunt, smallest } from "./hunt.ts";

export interface BugsOptions {
  readonly seed?: number | undefined;
  /** Results; read before, for the commits that found a bug last. */
  readonly json?: string | undefined;
}

export interface BugResult {
  readonly bug: Bug;
  readonly caught: Caught | undefined;
  readonly states: number;
  readonly ms: number;
  /** Client operations of the smallest example that was found, the setup not counted. */
  readonly operations: number | undefined;
}

const LIMIT_MS = 60_000;
const SMALLEST_MS = 2000;
/** What a blind lab, and one that sees ghosts, are given to be noticed. */
const BLIND_SEEDS = 3;

/** Hunts one bug. */
export function runBug(bug: Bug, seed: number, limitMs = LIMIT_MS): BugResult {
  if (bug.inLab !== undefined) return runLabBug(bug, seed, limitMs);
  const { caught, states, ms } = hunt(bug.hunt, { seed, limitMs });
  const small = caught === undefined ? undefined : smallest(bug.hunt, { seed, limitMs: SMALLEST_MS });
  const sent = small?.caught?.sent ?? caught?.sent;
  return { bug, caught, states, ms, operations: sent && Math.max(0, sent.length - 1) };
}

/** The lab as it is must give one answer, and the lab with the bug the other. */
function runLabBug(bug: Bug, seed: number, limitMs: number): BugResult {
  const { judge: _weaker, crashAfter: _fewer, ...right } = bug.hunt;
  const options = { seed, seedsMax: BLIND_SEEDS, limitMs };
  const faulty = hunt(bug.hunt, options);
  const asItIs = hunt(right as Hunt, options);
  const isNoticed =
    bug.inLab === "misses"
      ? faulty.caught === undefined && asItIs.caught !== undefined
      : faulty.caught !== undefined && asItIs.caught === undefined;
  const witness = bug.inLab === "misses" ? asItIs.caught : faulty.caught;
  const oracle = bug.inLab === "misses" ? "sentinel missed" : "right engine accused";
  const caught = isNoticed && witness !== undefined ? { ...witness, oracle } : undefined;
  const sum = (part: (hunted: Hunted) => number): number => part(faulty) + part(asItIs);
  return {
    bug,
    caught,
    states: sum(({ states }) => states),
    ms: sum(({ ms }) => ms),
    operations: witness && Math.max(0, witness.sent.length - 1),
  };
}

/** Runs them all and prints. Returns the exit status. */
export function runBugs(options: BugsOptions, print: (line: string) => void): number {
  const seed = options.seed ?? 1;
  const commit = currentCommit();
  const before = readResults(options.json);
  print(HEADING);
  const results: BugResult[] = [];
  for (const bug of BUGS) {
    const result = runBug(bug, seed);
    results.push(result);
    print(bugLine(result, foundBy(result, commit, before)));
  }
  print("");
  for (const line of summaryLines(results, seed)) print(line);
  if (options.json !== undefined) writeResults(options.json, results, seed, commit, before);
  return results.every(({ caught }) => caught !== undefined) ? 0 : 1;
}

const WHAT_WIDTH = 62;
const ORACLE_WIDTH = 20;
const HEADING = `pitfall  ${"bug".padEnd(WHAT_WIDTH + 4)} ${"caught by".padEnd(ORACLE_WIDTH)} states  size   time  found by`;

/** One line of the table. */
export function bugLine({ bug, caught, states, ms, operations }: BugResult, commit: string): string {
  const what = `${bug.engine} ${bug.what.length > WHAT_WIDTH ? `${bug.what.slice(0, WHAT_WIDTH - 1)}…` : bug.what}`;
  const columns = [
    String(bug.pitfall).padStart(7),
    ` ${what.padEnd(WHAT_WIDTH + 4)}`,
    (caught?.oracle ?? "MISSED").padEnd(ORACLE_WIDTH),
    String(states).padStart(6),
    String(operations ?? "–").padStart(5),
    `${(ms / 1000).toFixed(1)} s`.padStart(6),
    ` ${commit}`,
  ];
  return columns.join(" ").trimEnd();
}

/** Counts, times, and what is not seeded. */
export function summaryLines(results: readonly BugResult[], seed: number): string[] {
  const caught = results.filter((result) => result.caught !== undefined);
  const times = caught.map(({ ms }) => ms).sort((a, b) => a - b);
  const seconds = (ms: number | undefined): string => `${((ms ?? 0) / 1000).toFixed(1)} s`;
  const pitfalls = new Set(caught.map(({ bug }) => bug.pitfall)).size;
  const lines = [
    `${caught.length} of ${results.length} seeded bugs caught, of ${pitfalls} pitfalls; median ${seconds(times[times.length >> 1])}, ` +
      `worst ${seconds(times.at(-1))}; seed ${seed}`,
    "not seeded:",
  ];
  for (const [why, numbers] of Object.entries(NOT_SEEDED)) lines.push(`  ${numbers.join(", ")}: ${why}`);
  return lines;
}

interface SavedBug {
  readonly pitfall: number;
  readonly engine: string;
  readonly what: string;
  readonly foundBy: string;
}

function foundBy({ bug, caught }: BugResult, commit: string, before: readonly SavedBug[]): string {
  if (caught !== undefined) return commit;
  const known = before.find(
    ({ pitfall, engine, what }) => pitfall === bug.pitfall && engine === bug.engine && what === bug.what,
  );
  return known?.foundBy ?? "never";
}

/** The commit of these sources; "unknown" outside a checkout. */
function currentCommit(): string {
  try {
    const cwd = fileURLToPath(new URL(".", import.meta.url));
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd, stdio: ["ignore", "pipe", "ignore"] })
      .toString()
      .trim();
  } catch {
    return "unknown";
  }
}

function readResults(path: string | undefined): readonly SavedBug[] {
  if (path === undefined || !existsSync(path)) return [];
  try {
    const { bugs } = JSON.parse(readFileSync(path, "utf8")) as { bugs?: readonly SavedBug[] };
    return bugs ?? [];
  } catch {
    throw new UsageError(`${path} is not a result of --bugs`);
  }
}

/** `version` changes when a field changes its meaning. */
function writeResults(
  path: string,
  results: readonly BugResult[],
  seed: number,
  commit: string,
  before: readonly SavedBug[],
): void {
  const bugs = results.map((result) => {
    const { bug, caught, states, ms, operations } = result;
    const { pitfall, engine, what } = bug;
    const found = caught && { oracle: caught.oracle, rule: caught.rule, detail: caught.detail, state: caught.state };
    return { pitfall, engine, what, ...found, states, ms, operations, foundBy: foundBy(result, commit, before) };
  });
  try {
    writeFileSync(path, `${JSON.stringify({ version: 1, seed, commit, bugs }, null, 2)}\n`);
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}
