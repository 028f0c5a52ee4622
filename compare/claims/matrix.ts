/**
 * The cells of the measured crash matrix (measured.ts) on our engines: one SET from OLD to NEW on a quiet server in the
 * simulator, crashed at a named point, restarted.
 *
 * The points, and the step of ours after which a crash is the same:
 *
 *     P0   before redo prepare is written   wal.prepare          P4   before the engine commit     the binlog's last step
 *     P1   before its fsync (f=1)           wal.redo-write       P4b  before the commit record     wal.commit
 *     P2   before the binlog write          the redo's last step P5   before the reply             wal.commit
 *     P3   before the binlog fsync (s=1)    wal.binlog-write     P6   reply received               P7   three seconds later
 *
 *     R0   before the AOF write             aof.append           R2   before the reply             the AOF's last step
 *     R1   before the fsync (always)        aof.write            R3   reply received               R4   three seconds later
 *     R5   as the background fsync begins   no step: the first sync of the increment behind the write
 */
import type { StepName } from "../../common/steps.ts";
import { type CrashKind, type EngineName, type Policy, policyOf } from "../policy.ts";
import type { Case } from "./claim.ts";
import { CELLS, type Cell, type Outcome, outcomeText, POINT_MEANING, seenAt } from "./measured.ts";
import { type Asked, answerOf, bytesOf, Stage, type StageOptions } from "./stage.ts";

/** The step of ours after which a crash is a crash at this point; undefined: a moment after the reply. */
export function stepOf(policy: Policy, point: string): StepName | undefined {
  const [flush, sync] = policy.name.split("/");
  switch (point) {
    case "R0":
      return "aof.append";
    case "R1":
      return "aof.write";
    case "R2":
      return policy.name === "always" ? "aof.fsync" : "aof.write";
    case "P0":
      return "wal.prepare";
    case "P1":
      return "wal.redo-write";
    case "P2":
      return flush === "1" ? "wal.redo-sync" : flush === "2" ? "wal.redo-write" : "wal.prepare";
    case "P3":
      return "wal.binlog-write";
    case "P4":
      return sync === "1" ? "wal.binlog-sync" : "wal.binlog-write";
    case "P4b":
    case "P5":
      return "wal.commit";
    case "R3":
      return "aof.reply";
    case "P6":
      return "wal.reply";
    default:
      return undefined;
  }
}

/** One SET on a quiet server whose disk holds the old value, and three seconds after it. */
export interface QuietWrite {
  readonly stage: Stage;
  readonly write: Asked;
}

const QUIET_MS = 3000;

export function quietWrite(policy: Policy, options: StageOptions = {}): QuietWrite {
  const before = new Stage(policyOf(policy.engine, policy.engine === "aof" ? "always" : "1/1"), options);
  before.ask("SET", "k", "OLD");
  before.rest(QUIET_MS);
  const stage = new Stage(policy, { ...options, base: before.disk("power", before.now) });
  stage.rest(QUIET_MS);
  const write = stage.askAs(0, "SET", "k", "NEW");
  stage.rest(QUIET_MS);
  answerOf(write);
  return { stage, write };
}

const quietWrites = new Map<Policy, QuietWrite>();

/** The run is the same for every cell of a policy. */
function quietWriteOf(policy: Policy): QuietWrite {
  let known = quietWrites.get(policy);
  if (known === undefined) {
    known = quietWrite(policy);
    quietWrites.set(policy, known);
  }
  return known;
}

/** What a crash at that moment leaves of the write. */
export function outcomeAt({ stage, write }: QuietWrite, crash: CrashKind, moment: number): Outcome {
  const disk = stage.disk(crash, moment);
  const life = Stage.reopen(stage, disk);
  const told = Stage.isTold(write, moment);
  if (typeof life === "string") return { told, inBinlog: false, value: "refused" };
  const value = String(life.ask("GET", "k"));
  // Recovery has cut what was not whole.
  const inBinlog =
    stage.policy.engine === "wal" && bytesOf(life.disk("kill", life.now), "wal/binlog.0").includes("NEW");
  return { told, inBinlog, value };
}

/** The cell on our engine, in the simulator. */
export function observeCell(cell: Cell): Outcome {
  const run = quietWriteOf(cell.policy);
  return seenAt(cell, outcomeAt(run, cell.crash, momentOf(run, cell)));
}

function momentOf({ stage, write }: QuietWrite, { policy, point }: Cell): number {
  const step = stepOf(policy, point);
  const moment = point === "R5" ? beginOfSync(stage, write) : step === undefined ? stage.now : stage.after(step, write);
  if (moment === undefined) throw new Error(`kv-${policy.engine} ${policy.name} never comes to ${point}`);
  return moment;
}

/** The moment right after the AOF's first sync behind a write has begun. */
function beginOfSync(stage: Stage, write: Asked): number | undefined {
  const written = stage.after("aof.write", write);
  const index = stage.events.findIndex(
    (event, at) => at >= (written ?? 0) && event.kind === "disk" && event.operation.kind === "sync-start",
  );
  return written === undefined || index < 0 ? undefined : index + 1;
}

/** Cells of one engine as a claim's cases: `claimed` says what the document makes one expect of a cell. */
export function casesOf(
  engine: EngineName,
  wanted: (cell: Cell) => boolean,
  claimed: (cell: Cell) => string,
  text: (policy: Policy, outcome: Outcome) => string = outcomeText,
): Case[] {
  return CELLS.filter((cell) => cell.policy.engine === engine && wanted(cell)).map((cell) => ({
    engine: `kv-${engine}`,
    when: `${cell.policy.name}, ${cell.crash === "kill" ? "killed" : "power loss"} ${POINT_MEANING[cell.point] ?? ""}`,
    claimed: claimed(cell),
    measured: text(cell.policy, cell.measured),
    observed: text(cell.policy, observeCell(cell)),
    how: "simulated",
    cell: { cell, text },
  }));
}
