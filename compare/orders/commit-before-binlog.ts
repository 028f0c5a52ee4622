/**
 * A wrong order of kv-wal: the commit mark is set and made durable, then the binlog is written. A crash in between leaves a
 * transaction that is committed in the engine, so that recovery does not ask about it any more, and that the binlog lacks:
 * replicas never get it (I5 broken). This is the mark that document 001 wants durable before COMMIT returns.
 *
 * The parts are the engine's own steps of a group commit, taken in another order.
 */
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";
import type { CommitSteps } from "../../kv-wal/write-path.ts";

export function createCommitBeforeBinlog(host: Host, config: Config): WalEngine {
  const engine = createWalEngine(host, config);
  const { commits, storage } = engine;
  const writeBinlog: CommitSteps["writeBinlog"] = commits.writeBinlog.bind(commits);
  const markCommitted: CommitSteps["markCommitted"] = commits.markCommitted.bind(commits);
  commits.writeBinlog = (group, next) => {
    markCommitted(group);
    storage.redo.flushNow();
    writeBinlog(group, next);
  };
  commits.markCommitted = () => {};
  return engine;
}
