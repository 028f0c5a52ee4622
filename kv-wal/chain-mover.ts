/**
 * Moves one page of a chain (overflow.ts) to a lower place, in a mini-transaction of its own, so that the space can end
 * before it.
 *
 *     row ──first──▶ page ◀──▶ page ◀──▶ page ◀──last── row
 *
 * What leads to a page inside is in its neighbours: it may move at any time. What leads to the first and the last one are
 * references: that of the row, and copies of it in undo records, which cannot be found from here. So these two move only
 * when nobody follows such a copy any more.
 *
 * Invariants: V2 the first and the last page of a chain move only while the version of the row in the tree has no delete mark
 * and is one that every transaction sees and none may undo: its transaction is older than all that purge stops at
 * (read-view.ts V1). Then what the undo log has of the row are versions that nobody can want, and no record of it is left
 * that frees the chain or gives the reference back. V3 the row found is the owner only if its reference names the page:
 * a chain that was dropped, or is just being built, has the same key words.
 */
import type { BTree } from "./b-tree.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { OVERFLOW_OWNER_AT, REFERENCE_BYTES, readReference } from "./overflow.ts";
import { type Arena, PAGE_NEXT_AT, PAGE_PREVIOUS_AT, PAGE_SIZE, PageType } from "./page.ts";
import { Redo } from "./redo-records.ts";
import type { SpaceHeader } from "./space-header.ts";

/** Where a reference names the first page and the last one. */
const FIRST_AT = 0;
const LAST_AT = 4;

export class ChainMover {
  readonly #pool: BufferPool;
  readonly #arena: Arena;
  readonly #mini: MiniTransaction;
  readonly #header: SpaceHeader;
  readonly #tree: BTree;

  constructor(pool: BufferPool, mini: MiniTransaction, header: SpaceHeader, tree: BTree) {
    this.#pool = pool;
    this.#arena = pool.arena;
    this.#mini = mini;
    this.#header = header;
    this.#tree = tree;
  }

  /**
   * Moves the content of a page of a chain to a new page; false when it must stay for now (V2). Every transaction sees, and
   * none may undo, what those with ids below `settledBelow` have done.
   */
  move(page: number, settledBelow: number): boolean {
    const arena = this.#arena;
    this.#pool.beginOperation();
    let base = this.#pool.fetch(page) * PAGE_SIZE;
    const previous = arena.previousOf(base);
    const next = arena.nextOf(base);
    const hasReference = previous === 0 || next === 0;
    if (hasReference && !this.#findOwner(base, page, settledBelow)) return false;
    // The search for the owner was another operation.
    const from = this.#pool.fetch(page);
    base = from * PAGE_SIZE;
    this.#mini.begin();
    const to = this.#header.allocate(PageType.OVERFLOW, 0);
    // Links, key words and content.
    const length = PAGE_SIZE - PAGE_PREVIOUS_AT;
    this.#mini.applyCopy(Redo.PATCH, to, PAGE_PREVIOUS_AT, arena.bytes, base + PAGE_PREVIOUS_AT, length);
    const moved = this.#pool.pageIn(to);
    if (previous === 0) this.#refer(FIRST_AT, moved);
    else this.#mini.patchU32(this.#pool.fetch(previous), PAGE_NEXT_AT, moved);
    if (next === 0) this.#refer(LAST_AT, moved);
    else this.#mini.patchU32(this.#pool.fetch(next), PAGE_PREVIOUS_AT, moved);
    this.#header.free(from);
    this.#mini.commit();
    return true;
  }

  /** Whether the row with the reference is in the tree, and settled (V2, V3); it is the tree's position then. */
  #findOwner(base: number, page: number, settledBelow: number): boolean {
    const tree = this.#tree;
    const { words } = this.#arena;
    const owner = (base + OVERFLOW_OWNER_AT) >> 2;
    const [hi, mid, low] = [words[owner]!, words[owner + 1]!, words[owner + 2]!];
    tree.search(hi, mid, low, "");
    // Few rows have equal words: those whose keys have the same hash.
    for (; tree.settle(); tree.slot++) {
      const { record } = tree;
      const at = record >> 2;
      if (words[at] !== hi || words[at + 1] !== mid || words[at + 2] !== low) return false;
      if (this.#refersTo(record, page)) {
        return !this.#arena.isDeleted(record) && this.#arena.transactionOf(record) < settledBelow;
      }
    }
    return false;
  }

  #refersTo(record: number, page: number): boolean {
    if (!this.#arena.isExternal(record)) return false;
    const { first, last } = readReference(this.#arena.bytes, this.#referenceAt(record));
    return first === page || last === page;
  }

  #referenceAt(record: number): number {
    return this.#arena.valueAt(record) + this.#arena.valueLength(record) - REFERENCE_BYTES;
  }

  /** The row at the tree's position names another page, as the first or the last one. */
  #refer(at: number, page: number): void {
    const { frame, record } = this.#tree;
    this.#mini.patchU32(frame, this.#referenceAt(record) + at - frame * PAGE_SIZE, page);
  }
}
