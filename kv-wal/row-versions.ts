/**
 * Versions of rows. The tree has the newest one; each version leads, by its roll pointer, to the undo record of the change
 * that made it, and there is the version before, byte for byte as it was in the tree: so a version is a record in the
 * arena, wherever it lies.
 *
 *     tree   k = 3 by 17 ──▶ undo UPDATE: k = 2 by 12 ──▶ undo UPDATE: k = 1 by 5 ──▶ undo INSERT: there was none
 *
 * Invariant: N1 while `inUse` is 0, every record in the tree is a row that everybody sees: nobody has to ask here. It counts
 * interactive transactions and rows with a delete mark.
 */
import { assert } from "../common/assert.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { PAGE_SIZE } from "./page.ts";
import type { ReadView } from "./read-view.ts";
import { offsetPart, pagePart, UNDO_BODY_AT, Undo } from "./undo-log.ts";

/** There is no such row for this reader. */
export const NO_VERSION = -1;

export class RowVersions {
  readonly #pool: BufferPool;
  #transactions = 0;
  #markedRows = 0;
  /** N1 */
  inUse = 0;
  /** Through what the running command looks; undefined: it sees the newest versions. */
  view: ReadView | undefined;
  /** Steps back from a version to the one before, so far. */
  steps = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Interactive transactions that are open. */
  get transactions(): number {
    return this.#transactions;
  }
  set transactions(count: number) {
    this.#transactions = count;
    this.inUse = count + this.#markedRows;
  }

  /** Rows with a delete mark in the tree. */
  get markedRows(): number {
    return this.#markedRows;
  }
  set markedRows(count: number) {
    this.#markedRows = count;
    this.inUse = this.#transactions + count;
  }

  /**
   * The version of the row that the running command sees; NO_VERSION when there is none. An older version lies in an undo
   * page, which the pool keeps until the next operation; the position in the tree is lost then.
   */
  visible(newest: number): number {
    const { view } = this;
    const { arena } = this.#pool;
    let record = newest;
    if (view !== undefined) {
      while (!view.sees(arena.transactionOf(record))) {
        record = this.#before(arena.rollPointerOf(record));
        if (record === NO_VERSION) return NO_VERSION;
      }
    }
    return arena.isDeleted(record) ? NO_VERSION : record;
  }

  /** The version that the change at `pointer` replaced. */
  #before(pointer: number): number {
    // A chain may be longer than the pool: each step lets go of the page of the one before.
    this.#pool.beginOperation();
    this.steps++;
    const at = this.#pool.fetch(pagePart(pointer)) * PAGE_SIZE + offsetPart(pointer);
    const type = this.#pool.arena.bytes[at];
    if (type === Undo.INSERT) return NO_VERSION;
    assert(type === Undo.UPDATE || type === Undo.MARK, "U6: a version that a view needs is in the undo log");
    return at + UNDO_BODY_AT;
  }
}
