/** A campaign's result for programs and for the browser: JSON (the schema is in compare/README.md), JUnit, one HTML page. */
import { promiseOf, promiseText } from "../policy.ts";
import type { Style } from "../table.ts";
import { FAULT_COLUMNS, faultSums, findingsText, MODEL_COLUMNS, recoveryTexts, sumsText } from "./campaign-report.ts";
import type { CampaignRow, FaultRow } from "./campaign-rows.ts";
import type { CampaignState } from "./campaign-state.ts";
import {
  notReached,
  policiesOf,
  type RowVerdict,
  rowsOf,
  unpromisedTexts,
  verdictOfFault,
  verdictOfRow,
  violationsText,
} from "./campaign-verdicts.ts";
import { FAULT_KINDS } from "./faults.ts";
import { modelOf } from "./models/index.ts";

/** `version` changes when a field changes its meaning. */
export function campaignJson(state: CampaignState): unknown {
  const { plan, sums, findings } = state;
  return {
    version: 2,
    kind: "campaign",
    plan,
    distinctStates: state.states,
    seeds: [...state.seeds],
    notReached: notReached(state),
    sums,
    rows: [...state.rows.values()].map((row) => {
      const { faults, owed } = modelOf(row.model);
      return { ...row, owed: owed[row.engine], faults, verdict: verdictOfRow(row) };
    }),
    recoveryRows: [...state.recoveryRows.values()],
    checkRows: [...state.checkRows.values()],
    rateRows: [...state.rateRows.values()],
    faultRows: [...state.faultRows.values()].map((row) => ({ ...row, verdict: verdictOfFault(row) })),
    unpromised: unpromisedTexts(state),
    findings,
  };
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

interface Case {
  readonly name: string;
  readonly verdict: RowVerdict;
  readonly why: string;
}

/** A test suite per policy, a test case per model and per fault. A refusal is an error, a broken promise a failure. */
export function campaignJunit(state: CampaignState): string {
  const suites = policiesOf(state).flatMap((policy) => {
    const cases: Case[] = [
      ...rowsOf(state.rows, policy).map((row) => ({
        name: `${row.model}, ${row.crashes} crashes`,
        verdict: verdictOfRow(row),
        why: violationsText(row),
      })),
      ...rowsOf(state.faultRows, policy)
        .filter(({ calls }) => calls > 0)
        .map((row) => ({
          name: `${row.fault}, ${row.injected} of ${row.calls} calls`,
          verdict: verdictOfFault(row),
          why: violationsText(row),
        })),
    ];
    const number = (verdict: RowVerdict): number => cases.filter((each) => each.verdict === verdict).length;
    const name = escaped(`kv-${policy.engine} ${policy.name}`);
    return [
      `  <testsuite name="${name}" tests="${cases.length}" failures="${number("BROKEN")}" errors="${number("refused")}" skipped="${number("no promise") + number("not tried")}">`,
      ...cases.map((each) => caseText(name, each)),
      "  </testsuite>",
    ];
  });
  return ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", ...suites, "</testsuites>", ""].join("\n");
}

function caseText(suite: string, { name, verdict, why }: Case): string {
  const message = escaped(why);
  const inside = {
    kept: "",
    noticed: `<system-out>the medium was damaged, and it was noticed: ${message}</system-out>`,
    refused: `<error message="${message}"/>`,
    BROKEN: `<failure message="${message}"/>`,
    "no promise": `<skipped message="nothing is promised: ${message}"/>`,
    "not tried": '<skipped message="none of the calls was hit"/>',
  }[verdict];
  return `    <testcase classname="${suite}" name="${escaped(name)}">${inside}</testcase>`;
}

const PAGE_STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse; margin: .5rem 0 1rem; width: 100% } pre { white-space: pre-wrap }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd } th:first-child, td:first-child, td.why { text-align: left }
.kept { color: #17692c } .refused, .noticed { color: #8a5a00 } .BROKEN { color: #b00020; font-weight: bold } .none { color: #777 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } th, td { border-color: #444 } .kept { color: #7ccf8e } .BROKEN { color: #ff8a80 } .refused, .noticed { color: #f0c060 } }
`;

/** One page, no script, nothing loaded. */
export function campaignHtml(state: CampaignState): string {
  const sections = policiesOf(state).flatMap((policy) => {
    const promises = (["kill", "power"] as const).map((crash) => `${crash}: ${promiseText(promiseOf(policy, crash))}`);
    return [
      `<h2>kv-${policy.engine} ${escaped(policy.name)}</h2><p>${escaped(policy.meaning)}. Promised after ${escaped(promises.join("; after power "))}.</p>`,
      ...htmlTable(MODEL_COLUMNS, rowsOf(state.rows, policy), verdictOfRow, (row) => modelOf(row.model).faults),
      ...recoveryTexts(rowsOf(state.recoveryRows, policy)).map((text) => `<p>${escaped(text)}</p>`),
    ];
  });
  const faults = faultSums(state);
  const meanings = new Map(FAULT_KINDS.map(({ name, meaning }) => [name, meaning]));
  const faultSections = (["aof", "wal"] as const).flatMap((engine) => {
    const rows = faults.filter((row) => row.engine === engine);
    const table = htmlTable(FAULT_COLUMNS, rows, verdictOfFault, (row) => meanings.get(row.fault) ?? "");
    return rows.length === 0 ? [] : [`<h2>kv-${engine}: the disk fails while it runs</h2>`, ...table];
  });
  const models = state.plan.models.map(
    (name) => `<dt><b>${escaped(name)}</b></dt><dd>${escaped(modelOf(name).faults)}</dd>`,
  );
  const unpromised = unpromisedTexts(state).map((text) => `<li>${escaped(text)}</li>`);
  const plain: Style = { color: false, width: 120 };
  return [
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
    `<title>twolog: ${state.states.toLocaleString("en")} crash states</title><style>${PAGE_STYLE}</style>`,
    `<h1>What a crash leaves</h1><pre>${escaped([...sumsText(state, plain), ...findingsText(state, plain)].join("\n"))}</pre>`,
    ...sections,
    ...faultSections,
    ...(unpromised.length === 0 ? [] : [`<h2>Not promised</h2><ul>${unpromised.join("")}</ul>`]),
    `<h2>Persistence models</h2><dl>${models.join("")}</dl></html>`,
    "",
  ].join("\n");
}

function htmlTable<Row extends CampaignRow | FaultRow>(
  columns: readonly { readonly title: string; cell(row: Row): string }[],
  rows: readonly Row[],
  verdict: (row: Row) => RowVerdict,
  hint: (row: Row) => string,
): string[] {
  return [
    `<table><tr>${columns.map(({ title }) => `<th>${title}</th>`).join("")}<th>verdict</th><th></th></tr>`,
    ...rows.map((row) => {
      const said = verdict(row);
      const cells = columns.map((column) => `<td>${escaped(column.cell(row))}</td>`).join("");
      const name = said === "no promise" || said === "not tried" ? "none" : said;
      const why = escaped(violationsText(row));
      return `<tr title="${escaped(hint(row))}">${cells}<td class="${name}">${said}</td><td class="why">${why}</td></tr>`;
    }),
    "</table>",
  ];
}
