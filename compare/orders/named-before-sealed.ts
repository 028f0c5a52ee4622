/**
 * A wrong order of kv-aof's rewrite, and Redis's (derived from its source: the old increment is given to a background
 * thread to be synced when the manifest names the new one already): the log goes on in the next increment before the last one is
 * on disk. A power loss may then leave the new one and not the end of the old one: a hole in the middle of what was
 * acknowledged (CLAIMS A14, crash point A7b).
 */
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import { type AofEngine, createAofEngine } from "../../kv-aof/engine.ts";

export function createNamedBeforeSealed(host: Host, config: Config): AofEngine {
  const engine = createAofEngine(host, config);
  const recover = engine.recover.bind(engine);
  engine.recover = (tell) => {
    const recovery = recover(tell);
    const { log } = engine;
    log.turnOver = (next) => {
      log.write();
      const old = log.path;
      const file = next();
      if (file === undefined) return;
      log.continueIn(file);
      const again = host.disk.open(old, "update");
      again.sync(() => again.close());
    };
    return recovery;
  };
  return engine;
}
