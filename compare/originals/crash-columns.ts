/** Crashes a recorded run, restarts the real server on what is left, and sums up the verdicts: a column of the table. */
import { type CrashState, crashStates, type ModelCoverage } from "../crash-program/crash-points.ts";
import type { PersistenceModel } from "../lab/models/model.ts";
import { judge, judgeRefusal, type Verdict, type Violation } from "../oracle.ts";
import type { CrashKind } from "../policy.ts";
import type { RecordedRun } from "./recorded-run.ts";
import type { Restarted } from "./server.ts";

/** What the crashes of one kind did to one server under one policy. */
export interface Column {
  readonly crash: CrashKind;
  states: number;
  /** Of all states the one with the most lost, and the longest span. */
  lost: number;
  lostMs: number;
  /** States after which something is there that had not been acknowledged: allowed, and counted. */
  ghosts: number;
  refused: number;
  /** What it said when it refused; each once. */
  readonly refusals: string[];
  /** States in which the binlog has other transactions than the engine: more, or fewer. */
  binlogAhead: number;
  binlogBehind: number;
  /** How they differ; each once. */
  readonly partings: string[];
  /** States that broke the policy's promise, and how. */
  broken: number;
  readonly violations: string[];
}

export interface CrashColumns {
  readonly kill: Column;
  readonly power: Column;
  readonly coverage: readonly ModelCoverage[];
}

export interface ColumnsPlan {
  readonly models: readonly PersistenceModel[];
  readonly states: number;
  readonly seed: number;
  readonly workFolders: readonly string[];
}

function newColumn(crash: CrashKind): Column {
  return {
    ...{ crash, states: 0, lost: 0, lostMs: 0, ghosts: 0, refused: 0, refusals: [] },
    ...{ binlogAhead: 0, binlogBehind: 0, partings: [], broken: 0, violations: [] },
  };
}

export async function crashColumns(run: RecordedRun, plan: ColumnsPlan, onState: () => void): Promise<CrashColumns> {
  const coverage: ModelCoverage[] = [];
  const columns = { kill: newColumn("kill"), power: newColumn("power"), coverage };
  const source = crashStates(run.points, plan.models, plan.states, plan.seed, coverage, run.from);
  const [first = ""] = plan.workFolders;
  const before = (await run.server.restart(run.points.base, run.recording.before, first)).inBinlog ?? 0;
  const worker = async (workFolder: string): Promise<void> => {
    for (let next = source.next(); next.done !== true; next = source.next()) {
      const state = next.value;
      const restarted = await run.server.restart(state.image, run.recording.before, workFolder);
      add(columns[state.model.crash], run, state, restarted, before);
      onState();
    }
  };
  await Promise.all(plan.workFolders.map(worker));
  return columns;
}

/** The judge's verdict on what a restart found. */
export function verdictOf(
  run: RecordedRun,
  state: Pick<CrashState, "model" | "point" | "printed">,
  restarted: Restarted,
): Verdict {
  const { points, history, server, longestSyncMs } = run;
  const evidence = {
    policy: server.policy,
    crash: state.model.crash,
    cut: 2 * (run.earlierWrites + state.printed) + 1,
    // The crash may come as late as the next operation.
    cutMs: (points.recorded[state.point] ?? points.recorded.at(-1))?.ms ?? 0,
    diskMs: 2 * longestSyncMs,
    history,
    setupClient: 1,
    matrix: "",
  };
  if (restarted.refused !== undefined) return judgeRefusal(evidence, restarted.refused);
  return judge({ ...evidence, found: restarted.cells });
}

/** `before`: how many transactions the binlog had before the record began. */
function add(column: Column, run: RecordedRun, state: CrashState, restarted: Restarted, before: number): void {
  const verdict = verdictOf(run, state, restarted);
  column.states++;
  if (restarted.refused !== undefined) {
    column.refused++;
    addOnce(column.refusals, restarted.refused);
    return;
  }
  column.lost = Math.max(column.lost, verdict.lost);
  column.lostMs = Math.max(column.lostMs, verdict.lostMs);
  if (verdict.ghosts > 0) column.ghosts++;
  const inEngine = before - run.earlierWrites + verdict.survived + verdict.ghosts;
  if (restarted.inBinlog !== undefined && restarted.inBinlog !== inEngine) {
    if (restarted.inBinlog > inEngine) column.binlogAhead++;
    else column.binlogBehind++;
    const gone = hasNewestBinlog(run, state) ? "" : ": its newest file is gone";
    addOnce(column.partings, `the binlog has ${restarted.inBinlog}, the engine ${inEngine}${gone}`);
  }
  const violation = verdict.violations[0];
  if (violation === undefined) return;
  column.broken++;
  addOnce(column.violations, violationText(violation));
}

/** The binlog file that was made last is in the folder that the crash left. */
function hasNewestBinlog(run: RecordedRun, { point, image }: CrashState): boolean {
  const made = run.points.operations.findLast(
    ({ kind, path }, index) => index < point && kind === "create" && /binlog\.\d+$/.test(path),
  );
  return made === undefined || image.entries.has(made.path);
}

export function violationText({ kind, command, detail }: Violation): string {
  return `${kind}: ${command} ${detail}`.trim();
}

function addOnce(texts: string[], text: string): void {
  if (!texts.includes(text)) texts.push(text);
}
