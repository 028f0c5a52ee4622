/**
 * A wrong order of kv-aof: the reply leaves, then the fsync. It is what `appendfsync always` would be worth if "written"
 * were taken for "durable" (pitfall 21): a process kill shows nothing, a power loss takes acknowledged writes.
 *
 * The parts are the engine's own; only `settle` puts them together the other way round.
 */
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import type { Settled } from "../../kv-aof/aof-log.ts";
import { AofEngine } from "../../kv-aof/engine.ts";

class ReplyBeforeFsync extends AofEngine {
  override settle(done: Settled): void {
    const { log } = this;
    const failure = log.write();
    if (failure !== undefined) {
      log.refuse(failure, done);
      return;
    }
    done(undefined);
    log.sync(() => {});
  }
}

export function createReplyBeforeFsync(host: Host, config: Config): AofEngine {
  return new ReplyBeforeFsync(host, config);
}
