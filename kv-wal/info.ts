/**
 * What kv-wal adds to INFO. The first five positions have the names of SHOW ENGINE INNODB STATUS: where the redo log ends, how
 * much of it is written and how much synced; before which change every page is in the tablespace; the checkpoint.
 */
import type { InfoSection } from "../common/engine.ts";
import type { Backup } from "./backup.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { Interleaving } from "./interleaving.ts";
import type { LogPressure } from "./log-pressure.ts";
import type { Storage } from "./storage.ts";

export function walInfo(
  storage: Storage,
  commits: GroupCommit,
  transactions: Interleaving,
  backup: Backup,
  pressure: LogPressure,
): InfoSection {
  const { redo, pool, cleaner, binlog, header, purge, tree, doublewrite } = storage;
  const { undo, views, versions, trimmer } = storage;
  const { interactive, locks } = transactions;
  const { log } = redo;
  const hitRatio = pool.requests === 0 ? 1 : 1 - pool.loads / pool.requests;
  return {
    name: "wal",
    entries: [
      ["log_sequence_number", log.appended],
      ["log_written_up_to", log.written],
      ["log_flushed_up_to", log.durable],
      ["pages_flushed_up_to", pool.oldestChange ?? log.appended],
      ["last_checkpoint_at", redo.checkpoint.lsn],
      ["checkpoint_age", redo.age],
      ["checkpoint_age_max", redo.ageMax],
      ["checkpoint_number", redo.checkpoint.number],
      ["redo_capacity", redo.ring.capacity],
      ["redo_syncs", redo.syncs],
      ["redo_log_waits", pressure.waits],
      ["redo_log_waits_current", pressure.waiting],
      ["redo_log_waits_in_place", cleaner.logWaits],
      ["buffer_pool_pages", pool.frames],
      ["buffer_pool_pages_used", pool.usedFrames],
      ["buffer_pool_pages_dirty", pool.dirtyCount],
      ["buffer_pool_pages_young", pool.lru.youngLength],
      ["buffer_pool_pages_old", pool.lru.oldLength],
      ["buffer_pool_pages_made_young", pool.lru.madeYoung],
      ["buffer_pool_pages_not_made_young", pool.lru.notMadeYoung],
      ["buffer_pool_pages_read_ahead", pool.pagesReadAhead],
      ["buffer_pool_pages_read_ahead_unused", pool.lru.uselessReads],
      ["buffer_pool_requests", pool.requests],
      ["buffer_pool_reads", pool.loads],
      ["buffer_pool_hit_ratio", hitRatio.toFixed(4)],
      ["buffer_pool_evictions", pool.lru.evictions],
      ["pages_written", cleaner.pagesWritten],
      ["doublewrite_batches", doublewrite.batch],
      ["tablespace_pages", header.pages],
      ["tablespace_pages_free", header.freePages],
      ["damaged_pages", [...storage.space.damagedPages].join(",")],
      ["tablespace_pages_moved", trimmer.pagesMoved],
      ["tree_splits", tree.splits],
      ["tree_merges", tree.merges],
      ["transactions_committed", commits.committed],
      ["transactions_undecided", commits.undecided],
      ["commit_groups", commits.groups],
      ["transactions_open", interactive.count],
      ["transactions_rolled_back", interactive.rolledBack],
      ["read_views", views.openCount],
      ["history_list_length", undo.headers - purge.headersPassed - views.activeCount],
      ["undo_pages_purged", purge.pagesFreed],
      ["rows_delete_marked", versions.markedRows],
      ["locks_held_or_wanted", locks.size],
      ["lock_waits", locks.waits],
      ["lock_waits_current", locks.waiters],
      ["lock_timeouts", transactions.timeouts],
      ["deadlocks", transactions.deadlocks],
      ["binlog_file", binlog.path],
      ["binlog_position", binlog.log.written],
      ["binlog_durable_position", binlog.log.durable],
      ["binlog_syncs", binlog.syncs],
      ["binlog_files", binlog.files],
      ["backup_in_progress", backup.isRunning ? 1 : 0],
      ["backup_status", backup.status],
      ["backup_pages", backup.pages],
      ["backup_pages_copied", backup.pagesCopied],
      ["backup_problem", backup.problem],
    ],
  };
}
