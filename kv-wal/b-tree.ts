/**
 * One B+tree holds every row of the tablespace, in the order of (hi, mid, low, tail); rows/layout.ts says which rows there
 * are. Its root is page 1 for good: when the root is full, its content moves down.
 *
 * `search` leaves a position (frame, slot) that is good until the next operation of the pool. Changes run inside
 * a mini-transaction that the caller has begun *after* the search; the pages of the path stay pinned by the operation.
 *
 * Invariants: T1 all leaves have level 0 and are linked in key order by previous/next. T2 every key below a node record is
 * >= its key and < the key of its right neighbour; the first record of a node counts as smaller than every key. T3 no
 * page but the root is empty: a page that loses its last record is freed. T4 a split leaves both halves with room for
 * the record that caused it (page.ts P5).
 */
import { assert } from "../common/assert.ts";
import { type Bytes, sliceBytes } from "../common/bytes.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { copyBytes, writeU16, writeU32 } from "./bytes-view.ts";
import { frameOfHint, HashIndex, slotOfHint } from "./hash-index.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import {
  type Arena,
  PAGE_LEVEL_AT,
  PAGE_NEXT_AT,
  PAGE_PREVIOUS_AT,
  PAGE_SIZE,
  PAGE_TYPE_AT,
  PageType,
  RECORD_TAIL_AT,
  recordSize,
} from "./page.ts";
import { Redo } from "./redo-records.ts";
import { ROOT_PAGE, type SpaceHeader } from "./space-header.ts";

const DEPTH_MAX = 16;
const NODE_RECORD_MAX = 2048;

export class BTree {
  readonly #pool: BufferPool;
  readonly #arena: Arena;
  readonly #mini: MiniTransaction;
  readonly #header: SpaceHeader;
  readonly #index: HashIndex;
  /** The path of the last search, by level: frame, and the slot taken in it. */
  readonly #pathFrames = new Int32Array(DEPTH_MAX);
  readonly #pathSlots = new Int32Array(DEPTH_MAX);
  #hasPath = false;
  #rootLevel = 0;
  /** Room for the node record of each level of a split. */
  readonly #nodeRecord = Buffer.alloc(NODE_RECORD_MAX);
  readonly #moved = Buffer.alloc(PAGE_SIZE);

  /** Where the last search ended. */
  frame = 0;
  slot = 0;
  found = false;
  splits = 0;

  constructor(pool: BufferPool, mini: MiniTransaction, header: SpaceHeader) {
    this.#pool = pool;
    this.#arena = pool.arena;
    this.#mini = mini;
    this.#header = header;
    this.#index = new HashIndex(pool);
  }

  /** Begins an operation and finds the first row whose key is >= the given one; true when it is equal. */
  search(hi: number, mid: number, low: number, tail: Bytes): boolean {
    this.#pool.beginOperation();
    const hint = this.#index.find(hi, mid, low, tail);
    if (hint < 0) {
      this.#descend(hi, mid, low, tail);
      if (this.found) this.#index.remember(low, this.frame, this.slot);
      return this.found;
    }
    this.frame = frameOfHint(hint);
    this.slot = slotOfHint(hint);
    this.found = true;
    this.#hasPath = false;
    return true;
  }

  /** The path to the position, for a change that may touch the pages above: the hash index has jumped over them. */
  #ensurePath(): void {
    if (this.#hasPath) return;
    const { words } = this.#arena;
    const at = this.record >> 2;
    const { frame, slot } = this;
    this.#descend(words[at]!, words[at + 1]!, words[at + 2]!, this.tail());
    assert(this.frame === frame && this.slot === slot, "H1: the tree has the key where the hash index has it");
  }

  #descend(hi: number, mid: number, low: number, tail: Bytes): void {
    const pool = this.#pool;
    const arena = this.#arena;
    arena.forgetRange();
    let frame = pool.fetch(ROOT_PAGE);
    let level = arena.levelOf(frame * PAGE_SIZE);
    this.#rootLevel = level;
    assert(level < DEPTH_MAX, "tree: depth");
    for (; level > 0; level--) {
      const base = frame * PAGE_SIZE;
      const slot = arena.childSlot(base, hi, mid, low, tail);
      this.#pathFrames[level] = frame;
      this.#pathSlots[level] = slot;
      arena.narrowRange(base, slot, hi, mid);
      frame = pool.fetch(arena.childOf(arena.recordAt(base, slot)));
    }
    const base = frame * PAGE_SIZE;
    this.slot = arena.lowerBound(base, hi, mid, low, tail);
    this.frame = frame;
    this.#pathFrames[0] = frame;
    this.found = arena.matched;
    this.#hasPath = true;
  }

  /** The record at the position, counted from the start of the arena. */
  get record(): number {
    return this.#arena.recordAt(this.frame * PAGE_SIZE, this.slot);
  }

  /** Steps over the end of a leaf: false when there is no row at or behind the position. */
  settle(): boolean {
    while (this.slot >= this.#arena.countOf(this.frame * PAGE_SIZE)) {
      const next = this.#arena.nextOf(this.frame * PAGE_SIZE);
      if (next === 0) return false;
      this.frame = this.#pool.fetch(next);
      this.slot = 0;
    }
    return true;
  }

  /** Inserts a leaf record at the position of the last search, which did not find its key. */
  insert(record: Buffer, length: number): void {
    assert(!this.found, "tree: a key is inserted once");
    this.#insertAt(0, this.slot, record, length);
  }

  /** Replaces the record that the last search found by one with the same key. */
  replace(record: Buffer, length: number): void {
    assert(this.found, "tree: replace what was found");
    const base = this.frame * PAGE_SIZE;
    const old = this.#arena.sizeAt(this.record, 0);
    if (this.#arena.freeBytes(base) + old >= ((length + 3) & ~3)) {
      this.#mini.applyCopy(Redo.REPLACE, this.frame, this.slot, record, 0, length);
      return;
    }
    this.#ensurePath();
    this.#mini.applyShort(Redo.REMOVE, this.frame, this.slot);
    this.#insertAt(0, this.slot, record, length);
  }

  /** Deletes the record that the last search found. */
  delete(): void {
    assert(this.found, "tree: delete what was found");
    this.#ensurePath();
    this.#deleteAt(0, this.slot);
  }

  #insertAt(level: number, slot: number, record: Buffer, length: number): void {
    const frame = this.#pathFrames[level]!;
    const size = (length + 3) & ~3;
    if (this.#arena.freeBytes(frame * PAGE_SIZE) >= size + 2) {
      this.#mini.applyCopy(Redo.INSERT, frame, slot, record, 0, length);
      return;
    }
    if (level === this.#rootLevel) this.#pushDownRoot();
    this.#split(level, slot, record, length);
  }

  /** Moves the content of the root into a new page below it. */
  #pushDownRoot(): void {
    const root = this.#pathFrames[this.#rootLevel]!;
    const level = this.#rootLevel;
    const child = this.#header.allocate(level === 0 ? PageType.LEAF : PageType.NODE, level);
    this.#moveRecords(root, 0, child);
    const at = this.#mini.open(Redo.PATCH, root, PAGE_TYPE_AT, PAGE_LEVEL_AT - PAGE_TYPE_AT + 1);
    this.#mini.buffer[at] = PageType.NODE;
    this.#mini.buffer[at + 1] = level + 1;
    this.#mini.apply();
    const length = this.#makeNodeRecord(this.#arena.recordAt(child * PAGE_SIZE, 0), this.#pool.pageIn(child));
    this.#mini.applyCopy(Redo.INSERT, root, 0, this.#nodeRecord, 0, length);
    this.#rootLevel = level + 1;
    this.#pathFrames[level] = child;
    this.#pathFrames[level + 1] = root;
    this.#pathSlots[level + 1] = 0;
  }

  /** Splits the page of `level` so that a record of `length` bytes, which is going to `slot`, finds room; inserts it. */
  #split(level: number, slot: number, record: Buffer, length: number): void {
    this.splits++;
    const left = this.#pathFrames[level]!;
    const base = left * PAGE_SIZE;
    const cut = this.#cutOf(base, level, slot, (length + 3) & ~3);
    const right = this.#header.allocate(level === 0 ? PageType.LEAF : PageType.NODE, level);
    this.#link(left, right);
    // Slots from `cut` on move, counting the new record as if it were at `slot` already.
    const intoRight = slot >= cut;
    this.#moveRecords(left, intoRight ? cut : cut - 1, right);
    if (intoRight) this.#mini.applyCopy(Redo.INSERT, right, slot - cut, record, 0, length);
    else this.#mini.applyCopy(Redo.INSERT, left, slot, record, 0, length);
    const nodeLength = this.#makeNodeRecord(this.#arena.recordAt(right * PAGE_SIZE, 0), this.#pool.pageIn(right));
    // A level above may need the same buffer for its own node record, so this one gets its own copy there.
    const copy = Buffer.allocUnsafeSlow(nodeLength);
    copyBytes(this.#nodeRecord, 0, copy, 0, nodeLength);
    this.#insertAt(level + 1, this.#pathSlots[level + 1]! + 1, copy, nodeLength);
  }

  /**
   * How many records, the new one at `slot` included, stay on the left: half of the bytes; or all when the new one comes
   * last in the last page, because ascending keys are going to follow.
   */
  #cutOf(base: number, level: number, slot: number, size: number): number {
    const arena = this.#arena;
    const count = arena.countOf(base);
    if (slot === count && arena.nextOf(base) === 0) return count;
    const sizeOf = (i: number) => {
      if (i === slot) return size + 2;
      return arena.sizeAt(arena.recordAt(base, i < slot ? i : i - 1), level) + 2;
    };
    let total = 0;
    for (let i = 0; i <= count; i++) total += sizeOf(i);
    let left = 0;
    for (let i = 0; i <= count; i++) {
      const next = left + sizeOf(i);
      if (next > total / 2) {
        // The record in the middle goes where the halves become more even; each side keeps at least one.
        const cut = next - total / 2 < total / 2 - left ? i + 1 : i;
        return Math.min(Math.max(cut, 1), count);
      }
      left = next;
    }
    return count;
  }

  /** Moves the records from `slot` on to the end of the empty page `to`. */
  #moveRecords(from: number, slot: number, to: number): void {
    const arena = this.#arena;
    const base = from * PAGE_SIZE;
    const level = arena.levelOf(base);
    const count = arena.countOf(base);
    if (slot === count) return;
    let length = 0;
    for (let i = slot; i < count; i++) {
      const record = arena.recordAt(base, i);
      const size = arena.sizeAt(record, level);
      copyBytes(arena.bytes, record, this.#moved, length, size);
      length += size;
    }
    this.#mini.applyCopy(Redo.FILL, to, 0, this.#moved, 0, length);
    this.#mini.applyShort(Redo.TRUNCATE, from, slot);
  }

  /** Puts `right` behind `left` in the list of their level. */
  #link(left: number, right: number): void {
    const next = this.#arena.nextOf(left * PAGE_SIZE);
    const leftPage = this.#pool.pageIn(left);
    const rightPage = this.#pool.pageIn(right);
    this.#mini.patchU32(right, PAGE_PREVIOUS_AT, leftPage);
    this.#mini.patchU32(right, PAGE_NEXT_AT, next);
    this.#mini.patchU32(left, PAGE_NEXT_AT, rightPage);
    if (next !== 0) this.#mini.patchU32(this.#pool.fetch(next), PAGE_PREVIOUS_AT, rightPage);
  }

  /** Makes the node record for `child`, whose first record is `record`; returns its length. */
  #makeNodeRecord(record: number, child: number): number {
    const tail = this.#arena.tailLength(record);
    const length = recordSize(tail, 4);
    this.#nodeRecord.fill(0, 0, length);
    copyBytes(this.#arena.bytes, record, this.#nodeRecord, 0, RECORD_TAIL_AT + tail);
    writeU16(this.#nodeRecord, RECORD_TAIL_AT - 2, 0);
    writeU32(this.#nodeRecord, RECORD_TAIL_AT + tail, child);
    return RECORD_TAIL_AT + tail + 4;
  }

  #deleteAt(level: number, slot: number): void {
    const frame = this.#pathFrames[level]!;
    this.#mini.applyShort(Redo.REMOVE, frame, slot);
    if (this.#arena.countOf(frame * PAGE_SIZE) > 0) return;
    if (level === this.#rootLevel) {
      // The last child of the root has gone: the tree is empty, the root a leaf again.
      if (level > 0) this.#mini.applyShort(Redo.INIT, frame, PageType.LEAF);
      return;
    }
    this.#unlink(frame);
    this.#header.free(frame);
    this.#deleteAt(level + 1, this.#pathSlots[level + 1]!);
  }

  #unlink(frame: number): void {
    const previous = this.#arena.previousOf(frame * PAGE_SIZE);
    const next = this.#arena.nextOf(frame * PAGE_SIZE);
    if (previous !== 0) this.#mini.patchU32(this.#pool.fetch(previous), PAGE_NEXT_AT, next);
    if (next !== 0) this.#mini.patchU32(this.#pool.fetch(next), PAGE_PREVIOUS_AT, previous);
  }

  /** The tail of the record at the position. */
  tail(): Bytes {
    const record = this.record;
    const from = record + RECORD_TAIL_AT;
    return sliceBytes(this.#arena.bytes, from, from + this.#arena.tailLength(record));
  }
}
