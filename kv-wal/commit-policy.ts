/**
 * What a commit waits for, as the directives say.
 *
 *     flush_log_at_trx_commit   0  redo is neither written nor synced at commit, but once a second, or when much of it has
 *                                  gathered: a killed process loses it
 *                               1  written and synced before the binlog is written
 *                               2  written at commit, synced once a second
 *     sync_binlog               0  never synced by us    1  every group    N  every N groups, as MySQL counts them
 */
import type { EventLimits } from "./binlog/transaction-events.ts";

/** Set by the engine from its directives; may change at run time. */
export interface CommitPolicy extends EventLimits {
  flushLogAtCommit: number;
  syncBinlog: number;
  binlogBytesMax: number;
  /** Binlog files whose last transaction is so old are removed; 0: never. */
  binlogExpireSeconds: number;
}

/** Whether there are syncs that replies wait for. */
export function syncsAtCommit(policy: CommitPolicy): boolean {
  return policy.flushLogAtCommit === 1 || policy.syncBinlog > 0;
}
