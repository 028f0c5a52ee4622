/**
 * A finding for a reader: what was promised and broken, what the clients did and were told, every step until the crash with
 * the commands that memory, page cache and disk have there, what the crash took, and what recovery made of the rest.
 */
import type { DiskOperation } from "../../common/disk/recording-disk.ts";
import { isAcknowledged, operationText } from "../history.ts";
import type { SimulatedRun } from "../simulated-run.ts";
import { lossesOfCrash } from "./crashes.ts";
import { parseFault } from "./faults.ts";
import { type Finding, recordingOf } from "./hunt.ts";
import { survivingWrites } from "./judge.ts";
import { PageStore } from "./page-store.ts";
import { PendingDisk } from "./pending-disk.ts";
import type { RecordedEvent } from "./recording.ts";
import { type Outcome, Subject } from "./subject.ts";

/** Lines of text, none longer than needed; `width` is for wrapping by the caller. */
export function explain(finding: Finding): string[] {
  const { run, crash, violation, outcome } = finding;
  const { policy, seed } = run.plan;
  const losses = lossesOfCrash(crash);
  return [
    `${violation.kind.toUpperCase()}  kv-${policy.engine} ${policy.name}, ${crash.model.crash === "kill" ? "process kill" : "power loss"} (${crash.model.name}), seed ${seed}`,
    `  rule      ${violation.rule}, crash point ${violation.matrix}`,
    `  promised  ${violation.promise}`,
    ...(violation.command === "" ? [] : [`  broken for  ${violation.command}`]),
    `  because   ${violation.detail}`,
    ...(run.plan.fault === undefined
      ? []
      : [`  the disk  ${run.plan.fault}: ${parseFault(run.plan.fault).kind.meaning}`]),
    "",
    "What the clients did, and were told before the crash",
    ...clientLines(finding),
    "",
    "Every step until the crash: which commands a crash there would leave",
    ...stepLines(finding),
    "",
    "What the crash took",
    ...(losses.length === 0
      ? ["  nothing: every call that had returned survived"]
      : losses.map(({ subject, what, operation }) => `  ${subject}: ${what} (disk operation ${operation + 1})`)),
    "",
    "What recovery did",
    ...(outcome.refused === undefined ? [] : [`  refused to start: ${outcome.refused}`]),
    ...outcome.lines.map((line) => `  ${line}`),
    ...[...outcome.cells].slice(0, CELLS_SHOWN).map(([cell, value]) => `  found ${show(cell)} = ${show(value)}`),
    ...(outcome.cells.size === 0 && outcome.refused === undefined ? ["  found nothing"] : []),
    ...outcome.problems.map(({ kind, detail }) => `  ${kind}: ${detail}`),
  ];
}

const CELLS_SHOWN = 12;
const STEPS_SHOWN = 48;

function show(bytes: string): string {
  const text = bytes.replace("\0", " field ");
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 37)}…` : text);
}

function clientLines({ run, crash }: Finding): string[] {
  const cut = run.timeline[crash.knownAt]?.order ?? 0;
  return numbered(run).map(({ operation, number }) => {
    const told = isAcknowledged(operation, cut)
      ? `told ${JSON.stringify(operation.reply)?.slice(0, 40)} at ${operation.answered?.ms.toFixed(1)} ms`
      : operation.answered !== undefined && operation.answered.order < cut
        ? `told ${String(operation.reply)}`
        : operation.sent.order < cut
          ? "not answered yet"
          : "not sent yet";
    return `  ${String(number).padStart(3)}  client ${operation.client}  ${operationText(operation)}  → ${told}`;
  });
}

/** Every operation with the number that the lines call it by. */
function numbered(run: SimulatedRun) {
  return run.history.clients
    .flat()
    .sort((a, b) => a.sent.order - b.sent.order)
    .map((operation, index) => ({ operation, number: index + 1 }));
}

/** One or several equal events in a row, and what is where after them. */
interface StepLine {
  readonly what: string;
  times: number;
  readonly ms: number;
  memory: string;
  cache: string;
  disk: string;
}

function stepLines(finding: Finding): string[] {
  const lines = everyStep(finding);
  const shown = lines.slice(-STEPS_SHOWN);
  const rows = shown.map((line) => [
    line.ms.toFixed(2),
    line.times > 1 ? `${line.what} (${line.times} times)` : line.what,
    line.memory,
    line.cache,
    line.disk,
  ]);
  const head = ["ms", "", "memory", "page cache", "disk"];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const text = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padStart(widths[0] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd();
  return [
    `  ${text(head)}`,
    ...(shown.length < lines.length ? [`  … ${lines.length - shown.length} earlier steps`] : []),
    ...rows.map((row) => `  ${text(row)}`),
    `  ${text(["", "CRASH"])}`,
  ];
}

/** What is in memory, what a kill would leave, and what a power loss would leave, after every event since the first command. */
function everyStep({ run, crash }: Finding): StepLine[] {
  const recording = recordingOf(run, new PageStore());
  const disk = new PendingDisk(recording.base);
  const subject = new Subject(run.plan);
  const operations = numbered(run);
  const first = Math.min(...operations.map(({ operation }) => operation.arrived ?? Number.POSITIVE_INFINITY));
  const lines: StepLine[] = [];
  for (let event = 0; event <= crash.event; event++) {
    const happened = recording.events[event];
    if (happened === undefined) break;
    if (happened.kind === "disk") disk.apply(happened.operation);
    // The making of the folder is shown only to a crash in it.
    if (event < first && crash.event >= first) continue;
    const what = eventText(happened);
    const kill = subject.outcomeOf(disk.liveImage());
    const power = subject.outcomeOf(disk.durableImage());
    const line = {
      what,
      times: 1,
      ms: happened.ms,
      memory: ranges(
        operations.flatMap(({ operation, number }) => ((operation.arrived ?? Infinity) <= event ? [number] : [])),
      ),
      cache: survivors(run, event, "kill", kill),
      disk: survivors(run, event, "power", power),
    };
    const previous = lines.findLast((earlier) => earlier.what === what);
    const isCycle =
      previous !== undefined && happened.kind === "step" && lines.indexOf(previous) >= lines.length - CYCLE_MAX;
    const isSame =
      isCycle && previous.cache === line.cache && previous.disk === line.disk && previous.memory === line.memory;
    if (isSame) previous.times++;
    else lines.push(line);
  }
  return lines;
}

/** Steps that alternate (undo, redo, page; undo, redo, page) are counted, not repeated. */
const CYCLE_MAX = 3;

function eventText(event: RecordedEvent): string {
  if (event.kind === "disk") return operationLine(event.operation);
  if (event.kind === "step") return event.step;
  return event.kind === "answer" ? "a reply arrives" : event.text;
}

/** Which of the commands are there: their numbers. */
function survivors(run: SimulatedRun, event: number, crash: "kill" | "power", outcome: Outcome): string {
  if (outcome.refused !== undefined) return "refused";
  const kept = survivingWrites(run, event, crash, outcome);
  if (kept === undefined) return "?";
  const numbers = numbered(run).flatMap(({ operation, number }) => (kept.has(operation) ? [number] : []));
  return ranges(numbers);
}

/** 1, 2, 3, 5 → "1–3, 5". */
function ranges(numbers: readonly number[]): string {
  if (numbers.length === 0) return "–";
  const parts: string[] = [];
  for (let from = 0; from < numbers.length; ) {
    let to = from;
    while (numbers[to + 1] === (numbers[to] as number) + 1) to++;
    parts.push(to === from ? String(numbers[from]) : `${numbers[from]}–${numbers[to]}`);
    from = to + 1;
  }
  return parts.join(", ");
}

function operationLine(operation: DiskOperation): string {
  switch (operation.kind) {
    case "write":
      return `write ${operation.bytes.length} bytes to ${operation.path} at ${operation.at}`;
    case "truncate":
      return `set the size of ${operation.path} to ${operation.size}`;
    case "sync-start":
      return `sync of ${operation.path} begins`;
    case "sync-end":
      return `sync of ${operation.path} ends`;
    case "sync-dir":
      return `sync of folder ${operation.path || "."}`;
    case "rename":
    case "link":
      return `${operation.kind} ${operation.path} to ${operation.to}`;
    default:
      return `${operation.kind} ${operation.path}`;
  }
}
