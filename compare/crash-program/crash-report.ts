/** Says what `twolog crash` found: for people, and as JSON. */
import { folderOf } from "../lab/name-list.ts";
import type { CrashPoints } from "./crash-points.ts";
import type { Bug, CrashRun } from "./crash-run.ts";
import { operationText, type Recording } from "./recording.ts";
import type { LostThing } from "./shrink.ts";

const STEPS_SHOWN = 14;

/** The text for people. */
export function crashLines(points: CrashPoints, recording: Recording, run: CrashRun): string[] {
  const lines = [...recordingLines(points, recording), "", ...coverageLines(run), ""];
  for (const [index, bug] of run.bugs.entries()) lines.push(...bugLines(points, bug, index + 1), "");
  lines.push(verdictLine(run));
  return lines.flatMap((line) => line.split("\n"));
}

function recordingLines(points: CrashPoints, recording: Recording): string[] {
  const lines = [
    `recorded ${count(points.operations.length, "operation")} and ${count(points.printed.length, "printed line")} in ` +
      `${recording.seconds.toFixed(1)} s; replaying them gives the folder byte for byte`,
  ];
  if (recording.status !== 0) lines.push(`the program ended with ${recording.status}: ${recording.said.trim()}`);
  return [...lines, ...recording.remarks.map((remark) => `note: ${remark}`)];
}

function coverageLines({ coverage }: CrashRun): string[] {
  return coverage.map(({ model, distinct, given, total }) => {
    const all = total > 10n ** 9n ? `about 10^${String(total).length - 1}` : total.toLocaleString("en");
    const part = BigInt(given) === total ? `all ${all} states` : `${given.toLocaleString("en")} of ${all} states`;
    return `${model.padEnd(12)} ${part}, ${count(distinct, "new folder")}`;
  });
}

function verdictLine(run: CrashRun): string {
  const rate = run.seconds === 0 ? 0 : run.checks / run.seconds;
  const work = `${count(run.states, "folder")} checked in ${run.seconds.toFixed(1)} s (${rate.toFixed(0)} checks per second)`;
  if (run.failed === 0) return `PASSED: the check accepted every folder; ${work}`;
  return `FAILED: ${count(run.bugs.length, "bug")}, seen in ${run.failed} of ${work}`;
}

function bugLines(points: CrashPoints, bug: Bug, number: number): string[] {
  const { state, lost, result } = bug;
  const last = points.operations[state.point - 1];
  const where =
    last === undefined ? "before the first operation" : `after operation ${state.point}: ${operationText(last)}`;
  const said = points.printed[state.printed - 1];
  const lines = [
    `bug ${number}`,
    `  crash    ${state.model.crash === "kill" ? "the process was killed" : "the power failed"} ${where}`,
    `  printed  ${said === undefined ? "nothing yet" : `${count(state.printed, "line")}, the last: ${said}`}`,
    `  check    ${result.reason.replaceAll("\n", "\n           ")}`,
  ];
  if (lost.length === 0) lines.push("  lost     nothing: the folder as the program left it at that moment fails");
  for (const thing of lost) lines.push(...lostLines(points, state.point, thing));
  const proof =
    lost.length === 0
      ? ""
      : `; with ${lost.length === 1 ? "it" : "any one of them"} on the disk the check passes (${count(bug.runs, "check")} run to prove it)`;
  const operations = new Set(lost.flatMap((thing) => thing.operations)).size;
  lines.push(
    `  minimal  ${count(operations, "operation")} lost${proof}`,
    `  model    ${state.model.name}: ${state.model.faults}`,
    `  found    after ${count(bug.afterStates, "folder")}, ${(bug.afterMs / 1000).toFixed(1)} s; seen in ${bug.more} more`,
    "  steps",
    ...stepLines(points, bug),
  );
  return lines;
}

function lostLines(points: CrashPoints, point: number, thing: LostThing): string[] {
  const what = thing.what === "lost" ? "" : ` (${thing.what})`;
  const reasons = new Set(thing.operations.map((index) => reasonOf(points, point, index)));
  return [`  lost     ${thing.subject}${what}`, ...[...reasons].map((reason) => `  legal    ${reason}`)];
}

/** Why a crash may lose the operation: the sync that is missing between it and the crash. */
export function reasonOf(points: CrashPoints, point: number, index: number): string {
  const operation = points.operations[index];
  if (operation === undefined || index >= point) return "the call was under way when the crash came";
  const isData = operation.kind === "write" || operation.kind === "truncate";
  const name = "to" in operation ? operation.to : operation.path;
  const folder = folderOf(name) === "" ? "." : folderOf(name);
  const missing = isData ? `fsync of ${operation.path}` : `fsync of the folder ${folder}`;
  const what = `operation ${index + 1} (${operationText(operation)})`;
  const next = points.operations.findIndex((later, at) => {
    if (at < point) return false;
    if (!isData) return later.kind === "sync-dir" && later.path === folderOf(name);
    return later.kind === "sync-end" && later.file === operation.file;
  });
  const when = next < 0 ? "there is none at all" : `the next ends with operation ${next + 1}`;
  return `no ${missing} between ${what} and the crash; ${when}`;
}

/** The operations up to the crash, and what became of each. */
function stepLines(points: CrashPoints, { state, lost }: Bug): string[] {
  const missing = new Set(lost.flatMap(({ operations }) => operations));
  const oldest = Math.min(state.point - 1, ...missing);
  const first = Math.max(0, Math.min(oldest - 2, state.point - STEPS_SHOWN));
  const lines: string[] = [];
  if (first > 0) lines.push(`           … ${count(first, "operation")} before`);
  let printed = points.printedAt(first);
  for (let index = first; index < state.point; index++) {
    const { call, operation, ms } = points.recorded[index] as (typeof points.recorded)[number];
    const mark = missing.has(index) ? "LOST " : "     ";
    lines.push(
      `    ${mark}${String(index + 1).padStart(5)} ${ms.toFixed(1).padStart(8)} ms  ${call.padEnd(10)} ${operationText(operation)}`,
    );
    for (; printed < points.printedAt(index + 1); printed++) {
      lines.push(
        `               ${(points.printedMs[printed] ?? 0).toFixed(1).padStart(8)} ms  printed    ${points.printed[printed]}`,
      );
    }
  }
  for (const index of missing) {
    const operation = points.operations[index];
    if (index >= state.point && operation !== undefined) {
      lines.push(`    TORN ${String(index + 1).padStart(5)}              ${operationText(operation)}`);
    }
  }
  lines.push("           ── crash ──");
  return lines;
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** The whole result, for programs; the schema is in compare/README.md. */
export function crashJson(points: CrashPoints, recording: Recording, run: CrashRun, seed: number): unknown {
  return {
    seed,
    operations: points.operations.length,
    printed: points.printed,
    remarks: recording.remarks,
    seconds: run.seconds,
    states: run.states,
    failed: run.failed,
    checks: run.checks,
    coverage: run.coverage.map(({ model, distinct, given, total }) => ({
      model,
      distinct,
      given,
      total: String(total),
    })),
    bugs: run.bugs.map((bug) => ({
      model: bug.state.model.name,
      crash: bug.state.model.crash,
      afterOperation: bug.state.point,
      printedLines: bug.state.printed,
      check: bug.result.reason,
      lost: bug.lost.map((thing) => ({
        subject: thing.subject,
        what: thing.what,
        operations: thing.operations.map((index) => index + 1),
        because: thing.operations.map((index) => reasonOf(points, bug.state.point, index)),
      })),
      afterStates: bug.afterStates,
      afterMs: Math.round(bug.afterMs),
      minimisedInChecks: bug.runs,
      moreStates: bug.more,
    })),
  };
}
