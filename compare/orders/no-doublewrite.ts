/**
 * A wrong order of kv-wal: pages are written in place without a copy in the doublewrite file (I4 broken). A page that a
 * power loss tears is then neither the old one nor the new one, and redo cannot repair it: a redo record changes some bytes
 * of a page that must be whole. Document 000 says that redo makes torn pages harmless; this shows that it does not.
 *
 * The parts are the engine's own; the doublewrite file just never gets its batch.
 */
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";

export function createNoDoublewrite(host: Host, config: Config): WalEngine {
  const engine = createWalEngine(host, config);
  const { doublewrite } = engine.storage;
  doublewrite.write = () => {};
  doublewrite.sync = (done) => host.afterTick(() => done(undefined));
  doublewrite.syncNow = () => {};
  return engine;
}
