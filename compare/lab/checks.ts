/**
 * What is checked after recovery beside the data: the files must be whole for the engine's own checker, and kv-wal's two logs
 * must agree (I5): all of its binlog, applied to an empty keyspace, gives what the engine has. The second holds where
 * neither log may lose anything, at 1/1.
 *
 * Both read everything again, so that only one recovery in some is checked.
 */
import type { Config } from "../../common/config.ts";
import type { Disk } from "../../common/disk/disk.ts";
import type { Engine } from "../../common/engine.ts";
import { CorruptFile, UsageError } from "../../common/errors.ts";
import { checkAof, describeReport } from "../../kv-aof/inspect.ts";
import { SpaceCheck } from "../../kv-wal/check.ts";
import { WalEngine } from "../../kv-wal/engine.ts";
import { dumpCells } from "../engines.ts";
import type { Cells } from "../model.ts";
import type { Violation } from "../oracle.ts";
import { binlogDisagreement } from "./binlog-agrees.ts";

/** Something that is wrong although recovery was content. */
export interface CheckProblem {
  readonly kind: Extract<Violation["kind"], "check failed" | "binlog differs">;
  readonly detail: string;
}

export interface Check {
  /** One disk in so many is checked; its digest says which. */
  readonly oneIn: number;
  /** Looks at a recovered engine, its disk and what it holds. */
  look(engine: Engine, disk: Disk, config: Config, cells: Cells): readonly CheckProblem[];
}

/** All checks that apply, of one recovery in `oneIn`. */
export function everyCheck(oneIn: number): Check {
  return {
    oneIn,
    look(engine, disk, config, cells) {
      if (!(engine instanceof WalEngine)) return aofProblems(disk);
      const isStrict = config.number("flush-log-at-trx-commit") === 1 && config.number("sync-binlog") === 1;
      return [...spaceProblems(engine), ...(isStrict ? binlogProblems(disk, config, cells) : [])];
    },
  };
}

function aofProblems(disk: Disk): CheckProblem[] {
  const report = checkAof(disk);
  return report.whole ? [] : [{ kind: "check failed", detail: describeReport(report).at(-1) ?? "" }];
}

function spaceProblems(engine: WalEngine): CheckProblem[] {
  const check = new SpaceCheck(engine.storage);
  check.run();
  return check.problems.map((detail) => ({ kind: "check failed", detail }));
}

/** Only this: whether the two logs of kv-wal agree. */
export function binlogCheck(_engine: Engine, disk: Disk, config: Config, cells: Cells): readonly CheckProblem[] {
  return binlogProblems(disk, config, cells);
}

/** A binlog that cannot be read names its damage, as the checker does; one that says something else does not. */
function binlogProblems(disk: Disk, config: Config, cells: Cells): CheckProblem[] {
  try {
    const detail = binlogDisagreement(disk, config, cells, dumpCells);
    return detail === undefined ? [] : [{ kind: "binlog differs", detail }];
  } catch (error) {
    if (!(error instanceof CorruptFile || error instanceof UsageError)) throw error;
    return [{ kind: "check failed", detail: `the binlog cannot be applied: ${error.message}` }];
  }
}
