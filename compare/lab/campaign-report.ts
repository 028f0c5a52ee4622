/** A campaign's result: as a table for people, as JSON, as JUnit for CI, and as one HTML page that needs nothing else. */
import { POLICIES, promiseOf, promiseText } from "../policy.ts";
import { BOLD, DIM, GREEN, paint, RED, type Style, spanText, wrap, YELLOW } from "../table.ts";
import { rateText } from "./campaign.ts";
import type { CampaignState } from "./campaign-state.ts";
import type { CampaignRow } from "./campaign-work.ts";
import { isPromised } from "./judge.ts";
import { modelOf } from "./models/index.ts";

/** What a row says: kept, refused (unavailable: neither safe nor lost), broken, or covered by no promise. */
export type RowVerdict = "kept" | "refused" | "BROKEN" | "no promise";

export function verdictOfRow({ engine, model, violations }: CampaignRow): RowVerdict {
  const kinds = Object.keys(violations);
  if (!isPromised(modelOf(model), engine)) return "no promise";
  if (kinds.length === 0) return "kept";
  return kinds.every((kind) => kind === "refused") ? "refused" : "BROKEN";
}

export function isCampaignBroken(state: CampaignState): boolean {
  return [...state.rows.values()].some((row) => verdictOfRow(row) === "BROKEN" || verdictOfRow(row) === "refused");
}

/** "1.2e12" beyond a million. */
function large(digits: string): string {
  if (digits.length <= 7) return Number(digits).toLocaleString("en");
  return `${digits[0]}.${digits[1]}e${digits.length - 1}`;
}

const HEADINGS = ["model", "crashes", "of states", "whole", "lost", "span", "refused", "verdict"] as const;
const LEFT: ReadonlySet<number> = new Set([0, 7]);

function cellsOf(row: CampaignRow): string[] {
  return [
    row.model,
    row.crashes.toLocaleString("en"),
    `${large(row.covered)}/${large(row.total)}`,
    `${row.exhausted}/${row.moments}`,
    String(row.lost),
    row.lost > 0 ? spanText(row.lostMs) : "–",
    row.refused > 0 ? String(row.refused) : "–",
    verdictOfRow(row),
  ];
}

const COLORS: Readonly<Record<RowVerdict, number>> = { kept: GREEN, refused: YELLOW, BROKEN: RED, "no promise": DIM };

function violationsText({ violations }: CampaignRow): string {
  return Object.entries(violations)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(", ");
}

export function campaignText(state: CampaignState, style: Style): string {
  const rows = [...state.rows.values()];
  const cells = rows.map(cellsOf);
  const widths = HEADINGS.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const pad = (row: readonly string[]): string[] =>
    row.map((cell, column) =>
      LEFT.has(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
  const lines: string[] = [];
  for (const policy of POLICIES) {
    const own = rows.filter(({ engine, policy: name }) => engine === policy.engine && name === policy.name);
    if (own.length === 0) continue;
    lines.push(`${paint(style, BOLD, `kv-${policy.engine} ${policy.name}`)}  ${paint(style, DIM, policy.meaning)}`);
    lines.push(paint(style, DIM, `  ${pad(HEADINGS).join("  ")}`));
    for (const row of own) {
      const padded = pad(cellsOf(row));
      const verdict = padded.pop() ?? "";
      const line = `  ${padded.join("  ")}  ${paint(style, COLORS[verdictOfRow(row)], verdict.trimEnd())}`;
      const why = violationsText(row);
      lines.push(why === "" ? line : `${line}  ${why}`);
    }
    lines.push("");
  }
  return [...lines, ...legend(style), "", ...sumsText(state, style), ...findingsText(state, style)].join("\n");
}

function legend(style: Style): string[] {
  const text =
    "of states: states looked at, of those that the model allows at the moments of the runs (value and total); whole: " +
    "moments of which every state was looked at; lost, span: acknowledged writes gone in the worst crash, and how long before " +
    "it the first of them had been acknowledged; refused: recovery would not start: unavailable, neither safe nor lost.";
  return wrap(text, 2, style.width ?? 120).split("\n");
}

function sumsText(state: CampaignState, style: Style): string[] {
  const { sums } = state;
  const number = (value: number): string => value.toLocaleString("en");
  const what = isCampaignBroken(state) ? paint(style, RED, "BROKEN") : paint(style, GREEN, "kept  ");
  return [
    `${what}  ${number(state.states)} distinct disks, ${number(sums.crashes)} crashes judged, ${number(sums.runs)} runs`,
    `        ${number(sums.recoveries)} recoveries (the others differ only where recovery does not look), ` +
      `${number(sums.nested)} of disks that a crashed recovery left`,
    `        ${rateText(state)}; ${(sums.wallMs / 1000).toFixed(0)} s, seed ${state.plan.seed}`,
  ];
}

function findingsText(state: CampaignState, style: Style): string[] {
  if (state.findings.length === 0) return [];
  return [
    "",
    paint(style, BOLD, "Violations"),
    ...state.findings.map(
      ({ run, model, kind, rule, command, detail }) =>
        `  --replay ${run}  (${model})  ${rule} ${kind}: ${command} ${detail}`,
    ),
  ];
}

/** The documented schema (compare/README.md); `version` changes when a field changes its meaning. */
export function campaignJson(state: CampaignState): unknown {
  return {
    version: 1,
    kind: "campaign",
    plan: state.plan,
    distinctStates: state.states,
    sums: state.sums,
    rows: [...state.rows.values()].map((row) => ({
      ...row,
      verdict: verdictOfRow(row),
      faults: modelOf(row.model).faults,
    })),
    findings: state.findings,
  };
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A test suite per policy, a test case per model. A refusal is an error, a broken promise a failure. */
export function campaignJunit(state: CampaignState): string {
  const rows = [...state.rows.values()];
  const suites = POLICIES.flatMap((policy) => {
    const own = rows.filter(({ engine, policy: name }) => engine === policy.engine && name === policy.name);
    if (own.length === 0) return [];
    const verdicts = own.map(verdictOfRow);
    const count = (verdict: RowVerdict): number => verdicts.filter((each) => each === verdict).length;
    const name = escaped(`kv-${policy.engine} ${policy.name}`);
    return [
      `  <testsuite name="${name}" tests="${own.length}" failures="${count("BROKEN")}" errors="${count("refused")}" skipped="${count("no promise")}">`,
      ...own.map((row) => caseText(name, row)),
      "  </testsuite>",
    ];
  });
  return ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", ...suites, "</testsuites>", ""].join("\n");
}

function caseText(suite: string, row: CampaignRow): string {
  const verdict = verdictOfRow(row);
  const why = escaped(violationsText(row));
  const inside = {
    kept: "",
    refused: `<error message="${why}"/>`,
    BROKEN: `<failure message="${why}"/>`,
    "no promise": `<skipped message="nothing is promised: ${why}"/>`,
  }[verdict];
  return `    <testcase classname="${suite}" name="${escaped(row.model)}, ${row.crashes} crashes">${inside}</testcase>`;
}

const PAGE_STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse; margin: .5rem 0 2rem; width: 100% }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd } th:first-child, td:first-child, td.why { text-align: left }
.kept { color: #17692c } .refused { color: #8a5a00 } .BROKEN { color: #b00020; font-weight: bold } .none { color: #777 } code { font-size: 13px }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } th, td { border-color: #444 } .kept { color: #7ccf8e } .BROKEN { color: #ff8a80 } .refused { color: #f0c060 } }
`;

/** One page, no script, nothing loaded. */
export function campaignHtml(state: CampaignState): string {
  const rows = [...state.rows.values()];
  const sections = POLICIES.flatMap((policy) => {
    const own = rows.filter(({ engine, policy: name }) => engine === policy.engine && name === policy.name);
    if (own.length === 0) return [];
    const promises = (["kill", "power"] as const).map((crash) => `${crash}: ${promiseText(promiseOf(policy, crash))}`);
    return [
      `<h2>kv-${policy.engine} ${escaped(policy.name)}</h2><p>${escaped(policy.meaning)}. Promised after ${escaped(promises.join("; after power "))}.</p>`,
      `<table><tr>${HEADINGS.map((title) => `<th>${title}</th>`).join("")}<th></th></tr>`,
      ...own.map((row) => {
        const verdict = verdictOfRow(row);
        const cells = cellsOf(row).map((cell, column) =>
          column === 7
            ? `<td class="${verdict === "no promise" ? "none" : verdict}">${cell}</td>`
            : `<td>${escaped(cell)}</td>`,
        );
        return `<tr title="${escaped(modelOf(row.model).faults)}">${cells.join("")}<td class="why">${escaped(violationsText(row))}</td></tr>`;
      }),
      "</table>",
    ];
  });
  const models = state.plan.models.map(
    (name) => `<dt><b>${escaped(name)}</b></dt><dd>${escaped(modelOf(name).faults)}</dd>`,
  );
  const plain: Style = { color: false, width: 120 };
  return [
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
    `<title>twolog: ${state.states.toLocaleString("en")} crash states</title><style>${PAGE_STYLE}</style>`,
    `<h1>What a crash leaves</h1><pre>${escaped([...sumsText(state, plain), ...findingsText(state, plain)].join("\n"))}</pre>`,
    ...sections,
    `<h2>Persistence models</h2><dl>${models.join("")}</dl></html>`,
    "",
  ].join("\n");
}
