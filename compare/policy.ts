/**
 * The durability policies that the lab compares, and what each promises: how much of what was acknowledged may be gone
 * after a process kill and after a power loss (shared/CRASH-MATRIX.md, columns K and P).
 *
 * Windows. Redis's everysec syncs once a second and lets a slow sync hold back the next for up to two seconds; InnoDB
 * writes and syncs its redo log once a second (innodb_flush_log_at_timeout) unless a commit does it. The oracle adds the
 * time that the disk itself took.
 */
import { UsageError } from "../common/errors.ts";

export type EngineName = "aof" | "wal";
export type CrashKind = "kill" | "power";

/** How much of what was acknowledged must survive. Whatever is lost must be the end of the history, never a hole in it. */
export type DurabilityPromise =
  | { readonly keeps: "everything" }
  /** Everything acknowledged longer ago than this. */
  | { readonly keeps: "all but the last"; readonly ms: number }
  /** The operating system decides when it writes. */
  | { readonly keeps: "what the kernel wrote back" };

export interface Policy {
  readonly engine: EngineName;
  /** As the table and --policy spell it: "always", "1/1" (flush_log_at_trx_commit / sync_binlog). */
  readonly name: string;
  readonly directives: Readonly<Record<string, string>>;
  readonly kill: DurabilityPromise;
  readonly power: DurabilityPromise;
  /** In a sentence, for a newcomer. */
  readonly meaning: string;
}

const EVERYTHING: DurabilityPromise = { keeps: "everything" };
/** A sync a second, begun up to 100 ms late by the timer that looks, and the one before it still running. */
const EVERYSEC: DurabilityPromise = { keeps: "all but the last", ms: 2000 };
const ONCE_A_SECOND: DurabilityPromise = { keeps: "all but the last", ms: 2000 };
const KERNEL: DurabilityPromise = { keeps: "what the kernel wrote back" };

function aof(appendfsync: string, kill: DurabilityPromise, power: DurabilityPromise, meaning: string): Policy {
  return { engine: "aof", name: appendfsync, directives: { appendfsync }, kill, power, meaning };
}

function wal(
  flush: number,
  syncBinlog: number,
  kill: DurabilityPromise,
  power: DurabilityPromise,
  meaning: string,
): Policy {
  return {
    engine: "wal",
    name: `${flush}/${syncBinlog}`,
    directives: { "flush-log-at-trx-commit": String(flush), "sync-binlog": String(syncBinlog) },
    kill,
    power,
    meaning,
  };
}

export const POLICIES: readonly Policy[] = [
  aof("always", EVERYTHING, EVERYTHING, "the AOF is synced before the reply"),
  aof("everysec", EVERYSEC, EVERYSEC, "the AOF is written before the reply and synced once a second"),
  aof("no", EVERYTHING, KERNEL, "the AOF is written before the reply; the kernel syncs when it likes"),
  wal(1, 1, EVERYTHING, EVERYTHING, "redo and binlog are synced before the reply"),
  wal(1, 0, EVERYTHING, ONCE_A_SECOND, "redo is synced before the reply, the binlog when the kernel likes"),
  wal(
    2,
    1,
    EVERYTHING,
    ONCE_A_SECOND,
    "redo is written before the reply and synced once a second; the binlog is synced",
  ),
  wal(2, 0, EVERYTHING, ONCE_A_SECOND, "redo and binlog are written before the reply, redo synced once a second"),
  wal(
    0,
    1,
    ONCE_A_SECOND,
    ONCE_A_SECOND,
    "redo stays in memory for up to a second; the binlog is synced before the reply",
  ),
  wal(0, 0, ONCE_A_SECOND, ONCE_A_SECOND, "redo stays in memory for up to a second; the binlog is left to the kernel"),
];

/** The policy with that name. */
export function policyOf(engine: EngineName, name: string): Policy {
  const found = POLICIES.find((policy) => policy.engine === engine && policy.name === name);
  if (found === undefined) throw new UsageError(`unknown policy '${name}' of engine ${engine}`);
  return found;
}

/** What the policy promises about a crash of this kind. */
export function promiseOf(policy: Policy, crash: CrashKind): DurabilityPromise {
  return crash === "kill" ? policy.kill : policy.power;
}

/** The promise in words. */
export function promiseText(promise: DurabilityPromise): string {
  if (promise.keeps === "everything") return "nothing acknowledged is lost";
  if (promise.keeps === "all but the last") return `at most the last ${promise.ms / 1000} s may be lost`;
  return "the end may be lost, as far as the kernel had not written it";
}
