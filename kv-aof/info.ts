/** The section "persistence" of INFO, with Redis's fields; the server adds `loading`. */
import type { InfoSection } from "../common/engine.ts";
import type { AofLog } from "./aof-log.ts";

export function persistenceInfo(log: AofLog, baseBytes: number): InfoSection["entries"] {
  return [
    ["async_loading", 0],
    ["aof_enabled", 1],
    ["aof_rewrite_in_progress", 0],
    ["aof_rewrite_scheduled", 0],
    ["aof_last_rewrite_time_sec", -1],
    ["aof_current_rewrite_time_sec", -1],
    ["aof_last_bgrewrite_status", "ok"],
    ["aof_rewrites", 0],
    ["aof_rewrites_consecutive_failures", 0],
    ["aof_last_write_status", log.failedWrite === undefined ? "ok" : "err"],
    ["aof_last_cow_size", 0],
    ["aof_current_size", log.totalBytes],
    ["aof_base_size", baseBytes],
    ["aof_pending_rewrite", 0],
    ["aof_buffer_length", log.bufferedBytes],
    ["aof_pending_bio_fsync", log.syncing ? 1 : 0],
    ["aof_delayed_fsync", log.delayedFsyncs],
  ];
}
