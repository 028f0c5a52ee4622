/**
 * A wrong order of kv-wal: a page is written although the redo up to its LSN is not durable (I3 broken, pitfall 23). After a
 * power loss the page is ahead of the log: rows are there whose undo is not, parts of one transaction without the rest, or
 * a tree that its log does not describe.
 *
 * The parts are the engine's own; the page cleaner is told that all redo is durable. Checkpoints and the wait for a full
 * log stay honest: the one thing that is wrong is the order of page and redo.
 */
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import type { BufferPool } from "../../kv-wal/buffer-pool.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";
import { PageCleaner } from "../../kv-wal/page-cleaner.ts";
import type { RedoLog } from "../../kv-wal/redo-log.ts";
import type { Storage } from "../../kv-wal/storage.ts";

/** The redo log as a careless page cleaner sees it: whatever was appended is durable, and flushing is not needed. */
class CarelessView {
  readonly redo: RedoLog;
  isHonest = false;

  constructor(redo: RedoLog) {
    const log = overridden(redo.log, (key) => (key === "durable" && !this.isHonest ? redo.log.appended : undefined));
    this.redo = overridden(redo, (key) => {
      if (key === "log") return log;
      return key === "flushNow" && !this.isHonest ? () => {} : undefined;
    });
  }
}

/** `target` with some properties replaced. Its methods run on itself: private fields do not pass through a proxy. */
function overridden<T extends object>(target: T, replaced: (key: PropertyKey) => unknown): T {
  return new Proxy(target, {
    get(_, key) {
      const value = replaced(key) ?? Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

class CarelessCleaner extends PageCleaner {
  readonly #view: CarelessView;
  readonly #pool: BufferPool;

  constructor(host: Host, storage: Storage, view: CarelessView) {
    super(host, storage.pool, view.redo, storage.doublewrite, storage.space, storage.binlog);
    this.#view = view;
    this.#pool = storage.pool;
  }

  /** One page at a time: written all at once they would be a consistent, if unlogged, whole. */
  override idle(): void {
    const frames = this.#pool.oldestDirty(1, Number.POSITIVE_INFINITY);
    if (frames.length > 0) this.writeFrames(frames);
    this.checkpoint();
  }

  override checkpoint(): void {
    this.#honestly(() => super.checkpoint());
  }

  override makeRoom(): void {
    this.#honestly(() => super.makeRoom());
  }

  #honestly(run: () => void): void {
    const before = this.#view.isHonest;
    this.#view.isHonest = true;
    run();
    this.#view.isHonest = before;
  }
}

export function createPageBeforeRedo(host: Host, config: Config): WalEngine {
  const engine = createWalEngine(host, config);
  const { storage } = engine;
  // The cleaner registers itself with the pool; the engine's idle work finds it in the storage.
  const cleaner = new CarelessCleaner(host, storage, new CarelessView(storage.redo));
  Object.assign(storage, { cleaner });
  return engine;
}
