/**
 * A wrong order of kv-wal: the binlog is written and synced, then the redo with the prepare mark. A crash in between leaves a
 * transaction that the binlog has and the engine has never heard of: a replica, or a restore from the binlog, has a row
 * that the primary lost (I5 broken, pitfall 32).
 *
 * The parts are the engine's own steps of a group commit, taken in another order.
 */
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";
import type { CommitSteps } from "../../kv-wal/write-path.ts";

export function createBinlogBeforePrepare(host: Host, config: Config): WalEngine {
  const engine = createWalEngine(host, config);
  const { commits } = engine;
  const flushPrepared: CommitSteps["flushPrepared"] = commits.flushPrepared.bind(commits);
  const writeBinlog: CommitSteps["writeBinlog"] = commits.writeBinlog.bind(commits);
  commits.flushPrepared = (group, next) => writeBinlog(group, next);
  commits.writeBinlog = (group, next) => flushPrepared(group, next);
  return engine;
}
