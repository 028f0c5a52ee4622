/**
 * Purge: forgets undo that nobody can want any more, and removes what it kept alive.
 *
 * It follows the undo log from its oldest record to the header of the first transaction that is not over, or that an open
 * view does not see (read-view.ts V1). On its way it removes rows with a delete mark, frees the chains that updates and
 * deletes of committed transactions dropped (marking the record in the same mini-transaction, so that a crash never does it
 * twice), and frees each page that it has passed, except the newest. A view that stays open holds all of it; when it closes,
 * purge goes on.
 *
 * Clients wait while it runs, so it runs for some milliseconds at a time: it stops between any two records, and goes on there.
 *
 * A marked row is removed only if it still is the version that the MARK record made: its roll pointer says so. A transaction
 * that took the row over meanwhile and is rolled back later does not bring the mark back (rollback.ts).
 */
import { sliceBytes } from "../common/bytes.ts";
import type { BTree } from "./b-tree.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { readU16, readU32 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { chainPages, REFERENCE_BYTES, readReference } from "./overflow.ts";
import { PAGE_BODY_AT, PAGE_SIZE, PAGE_TOP_AT } from "./page.ts";
import type { ReadViews, UndoBound } from "./read-view.ts";
import type { RowVersions } from "./row-versions.ts";
import type { SpaceHeader } from "./space-header.ts";
import {
  DONE,
  FREES_CHAIN,
  offsetPart,
  pagePart,
  pointerTo,
  UNDO_BODY_AT,
  UNDO_MARK_AT,
  UNDO_SIZE_AT,
  UNDO_TAIL_AT,
  UNDO_TAIL_LENGTH_AT,
  Undo,
  type UndoLog,
} from "./undo-log.ts";

/** Removing so many rows takes as long as reading a page. */
const ROWS_PER_PAGE = 32;
/** Transactions of history for which one more page is read each time. */
const HISTORY_PER_PAGE = 512;

export class Purge {
  readonly #pool: BufferPool;
  readonly #mini: MiniTransaction;
  readonly #header: SpaceHeader;
  readonly #tree: BTree;
  readonly #undo: UndoLog;
  readonly #views: ReadViews;
  readonly #versions: RowVersions;
  /** Where it goes on: page and offset of the next record. Not durable: marks and freed pages say the same. */
  #page = 0;
  #offset = PAGE_BODY_AT;
  pagesFreed = 0;
  rowsRemoved = 0;
  /** TRANSACTION records passed since the start. */
  headersPassed = 0;

  constructor(
    pool: BufferPool,
    mini: MiniTransaction,
    header: SpaceHeader,
    tree: BTree,
    undo: UndoLog,
    views: ReadViews,
    versions: RowVersions,
  ) {
    this.#pool = pool;
    this.#mini = mini;
    this.#header = header;
    this.#tree = tree;
    this.#undo = undo;
    this.#views = views;
    this.#versions = versions;
  }

  /** Whether a whole page of undo waits. */
  get behind(): boolean {
    return this.#header.oldestUndo !== this.#header.newestUndo;
  }

  /**
   * Goes on as far as it may, but does not do much more than `workMax`: what it costs to read so many pages; and more, the
   * longer the history is, so that it never grows without end. `undecided` is the oldest transaction that has ended and is
   * not committed.
   */
  run(undecided: UndoBound | undefined, workMax: number): void {
    const bound = this.#views.oldestNeeded(undecided);
    // A view from before the first undo page wants all of it.
    if (bound?.header === 0) return;
    const stopPage = bound === undefined ? -1 : pagePart(bound.header);
    const end = this.#work + workMax + (this.#undo.headers - this.headersPassed) / HISTORY_PER_PAGE;
    while (this.#work < end) {
      const page = this.#header.oldestUndo;
      if (page === 0) return;
      if (page !== this.#page) {
        this.#page = page;
        this.#offset = PAGE_BODY_AT;
      }
      const isDone = this.#purgePage(page, page === stopPage ? offsetPart(bound!.header) : PAGE_SIZE, end);
      if (!isDone || page === stopPage || page === this.#undo.newestPage) return;
      this.#undo.freeOldest();
      this.pagesFreed++;
    }
  }

  /** What has been done since the start, counted in pages read: those of the undo log, those of rows, and rows removed. */
  get #work(): number {
    return this.#pool.loads + this.pagesFreed + this.rowsRemoved / ROWS_PER_PAGE;
  }

  /** Goes through the page from where it was, to `stop`; false when it is not there yet, and enough has been done. */
  #purgePage(page: number, stop: number, workEnd: number): boolean {
    const { arena } = this.#pool;
    this.#pool.beginOperation();
    const frame = this.#pool.fetch(page);
    this.#pool.pin(frame);
    const base = frame * PAGE_SIZE;
    const top = Math.min(arena.halves[(base + PAGE_TOP_AT) >> 1]!, stop);
    while (this.#offset < top && this.#work < workEnd) {
      const record = base + this.#offset;
      const type = arena.bytes[record]!;
      if (type === Undo.TRANSACTION) this.headersPassed++;
      else if (arena.bytes[record + UNDO_MARK_AT] !== DONE) this.#purgeRecord(frame, page, type);
      this.#offset += readU16(arena.bytes, record + UNDO_SIZE_AT);
    }
    this.#pool.unpin(frame);
    return this.#offset >= top;
  }

  /** Does what nobody stands in the way of any more, for the record where purge is. */
  #purgeRecord(frame: number, page: number, type: number): void {
    if (type === Undo.MARK) this.#removeRow(frame, page, this.#offset);
    else if (type === Undo.UPDATE || type === Undo.DELETE) this.#freeDropped(frame, this.#offset);
  }

  /** Removes the row that the deletion behind this record has marked, and frees its chain. */
  #removeRow(frame: number, page: number, offset: number): void {
    const { arena } = this.#pool;
    const { bytes } = arena;
    const record = frame * PAGE_SIZE + offset;
    const key = record + UNDO_BODY_AT;
    const tail = sliceBytes(
      bytes,
      record + UNDO_TAIL_AT,
      record + UNDO_TAIL_AT + readU16(bytes, record + UNDO_TAIL_LENGTH_AT),
    );
    const tree = this.#tree;
    const found = tree.search(readU32(bytes, key), readU32(bytes, key + 4), readU32(bytes, key + 8), tail);
    const isThatVersion = found && arena.rollPointerOf(tree.record) === pointerTo(page, offset);
    this.#mini.begin();
    if (isThatVersion) {
      tree.delete();
      this.#versions.markedRows--;
      this.rowsRemoved++;
    }
    this.#freeChain(record);
    this.#mini.patchByte(frame, offset + UNDO_MARK_AT, DONE);
    this.#mini.commit();
  }

  /** Frees the chain that the change behind this record dropped. */
  #freeDropped(frame: number, offset: number): void {
    const record = frame * PAGE_SIZE + offset;
    if (this.#pool.arena.bytes[record + UNDO_MARK_AT] !== FREES_CHAIN) return;
    this.#pool.beginOperation();
    this.#mini.begin();
    this.#freeChain(record);
    this.#mini.patchByte(frame, offset + UNDO_MARK_AT, DONE);
    this.#mini.commit();
  }

  /** Frees the old row's chain if it has one that goes with it, in the mini-transaction. */
  #freeChain(record: number): void {
    const { arena } = this.#pool;
    const row = record + UNDO_BODY_AT;
    if (arena.bytes[record + UNDO_MARK_AT] !== FREES_CHAIN || !arena.isExternal(row)) return;
    const chain = readReference(arena.bytes, arena.valueAt(row) + arena.valueLength(row) - REFERENCE_BYTES);
    this.#header.freeChain(chain.first, chain.last, chainPages(chain.keyBytes + chain.bodyBytes));
  }
}
