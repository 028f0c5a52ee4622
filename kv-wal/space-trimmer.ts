/**
 * Makes the tablespace file smaller when much of it is free. In the background, a little in every idle call:
 *
 *     1. the list of free pages is sorted into the bitmaps (free-space.ts)
 *     2. while a quarter of the space is free: the last page moves to the lowest free one. A page of the tree may always do
 *        that, one of a chain unless old versions refer to it (chain-mover.ts), one of the undo log when nobody wants it
 *     3. free pages at the end are given up; when a checkpoint has passed that, the file is cut
 *
 * Small amounts are left alone: a space that shrinks today grows tomorrow.
 */
import type { BTree } from "./b-tree.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { ChainMover } from "./chain-mover.ts";
import type { FreeSpace } from "./free-space.ts";
import { PAGE_BODY_AT, PAGE_SIZE, PageType } from "./page.ts";
import type { PageCleaner } from "./page-cleaner.ts";
import type { RedoLog } from "./redo-log.ts";
import type { Tablespace } from "./tablespace.ts";
import type { UndoLog } from "./undo-log.ts";

/** Pages sorted in one call; fewer listed ones are left for the next allocations while somebody writes. */
const SORTED_PER_CALL = 64;
/** Pages moved in one call. */
const MOVED_PER_CALL = 32;
/** Fewer free pages at the end are not given up: 1 MiB. */
const GIVEN_UP_MIN = 64;
/** Pages are moved when the space is larger than so many and one part in so many is free. */
const MOVED_FROM_PAGES = 64;
const MOVED_FREE_PART = 4;
/** Sorted when the server closes. */
const SORTED_AT_CLOSE = 4096;

export class SpaceTrimmer {
  readonly #pool: BufferPool;
  readonly #free: FreeSpace;
  readonly #tree: BTree;
  readonly #chains: ChainMover;
  readonly #undo: UndoLog;
  readonly #space: Tablespace;
  readonly #redo: RedoLog;
  readonly #cleaner: PageCleaner;
  pagesMoved = 0;

  constructor(
    pool: BufferPool,
    free: FreeSpace,
    tree: BTree,
    chains: ChainMover,
    undo: UndoLog,
    space: Tablespace,
    redo: RedoLog,
    cleaner: PageCleaner,
  ) {
    this.#pool = pool;
    this.#free = free;
    this.#tree = tree;
    this.#chains = chains;
    this.#undo = undo;
    this.#space = space;
    this.#redo = redo;
    this.#cleaner = cleaner;
  }

  /**
   * A part of the work. `isPurged`: there is no undo that anybody wants; transactions with ids below `settledBelow` are over
   * and seen by everybody. Outside a mini-transaction and a transaction.
   */
  idle(isPurged: boolean, settledBelow: number): void {
    const free = this.#free;
    this.cut();
    if (this.#cleaner.isWriting) return;
    if (free.listed >= SORTED_PER_CALL || isPurged) free.sort(SORTED_PER_CALL);
    if (free.shrink(GIVEN_UP_MIN)) return;
    if (free.pages < MOVED_FROM_PAGES || free.marked * MOVED_FREE_PART < free.pages) return;
    for (let moved = 0; moved < MOVED_PER_CALL && this.#moveLast(isPurged, settledBelow); moved++) this.pagesMoved++;
  }

  /** The server closes, all pages are written: gives up what is free at the end, however little. */
  close(): void {
    this.#free.sort(SORTED_AT_CLOSE);
    while (this.#free.shrink(1));
    this.#cleaner.cleanAll();
    this.cut();
  }

  /** Cuts off the file what was given up before the checkpoint (free-space.ts S3). */
  cut(): void {
    if (this.#cleaner.isWriting || !this.#free.mayCut(this.#redo.checkpoint.lsn)) return;
    if (this.#space.pages > this.#free.pages) this.#space.truncate(this.#free.pages);
  }

  /** Moves the last page that is in use to the lowest free one. */
  #moveLast(isPurged: boolean, settledBelow: number): boolean {
    const free = this.#free;
    this.#pool.beginOperation();
    let page = free.pages - 1;
    while (free.isMarked(page)) page--;
    if (free.listed > 0 || free.lowestMarked > page) return false;
    const type = this.#pool.arena.typeOf(this.#pool.fetch(page) * PAGE_SIZE);
    if (type === PageType.UNDO) {
      // The undo log goes on in another page; purge frees this one.
      if (isPurged && page === this.#undo.newestPage) this.#undo.ensureRoom(PAGE_SIZE - PAGE_BODY_AT);
      return false;
    }
    if (type === PageType.OVERFLOW) {
      if (!this.#chains.move(page, settledBelow)) return false;
    } else if (type === PageType.LEAF || type === PageType.NODE) this.#tree.move(page);
    else return false;
    free.sort(1);
    return true;
  }
}
