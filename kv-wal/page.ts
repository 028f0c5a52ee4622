/**
 * Pages: 16 KiB each, in memory exactly as in the tablespace file (little-endian).
 *
 *     offset  size
 *          0     4  CRC32C of bytes 4…16383 (set when the page is written, checked when it is read)
 *          4     4  page number
 *          8     6  LSN: end of the mini-transaction that changed the page last
 *         14     1  type (PageType)
 *         15     1  level: 0 for leaves
 *         16     2  number of records
 *         18     2  heap top: where the next record goes
 *         20     2  garbage: bytes of the heap that no record uses any more
 *         22     2  0
 *         24     4  previous page of the level, or of a chain; 0: none
 *         28     4  next page of the level; the rest of a chain or of the free list; 0: none
 *         32     …  records, in order of arrival → ← slots, two bytes each, from the end of the page backwards
 *
 * Slot i (at 16384 − 2(i+1)) holds the offset of the record that is i-th in key order. Records start at multiples of four:
 *
 *     leaf    0 key words hi, mid, low (3 × 4) · 12 tail length (2) · 14 value length | flags (2) · 16 tail
 *             · transaction id (6) · roll pointer (6) · value
 *     node    0 key words hi, mid, low (3 × 4) · 12 tail length (2) · 14 zero (2) · 16 tail · child page (4)
 *
 * Flags of a leaf record: FLAG_EXTERNAL, and FLAG_DELETED, the delete mark: the row is gone, but somebody may want an older
 * version of it; purge removes it then (purge.ts).
 *
 * Keys are compared word by word, then by tail as memcmp. In a node, the first record counts as smaller than every key.
 *
 * Invariants: P1 slots are strictly ascending in key order (a node's from its second on). P2 heap top + 2 × records <=
 * 16384. P3 the records and the garbage fill the heap exactly. P4 a function here is a pure function of the page and its
 * arguments: replaying the same redo records gives the same bytes. P5 no record takes more than half a page, so one split
 * always makes room.
 */
import { assert } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import { copyBytes, readU16, readU48, writeU16 } from "./bytes-view.ts";

export const PAGE_SIZE = 16384;
export const PageType = { FREE: 0, SPACE: 1, LEAF: 2, NODE: 3, OVERFLOW: 4, UNDO: 5, BITMAP: 6 } as const;
export type PageType = (typeof PageType)[keyof typeof PageType];
export const PAGE_TYPE_NAMES = ["free", "space", "leaf", "node", "overflow", "undo", "bitmap"] as const;

export const PAGE_NUMBER_AT = 4;
export const PAGE_LSN_AT = 8;
export const PAGE_TYPE_AT = 14;
export const PAGE_LEVEL_AT = 15;
export const PAGE_COUNT_AT = 16;
export const PAGE_TOP_AT = 18;
export const PAGE_GARBAGE_AT = 20;
export const PAGE_PREVIOUS_AT = 24;
export const PAGE_NEXT_AT = 28;
export const PAGE_BODY_AT = 32;

export const RECORD_TAIL_LENGTH_AT = 12;
export const RECORD_VALUE_LENGTH_AT = 14;
export const RECORD_TAIL_AT = 16;
/** Transaction id and roll pointer, between tail and value of a leaf record. */
export const RECORD_SYSTEM_BYTES = 12;
export const VALUE_LENGTH_MASK = 0x1fff;
/** The rest of the value is in overflow pages; the value ends with a reference to them (overflow.ts). */
export const FLAG_EXTERNAL = 0x8000;
/** The row has been deleted; its record stays for those who may want an older version (undo-log.ts MARK). */
export const FLAG_DELETED = 0x4000;
/** The largest record: two of them and their slots fit into an empty page (P5). */
export const RECORD_BYTES_MAX = ((PAGE_SIZE - PAGE_BODY_AT) / 2 - 4) & ~3;

/** Looks that a search spends on guessing before it halves. */
const GUESSES_MAX = 4;
const TWO_32 = 0x100000000;

/** A copy of the page that is being put in order. */
const SCRATCH = Buffer.alloc(PAGE_SIZE);
/** The memory of an arena that was discarded. */
let spare: ArrayBuffer | undefined;

/** The memory of the buffer pool: frames of one page each, seen as bytes, 16-bit and 32-bit words. */
export class Arena {
  readonly bytes: Buffer;
  readonly halves: Uint16Array;
  readonly words: Uint32Array;
  readonly view: DataView;
  readonly frames: number;
  /** Of the search that is on its way down the tree: its key lies among rows with these `low` words. */
  #rangeFrom = 0;
  #rangeTo = TWO_32;
  /** Whether the last `lowerBound` or `childSlot` met the key. */
  matched = false;

  constructor(frames: number) {
    const size = frames * PAGE_SIZE;
    const memory = spare?.byteLength === size ? spare : new ArrayBuffer(size);
    // What is in it does not matter, as in a frame that is used again.
    if (memory === spare) spare = undefined;
    this.frames = frames;
    this.bytes = Buffer.from(memory);
    this.halves = new Uint16Array(memory);
    this.words = new Uint32Array(memory);
    this.view = new DataView(memory);
  }

  /** Nothing uses this arena any more: the next one of its size may have its memory. The lab makes thousands a second. */
  discard(): void {
    spare = this.words.buffer as ArrayBuffer;
  }

  typeOf(base: number): number {
    return this.bytes[base + PAGE_TYPE_AT]!;
  }
  levelOf(base: number): number {
    return this.bytes[base + PAGE_LEVEL_AT]!;
  }
  countOf(base: number): number {
    return this.halves[(base + PAGE_COUNT_AT) >> 1]!;
  }
  numberOf(base: number): number {
    return this.words[(base + PAGE_NUMBER_AT) >> 2]!;
  }
  nextOf(base: number): number {
    return this.words[(base + PAGE_NEXT_AT) >> 2]!;
  }
  previousOf(base: number): number {
    return this.words[(base + PAGE_PREVIOUS_AT) >> 2]!;
  }
  lsnOf(base: number): number {
    return readU48(this.bytes, base + PAGE_LSN_AT);
  }
  setLsn(base: number, lsn: number): void {
    this.words[(base + PAGE_LSN_AT) >> 2] = lsn;
    this.halves[(base + PAGE_LSN_AT + 4) >> 1] = lsn / TWO_32;
  }

  /** Makes the page empty. */
  init(base: number, page: number, type: number, level: number): void {
    this.bytes.fill(0, base, base + PAGE_SIZE);
    this.words[(base + PAGE_NUMBER_AT) >> 2] = page;
    this.bytes[base + PAGE_TYPE_AT] = type;
    this.bytes[base + PAGE_LEVEL_AT] = level;
    this.halves[(base + PAGE_TOP_AT) >> 1] = PAGE_BODY_AT;
  }

  /** Where the slot-th record starts, counted from the start of the arena. */
  recordAt(base: number, slot: number): number {
    return base + this.halves[(base + PAGE_SIZE - 2 * (slot + 1)) >> 1]!;
  }

  tailLength(record: number): number {
    return this.halves[(record + RECORD_TAIL_LENGTH_AT) >> 1]!;
  }

  /** Where the value of a leaf record starts. */
  valueAt(record: number): number {
    return record + RECORD_TAIL_AT + this.tailLength(record) + RECORD_SYSTEM_BYTES;
  }

  valueLength(record: number): number {
    return this.halves[(record + RECORD_VALUE_LENGTH_AT) >> 1]! & VALUE_LENGTH_MASK;
  }

  isExternal(record: number): boolean {
    return (this.halves[(record + RECORD_VALUE_LENGTH_AT) >> 1]! & FLAG_EXTERNAL) !== 0;
  }

  isDeleted(record: number): boolean {
    return (this.halves[(record + RECORD_VALUE_LENGTH_AT) >> 1]! & FLAG_DELETED) !== 0;
  }

  /** The transaction that made this version of a row, and the undo record with the version before. */
  transactionOf(record: number): number {
    return readU48(this.bytes, this.valueAt(record) - RECORD_SYSTEM_BYTES);
  }
  rollPointerOf(record: number): number {
    return readU48(this.bytes, this.valueAt(record) - RECORD_SYSTEM_BYTES + 6);
  }

  /** The child page of a node record. */
  childOf(record: number): number {
    const at = record + RECORD_TAIL_AT + this.tailLength(record);
    const b = this.bytes;
    return (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;
  }

  hasKey(record: number, hi: number, mid: number, low: number, tail: Bytes): boolean {
    const words = this.words;
    const at = record >> 2;
    if (words[at + 2] !== low || words[at + 1] !== mid || words[at] !== hi) return false;
    return this.#compareTail(record, tail) === 0;
  }

  /** The order of a record's tail against a tail: negative, 0 or positive. */
  #compareTail(record: number, tail: Bytes): number {
    const bytes = this.bytes;
    const length = this.tailLength(record);
    const at = record + RECORD_TAIL_AT;
    const shorter = Math.min(length, tail.length);
    for (let i = 0; i < shorter; i++) {
      const difference = bytes[at + i]! - tail.charCodeAt(i);
      if (difference !== 0) return difference;
    }
    return length - tail.length;
  }

  /** Before a search begins: nothing is known of where in a page a key lies. */
  forgetRange(): void {
    this.#rangeFrom = 0;
    this.#rangeTo = TWO_32;
  }

  /** The search goes on in the child of `slot`: the keys beside it say between which `low` words the child's keys lie. */
  narrowRange(base: number, slot: number, hi: number, mid: number): void {
    if (slot > 0) {
      const at = this.recordAt(base, slot) >> 2;
      this.#rangeFrom = this.words[at] === hi && this.words[at + 1] === mid ? this.words[at + 2]! : 0;
    }
    if (slot + 1 < this.countOf(base)) {
      const at = this.recordAt(base, slot + 1) >> 2;
      this.#rangeTo = this.words[at] === hi && this.words[at + 1] === mid ? this.words[at + 2]! : TWO_32;
    }
  }

  /** The first slot whose key is >= the given one; the number of records when there is none. */
  lowerBound(base: number, hi: number, mid: number, low: number, tail: Bytes): number {
    return this.#bound(base, 0, hi, mid, low, tail, 0);
  }

  /** The slot of the child that may hold the key: the last one whose key is <= it, or the first one. */
  childSlot(base: number, hi: number, mid: number, low: number, tail: Bytes): number {
    return this.#bound(base, 1, hi, mid, low, tail, 1) - 1;
  }

  /**
   * The first slot from `from` on whose key is, compared with the given one, >= `least`: 0 for >=, 1 for >. `matched` says
   * whether the key itself was met.
   *
   * This is where reads spend their time, waiting for memory: every record looked at is a cache miss. The `low` words of most
   * rows are hashes, which lie evenly in the range that the page above has told, so the first looks go where the key
   * should be; if it is not found there, the rest is halved as usual. The comparison is written out; tails are looked at
   * only when all words agree.
   */
  #bound(base: number, from: number, hi: number, mid: number, low: number, tail: Bytes, least: number): number {
    const { words, halves } = this;
    const slots = (base + PAGE_SIZE - 2) >> 1;
    let first = from;
    let end = halves[(base + PAGE_COUNT_AT) >> 1]!;
    const density = (end - from) / (this.#rangeTo - this.#rangeFrom + 1);
    let guess = from + Math.floor((low - this.#rangeFrom) * density);
    let guesses = GUESSES_MAX;
    this.matched = false;
    while (first < end) {
      const middle = guesses-- > 0 ? Math.min(Math.max(guess, first), end - 1) : (first + end) >>> 1;
      const at = (base + halves[slots - middle]!) >> 2;
      let order = words[at + 2]! - low;
      if (words[at]! !== hi) order = words[at]! - hi;
      else if (words[at + 1]! !== mid) order = words[at + 1]! - mid;
      else if (order === 0) {
        order = this.#compareTail(at << 2, tail);
        if (order === 0) {
          this.matched = true;
          return middle + least;
        }
      } else guess = middle - Math.floor(order * density);
      if (order < least) first = middle + 1;
      else end = middle;
    }
    return first;
  }

  /** Bytes a record takes in the heap. */
  sizeAt(record: number, level: number): number {
    return recordSize(this.tailLength(record), level === 0 ? RECORD_SYSTEM_BYTES + this.valueLength(record) : 4);
  }

  /** Bytes left for records and their slots. */
  freeBytes(base: number): number {
    const halves = this.halves;
    const used = halves[(base + PAGE_TOP_AT) >> 1]! - halves[(base + PAGE_GARBAGE_AT) >> 1]!;
    return PAGE_SIZE - used - 2 * this.countOf(base);
  }

  /** Inserts a record (its bytes at `from` in `source`) as slot `slot`; the caller knows that it fits. */
  insert(base: number, slot: number, source: Buffer, from: number, length: number): void {
    const size = (length + 3) & ~3;
    assert(this.freeBytes(base) >= size + 2, "page: the record fits");
    if (this.#gap(base) < size + 2) this.compact(base);
    const count = this.countOf(base);
    const slots = base + PAGE_SIZE - 2 * count;
    this.bytes.copyWithin(slots - 2, slots, slots + 2 * (count - slot));
    this.halves[(base + PAGE_COUNT_AT) >> 1] = count + 1;
    this.#place(base, slot, source, from, length);
  }

  /** Replaces the record in `slot` by another with the same key. */
  replace(base: number, slot: number, source: Buffer, from: number, length: number): void {
    const record = this.recordAt(base, slot);
    const old = this.sizeAt(record, this.levelOf(base));
    const size = (length + 3) & ~3;
    const garbage = (base + PAGE_GARBAGE_AT) >> 1;
    if (size <= old) {
      copyBytes(source, from, this.bytes, record, length);
      this.halves[garbage] = this.halves[garbage]! + old - size;
      return;
    }
    assert(this.freeBytes(base) + old >= size, "page: the longer record fits");
    this.halves[garbage] = this.halves[garbage]! + old;
    if (this.#gap(base) < size) this.#compactWithout(base, slot);
    this.#place(base, slot, source, from, length);
  }

  /** Removes the record in `slot`. */
  remove(base: number, slot: number): void {
    const count = this.countOf(base);
    const garbage = (base + PAGE_GARBAGE_AT) >> 1;
    this.halves[garbage] = this.halves[garbage]! + this.sizeAt(this.recordAt(base, slot), this.levelOf(base));
    const slots = base + PAGE_SIZE - 2 * count;
    this.bytes.copyWithin(slots + 2, slots, slots + 2 * (count - slot - 1));
    this.halves[(base + PAGE_COUNT_AT) >> 1] = count - 1;
  }

  /** Removes every record from `slot` on. */
  truncate(base: number, slot: number): void {
    this.halves[(base + PAGE_COUNT_AT) >> 1] = slot;
    this.compact(base);
  }

  /** Moves the records together, in key order. */
  compact(base: number): void {
    this.#compactWithout(base, -1);
  }

  /** Compacts, treating the record of slot `without` as gone (its slot is filled by the caller at once). */
  #compactWithout(base: number, without: number): void {
    const level = this.levelOf(base);
    const count = this.countOf(base);
    this.bytes.copy(SCRATCH, 0, base, base + PAGE_SIZE);
    let top = PAGE_BODY_AT;
    for (let slot = 0; slot < count; slot++) {
      if (slot === without) continue;
      const from = readU16(SCRATCH, PAGE_SIZE - 2 * (slot + 1));
      const valueBytes =
        level === 0 ? RECORD_SYSTEM_BYTES + (readU16(SCRATCH, from + RECORD_VALUE_LENGTH_AT) & VALUE_LENGTH_MASK) : 4;
      const size = recordSize(readU16(SCRATCH, from + RECORD_TAIL_LENGTH_AT), valueBytes);
      copyBytes(SCRATCH, from, this.bytes, base + top, size);
      writeU16(this.bytes, base + PAGE_SIZE - 2 * (slot + 1), top);
      top += size;
    }
    this.bytes.fill(0, base + top, base + PAGE_SIZE - 2 * count);
    this.halves[(base + PAGE_TOP_AT) >> 1] = top;
    this.halves[(base + PAGE_GARBAGE_AT) >> 1] = 0;
  }

  #gap(base: number): number {
    return PAGE_SIZE - 2 * this.countOf(base) - this.halves[(base + PAGE_TOP_AT) >> 1]!;
  }

  #place(base: number, slot: number, source: Buffer, from: number, length: number): void {
    const top = this.halves[(base + PAGE_TOP_AT) >> 1]!;
    const end = (top + length + 3) & ~3;
    copyBytes(source, from, this.bytes, base + top, length);
    for (let at = top + length; at < end; at++) this.bytes[base + at] = 0;
    this.halves[(base + PAGE_SIZE - 2 * (slot + 1)) >> 1] = top;
    this.halves[(base + PAGE_TOP_AT) >> 1] = end;
  }
}

/** Bytes a record takes, with `payload` bytes behind its tail. */
export function recordSize(tailLength: number, payload: number): number {
  return (RECORD_TAIL_AT + tailLength + payload + 3) & ~3;
}
