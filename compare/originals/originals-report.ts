/** The originals' columns beside ours, as text. */
import { promiseOf, promiseText } from "../policy.ts";
import { spanText } from "../table.ts";
import type { Column } from "./crash-columns.ts";
import type { OriginalsResult, Pair, RealKill, ServerResult } from "./originals.ts";
import type { TruthResult } from "./truth-check.ts";

const WIDTH = 110;

/** What was found under one policy: printed as soon as it is known. */
export function policyText(found: Omit<OriginalsResult, "missing" | "seconds">): string {
  const lines = [...pairTable(found.pairs), ...differenceLines(found.pairs)];
  for (const { name, results } of found.truth) lines.push(...truthLines(name, results));
  return [...lines, ...killLines(found.kills), ""].join("\n");
}

function pairTable(pairs: readonly Pair[]): string[] {
  const rows: string[][] = [];
  for (const { policy, isFirstStart, original, twin, differences } of pairs) {
    for (const crash of ["kill", "power"] as const) {
      const [a, b] = [original.columns[crash], twin.columns[crash]];
      if (isFirstStart && crash === "kill") continue;
      const different = differences.some((difference) => difference.crash === crash);
      const name = `${policy.name}${isFirstStart ? ", first start" : ""}`;
      const promise = promiseText(promiseOf(policy, crash));
      rows.push([name, crash, cell(original, a), cell(twin, b), different ? "differs" : "same", promise]);
    }
  }
  const headings = ["policy", "crash", "original", "twin", "", "promised"];
  const names = new Set(pairs.map(({ original, twin }) => `${original.name} | ${twin.name}`));
  return [[...names].join("; "), ...table([headings, ...rows])];
}

function cell(_: ServerResult, column: Column): string {
  const parts = [`${column.states} states`];
  parts.push(column.lost === 0 ? "lost nothing" : `lost ${column.lost}, ${spanText(column.lostMs)}`);
  if (column.refused > 0) parts.push(`refused ${column.refused}`);
  if (column.binlogAhead > 0) parts.push(`binlog ahead ${column.binlogAhead}`);
  if (column.binlogBehind > 0) parts.push(`binlog behind ${column.binlogBehind}`);
  if (column.broken > 0) parts.push(`BROKEN ${column.broken}`);
  return parts.join(", ");
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((text, index) => text.padEnd(widths[index] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function differenceLines(pairs: readonly Pair[]): string[] {
  const lines: string[] = [];
  for (const { policy, isFirstStart, original, twin, differences } of pairs) {
    for (const { crash, trait, original: isOriginals, why } of differences) {
      const name = isOriginals ? original.name : twin.name;
      const column = (isOriginals ? original : twin).columns[crash];
      const example = trait === "refused" ? column.refusal : trait === "broken" ? column.violation : "";
      const start = isFirstStart ? ", first start" : "";
      lines.push(
        `${policy.name}${start}, ${crash}: only ${name} is ${trait}${example === "" ? "" : ` (${shorten(example)})`}`,
      );
      lines.push(...wrapped(why ?? "UNEXPLAINED: this difference fails the command", "    "));
    }
  }
  return lines;
}

function truthLines(name: string, results: readonly TruthResult[]): string[] {
  const agreeing = results.filter(({ agrees }) => agrees).length;
  const lines = [`${name}: ${agreeing} of ${results.length} measured cells come out the same`];
  for (const { row, observed, agrees } of results) {
    if (agrees) continue;
    const told = row.acknowledged === undefined ? "" : row.acknowledged ? "acknowledged, " : "not acknowledged, ";
    const binlog = row.binlog === undefined ? "" : `, ${row.binlog ? "in" : "not in"} the binlog`;
    lines.push(`    DEVIATES at ${row.point} ${row.crash}: measured ${told}${row.found}${binlog}; here ${observed}`);
  }
  return lines;
}

function killLines(kills: readonly RealKill[]): string[] {
  return kills.map(({ name, policy, call, nth, reached, acknowledged, lost, broken }) => {
    const verdict = broken === "" ? "as promised" : `BROKEN: ${broken}`;
    const where = reached ? `at its ${call} number ${nth}` : `at rest, for it never came to a ${call} number ${nth}`;
    return `${name} ${policy}, killed ${where}: folder as recorded; ${acknowledged} acknowledged, ${lost} lost: ${verdict}`;
  });
}

/** The last line. */
export function verdictLine({ pairs, truth, kills, seconds }: OriginalsResult): string {
  const states = pairs.reduce((sum, { original, twin }) => sum + statesOf(original) + statesOf(twin), 0);
  const cells = truth.reduce((sum, { results }) => sum + results.length, 0);
  return `${states} folders restarted, ${cells} measured cells rebuilt, ${kills.length} real kills in ${seconds.toFixed(0)} s`;
}

function statesOf({ columns }: ServerResult): number {
  return columns.kill.states + columns.power.states;
}

function shorten(text: string): string {
  return text.length > 90 ? `${text.slice(0, 87)}…` : text;
}

function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(" ")) {
    if (line.length + word.length + 1 > WIDTH && line.trim() !== "") {
      lines.push(line.trimEnd());
      line = indent;
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()];
}
