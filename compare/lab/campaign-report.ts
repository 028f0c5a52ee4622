/** A campaign's result as a table for people, as wide as their terminal. Other forms: campaign-files.ts. */
import { BOLD, DIM, GREEN, paint, RED, type Style, spanText, wrap, YELLOW } from "../table.ts";
import { rateText } from "./campaign.ts";
import { addRow, type CampaignRow, type FaultRow, type RecoveryRow } from "./campaign-rows.ts";
import type { CampaignState } from "./campaign-state.ts";
import {
  isCampaignBroken,
  notReached,
  policiesOf,
  type RowVerdict,
  rowsOf,
  unpromisedTexts,
  verdictOfFault,
  verdictOfRow,
  violationsText,
} from "./campaign-verdicts.ts";

/** Of a person's screen when the output is no terminal. */
const PLAIN_WIDTH = 120;

/** "1.2e12" beyond a million. */
function large(digits: string): string {
  if (digits.length <= 7) return Number(digits).toLocaleString("en");
  return `${digits[0]}.${digits[1]}e${digits.length - 1}`;
}

function count(value: number): string {
  return value.toLocaleString("en");
}

/** A column; where the terminal is narrow, those with the highest `spare` are left out first. */
interface Column<Row> {
  readonly title: string;
  readonly isText?: boolean;
  readonly spare: number;
  cell(row: Row): string;
}

export const MODEL_COLUMNS: readonly Column<CampaignRow>[] = [
  { title: "model", isText: true, spare: 0, cell: (row) => row.model },
  { title: "crashes", spare: 1, cell: (row) => count(row.crashes) },
  { title: "of states", spare: 4, cell: (row) => `${large(row.covered)}/${large(row.total)}` },
  { title: "whole", spare: 5, cell: (row) => `${count(row.exhausted)}/${count(row.moments)}` },
  { title: "lost", spare: 2, cell: (row) => String(row.lost) },
  { title: "span", spare: 3, cell: (row) => (row.lost > 0 ? spanText(row.lostMs) : "–") },
  { title: "refused", spare: 1, cell: (row) => (row.refused > 0 ? count(row.refused) : "–") },
];

export const FAULT_COLUMNS: readonly Column<FaultRow>[] = [
  { title: "fault", isText: true, spare: 0, cell: (row) => row.fault },
  { title: "calls hit", spare: 0, cell: (row) => `${count(row.injected)}/${count(row.calls)}` },
  { title: "stopped", spare: 2, cell: (row) => count(row.stopped) },
  { title: "refused writes", spare: 3, cell: (row) => count(row.refusedWrites) },
  { title: "went on", spare: 4, cell: (row) => count(row.wentOn) },
  { title: "crashes", spare: 1, cell: (row) => count(row.crashes) },
];

const COLORS: Readonly<Record<RowVerdict, number>> = {
  kept: GREEN,
  noticed: YELLOW,
  refused: YELLOW,
  BROKEN: RED,
  "no promise": DIM,
  "not tried": DIM,
};

/** A table with a verdict behind each row; why is said behind it, or below where there is no room. */
function tableOf<Row extends CampaignRow | FaultRow>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  verdict: (row: Row) => RowVerdict,
  style: Style,
): string[] {
  const widthOf = (column: Column<Row>): number =>
    Math.max(column.title.length, ...rows.map((row) => column.cell(row).length));
  let shown = [...columns];
  const width = (): number => shown.reduce((sum, column) => sum + widthOf(column) + 2, VERDICT_WIDTH);
  while (width() > (style.width ?? PLAIN_WIDTH) && shown.some(({ spare }) => spare > 0)) {
    const most = Math.max(...shown.map(({ spare }) => spare));
    shown = shown.filter(({ spare }) => spare < most);
  }
  const pad = (text: string, column: Column<Row>): string =>
    column.isText === true ? text.padEnd(widthOf(column)) : text.padStart(widthOf(column));
  const heading = shown.map((column) => pad(column.title, column)).join("  ");
  const lines = [paint(style, DIM, `  ${heading}  verdict`)];
  for (const row of rows) {
    const cells = shown.map((column) => pad(column.cell(row), column)).join("  ");
    const said = verdict(row);
    const line = `  ${cells}  ${paint(style, COLORS[said], said)}`;
    const why = violationsText(row);
    const isRoom = width() + why.length <= (style.width ?? PLAIN_WIDTH);
    if (why === "" || isRoom) lines.push(why === "" ? line : `${line}  ${why}`);
    else lines.push(line, ...wrap(why, 6, style.width ?? PLAIN_WIDTH).split("\n"));
  }
  return lines;
}

/** Room for "no promise" and the margins. */
const VERDICT_WIDTH = 14;

export function campaignText(state: CampaignState, style: Style): string {
  const lines = policiesOf(state).flatMap((policy) => {
    const rows = rowsOf(state.rows, policy);
    const told = [...oracleTexts(state, rows), ...recoveryTexts(rowsOf(state.recoveryRows, policy))];
    return [
      ...wrapped(`${paint(style, BOLD, `kv-${policy.engine} ${policy.name}`)}  ${policy.meaning}`, 0, style),
      ...tableOf(MODEL_COLUMNS, rows, verdictOfRow, style),
      ...told.flatMap((text) => wrapped(text, 2, style)),
      "",
    ];
  });
  const sections = [lines, faultLines(state, style), unpromisedLines(state, style), legend(style)];
  return [...sections.flat(), "", ...sumsText(state, style), ...findingsText(state, style)].join("\n");
}

function wrapped(text: string, indent: number, style: Style): string[] {
  return wrap(text, indent, style.width ?? PLAIN_WIDTH).split("\n");
}

/** What the oracles looked at: a number that stays 0 is an oracle that did not run. */
function oracleTexts(state: CampaignState, rows: readonly CampaignRow[]): string[] {
  const sum = (of: (row: CampaignRow) => number): number => rows.reduce((total, row) => total + of(row), 0);
  const [{ engine, policy } = { engine: "", policy: "" }] = rows;
  const check = [...state.checkRows.values()].find((row) => row.engine === engine && row.policy === policy);
  const binlogs =
    check === undefined || check.binlogs === 0 ? "" : `; binlog applied and compared ${count(check.binlogs)}`;
  return [
    `oracles: each client's writes a prefix, transactions whole, ${count(sum((row) => row.crashes))} crashes; a loss measured ` +
      `and a suffix ${count(sum((row) => row.lossy))}; replies of reads compared with what was gone ` +
      `${count(sum((row) => row.reads))}; checker on ${count(check?.checked ?? 0)} of ${count(check?.recoveries ?? 0)} ` +
      `recoveries${binlogs}`,
  ];
}

/** How recovery was crashed: of short runs always, of long ones now and then. */
export function recoveryTexts(rows: readonly RecoveryRow[]): string[] {
  return rows
    .filter(({ eligible }) => eligible > 0)
    .map(
      (row) =>
        `crashed recoveries, ${row.length} runs: ${count(row.crashed)} of ${count(row.eligible)} distinct disks, after each ` +
        `operation ${large(row.covered)} of ${large(row.total)} states (${count(row.exhausted)} of ${count(row.moments)} moments ` +
        `whole): ${count(row.nested)} disks recovered again; on ${count(row.deeper)} that recovery was crashed, too`,
    );
}

/** Faults of all policies of an engine together. */
export function faultSums(state: CampaignState): FaultRow[] {
  const sums = new Map<string, FaultRow>();
  for (const row of state.faultRows.values()) addRow(sums, { ...row, policy: "all policies" });
  return [...sums.values()].filter(({ calls }) => calls > 0);
}

function faultLines(state: CampaignState, style: Style): string[] {
  const rows = faultSums(state);
  return (["aof", "wal"] as const).flatMap((engine) => {
    const own = rows.filter((row) => row.engine === engine);
    if (own.length === 0) return [];
    const title = paint(style, BOLD, `kv-${engine}: the disk fails while it runs`);
    return [title, ...tableOf(FAULT_COLUMNS, own, verdictOfFault, style), ""];
  });
}

function unpromisedLines(state: CampaignState, style: Style): string[] {
  const texts = unpromisedTexts(state);
  if (texts.length === 0) return [];
  return [paint(style, BOLD, "Not promised"), ...texts.flatMap((text) => wrapped(text, 2, style)), ""];
}

function legend(style: Style): string[] {
  const text =
    "of states: states looked at, of those that the model allows at the moments of the runs (value and total); whole: " +
    "moments of which every state was looked at; lost, span: acknowledged writes gone in the worst crash, and how long before " +
    "it the first of them had been acknowledged; refused: recovery would not start: unavailable, neither safe nor lost; noticed: " +
    "the medium was damaged, and recovery refused and named it or came up with older data, never with wrong ones; calls hit: the " +
    "calls of the runs that failed, one in each run, of those that there were.";
  return wrapped(text, 2, style);
}

export function sumsText(state: CampaignState, style: Style): string[] {
  const { sums, plan } = state;
  const what = isCampaignBroken(state) ? paint(style, RED, "BROKEN") : paint(style, GREEN, "kept  ");
  const faults = `faults injected ${count(sums.faults)} times into ${count(sums.faultRuns)} of the ${count(sums.runs)} runs`;
  const missing = notReached(state);
  const told = [
    `${count(state.states)} distinct disks, ${count(sums.crashes)} crashes judged, ${count(sums.runs)} runs`,
    `${count(sums.recoveries)} recoveries (the others differ only where recovery does not look), ${count(sums.nested)} ` +
      "disks that a crashed recovery left",
    plan.faultsOneIn === 0 ? "no faults injected (--faults 0)" : faults,
    ...(missing.length === 0 ? [] : [`not reached: ${missing.join("; ")}`]),
    `${rateText(state)}; ${(sums.wallMs / 1000).toFixed(0)} s`,
    ...ratesText(state),
    `again: --campaign ${state.states}${policiesFlag(state)} --seed ${[...state.seeds].join(" and ")} --again ${plan.againOneIn} --deeper ${plan.deeperOneIn} ` +
      `--faults ${plan.faultsOneIn} --models ${plan.models.join(",")} --workloads ${plan.workloads.join(",")}`,
  ];
  const lines = told.flatMap((text) => wrapped(text, 8, style));
  return [`${what}  ${(lines[0] ?? "").trimStart()}`, ...lines.slice(1)];
}

/** Where the processor time of the campaign went, and what a second of it gave: all of it, so with garbage collection. */
function ratesText({ rateRows, sums }: CampaignState): string[] {
  const rows = [...rateRows.values()].filter(({ busyMs }) => busyMs > 0);
  const busy = rows.reduce((sum, { busyMs }) => sum + busyMs, 0);
  return rows.map(({ engine, length, disks, judged, busyMs }) => {
    const seconds = (sums.cpuMs * busyMs) / busy / 1000;
    const rate = (total: number): string => count(Math.round(total / seconds));
    return (
      `kv-${engine}, ${length} workloads: ${rate(disks)} distinct disks and ${rate(judged)} crashes judged in a second of ` +
      `processor time (${count(disks)} and ${count(judged)} in ${seconds.toFixed(0)} s)`
    );
  });
}

/** The flags that choose the policies of the campaign. */
function policiesFlag({ plan }: CampaignState): string {
  const engines = [...new Set(plan.policies.map((policy) => policy.slice(0, policy.indexOf(":"))))];
  const [policy = ""] = plan.policies;
  const only = plan.policies.length === 1 ? ` --policy ${policy.slice(policy.indexOf(":") + 1)}` : "";
  return engines.length === 1 ? ` --engine ${engines[0]}${only}` : "";
}

export function findingsText(state: CampaignState, style: Style): string[] {
  if (state.findings.length === 0) return [];
  return [
    "",
    paint(style, BOLD, "Violations"),
    ...state.findings.flatMap(({ run, model, kind, rule, command, detail }) =>
      wrapped(`--replay ${run}  (${model})  ${rule} ${kind}: ${command} ${detail}`, 2, style),
    ),
  ];
}
