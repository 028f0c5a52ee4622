/**
 * Purge: forgets undo that nobody can want any more, and frees what it kept alive.
 *
 * It follows the undo log from its oldest record to the first one of a transaction that is not over. There are no readers
 * of old versions yet; read views will be one more bound. On its way it frees the chains that updates and deletes of
 * committed transactions dropped (marking the record in the same mini-transaction, so that a crash never frees twice), and
 * each page that it has passed, except the newest.
 */

import type { BufferPool } from "./buffer-pool.ts";
import { readU16 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { chainPages, REFERENCE_BYTES, readReference } from "./overflow.ts";
import { PAGE_BODY_AT, PAGE_SIZE, PAGE_TOP_AT } from "./page.ts";
import type { SpaceHeader } from "./space-header.ts";
import {
  DONE,
  FREES_CHAIN,
  offsetPart,
  pagePart,
  UNDO_BODY_AT,
  UNDO_MARK_AT,
  UNDO_SIZE_AT,
  Undo,
  type UndoLog,
} from "./undo-log.ts";

export class Purge {
  readonly #pool: BufferPool;
  readonly #mini: MiniTransaction;
  readonly #header: SpaceHeader;
  readonly #undo: UndoLog;
  /** Where it goes on: page and offset of the next record. Not durable: marks and freed pages say the same. */
  #page = 0;
  #offset = PAGE_BODY_AT;
  pagesFreed = 0;

  constructor(pool: BufferPool, mini: MiniTransaction, header: SpaceHeader, undo: UndoLog) {
    this.#pool = pool;
    this.#mini = mini;
    this.#header = header;
    this.#undo = undo;
  }

  /** Whether a whole page of undo waits. */
  get behind(): boolean {
    return this.#header.oldestUndo !== this.#header.newestUndo;
  }

  /**
   * Goes on up to the record `bound` (the TRANSACTION record of the oldest transaction that is not over; undefined: none is),
   * through at most `pagesMax` pages.
   */
  run(bound: number | undefined, pagesMax: number): void {
    const stopPage = bound === undefined ? -1 : pagePart(bound);
    for (let pages = 0; pages < pagesMax; pages++) {
      const page = this.#header.oldestUndo;
      if (page === 0) return;
      if (page !== this.#page) {
        this.#page = page;
        this.#offset = PAGE_BODY_AT;
      }
      this.#purgePage(page, page === stopPage ? offsetPart(bound!) : PAGE_SIZE);
      if (page === stopPage || page === this.#undo.newestPage) return;
      this.#undo.freeOldest();
      this.pagesFreed++;
    }
  }

  #purgePage(page: number, stop: number): void {
    const { arena } = this.#pool;
    this.#pool.beginOperation();
    const frame = this.#pool.fetch(page);
    this.#pool.pin(frame);
    const base = frame * PAGE_SIZE;
    const top = Math.min(arena.halves[(base + PAGE_TOP_AT) >> 1]!, stop);
    for (; this.#offset < top; this.#offset += readU16(arena.bytes, base + this.#offset + UNDO_SIZE_AT)) {
      this.#freeDropped(frame, this.#offset);
    }
    this.#pool.unpin(frame);
  }

  /** Frees the chain that the change behind this record dropped. */
  #freeDropped(frame: number, offset: number): void {
    const { arena } = this.#pool;
    const { bytes } = arena;
    const record = frame * PAGE_SIZE + offset;
    const type = bytes[record]!;
    if ((type !== Undo.UPDATE && type !== Undo.DELETE) || bytes[record + UNDO_MARK_AT] !== FREES_CHAIN) return;
    const row = record + UNDO_BODY_AT;
    if (!arena.isExternal(row)) return;
    const chain = readReference(bytes, arena.valueAt(row) + arena.valueLength(row) - REFERENCE_BYTES);
    this.#pool.beginOperation();
    this.#mini.begin();
    this.#header.freeChain(chain.first, chain.last, chainPages(chain.keyBytes + chain.bodyBytes));
    this.#mini.patchByte(frame, offset + UNDO_MARK_AT, DONE);
    this.#mini.commit();
  }
}
