/** What the installed redis-server shows of claim A14: a power loss just after a rewrite has begun, under everysec. */
import { MANIFEST } from "../claims/aof-damage.ts";
import { crashStates } from "../crash-program/crash-points.ts";
import { modelOf } from "../lab/models/index.ts";
import { type RecordedScene, recordScene, writeOf } from "./recorded-run.ts";
import { redisConnection } from "./redis.ts";
import type { Observing, Scenario, Scenarios } from "./scenario.ts";

const KEYS = 8;
const REWRITE_AFTER = 4;
/** Both increments are still being synced when the last command is written. */
const SLOW_SYNC_MS = 1000;
const STATES_MAX = 200;
const RECORDINGS_MAX = 4;

/** Keys are set one after the other, each once; a rewrite begins in the middle. */
function recordRewrite(observing: Observing, valueBytes: number): Promise<RecordedScene> {
  return recordScene(observing.server("everysec"), {
    earlier: "OLD",
    slowSyncMs: SLOW_SYNC_MS,
    async act({ session, folder }) {
      for (let index = 0; index < KEYS; index++) {
        await session.set(keyOf(index), textOf(index, valueBytes));
        if (index + 1 !== REWRITE_AFTER) continue;
        const redis = await redisConnection({ path: `${folder}.sock` });
        await redis.bgrewriteaof();
        redis.disconnect();
      }
    },
  });
}

function keyOf(index: number): string {
  return writeOf(index)[0];
}

function textOf(index: number, bytes: number): string {
  return `${index}=`.padEnd(bytes, "v");
}

/** What power losses since the manifest names the second increment leave, until all that was measured has been seen. */
function rewriteUnderLoad(valueBytes: number): Scenario {
  return async (observing) => {
    const shown = new Set<string>();
    let disks = 0;
    // What is possible in one recording may not be in another: how far the syncs were is up to the machine.
    for (let attempt = 1; attempt <= RECORDINGS_MAX && shown.size < 2; attempt++)
      disks += await lookAtDisks(observing, valueBytes, shown);
    const shows = shown.size === 0 ? "what is left is a prefix" : [...shown].sort().join(", ");
    return { shows, figure: `${disks} disks` };
  };
}

/** Adds what the disks of one recording show; how many were looked at. */
async function lookAtDisks(observing: Observing, valueBytes: number, shown: Set<string>): Promise<number> {
  const { points, recording, server, from } = await recordRewrite(observing, valueBytes);
  const named = points.operations.findIndex(
    (operation, at) => at >= from && operation.kind === "rename" && operation.to === MANIFEST,
  );
  if (named < 0) throw new Error("the rewrite did not begin");
  let disks = 0;
  for (const { image } of crashStates(points, [modelOf("posix-weak")], STATES_MAX, 1, [], named + 1)) {
    const { cells, refused } = await server.restart(image, recording.before, observing.folder);
    const kept = Array.from({ length: KEYS }, (_, index) => cells.get(keyOf(index)) === textOf(index, valueBytes));
    disks++;
    if (refused !== undefined) shown.add("a start is refused");
    else if (kept.some((is, index) => is && kept[index - 1] === false)) shown.add("a hole");
    if (shown.size === 2) break;
  }
  return disks;
}

export const REDIS_REWRITE_SCENARIOS: Scenarios = {
  A14: { "short commands": rewriteUnderLoad(10), "commands longer than a page": rewriteUnderLoad(6000) },
};
