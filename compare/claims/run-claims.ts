/**
 * `twolog compare --claims`: every claim of the documents, run and judged; a table, then each claim with its cases. Exit
 * status 1 when an engine shows something else than was measured on the originals, where no improvement is stated; or, with
 * --originals, when an installed original does. Exit status 2: it cannot be observed here.
 */
import { UsageError } from "../../common/errors.ts";
import { recordingObstacle } from "../crash-program/strace.ts";
import { whyUnseen } from "../originals/unseen.ts";
import { checkResultFile, writeResult } from "../result-file.ts";
import { fitted, terminalWidth } from "../terminal-lines.ts";
import { CLAIMS } from "./all.ts";
import { type Case, type Claim, type Judged, judgeClaim } from "./claim.ts";

export interface ClaimsOptions {
  /** Ids; all when left out. */
  readonly claim?: readonly string[] | undefined;
  readonly json?: string | undefined;
  /** Leave out what kills real processes or measures the machine. */
  readonly simulated?: boolean | undefined;
  /** Show the installed redis-server and mariadbd as well, where they can be observed. */
  readonly originals?: boolean | undefined;
}

const STATUS_CANNOT = 2;

/** Runs and prints. Returns the exit status. */
export async function runClaims(options: ClaimsOptions, print: (line: string) => void): Promise<number> {
  const chosen = choose(options.claim);
  const obstacle = options.originals === true ? recordingObstacle() : undefined;
  if (obstacle !== undefined) {
    print(`--originals: ${obstacle}`);
    return STATUS_CANNOT;
  }
  checkResultFile(options.json);
  let judged: Judged[] = [];
  const startedAt = performance.now();
  for (const claim of chosen) judged.push(await judgeClaim(claim, { real: options.simulated !== true }));
  if (options.originals === true) {
    const { observeClaims } = await import("../originals/observed-claims.ts");
    judged = await observeClaims(judged, print);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const width = terminalWidth();
  const lines = [...tableLines(judged, width), "", ...judged.flatMap(detailLines)];
  for (const line of [...lines, `${summaryText(judged)}; ${seconds.toFixed(0)} s`])
    for (const part of fitted(line, width)) print(part);
  writeResult(options.json, claimsJson(judged, seconds));
  return judged.some(({ deviations }) => deviations.length > 0) ? 1 : 0;
}

function choose(ids: readonly string[] | undefined): readonly Claim[] {
  if (ids === undefined || ids.length === 0) return CLAIMS;
  return ids.map((id) => {
    const claim = CLAIMS.find((one) => one.id === id.toUpperCase());
    if (claim === undefined) throw new UsageError(`unknown claim '${id}': A1 to A15, W1 to W33`);
    return claim;
  });
}

const CLAIM_WIDTH = 66;
const CLAIM_WIDTH_MIN = 10;
/** Of the other columns. */
const OTHERS_WIDTH = 48;

/** One line a claim. */
export function tableLines(judged: readonly Judged[], terminal = CLAIM_WIDTH + OTHERS_WIDTH): string[] {
  const width = Math.max(CLAIM_WIDTH_MIN, Math.min(CLAIM_WIDTH, terminal - OTHERS_WIDTH));
  const lines = [`${"id".padEnd(4)} ${"claim".padEnd(width)} ${"original".padEnd(13)} ${"twolog".padEnd(13)} cases`];
  for (const { claim, cases, measured, observed, deviations } of judged) {
    const text = claim.claim.length > width ? `${claim.claim.slice(0, width - 1)}…` : claim.claim;
    const note = deviations.length > 0 ? "DEVIATES" : isBetter(cases) ? "better" : "";
    const words = [measured, observed].map((verdict) => (verdict ?? "not shown").padEnd(13)).join(" ");
    lines.push(
      `${claim.id.padEnd(4)} ${text.padEnd(width)} ${words} ${String(cases.length).padStart(5)} ${note}`.trimEnd(),
    );
  }
  return lines;
}

function isBetter(cases: readonly Case[]): boolean {
  return cases.some(({ better, observed }) => better !== undefined && better.shows === observed);
}

/** A claim with everything that belongs to it. */
export function detailLines({ claim, cases, measured, observed, onlyIf, deviations }: Judged): string[] {
  const documents = claim.documents === "" ? "our own" : `document ${claim.documents}`;
  const lines = [`${claim.id}  ${claim.claim} (${documents})`];
  const add = (name: string, text: string): number => lines.push(`    ${name.padEnd(10)}${text}`);
  add("setup", claim.setup);
  add("crash", claim.crash);
  add("expected", claim.expected);
  if (observed !== undefined) {
    const verdict = observed === "holds only if" ? `holds only if: ${shortList(onlyIf)}` : observed;
    add("verdict", measured === observed ? verdict : `${verdict} (on the original: ${measured})`);
  }
  add("because", claim.because);
  for (const line of caseLines(claim.id, cases)) lines.push(`    ${line}`);
  for (const because of new Set(cases.flatMap(({ better }) => (better === undefined ? [] : [better.because])))) {
    add("better", because);
  }
  if (claim.notShown !== undefined) add("not shown", claim.notShown);
  for (const [reason, names] of unseenOf(cases)) add("unseen", `on the original: ${reason} (${shortList(names)})`);
  for (const deviation of deviations) add("DEVIATES", deviation);
  return [...lines, ""];
}

const ONLY_IF_SHOWN = 6;
const CASES_SHOWN = 14;

function shortList(conditions: readonly string[]): string {
  const shown = conditions.slice(0, ONLY_IF_SHOWN).join("; ");
  return conditions.length > ONLY_IF_SHOWN ? `${shown}; and ${conditions.length - ONLY_IF_SHOWN} more` : shown;
}

/** The cases as lines; of many, those that contradict the claim, and how many more there are of either kind. */
function caseLines(id: string, cases: readonly Case[]): string[] {
  if (cases.length <= CASES_SHOWN) return cases.map((one) => caseLine(id, one));
  const against = cases.filter(({ claimed, observed }) => claimed !== observed);
  const lines = against.slice(0, CASES_SHOWN).map((one) => caseLine(id, one));
  if (against.length > CASES_SHOWN)
    lines.push(`  … and ${against.length - CASES_SHOWN} more that contradict the claim`);
  return [...lines, `  … and ${cases.length - against.length} cases as the document says`];
}

/** Cases that cannot be seen on the original, by the reason. */
function unseenOf(cases: readonly Case[]): Map<string, string[]> {
  const reasons = new Map<string, string[]>();
  for (const { original, when } of cases) {
    if (original === undefined || "shows" in original) continue;
    reasons.set(original.unseen, [...(reasons.get(original.unseen) ?? []), when]);
  }
  return reasons;
}

function caseLine(id: string, { engine, when, claimed, measured, observed, how, figure, original }: Case): string {
  const sign = claimed === observed ? "+" : "-";
  // What no original can show was not measured, but follows from what was.
  const source = whyUnseen(id, when) === undefined ? "measured" : "derived";
  const truth = measured === observed ? `as ${source}` : `${source}: ${measured}`;
  const here = original !== undefined && "shows" in original ? hereText(measured, original) : "";
  const own = [how === "simulated" ? "" : how, figure ?? ""].filter((text) => text !== "").join(", ");
  return `${sign} ${engine}, ${when}: ${observed}${own === "" ? "" : ` [${own}]`} (${truth}${here})`;
}

function hereText(measured: string, { shows, figure = "" }: { shows: string; figure?: string }): string {
  const text = shows === measured ? ", and here on the original" : `, here: ${shows}`;
  return figure === "" ? text : `${text}: ${figure}`;
}

/** How many claims hold, and how many say less than they seem to. */
export function summaryText(judged: readonly Judged[]): string {
  const count = (wanted: (one: Judged) => boolean): number => judged.filter(wanted).length;
  const verdicts = (["holds", "holds only if", "false"] as const).map(
    (verdict) =>
      `${count(({ observed }) => observed === verdict)} ${verdict}${verdict === "holds only if" ? " …" : ""}`,
  );
  const notShown = count(({ cases }) => cases.length === 0);
  const partly = count(({ claim, cases }) => cases.length > 0 && claim.notShown !== undefined);
  const cases = judged.reduce((sum, one) => sum + one.cases.length, 0);
  const sightings = judged.flatMap((one) => one.cases.flatMap(({ original }) => original ?? []));
  const seen = sightings.filter((one) => "shows" in one).length;
  const deviating = count(({ deviations }) => deviations.length > 0);
  return [
    `${judged.length} claims, ${cases} cases: ${verdicts.join(", ")}`,
    `${notShown} not shown, ${partly} not in every part`,
    ...(sightings.length === 0
      ? []
      : [`${seen} cases observed on the installed originals, too; ${sightings.length - seen} say why not`]),
    deviating === 0
      ? "every case shows what was measured or derived, or the stated improvement"
      : `${deviating} DEVIATE`,
  ].join("; ");
}

function derived({ id }: Claim, { when }: Case): { readonly derived?: string } {
  const because = whyUnseen(id, when);
  return because === undefined ? {} : { derived: because };
}

/** `version` changes when a field changes its meaning. */
function claimsJson(judged: readonly Judged[], seconds: number): string {
  const claims = judged.map(({ claim, cases, ...rest }) => {
    const { run: _run, ...row } = claim;
    return { ...row, ...rest, cases: cases.map(({ cell: _cell, ...one }) => ({ ...one, ...derived(claim, one) })) };
  });
  return JSON.stringify({ version: 1, seconds, claims }, null, 2);
}
