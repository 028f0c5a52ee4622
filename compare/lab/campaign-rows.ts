/**
 * What a campaign counts, in rows of plain data: sent by workers, written to the state file, added up over chunks and over
 * machines. Rows with the same names add up to one; whatever is added first or last, the sum is the same.
 */
import type { EngineName } from "../policy.ts";

interface OfPolicy {
  readonly engine: EngineName;
  readonly policy: string;
}

interface Judged {
  crashes: number;
  /** Of the worst crash: acknowledged writes lost, and how long before it the first of them had been acknowledged. */
  lost: number;
  lostMs: number;
  /** Crashes with a violation, by its kind. */
  violations: Record<string, number>;
}

interface Enumerated {
  /** States looked at and states that there are, over all moments: decimal numbers, because they are large. */
  covered: string;
  total: string;
  /** Moments of which every state was looked at, and all. */
  exhausted: number;
  moments: number;
}

/** The crashes of one policy under one model. */
export interface CampaignRow extends OfPolicy, Judged, Enumerated {
  readonly model: string;
  /** Crashes in which acknowledged writes were lost: each loss was measured in time and count, and is a suffix. */
  lossy: number;
  /** Replies of reads compared with what was gone (I1). */
  reads: number;
  /** Of `violations`, those of what the engine owes under the model. */
  breaches: Record<string, number>;
  refused: number;
}

/** How the recoveries of one policy were crashed themselves (I7). */
export interface RecoveryRow extends OfPolicy, Enumerated {
  /** Of short workloads every recovery is crashed, of longer ones some. */
  readonly length: "short" | "long";
  /** Distinct disks that recovery accepted, and on how many of them it was crashed at every operation. */
  eligible: number;
  crashed: number;
  /** Disks that these crashes left, each recovered and compared. */
  nested: number;
  /** On how many of them the second recovery was crashed as well. */
  deeper: number;
}

/** Checks of recovered folders beside the data (checks.ts); which recoveries run depends on what a worker knew before. */
export interface CheckRow extends OfPolicy {
  recoveries: number;
  /** Folders that the engine's own checker has read whole. */
  checked: number;
  /** Binlogs applied to an empty keyspace and compared with the engine. */
  binlogs: number;
}

/** The runs of one policy in which one kind of disk fault was injected. */
export interface FaultRow extends OfPolicy, Judged {
  readonly fault: string;
  /** Calls that the fault could hit in the runs, and those that it hit. */
  calls: number;
  injected: number;
  /** How the runs ended: the engine stopped and said why; went on and refused writes; went on. */
  stopped: number;
  refusedWrites: number;
  wentOn: number;
}

/** How fast the chunks of one engine went; it depends on the machine, and nothing depends on it. */
export interface RateRow {
  readonly engine: EngineName;
  readonly length: "short" | "long";
  /** Disks that no chunk before had seen. */
  disks: number;
  /** Crashes judged: of runs, and of recoveries. */
  judged: number;
  /** Processor time of the threads that ran the chunks. */
  busyMs: number;
}

export type AnyRow = CampaignRow | RecoveryRow | CheckRow | FaultRow;

/** Of these the worst counts; the others add up. */
const WORST: ReadonlySet<string> = new Set(["lost", "lostMs"]);
const DECIMAL: ReadonlySet<string> = new Set(["covered", "total"]);
const NAMES = ["engine", "policy", "model", "length", "fault"] as const;

function nameOf(row: Readonly<Record<string, unknown>>): string {
  return NAMES.map((name) => row[name] ?? "").join(" ");
}

/** Adds a row to the one of the same names. */
export function addRow<Row extends AnyRow | RateRow>(rows: Map<string, Row>, row: Row): void {
  const given: Readonly<Record<string, unknown>> = { ...row };
  const name = nameOf(given);
  const sum = rows.get(name) as Record<string, unknown> | undefined;
  if (sum === undefined) {
    rows.set(name, structuredClone(row));
    return;
  }
  for (const [field, value] of Object.entries(given)) {
    if (typeof value === "number") {
      const before = sum[field] as number;
      sum[field] = WORST.has(field) ? Math.max(before, value) : before + value;
    } else if (DECIMAL.has(field)) sum[field] = String(BigInt(sum[field] as string) + BigInt(value as string));
    else if (typeof value === "object")
      addCounts(sum[field] as Record<string, number>, value as Record<string, number>);
  }
}

function addCounts(sum: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [kind, count] of Object.entries(more)) sum[kind] = (sum[kind] ?? 0) + count;
}
