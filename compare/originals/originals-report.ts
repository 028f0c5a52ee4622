/** The originals' columns beside ours, as text. */
import { POINT_MEANING } from "../claims/measured.ts";
import { promiseOf, promiseText } from "../policy.ts";
import { spanText } from "../table.ts";
import type { Column } from "./crash-columns.ts";
import { type ObservedCell, shownText } from "./observed-cells.ts";
import type { OriginalsResult, Pair, ServerResult } from "./originals.ts";
import type { RealKill } from "./real-kills.ts";

const WIDTH = 110;

/** What was found under one policy: printed as soon as it is known. */
export function policyText(found: Omit<OriginalsResult, "missing" | "seconds">): string {
  const lines = [...pairTable(found.pairs), ...findingLines(found.pairs), ...cellTable(found)];
  return [...lines, ...killLines(found.kills), ""].join("\n");
}

function pairTable(pairs: readonly Pair[]): string[] {
  const rows: string[][] = [];
  for (const { policy, isFirstStart, original, twin, findings } of pairs) {
    for (const crash of ["kill", "power"] as const) {
      if (isFirstStart && crash === "kill") continue;
      const shown = findings.filter((finding) => finding.crash === crash);
      const verdict = shown.some(({ why }) => why === undefined)
        ? "UNEXPLAINED"
        : shown.every(({ shownBy }) => shownBy === "both")
          ? "same"
          : "differs, explained";
      const name = `${policy.name}${isFirstStart ? ", first start" : ""}`;
      const promise = promiseText(promiseOf(policy, crash));
      rows.push([name, crash, cell(original.columns[crash]), cell(twin.columns[crash]), verdict, promise]);
    }
  }
  return table([
    ["policy", "crash", pairs[0]?.original.name ?? "", pairs[0]?.twin.name ?? "", "", "promised"],
    ...rows,
  ]);
}

function cell(column: Column): string {
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

function findingLines(pairs: readonly Pair[]): string[] {
  const lines: string[] = [];
  for (const { policy, isFirstStart, original, twin, findings } of pairs) {
    for (const { crash, trait, shownBy, examples, why } of findings) {
      const who = { original: `only ${original.name}`, twin: `only ${twin.name}`, both: "both" }[shownBy];
      const example = examples[0] === undefined ? "" : ` (${shorten(examples[0])})`;
      lines.push(`${policy.name}${isFirstStart ? ", first start" : ""}, ${crash}: ${trait}: ${who}${example}`);
      lines.push(...wrapped(why ?? "UNEXPLAINED: this fails the command", "    "));
    }
  }
  return lines;
}

/** One line a cell: what was measured, and who shows it. */
function cellTable({ cells, pairs }: Pick<OriginalsResult, "cells" | "pairs">): string[] {
  const rows = cells.map(({ original, twin }) => {
    const { cell: of } = original;
    const shown = (one: ObservedCell): string => {
      if (one.agrees) return "the same";
      return `${one.why === undefined ? "DEVIATES" : "explained"}: ${shownText(of, one.outcome)}`;
    };
    const when = `${of.point}, ${of.crash === "kill" ? "killed" : "power loss"} ${POINT_MEANING[of.point] ?? ""}`;
    return [of.policy.name, when, shownText(of, of.measured), shown(original), shown(twin)];
  });
  return table([
    ["policy", "one change", "measured", pairs[0]?.original.name ?? "", pairs[0]?.twin.name ?? ""],
    ...rows,
  ]);
}

function killLines(kills: readonly RealKill[]): string[] {
  return kills.map(({ name, policy, where, reached, acknowledged, lost, ghosts, broken }) => {
    const verdict = broken === "" ? "as promised" : `BROKEN: ${broken}`;
    if (!reached) return `${name} ${policy}, NOT KILLED: it never came to ${where}`;
    const ghost = ghosts > 0 ? ", the unacknowledged one is there" : "";
    return `${name} ${policy}, killed entering ${where}: folder as recorded; ${acknowledged} acknowledged, ${lost} lost${ghost}: ${verdict}`;
  });
}

/** The last lines. */
export function verdictLine({ pairs, cells, kills, seconds }: OriginalsResult): string {
  const states = pairs.reduce((sum, { original, twin }) => sum + statesOf(original) + statesOf(twin), 0);
  const findings = pairs.flatMap((pair) => pair.findings);
  const unexplained = findings.filter(({ why }) => why === undefined).length;
  const count = (server: "original" | "twin"): string =>
    `${cells.filter((one) => one[server].agrees).length} of ${cells.length}`;
  const explained = cells.filter(({ original, twin }) => (original.why ?? twin.why) !== undefined).length;
  return [
    `${states} folders restarted, ${findings.length} findings, ${unexplained} of them unexplained`,
    `measured cells that come out the same: ${count("original")} on the originals, ${count("twin")} on ours, ${explained} explained`,
    `${kills.length} real kills, ${kills.filter(({ broken, reached }) => broken === "" && reached).length} as promised; ${seconds.toFixed(0)} s`,
  ].join("\n");
}

/** `version` changes when a field changes its meaning. */
export function originalsJson({ pairs, cells, kills, missing, seconds }: OriginalsResult): object {
  return {
    version: 1,
    ...{ seconds, missing, kills },
    pairs: pairs.map(({ policy, ...rest }) => ({ policy: policy.name, ...rest })),
    cells: cells.map(({ original, twin }) => ({
      policy: original.cell.policy.name,
      ...{ point: original.cell.point, crash: original.cell.crash, measured: original.cell.measured },
      ...{
        original: original.outcome,
        twin: twin.outcome,
        agrees: original.agrees && twin.agrees,
        why: original.why ?? twin.why,
      },
    })),
  };
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
