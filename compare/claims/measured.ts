/**
 * The measured crash matrix (shared/truth): one change from OLD to NEW, on redis-server 7.0.15 (SET) and MariaDB 10.11.19
 * (UPDATE, binlog ROW), killed at a named system call or cut off from its power there, and restarted. It is what our engines
 * (matrix.ts) and the installed originals (compare/originals) are compared with.
 *
 * A cell is three signs; ? is either:
 *
 *     A acknowledged, . not   B in the binlog with its XID after the restart, - not   N the row is NEW, O it is OLD
 *
 * The names of the points are explained below. f is flush_log_at_trx_commit, s is sync_binlog. At R5 the sync runs in a
 * thread of its own, which may begin before the reply leaves or after it.
 */
import { type CrashKind, type EngineName, type Policy, policyOf } from "../policy.ts";

/** Of the programs that were measured. */
export const MEASURED_VERSIONS: Readonly<Record<EngineName, string>> = { aof: "7.0.15", wal: "10.11.19" };

const MEASURED: Readonly<Record<string, string>> = {
  "aof always kill": "R0:.-O R1:.-N R2:.-N R3:A-N",
  "aof always power": "R0:.-O R1:.-O R2:.-N R3:A-N",
  "aof everysec kill": "R0:.-O R2:.-N R5:?-N R3:A-N",
  "aof everysec power": "R0:.-O R2:.-O R5:?-O R3:A-O",
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
  R5: "when the background fsync begins",
};

/** What a crash leaves of the one write. */
export interface Outcome {
  /** Undefined: either may be, and nobody judges it. */
  readonly told: boolean | undefined;
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
  return {
    told: signs[0] === "?" ? undefined : signs[0] === "A",
    inBinlog: signs[1] === "B",
    value: signs[2] === "N" ? "NEW" : "OLD",
  };
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

/** An outcome in the words of the table. */
export function outcomeText(policy: Policy, { told, inBinlog, value }: Outcome): string {
  const start = told === undefined ? "" : told ? "acknowledged, " : "not acknowledged, ";
  if (policy.engine === "aof") return `${start}${value}`;
  const isBoth = inBinlog === (value === "NEW");
  return `${start}${value}${isBoth ? " in both" : inBinlog ? " in the engine, NEW in the binlog" : " in the engine, not in the binlog"}`;
}

/** What was seen at a cell, without what the measurement leaves open there. */
export function seenAt({ measured }: Cell, outcome: Outcome): Outcome {
  return measured.told === undefined ? { ...outcome, told: undefined } : outcome;
}
