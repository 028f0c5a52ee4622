/**
 * Two wrong recoveries of kv-wal, each other's mirror image. Between the prepare mark and the commit mark of a transaction
 * only the binlog knows what became of it (I5). Both recoveries decide without it:
 *
 *     without the binlog   redo is all they look at, as document 003 says: prepared and not marked committed → rolled back.
 *                          The mark is synced only once a second, so even a process kill takes what clients were told
 *                          (I1; pitfalls 33 and 38)
 *     rolls forward        whatever reached prepare is taken for committed: a crash between prepare and binlog leaves
 *                          transactions in the engine that the binlog lacks
 *
 * The parts are the engine's own; recovery reads one of the two marks in the space header where it should read the other. It
 * does not know either that the policy was redo first: else it would find that the logs do not fit, and refuse.
 */
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";

type Mark = "preparedUpTo" | "committedUpTo";

/** An engine whose recovery takes one mark for the other; afterwards it reads both as they are. */
function misreading(host: Host, config: Config, mark: Mark, as: Mark): WalEngine {
  const engine = createWalEngine(host, config);
  const { header } = engine.storage;
  const recover = engine.recover.bind(engine);
  engine.recover = () => {
    Object.defineProperty(header, mark, { get: () => header[as], configurable: true });
    Object.defineProperty(header, "redoIsFirst", { get: () => false, configurable: true });
    const recovery = recover();
    Reflect.deleteProperty(header, mark);
    Reflect.deleteProperty(header, "redoIsFirst");
    return recovery;
  };
  return engine;
}

export function createRecoveryWithoutBinlog(host: Host, config: Config): WalEngine {
  return misreading(host, config, "preparedUpTo", "committedUpTo");
}

export function createRecoveryRollsForward(host: Host, config: Config): WalEngine {
  return misreading(host, config, "committedUpTo", "preparedUpTo");
}
