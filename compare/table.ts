/** Prints the comparison for people: a table as wide as the terminal, then what it means in a few lines. */
import type { Policy } from "./policy.ts";
import { promiseOf, promiseText } from "./policy.ts";
import { isBroken, isUnpromised, type Row, reasonOf } from "./survey.ts";

export interface Style {
  readonly color: boolean;
  /** Columns; undefined: as wide as it needs. */
  readonly width: number | undefined;
}

export const RED = 31;
export const GREEN = 32;
export const YELLOW = 33;
export const BOLD = 1;
export const DIM = 2;

export function paint(style: Style, code: number, text: string): string {
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
  if (isUnpromised(row) && row.violations.length > 0) return "none";
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
      verdict === "yes" ? GREEN : verdict === "no" ? RED : verdict === "refused" || verdict === "none" ? YELLOW : DIM;
    const body = plain.slice(0, plain.length - (widths.at(-1) ?? 0));
    const row = `  ${body}${paint(style, color, verdict.padEnd(widths.at(-1) ?? 0))}  `;
    text.push(
      ...withReason(row, reasonOf(line.merged, policy), plain.length + 4, verdict === "yes" || verdict === "–", style),
    );
  }
  return text.join("\n");
}

/** The reason goes behind the row; where it does not fit, below it, or nowhere if the promise was kept. */
function withReason(row: string, reason: string, used: number, isKept: boolean, style: Style): string[] {
  const { width } = style;
  if (width === undefined || used + reason.length <= width) return [row + reason];
  if (isKept && width - used < 20) return [row.trimEnd()];
  if (isKept) return [`${row}${reason.slice(0, width - used - 1)}…`];
  return [row.trimEnd(), wrap(reason, 8, width)];
}

function pad(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, column) => {
      const width = widths[column] ?? 0;
      return column >= 4 && column <= 7 ? cell.padStart(width) : cell.padEnd(width);
    })
    .join("  ");
}

/** Breaks a text into lines of the terminal's width, indented; colours take no room. */
export function wrap(text: string, indent: number, width: number | undefined): string {
  const lines: string[] = [];
  let line = "";
  let length = indent;
  for (const word of text.split(" ")) {
    const visible = word.replace(/\u001b\[\d+m/g, "").length;
    if (width !== undefined && line.trim() !== "" && length + 1 + visible > width) {
      lines.push(line);
      line = "";
      length = indent;
    }
    line = line === "" ? `${" ".repeat(indent)}${word}` : `${line} ${word}`;
    length += 1 + visible;
  }
  return [...lines, line].join("\n");
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
  const legend =
    "told: the write at this point had been acknowledged; there: it is there after recovery (one SET on a quiet server). " +
    "acked, lost, span: the same under load: acknowledged writes in the largest crash, how many of them were gone in the " +
    "worst, and how long before the crash the first of those had been acknowledged.";
  const text = [paint(style, BOLD, "What survives"), wrap(legend, 2, style.width ?? 120), ""];
  for (const policy of policies) {
    text.push(`  ${paint(style, BOLD, `kv-${policy.engine} ${policy.name}`)}  ${policy.meaning}`);
    for (const crash of ["kill", "power"] as const) {
      const own = rows.filter(
        (row) => row.engine === policy.engine && row.policy === policy.name && row.crash === crash && row.crashes > 0,
      );
      if (own.length > 0) text.push(wrap(summaryLine(policy, crash, own, style), 4, style.width));
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
  const what =
    lost === 0 ? "lost nothing" : `lost up to ${lost} ${lost === 1 ? "write" : "writes"}, ${spanText(lostMs)}`;
  const count = `${crashes.toLocaleString("en")} ${crash === "kill" ? "crashes of the process" : "power losses"}`;
  const promise = promiseText(promiseOf(policy, crash));
  const refused = rows.filter(isUnpromised).reduce((sum, row) => sum + row.refused, 0);
  const word = paint(style, YELLOW, "refused to start");
  const refusals = refused === 0 ? "" : `; ${word} on ${refused} disks that had kept an append out of order`;
  const outcome = broken.length === 0 ? paint(style, GREEN, "kept  ") : paint(style, RED, "BROKEN");
  const reason = broken[0] === undefined ? "" : `. ${reasonOf(broken[0], policy)}`;
  return `${outcome}  ${count}: ${what}${refusals}; promised: ${promise}${reason}`;
}
