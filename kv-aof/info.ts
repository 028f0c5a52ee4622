/** The section "persistence" of INFO, with Redis's fields; the server adds `loading`. */
import type { InfoSection } from "../common/engine.ts";
import type { AofFiles } from "./aof-files.ts";
import type { AofLog } from "./aof-log.ts";
import type { Rewrite } from "./rewrite.ts";

export function persistenceInfo(log: AofLog, files: AofFiles, rewrite: Rewrite): InfoSection["entries"] {
  return [
    ["async_loading", 0],
    ["aof_enabled", 1],
    ["aof_rewrite_in_progress", rewrite.inProgress ? 1 : 0],
    ["aof_rewrite_scheduled", 0],
    ["aof_last_rewrite_time_sec", seconds(rewrite.lastDurationMs)],
    ["aof_current_rewrite_time_sec", seconds(rewrite.durationMs)],
    ["aof_last_bgrewrite_status", rewrite.lastFailed ? "err" : "ok"],
    ["aof_rewrites", rewrite.count],
    ["aof_rewrites_consecutive_failures", rewrite.schedule.failures],
    ["aof_last_write_status", log.failedWrite === undefined ? "ok" : "err"],
    ["aof_last_cow_size", 0],
    ["aof_current_size", files.bytesBefore + log.fileBytes],
    ["aof_base_size", files.bytesAtRewrite],
    ["aof_pending_rewrite", 0],
    ["aof_buffer_length", log.bufferedBytes],
    ["aof_pending_bio_fsync", log.syncing ? 1 : 0],
    ["aof_delayed_fsync", log.delayedFsyncs],
  ];
}

/** Whole seconds; −1: there is none. */
function seconds(durationMs: number | undefined): number {
  return durationMs === undefined ? -1 : Math.floor(durationMs / 1000);
}
