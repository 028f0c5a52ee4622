/**
 * The measured crash matrix (shared/truth), and the same cells of our engines: one SET from OLD to NEW on a quiet server,
 * crashed at a named point, restarted.
 *
 * Measured on redis-server 7.0.15 and MariaDB 10.11.19 (one UPDATE, binlog ROW). A cell is three signs:
 *
 *     A acknowledged, . not   B in the binlog with its XID after the restart, - not   N the row is NEW, O it is OLD
 *
 * The points, and the step of ours after which a crash is the same. f is flush_log_at_trx_commit, s is sync_binlog:
 *
 *     P0   before redo prepare is written   wal.prepare          P4   before the engine commit     the binlog's last step
 *     P1   before its fsync (f=1)           wal.redo-write       P4b  before the commit record     wal.commit
 *     P2   before the binlog write          the redo's last step P5   before the reply             wal.commit
 *     P3   before the binlog fsync (s=1)    wal.binlog-write     P6   reply received               P7   three seconds later
 *
 *     R0   before the AOF write             aof.append           R2   before the reply             the AOF's last step
 *     R1   before the fsync (always)        aof.write            R3   reply received               R4   three seconds later
 */
import type { StepName } from "../../common/steps.ts";
import type { CrashKind, EngineName, Policy } from "../policy.ts";
import type { Case } from "./claim.ts";
import { type Asked, bytesOf, policyOf, Stage, type StageOptions } from "./stage.ts";

const MEASURED: Readonly<Record<string, string>> = {
  "aof always kill": "R0:.-O R1:.-N R2:.-N R3:A-N",
  "aof always power": "R0:.-O R1:.-O R2:.-N R3:A-N",
  "aof everysec kill": "R0:.-O R2:.-N R3:A-N",
  "aof everysec power": "R0:.-O R2:.-O R3:A-O",
  "aof no kill": "R0:.-O R2:.-N R4:A-N",
  "aof no power": "R0:.-O R2:.-O R4:A-O",
  "wal 1/1 kill": "P0:.-O P1:.-O P2:.-O P3:.BN P4:.BN P5:.BN P6:ABN P7:ABN",
  "wal 1/1 power": "P0:.-O P1:.-O P2:.-O P3:.-O P4:.BN P5:.BN P6:ABN P7:ABN",
  "wal 1/0 kill": "P0:.-O P1:.-O P2:.-O P4:.BN P5:.BN P6:ABN P7:ABN",
  "wal 1/0 power": "P0:.-O P1:.-O P2:.-O P4:.-O P5:.-O P6:A-O P7:A-N",
  "wal 2/1 kill": "P0:.-O P2:.-O P3:.BN P4:.BN P4b:.BN P5:.BN P6:ABN P7:ABN",
  "wal 2/1 power": "P0:.-O P2:.-O P3:.-O P4:.BO P4b:.BO P5:.BO P6:ABO P7:ABN",
  "wal 2/0 kill": "P0:.-O P2:.-O P4:.BN P4b:.BN P5:.BN P6:ABN P7:ABN",
  "wal 2/0 power": "P0:.-O P2:.-O P4:.-O P4b:.-O P5:.-O P6:A-O P7:A-N",
  "wal 0/1 kill": "P2:.-O P3:.BO P4:.BO P5:.BO P6:ABO P7:ABN",
  "wal 0/1 power": "P2:.-O P3:.-O P4:.BO P5:.BO P6:ABO P7:ABN",
  "wal 0/0 kill": "P2:.-O P4:.BO P5:.BO P6:ABO P7:ABN",
  "wal 0/0 power": "P2:.-O P4:.-O P5:.-O P6:A-O P7:A-N",
};

export const POINT_MEANING: Readonly<Record<string, string>> = {
  P0: "before the prepare is written",
  P1: "before the prepare is synced",
  P2: "before the binlog is written",
  P3: "between the binlog's write and its sync",
  P4: "before the engine commits",
  P4b: "before the commit mark is written",
  P5: "before the reply",
  P6: "after the reply",
  P7: "3 s after the reply",
  R0: "before the AOF is written",
  R1: "between the AOF's write and its fsync",
  R2: "before the reply",
  R3: "after the reply",
  R4: "3 s after the reply",
};

/** What a crash leaves of the one write. */
export interface Outcome {
  readonly told: boolean;
  /** The binlog has it, whole; always false for kv-aof. */
  readonly inBinlog: boolean;
  readonly value: string;
}

export interface Cell {
  readonly policy: Policy;
  readonly point: string;
  readonly crash: CrashKind;
  readonly measured: Outcome;
}

function parse(signs: string): Outcome {
  return { told: signs[0] === "A", inBinlog: signs[1] === "B", value: signs[2] === "N" ? "NEW" : "OLD" };
}

/** Every measured cell, in order. */
export const CELLS: readonly Cell[] = Object.entries(MEASURED).flatMap(([key, cells]) => {
  const [engine = "", name = "", crash = ""] = key.split(" ");
  const policy = policyOf(engine as EngineName, name);
  return cells.split(" ").map((cell): Cell => {
    const [point = "", signs = ""] = cell.split(":");
    return { policy, point, crash: crash as CrashKind, measured: parse(signs) };
  });
});

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
export function observeCell({ policy, point, crash }: Pick<Cell, "policy" | "point" | "crash">): Outcome {
  const run = quietWriteOf(policy);
  const step = stepOf(policy, point);
  const moment = step === undefined ? run.stage.now : run.stage.after(step, run.write);
  if (moment === undefined) throw new Error(`kv-${policy.engine} ${policy.name} never takes the step ${step}`);
  return outcomeAt(run, crash, moment);
}

/** An outcome in the words of the table. */
export function outcomeText(policy: Policy, { told, inBinlog, value }: Outcome): string {
  const start = told ? "acknowledged" : "not acknowledged";
  if (policy.engine === "aof") return `${start}, ${value}`;
  const isBoth = inBinlog === (value === "NEW");
  return `${start}, ${value}${isBoth ? " in both" : inBinlog ? " in the engine, NEW in the binlog" : " in the engine, not in the binlog"}`;
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
  }));
}
