/**
 * Which pages of the tablespace are free, and where the space ends. A free page is in one of two places:
 *
 *     list     pages that were freed lately, linked by `next`; a chain of any length is added with two small records
 *     bitmap   the rest, by number: bit i of a group's bitmap page says that page group × 130,816 + i is free
 *
 *     bitmap page   32 … 16383: bits, the lowest of each byte first; a group has as many pages as that has bits. The
 *                   bitmap of group 0 is page 2, those of the others are the first pages of their groups
 *
 *     page 0 (space-header.ts)   pages of the space · first page and length of the list · pages marked in bitmaps
 *
 * New pages are taken from the list, whose pages are still in the pool; then the lowest one of the bitmaps; then the space
 * grows. In the background `sort` moves the list into the bitmaps. So pages in use gather at the start of the file, and
 * `shrink` can give up free ones at its end:
 *
 *     1. one mini-transaction clears their bits and lowers the number of pages        from then on they do not exist
 *     2. those that are dirty are written, and a checkpoint behind 1 is durable      so redo of before it is not needed
 *     3. the file is truncated; the next sync of the file makes that durable
 *
 * Why in this order: before 2, replay may meet records that change those pages as they were, and would need what is in the
 * file. After it, the first record that names such a page is the INIT that makes it again when the space grows, and replay
 * takes a page that is not in the file for that (replay.ts A2). Copies in the doublewrite file are not used any more: the
 * checkpoint names their batch (doublewrite.ts D2). A truncation that a crash has undone leaves pages behind the end, which
 * nobody reads, and is done again after the first checkpoint of the next start.
 *
 * Invariants: S1 a page is in the list, or marked, or in use: one of them. S2 no page behind the end is marked or listed.
 * S3 the file is cut only behind the space's end, when a checkpoint behind the last `shrink` is durable.
 */
import { assert } from "../common/assert.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { readU32, writeU32 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { PAGE_BODY_AT, PAGE_NEXT_AT, PAGE_SIZE, PageType } from "./page.ts";
import { REDO_PAGES_MAX, Redo } from "./redo-records.ts";

const PAGES_AT = 56;
const LIST_AT = 60;
const MARKED_AT = 96;
/** Pages of a group: bits of a bitmap page. */
export const GROUP_PAGES = 8 * (PAGE_SIZE - PAGE_BODY_AT);
export const FIRST_BITMAP_PAGE = 2;
/** Pages moved from the list by one mini-transaction. */
const SORTED_AT_ONCE = 8;
/** Pages given up by one mini-transaction. */
const GIVEN_UP_AT_ONCE = 8192;
const WORD_BITS = 32;

/** The page that has the bit of `page`. */
export function bitmapPageOf(page: number): number {
  const group = Math.floor(page / GROUP_PAGES);
  return group === 0 ? FIRST_BITMAP_PAGE : group * GROUP_PAGES;
}

/** Where in its bitmap page the 32 bits with that of `page` are. */
function wordAt(page: number): number {
  return PAGE_BODY_AT + 4 * Math.floor((page % GROUP_PAGES) / WORD_BITS);
}

export class FreeSpace {
  readonly #pool: BufferPool;
  readonly #mini: MiniTransaction;
  #frame = 0;
  #base = 0;
  /** No page below this one is marked. */
  #lowest = 0;
  /** The end of the last mini-transaction that gave pages up: the file may be cut when the checkpoint has passed it. */
  #givenUpAt = 0;

  constructor(pool: BufferPool, mini: MiniTransaction) {
    this.#pool = pool;
    this.#mini = mini;
  }

  /** Page 0 is in this frame for good. What lies behind the end of the space at `lsn` may be cut off later. */
  open(frame: number, lsn: number): void {
    this.#frame = frame;
    this.#base = frame * PAGE_SIZE;
    this.#lowest = 0;
    this.#givenUpAt = lsn;
  }

  #read(at: number): number {
    return readU32(this.#pool.arena.bytes, this.#base + at);
  }

  /** Pages of the space: the next new page number. */
  get pages(): number {
    return this.#read(PAGES_AT);
  }
  get firstListed(): number {
    return this.#read(LIST_AT);
  }
  get listed(): number {
    return this.#read(LIST_AT + 4);
  }
  get marked(): number {
    return this.#read(MARKED_AT);
  }

  /** A page for new content, initialised, inside a mini-transaction. Returns its frame. */
  allocate(type: number, level: number): number {
    const frame = this.firstListed !== 0 ? this.#takeListed() : this.marked > 0 ? this.#takeMarked() : this.#grow();
    this.#mini.applyShort(Redo.INIT, frame, type | (level << 8));
    return frame;
  }

  #takeListed(): number {
    const frame = this.#pool.fetch(this.firstListed);
    this.#setList(this.#pool.arena.nextOf(frame * PAGE_SIZE), this.listed - 1);
    return frame;
  }

  #takeMarked(): number {
    const page = this.lowestMarked;
    this.#setBit(page, false);
    this.#mini.patchU32(this.#frame, MARKED_AT, this.marked - 1);
    this.#lowest = page + 1;
    return this.#pool.fetchNew(page);
  }

  #grow(): number {
    let page = this.pages;
    if (bitmapPageOf(page) === page) {
      this.#mini.applyShort(Redo.INIT, this.#pool.fetchNew(page), PageType.BITMAP);
      page++;
    }
    assert(page < REDO_PAGES_MAX, "space: as many pages as a redo record can name");
    this.#mini.patchU32(this.#frame, PAGES_AT, page + 1);
    return this.#pool.fetchNew(page);
  }

  /** Gives a page back, inside a mini-transaction. */
  free(frame: number): void {
    this.#mini.applyShort(Redo.INIT, frame, PageType.FREE);
    const page = this.#pool.pageIn(frame);
    this.freeChain(page, page, 1);
  }

  /** Gives a chain of `count` pages back, linked by `next` from `first` to `last`: two small records, however long it is. */
  freeChain(first: number, last: number, count: number): void {
    assert(first > FIRST_BITMAP_PAGE && last > FIRST_BITMAP_PAGE, "space: header, root and bitmap are never free");
    this.#mini.patchU32(this.#pool.fetch(last), PAGE_NEXT_AT, this.firstListed);
    this.#setList(first, this.listed + count);
  }

  #setList(first: number, count: number): void {
    const at = this.#mini.open(Redo.PATCH, this.#frame, LIST_AT, 8);
    writeU32(this.#mini.buffer, at, first);
    writeU32(this.#mini.buffer, at + 4, count);
    this.#mini.apply();
  }

  /** Moves up to `count` pages from the list into the bitmaps, outside a mini-transaction. */
  sort(count: number): void {
    for (let left = Math.min(count, this.listed); left > 0; left -= SORTED_AT_ONCE) {
      this.#sortSome(Math.min(left, SORTED_AT_ONCE));
    }
  }

  #sortSome(count: number): void {
    const pool = this.#pool;
    pool.beginOperation();
    const pages: number[] = [];
    let next = this.firstListed;
    for (let i = 0; i < count; i++) {
      pages.push(next);
      next = pool.arena.nextOf(pool.fetch(next) * PAGE_SIZE);
    }
    this.#mini.begin();
    for (const page of pages) {
      this.#setBit(page, true);
      this.#lowest = Math.min(this.#lowest, page);
    }
    this.#mini.patchU32(this.#frame, MARKED_AT, this.marked + count);
    this.#setList(next, this.listed - count);
    this.#mini.commit();
  }

  /**
   * Gives up free pages at the end of the space, if there are `least` or more; outside a mini-transaction, with no batch of
   * pages on its way. True when there may be more.
   */
  shrink(least: number): boolean {
    const end = this.pages;
    const groupStart = Math.floor((end - 1) / GROUP_PAGES) * GROUP_PAGES;
    let from = end;
    while (from > Math.max(groupStart, FIRST_BITMAP_PAGE + 1, end - GIVEN_UP_AT_ONCE) && this.isMarked(from - 1))
      from--;
    // The bitmap of a group that has nothing else goes with it.
    const given = end - from;
    if (from === groupStart + 1 && bitmapPageOf(groupStart) === groupStart) from--;
    if (given < least || given === 0) return false;
    this.#pool.beginOperation();
    this.#mini.begin();
    if (from > groupStart || groupStart === 0) this.#clearBits(from, end);
    const at = this.#mini.open(Redo.PATCH, this.#frame, PAGES_AT, 4);
    writeU32(this.#mini.buffer, at, from);
    this.#mini.apply();
    this.#mini.patchU32(this.#frame, MARKED_AT, this.marked - given);
    this.#givenUpAt = this.#mini.commit();
    this.#pool.beginOperation();
    for (let page = from; page < end; page++) this.#pool.discard(page);
    return true;
  }

  /** Whether everything behind the end of the space may be cut off the file (S3). */
  mayCut(checkpointLsn: number): boolean {
    return checkpointLsn >= this.#givenUpAt;
  }

  /** Whether the page is marked as free. */
  isMarked(page: number): boolean {
    const base = this.#pool.fetch(bitmapPageOf(page)) * PAGE_SIZE;
    return ((this.#pool.arena.words[(base + wordAt(page)) >> 2]! >>> (page % WORD_BITS)) & 1) !== 0;
  }

  #setBit(page: number, value: boolean): void {
    const frame = this.#pool.fetch(bitmapPageOf(page));
    const at = wordAt(page);
    const word = this.#pool.arena.words[(frame * PAGE_SIZE + at) >> 2]!;
    const bit = 1 << (page % WORD_BITS);
    assert(((word & bit) !== 0) !== value, "S1: a page is freed once and taken once");
    this.#mini.patchU32(frame, at, (value ? word | bit : word & ~bit) >>> 0);
  }

  /** Clears the bits of [from, to), which lie in one bitmap page. */
  #clearBits(from: number, to: number): void {
    const frame = this.#pool.fetch(bitmapPageOf(from));
    const [first, last] = [wordAt(from), wordAt(to - 1)];
    const kept = this.#pool.arena.words[(frame * PAGE_SIZE + first) >> 2]! & ((1 << (from % WORD_BITS)) - 1);
    const at = this.#mini.open(Redo.PATCH, frame, first, last - first + 4);
    this.#mini.buffer.fill(0, at, at + last - first + 4);
    writeU32(this.#mini.buffer, at, kept >>> 0);
    this.#mini.apply();
  }

  /** The lowest page that is marked as free; behind the end when none is. */
  get lowestMarked(): number {
    const { arena } = this.#pool;
    let page = this.#lowest;
    for (const end = this.pages; page < end; ) {
      const base = this.#pool.fetch(bitmapPageOf(page)) * PAGE_SIZE;
      const stop = Math.min((Math.floor(page / GROUP_PAGES) + 1) * GROUP_PAGES, end);
      for (; page < stop; page = (Math.floor(page / WORD_BITS) + 1) * WORD_BITS) {
        const word = arena.words[(base + wordAt(page)) >> 2]! >>> (page % WORD_BITS);
        if (word !== 0) return page + 31 - Math.clz32(word & -word);
      }
    }
    return page;
  }
}
