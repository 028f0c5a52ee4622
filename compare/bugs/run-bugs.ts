/**
 * `twolog compare --bugs`: every seeded bug is hunted until it is caught. A table says by which oracle, after how many states,
 * how small the smallest example is, how long it took, and which commit found it last. A bug that is not caught is MISSED, and
 * fails the command.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../common/errors.ts";
import type { Minimised } from "../lab/shrink.ts";
import { COMMANDS_GOAL } from "../lab/shrink-script.ts";
import { writeResult } from "../result-file.ts";
import { BUGS, NOT_SEEDED } from "./all.ts";
import type { Bug } from "./bug.ts";
import { hunt, shrinkCaught } from "./hunt.ts";

export interface BugsOptions {
  readonly seed?: number | undefined;
  /** Results; read before, for the commits that found a bug last. */
  readonly json?: string | undefined;
}

export interface BugResult {
  readonly bug: Bug;
  /** By which oracle; undefined: not at all. */
  readonly caughtBy: string | undefined;
  readonly states: number;
  readonly ms: number;
  /** The smallest example; of a bug of the lab, of what it misses or of whom it accuses. */
  readonly small: Minimised | undefined;
}

const LIMIT_MS = 60_000;
/** What a blind lab, and one that sees ghosts, are given to be noticed. */
const BLIND_SEEDS = 3;

/** Hunts one bug. */
export async function runBug(bug: Bug, seed: number, limitMs = LIMIT_MS): Promise<BugResult> {
  if (bug.inLab !== undefined) return runLabBug(bug, bug.inLab, seed, limitMs);
  const { caught, states, ms } = hunt(bug.hunt, { seed, limitMs });
  const small = caught && (await shrinkCaught(bug.hunt, caught));
  return { bug, caughtBy: caught?.oracle, states, ms, small };
}

/** The lab as it is must give one answer, and the lab with the bug the other. */
async function runLabBug(bug: Bug, inLab: "misses" | "accuses", seed: number, limitMs: number): Promise<BugResult> {
  const { judge: _weaker, crashAfter: _fewer, ...right } = bug.hunt;
  const options = { seed, seedsMax: BLIND_SEEDS, limitMs };
  const faulty = hunt(bug.hunt, options);
  const asItIs = hunt(right, options);
  const states = faulty.states + asItIs.states;
  const ms = faulty.ms + asItIs.ms;
  const [seeing, blind] = inLab === "misses" ? [asItIs, faulty] : [faulty, asItIs];
  if (seeing.caught === undefined || blind.caught !== undefined) {
    return { bug, caughtBy: undefined, states, ms, small: undefined };
  }
  const small = await shrinkCaught(inLab === "misses" ? right : bug.hunt, seeing.caught);
  return { bug, caughtBy: inLab === "misses" ? "sentinel missed" : "right engine accused", states, ms, small };
}

/** Runs them all and prints. Returns the exit status. */
export async function runBugs(options: BugsOptions, print: (line: string) => void): Promise<number> {
  const seed = options.seed ?? 1;
  const commit = currentCommit();
  const before = readResults(options.json);
  print(HEADING);
  const results: BugResult[] = [];
  for (const bug of BUGS) {
    const result = await runBug(bug, seed);
    results.push(result);
    print(bugLine(result, foundBy(result, commit, before)));
  }
  print("");
  for (const line of summaryLines(results, seed)) print(line);
  if (options.json !== undefined) writeResults(options.json, results, seed, commit, before);
  return results.every(({ caughtBy }) => caughtBy !== undefined) ? 0 : 1;
}

/** Commands of the smallest example, and of the earlier life that it needs. */
function sizeOf({ bug, small }: BugResult): number | undefined {
  return small && small.commands + (bug.hunt.life?.commands ?? 0);
}

function secondsText(ms: number | undefined): string {
  return `${((ms ?? 0) / 1000).toFixed(1)} s`;
}

const WHAT_WIDTH = 62;
const ORACLE_WIDTH = 20;
const HEADING =
  `pitfall  ${"bug".padEnd(WHAT_WIDTH + 4)} ${"caught by".padEnd(ORACLE_WIDTH)} ` +
  "states   time  commands  lost  small in  found by";

/** One line of the table. */
export function bugLine(result: BugResult, commit: string): string {
  const { bug, caughtBy, states, ms, small } = result;
  const what = `${bug.engine} ${bug.what.length > WHAT_WIDTH ? `${bug.what.slice(0, WHAT_WIDTH - 1)}…` : bug.what}`;
  const columns = [
    String(bug.pitfall).padStart(7),
    ` ${what.padEnd(WHAT_WIDTH + 4)}`,
    (caughtBy ?? "MISSED").padEnd(ORACLE_WIDTH),
    String(states).padStart(6),
    secondsText(ms).padStart(6),
    String(sizeOf(result) ?? "–").padStart(9),
    String(small?.lostWrites ?? "–").padStart(5),
    (small === undefined ? "–" : secondsText(small.ms)).padStart(9),
    ` ${commit}`,
  ];
  return columns.join(" ").trimEnd();
}

/** Counts, times, what is large, and what is not seeded. */
export function summaryLines(results: readonly BugResult[], seed: number): string[] {
  const caught = results.filter(({ caughtBy }) => caughtBy !== undefined);
  const [middle, worst] = middleAndLast(caught.map(({ ms }) => ms));
  const pitfalls = new Set(caught.map(({ bug }) => bug.pitfall)).size;
  const small = caught.flatMap((result) => result.small ?? []);
  const [commands, commandsMax] = middleAndLast(caught.map((result) => sizeOf(result) ?? 0));
  const [, lostMax] = middleAndLast(small.map(({ lostWrites }) => lostWrites));
  const [middleMs, worstMs] = middleAndLast(small.map(({ ms }) => ms));
  const lines = [
    `${caught.length} of ${results.length} seeded bugs caught, of ${pitfalls} pitfalls; median ${secondsText(middle)}, ` +
      `worst ${secondsText(worst)}; seed ${seed}`,
    `smallest examples: median ${commands} commands, at most ${commandsMax}; at most ${lostMax} lost writes; ` +
      `found in median ${secondsText(middleMs)}, worst ${secondsText(worstMs)}`,
  ];
  for (const result of caught) {
    const size = sizeOf(result) ?? 0;
    if (size > COMMANDS_GOAL) lines.push(`  ${size} commands: pitfall ${result.bug.pitfall}, ${whyMany(result)}`);
  }
  lines.push("not seeded:");
  for (const [why, numbers] of Object.entries(NOT_SEEDED)) lines.push(`  ${numbers.join(", ")}: ${why}`);
  return lines;
}

function whyMany({ bug, small }: BugResult): string {
  return `${bug.what}: ${small?.isMinimal === true ? "without any one of them the promise is kept" : "the time was up"}`;
}

function middleAndLast(numbers: readonly number[]): [number, number] {
  const sorted = [...numbers].sort((a, b) => a - b);
  return [sorted[sorted.length >> 1] ?? 0, sorted.at(-1) ?? 0];
}

interface SavedBug {
  readonly pitfall: number;
  readonly engine: string;
  readonly what: string;
  readonly foundBy: string;
}

function foundBy({ bug, caughtBy }: BugResult, commit: string, before: readonly SavedBug[]): string {
  if (caughtBy !== undefined) return commit;
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
    const { bug, caughtBy: oracle, states, ms, small } = result;
    const { pitfall, engine, what } = bug;
    const found = small && {
      ...{ rule: small.finding.violation.rule, detail: small.finding.violation.detail },
      ...{ model: small.finding.crash.model.name, commands: sizeOf(result), lostWrites: small.lostWrites },
      ...{ isMinimal: small.isMinimal, attempts: small.attempts, shrinkMs: small.ms },
    };
    return { pitfall, engine, what, oracle, states, ms, ...found, foundBy: foundBy(result, commit, before) };
  });
  writeResult(path, JSON.stringify({ version: 2, seed, commit, bugs }, null, 2));
}
