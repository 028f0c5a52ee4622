/**
 * A wrong order of kv-wal: a page is written although the redo up to its LSN is not durable (I3 broken, pitfall 23). After a
 * power loss the page is ahead of the log: rows are there whose undo is not, parts of one transaction without the rest, or
 * a tree that its log does not describe.
 *
 * The parts are the engine's own; when it writes pages, the cleaner is told that all redo is durable. Checkpoints and the wait
 * for a full log stay honest: the one thing that is wrong is the order of page and redo.
 */
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import type { Log } from "../../common/log/log.ts";
import type { BufferPool } from "../../kv-wal/buffer-pool.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";
import { PageCleaner } from "../../kv-wal/page-cleaner.ts";
import type { RedoLog } from "../../kv-wal/redo-log.ts";
import type { Storage } from "../../kv-wal/storage.ts";

/** The redo log as a careless page cleaner sees it: whatever was appended is durable, and flushing is not needed. */
class CarelessView {
  readonly redo: RedoLog;
  isCareless = false;

  constructor(redo: RedoLog) {
    // Recovery replaces the log behind it: it is looked up each time.
    const log = (): Log =>
      overridden(redo.log, (key) => (key === "durable" && this.isCareless ? redo.log.appended : undefined));
    this.redo = overridden(redo, (key) => {
      if (key === "log") return log();
      return key === "flushNow" && this.isCareless ? () => {} : undefined;
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
  readonly #onlySteals: boolean;

  constructor(host: Host, storage: Storage, view: CarelessView, onlySteals: boolean) {
    super(host, storage.pool, view.redo, storage.doublewrite, storage.space, storage.binlog);
    this.#view = view;
    this.#pool = storage.pool;
    this.#onlySteals = onlySteals;
  }

  /** The one thing that is wrong: everything else that the cleaner does is honest. */
  override writeFrames(frames: readonly number[]): void {
    this.#view.isCareless = true;
    super.writeFrames(frames);
    this.#view.isCareless = false;
  }

  /** One page at a time: written all at once they would be a consistent, if unlogged, whole. */
  override idle(): void {
    if (this.#onlySteals) {
      super.idle();
      return;
    }
    const frames = this.#pool.oldestDirty(1, Number.POSITIVE_INFINITY);
    if (frames.length > 0) this.writeFrames(frames);
    this.checkpoint();
  }
}

function createCareless(host: Host, config: Config, onlySteals: boolean): WalEngine {
  const engine = createWalEngine(host, config);
  const { storage } = engine;
  // The cleaner registers itself with the pool; the engine's idle work finds it in the storage.
  const cleaner = new CarelessCleaner(host, storage, new CarelessView(storage.redo), onlySteals);
  Object.assign(storage, { cleaner });
  return engine;
}

export function createPageBeforeRedo(host: Host, config: Config): WalEngine {
  return createCareless(host, config, false);
}

/**
 * The same, for stolen pages only: those of a transaction that is still running, written because frames are short. Under
 * 1/1 this leaves half a transaction that nothing can undo: the pages are there, their undo and their redo are not.
 */
export function createStealBeforeRedo(host: Host, config: Config): WalEngine {
  return createCareless(host, config, true);
}

/**
 * The engine refuses a page that knows more than the log; InnoDB warns and goes on. This one goes on, to show what the page
 * would have been taken for.
 */
export function createTrustingRecovery(host: Host, config: Config): WalEngine {
  const engine = createWalEngine(host, config);
  Object.defineProperty(engine.storage.cleaner, "logEnd", { get: () => Number.POSITIVE_INFINITY });
  return engine;
}
