/** How long a thread has had a processor: of two workers of one campaign, each knows its own. */
import { readFileSync } from "node:fs";

/** Of the calling thread, in milliseconds: what Linux has counted, and elsewhere the wall clock. */
export function threadMs(): number {
  try {
    return Number.parseInt(readFileSync("/proc/thread-self/schedstat", "latin1"), 10) / 1e6;
  } catch {
    return performance.now();
  }
}
