/** Prints the comparison for people: a table as wide as the terminal, then what it means in a few lines. */
import type { Policy } from "./policy.ts";
import { promiseOf, promiseText } from "./policy.ts";
import { isBroken, isUnpromised, type Row, reasonOf } from "./survey.ts";

export interface Style {
  readonly color: boolean;
  /** Columns; undefined: as wide as it needs. */
  readonly width: number | undefined;
}

const RED = 31;
const GREEN = 32;
const YELLOW = 33;
const BOLD = 1;
const DIM = 2;

function paint(style: Style, code: number, text: string): string {
  return style.color ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** A line of the table: one row, or several crash points in a row with the same outcome. */
interface Line {
  readonly first: Row;
  readonly last: Row;
  readonly merged: Row;
}

const HEADINGS = ["crash", "at", "told", "there", "crashes", "acked", "lost", "span", "atomic", "promised"] as const;

function yesNo(value: boolean | undefined): string {
  return value === undefined ? "–" : value ? "yes" : "no";
}

/** Rows with equal answers, next to each other, are one line. */
function linesOf(rows: readonly Row[]): Line[] {
  const lines: Line[] = [];
  for (const row of rows) {
    const previous = lines.at(-1);
    if (previous === undefined || !isSameOutcome(previous.merged, row)) {
      lines.push({ first: row, last: row, merged: row });
      continue;
    }
    const { merged } = previous;
    lines[lines.length - 1] = {
      first: previous.first,
      last: row,
      merged: {
        ...merged,
        crashes: merged.crashes + row.crashes,
        acknowledged: Math.max(merged.acknowledged, row.acknowledged),
        lost: Math.max(merged.lost, row.lost),
        lostMs: Math.max(merged.lostMs, row.lostMs),
      },
    };
  }
  return lines;
}

function isSameOutcome(a: Row, b: Row): boolean {
  return (
    a.crash === b.crash &&
    a.policy === b.policy &&
    a.probe !== undefined &&
    b.probe !== undefined &&
    a.probe.acknowledged === b.probe.acknowledged &&
    a.probe.survived === b.probe.survived &&
    !isBroken(a) &&
    !isBroken(b) &&
    a.crashes > 0 === b.crashes > 0 &&
    a.lost > 0 === b.lost > 0
  );
}

export function spanText(ms: number): string {
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(0)} ms`;
}

function cellsOf({ first, last, merged }: Line): string[] {
  const point = first === last ? first.point : `${first.point} … ${last.point.slice(last.point.indexOf(".") + 1)}`;
  const ran = merged.crashes > 0;
  return [
    merged.crash,
    point,
    yesNo(merged.probe?.acknowledged),
    yesNo(merged.probe?.survived),
    String(merged.crashes),
    ran ? merged.acknowledged.toLocaleString("en") : "–",
    ran ? String(merged.lost) : "–",
    ran && merged.lost > 0 ? spanText(merged.lostMs) : "–",
    ran ? yesNo(merged.atomic) : "–",
    ran ? promisedText(merged) : "–",
  ];
}

function promisedText(row: Row): string {
  if (isUnpromised(row) && row.violations.length > 0) return "never";
  return isBroken(row) ? (row.refused > 0 ? "refused" : "no") : "yes";
}

/** The table of one policy. */
function policyTable(policy: Policy, rows: readonly Row[], style: Style, widths: readonly number[]): string {
  const title = `kv-${policy.engine}  ${Object.entries(policy.directives)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ")}`;
  const text = [`${paint(style, BOLD, title)}  ${paint(style, DIM, policy.meaning)}`];
  text.push(paint(style, DIM, `  ${pad([...HEADINGS], widths)}  why`));
  for (const line of linesOf(rows)) {
    const cells = cellsOf(line);
    const plain = pad(cells, widths);
    const verdict = cells.at(-1) ?? "";
    const color =
      verdict === "yes" ? GREEN : verdict === "no" ? RED : verdict === "refused" || verdict === "never" ? YELLOW : DIM;
    const body = plain.slice(0, plain.length - (widths.at(-1) ?? 0));
    const reason = fit(reasonOf(line.merged, policy), style.width, plain.length + 4);
    text.push(`  ${body}${paint(style, color, verdict.padEnd(widths.at(-1) ?? 0))}  ${reason}`.trimEnd());
  }
  return text.join("\n");
}

function pad(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, column) => {
      const width = widths[column] ?? 0;
      return column >= 4 && column <= 7 ? cell.padStart(width) : cell.padEnd(width);
    })
    .join("  ");
}

/** Cuts a text to what is left of the line. A narrow terminal gets at least a few words. */
function fit(text: string, width: number | undefined, used: number): string {
  if (width === undefined) return text;
  const room = Math.max(12, width - used);
  return text.length > room ? `${text.slice(0, room - 1)}…` : text;
}

/** The whole table, policy by policy. */
export function tableText(policies: readonly Policy[], rows: readonly Row[], style: Style): string {
  const byPolicy = policies.map((policy) => ({
    policy,
    rows: rows.filter((row) => row.engine === policy.engine && row.policy === policy.name),
  }));
  const widths = HEADINGS.map((heading) => heading.length as number);
  for (const { rows: own } of byPolicy) {
    for (const line of linesOf(own)) {
      for (const [column, cell] of cellsOf(line).entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return byPolicy.map(({ policy, rows: own }) => policyTable(policy, own, style, widths)).join("\n\n");
}

/** For each policy what was lost, what it promises, and whether that held. */
export function summaryText(policies: readonly Policy[], rows: readonly Row[], style: Style): string {
  const text = [
    paint(style, BOLD, "What survives"),
    "  told: the write at this point had been acknowledged; there: it is there after recovery (one SET on a quiet server).",
    "  acked, lost, span: the same under load: acknowledged writes in the largest crash, how many of them were gone in the",
    "  worst, and how long before the crash the first of those had been acknowledged.",
    "",
  ];
  const names = policies.map((policy) => `kv-${policy.engine} ${policy.name}`);
  const width = Math.max(...names.map((name) => name.length));
  for (const [index, policy] of policies.entries()) {
    for (const crash of ["kill", "power"] as const) {
      const own = rows.filter(
        (row) => row.engine === policy.engine && row.policy === policy.name && row.crash === crash && row.crashes > 0,
      );
      if (own.length === 0) continue;
      const name = crash === "kill" ? (names[index] ?? "") : "";
      text.push(`  ${name.padEnd(width)}  ${summaryLine(policy, crash, own, style)}`);
    }
  }
  return text.join("\n");
}

function summaryLine(policy: Policy, crash: "kill" | "power", rows: readonly Row[], style: Style): string {
  const crashes = rows.reduce((sum, row) => sum + row.crashes, 0);
  const covered = rows.filter((row) => !isUnpromised(row));
  const lost = Math.max(...covered.map((row) => row.lost));
  const lostMs = Math.max(...covered.map((row) => row.lostMs));
  const broken = rows.filter(isBroken);
  const what = lost === 0 ? "lost nothing" : `lost up to ${lost} writes, ${spanText(lostMs)}`;
  const count = `${crashes.toLocaleString("en")} ${crash === "kill" ? "crashes of the process" : "power losses"}`;
  const promise = promiseText(promiseOf(policy, crash));
  const refused = rows.reduce((sum, row) => sum + row.refused, 0);
  const refusals = refused === 0 ? "" : `; ${paint(style, YELLOW, "refused to start")} after ${refused}`;
  const word = broken.length === 0 ? paint(style, GREEN, "kept  ") : paint(style, RED, "BROKEN");
  const reason = broken[0] === undefined ? "" : `. ${reasonOf(broken[0], policy)}`;
  return `${word}  ${count}: ${what}${refusals}; promised: ${promise}${reason}`;
}
