/**
 * The undo log: before-images of rows, in undo pages of the tablespace, so that they are protected by redo as every page.
 *
 * The pages form one list, oldest first (space header: oldest and newest; linked by `next`). All transactions append to
 * the newest page; a page is freed when every transaction that has a record in it, or before it, is over (purge.ts).
 *
 *     page     header of page.ts, where "records" counts records, "heap top" is the end of the last one and "garbage" is 0
 *
 *     TRANSACTION  01 state(1) size(2) transaction id(6) 0(2), and if it is interactive: XID(6) 0(2)
 *     INSERT       02 mark(1)  size(2) transaction id(6) previous(6) key words(12) tail length(2) 0(2) tail
 *     UPDATE       03 mark(1)  size(2) transaction id(6) previous(6) the old row, as it was in its page (page.ts)
 *     DELETE       04 …        as UPDATE
 *     NEW_CHAIN    05 mark(1)  size(2) transaction id(6) previous(6) first page(4) last page(4) pages(4)
 *     SWAP         06 mark(1)  size(2) transaction id(6) previous(6) database(2) database(2)
 *     MARK         07 …        as UPDATE: the row got a delete mark (page.ts), because somebody may want its old version
 *
 * Sizes are multiples of four. Mark: 0, or 1 DONE, it was undone or its chain freed; or 2 FREES_CHAIN, the old row's chain
 * goes when no view can want it any more.
 *
 * A roll pointer is page number × 65536 + offset of a record; `previous` is the one of the same transaction's record
 * before, ending at the TRANSACTION record. A row's roll pointer leads to the record with the version before it: so an old
 * version is a row in an undo page, and its own roll pointer leads on (row-versions.ts).
 *
 * State. Transactions of one command (or one EXEC) follow one another: their state stays 0, and how far they have come,
 * prepared or committed, is said by two ids in the space header, whole groups at a time; or it is 1 ROLLED_BACK. Interactive
 * transactions (BEGIN … COMMIT) run side by side, so each has a state of its own: 2 ACTIVE → 3 PREPARED → 4 COMMITTED,
 * or → 1 ROLLED_BACK. XIDs ascend in the order of commit: that of a transaction of one command is its id, an interactive
 * one takes a new number when it commits, and keeps it here from prepare on.
 *
 * Invariants: U1 the record is in the same mini-transaction as the change it can undo, before it. U2 a record is undone
 * at most once: DONE is set in the mini-transaction that undoes it, so a rollback that crashes goes on where it was (I7).
 * U3 a state only moves forward: ids in the space header grow, ROLLED_BACK and COMMITTED stay. U4 the header of a
 * transaction that is not over is in the list. U5 headers are in the order of transaction ids. U6 a record stays in the list while a
 * view may follow a roll pointer to it (purge.ts).
 */
import { CorruptFile } from "../common/errors.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { readU16, readU48, writeU16, writeU32, writeU48 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { type Arena, PAGE_BODY_AT, PAGE_NEXT_AT, PAGE_SIZE, PAGE_TOP_AT, PageType } from "./page.ts";
import { Redo } from "./redo-records.ts";
import type { SpaceHeader } from "./space-header.ts";
import { SPACE_PATH } from "./tablespace.ts";

export const Undo = { TRANSACTION: 1, INSERT: 2, UPDATE: 3, DELETE: 4, NEW_CHAIN: 5, SWAP: 6, MARK: 7 } as const;
export const UNDO_NAMES = ["", "transaction", "insert", "update", "delete", "new-chain", "swap", "mark"];
/** States of a transaction; 0: the space header says it. */
export const ROLLED_BACK = 1;
export const ACTIVE = 2;
export const PREPARED = 3;
export const COMMITTED = 4;
export const UNDO_STATE_NAMES = ["by id", "rolled back", "active", "prepared", "committed"];

export const UNDO_STATE_AT = 1;
export const UNDO_MARK_AT = 1;
export const UNDO_SIZE_AT = 2;
export const UNDO_ID_AT = 4;
export const UNDO_PREVIOUS_AT = 10;
export const UNDO_BODY_AT = 16;
export const UNDO_TAIL_LENGTH_AT = 28;
export const UNDO_TAIL_AT = 32;
export const UNDO_XID_AT = 12;
export const TRANSACTION_BYTES = 12;
export const INTERACTIVE_BYTES = TRANSACTION_BYTES + 8;
export const NEW_CHAIN_BYTES = UNDO_BODY_AT + 12;
export const SWAP_BYTES = UNDO_BODY_AT + 4;
export const DONE = 1;
export const FREES_CHAIN = 2;

const OFFSETS = 0x10000;

export function pagePart(pointer: number): number {
  return Math.floor(pointer / OFFSETS);
}
export function offsetPart(pointer: number): number {
  return pointer % OFFSETS;
}

export function pointerTo(page: number, offset: number): number {
  return page * OFFSETS + offset;
}

export class UndoLog {
  readonly #pool: BufferPool;
  readonly #arena: Arena;
  readonly #mini: MiniTransaction;
  readonly #header: SpaceHeader;
  /** The newest page, pinned; −1 before there is one. */
  #frame = -1;
  #page = 0;
  /** TRANSACTION records appended since the start. */
  headers = 0;

  constructor(pool: BufferPool, mini: MiniTransaction, header: SpaceHeader) {
    this.#pool = pool;
    this.#arena = pool.arena;
    this.#mini = mini;
    this.#header = header;
  }

  open(): void {
    if (this.#header.newestUndo !== 0) this.#hold(this.#pool.fetch(this.#header.newestUndo));
  }

  get newestPage(): number {
    return this.#page;
  }

  #hold(frame: number): void {
    if (this.#frame >= 0) this.#pool.unpin(this.#frame);
    this.#pool.pin(frame);
    this.#frame = frame;
    this.#page = this.#pool.pageIn(frame);
  }

  /** Outside a mini-transaction: the next records, `sizeBytes` together, will lie in one page. */
  ensureRoom(sizeBytes: number): void {
    if (this.#frame >= 0 && this.#top() + sizeBytes <= PAGE_SIZE) return;
    this.#mini.begin();
    const frame = this.#header.allocate(PageType.UNDO, 0);
    const page = this.#pool.pageIn(frame);
    if (this.#frame >= 0) this.#mini.patchU32(this.#frame, PAGE_NEXT_AT, page);
    else this.#header.setOldestUndo(page);
    this.#header.setNewestUndo(page);
    this.#mini.commit();
    this.#hold(frame);
  }

  #top(): number {
    return this.#arena.halves[(this.#frame * PAGE_SIZE + PAGE_TOP_AT) >> 1]!;
  }

  /**
   * Starts a record of `size` bytes, in the mini-transaction, behind a TRANSACTION record of `headerBytes` if it is the
   * first one of its transaction (otherwise 0); fill it from the offset returned, then `mini.apply()`.
   */
  append(type: number, size: number, id: number, headerBytes: number): number {
    if (headerBytes === 0) {
      const at = this.#mini.open(Redo.APPEND, this.#frame, 1, size);
      return writeStart(this.#mini.buffer, at, type, size, id);
    }
    const at = this.#mini.open(Redo.APPEND, this.#frame, 2, headerBytes + size);
    const { buffer } = this.#mini;
    writeStart(buffer, at, Undo.TRANSACTION, headerBytes, id);
    writeU16(buffer, at + TRANSACTION_BYTES - 2, 0);
    if (headerBytes === INTERACTIVE_BYTES) {
      buffer[at + UNDO_STATE_AT] = ACTIVE;
      buffer.fill(0, at + UNDO_XID_AT, at + INTERACTIVE_BYTES);
    }
    this.headers++;
    return writeStart(buffer, at + headerBytes, type, size, id);
  }

  /** The roll pointer that the next record will have. */
  get nextPointer(): number {
    return this.#frame < 0 ? 0 : pointerTo(this.#page, this.#top());
  }

  /** Changes one byte of a record: that it was undone, or its transaction. In the mini-transaction. */
  setByte(pointer: number, at: number, value: number): void {
    this.#mini.patchByte(this.#pool.fetch(pagePart(pointer)), offsetPart(pointer) + at, value);
  }

  /** A transaction takes its XID, before it is prepared. In the mini-transaction. */
  setXid(header: number, xid: number): void {
    const at = this.#mini.open(Redo.PATCH, this.#pool.fetch(pagePart(header)), offsetPart(header) + UNDO_XID_AT, 6);
    writeU48(this.#mini.buffer, at, xid);
    this.#mini.apply();
  }

  /** NEW_CHAIN: the chain has grown. */
  setChain(pointer: number, first: number, last: number, pages: number): void {
    const frame = this.#pool.fetch(pagePart(pointer));
    const at = this.#mini.open(Redo.PATCH, frame, offsetPart(pointer) + UNDO_BODY_AT, 12);
    writeU32(this.#mini.buffer, at, first);
    writeU32(this.#mini.buffer, at + 4, last);
    writeU32(this.#mini.buffer, at + 8, pages);
    this.#mini.apply();
  }

  /** Visits the records of one page in order, each by its place in the arena. The page stays pinned meanwhile. */
  eachInPage(page: number, visit: (record: number, pointer: number) => void): void {
    const frame = this.#pool.fetch(page);
    this.#pool.pin(frame);
    const base = frame * PAGE_SIZE;
    const top = this.#arena.halves[(base + PAGE_TOP_AT) >> 1]!;
    for (let at = PAGE_BODY_AT; at < top; ) {
      const size = readU16(this.#arena.bytes, base + at + UNDO_SIZE_AT);
      if (size < TRANSACTION_BYTES || at + size > top) throw damaged(page, at, `has an undo record of ${size} bytes`);
      visit(base + at, pointerTo(page, at));
      at += size;
    }
    this.#pool.unpin(frame);
  }

  /**
   * Visits every record, oldest first. Throws CorruptFile where the log cannot go on: a page whose checksum is right may
   * still be an old one, after a disk that has lied.
   */
  each(visit: (record: number, pointer: number) => void): void {
    let left = this.#header.pages;
    for (let page = this.#header.oldestUndo; page !== 0; left--) {
      this.#pool.beginOperation();
      const base = this.#pool.fetch(page) * PAGE_SIZE;
      if (this.#arena.typeOf(base) !== PageType.UNDO) throw damaged(page, 0, "is in the undo log, but no page of it");
      if (left === 0) throw damaged(page, 0, "is in the undo log twice");
      this.eachInPage(page, visit);
      page = this.#arena.nextOf(this.#pool.fetch(page) * PAGE_SIZE);
    }
  }

  /** The transaction that the record at `record` in the arena belongs to. */
  idAt(record: number): number {
    return readU48(this.#arena.bytes, record + UNDO_ID_AT);
  }

  /** Frees the oldest page, which is not the newest, in a mini-transaction of its own. */
  freeOldest(): void {
    this.#pool.beginOperation();
    this.#mini.begin();
    const frame = this.#pool.fetch(this.#header.oldestUndo);
    this.#header.setOldestUndo(this.#arena.nextOf(frame * PAGE_SIZE));
    this.#header.free(frame);
    this.#mini.commit();
  }
}

function damaged(page: number, at: number, problem: string): CorruptFile {
  return new CorruptFile(SPACE_PATH, page * PAGE_SIZE + at, `page ${page} ${problem}`);
}

/** Writes what all records begin with; returns `at`. */
function writeStart(buffer: Buffer, at: number, type: number, size: number, id: number): number {
  buffer[at] = type;
  buffer[at + 1] = 0;
  writeU16(buffer, at + UNDO_SIZE_AT, size);
  writeU48(buffer, at + UNDO_ID_AT, id);
  return at;
}
