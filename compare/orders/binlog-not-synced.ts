/**
 * A wrong order of kv-wal: the binlog is written and taken for decided, but nobody syncs it. A process kill shows nothing.
 * A power loss leaves prepared transactions without their binlog events, and recovery, which asks the binlog, rolls back
 * what was acknowledged: I5 does its work, I1 is broken.
 *
 * The parts are the engine's own; only the binlog's syncs answer before they have been done.
 */
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";

export function createBinlogNotSynced(host: Host, config: Config): WalEngine {
  const engine = createWalEngine(host, config);
  const { binlog } = engine.storage;
  binlog.syncNow = () => {};
  binlog.whenDurable = (done) => done(undefined);
  return engine;
}
