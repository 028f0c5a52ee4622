/**
 * One B+tree holds every row of the tablespace, in the order of (hi, mid, low, tail); rows/layout.ts says which rows there
 * are. Its root is page 1 for good: when the root is full, its content moves down; when one child is left, that moves up.
 *
 * `search` leaves a position (frame, slot) that is good until the next operation of the pool, or until a row is inserted,
 * deleted or replaced. Changes run inside a mini-transaction that the caller has begun *after* the search; the pages of the
 * path stay pinned by the operation.
 *
 * A page that has become less than half full is merged with a neighbour below the same parent when both fit into seven
 * eighths of a page; InnoDB's MERGE_THRESHOLD is the same half. The last eighth keeps a page that was just split from
 * being merged by the next deletion. Always the right page of the two moves into the left one:
 *
 *     parent    … L:k₁ R:k₂ …      →   … L:k₁ …        k₂ goes along when L and R are nodes: R's own first key says
 *     children   [a b]  [c d]          [a b c d]       nothing (T2), its parent's key for it does
 *
 * Invariants: T1 all leaves have level 0 and are linked in key order by previous/next. T2 every key below a node record is
 * >= its key and < the key of its right neighbour; the first record of a node counts as smaller than every key. T3 no
 * page but the root is empty: a page that loses its last record is freed. T4 a split leaves both halves with room for
 * the record that caused it (page.ts P5). T5 a root that is a node has at least two children.
 */
import { assert } from "../common/assert.ts";
import { type Bytes, sliceBytes } from "../common/bytes.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { copyBytes, readU16, readU32 } from "./bytes-view.ts";
import { frameOfHint, HashIndex, slotOfHint } from "./hash-index.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import {
  type Arena,
  PAGE_BODY_AT,
  PAGE_LEVEL_AT,
  PAGE_SIZE,
  PAGE_TYPE_AT,
  PageType,
  RECORD_TAIL_AT,
  RECORD_TAIL_LENGTH_AT,
  recordSize,
} from "./page.ts";
import { Redo } from "./redo-records.ts";
import { ROOT_PAGE, type SpaceHeader } from "./space-header.ts";
import { TreePages } from "./tree-pages.ts";

const DEPTH_MAX = 16;
const PAYLOAD = PAGE_SIZE - PAGE_BODY_AT;
/** A page with less than this in it looks for a neighbour to merge with; */
const MERGE_BELOW = PAYLOAD / 2;
/** and the two merge when they fit into this. */
const MERGED_MAX = (PAYLOAD * 7) / 8;

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
  readonly #pages: TreePages;

  /** Where the last search ended. */
  frame = 0;
  slot = 0;
  found = false;
  splits = 0;
  merges = 0;

  constructor(pool: BufferPool, mini: MiniTransaction, header: SpaceHeader) {
    this.#pool = pool;
    this.#arena = pool.arena;
    this.#mini = mini;
    this.#header = header;
    this.#index = new HashIndex(pool);
    this.#pages = new TreePages(pool, mini);
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
    const size = (length + 3) & ~3;
    if (this.#arena.freeBytes(base) + old >= size) {
      this.#mini.applyCopy(Redo.REPLACE, this.frame, this.slot, record, 0, length);
      if (size < old && this.#pages.usedBytes(this.frame) < MERGE_BELOW) {
        this.#ensurePath();
        this.#mergeIfLow(0);
      }
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

  /** Begins an operation and goes to the end of the tree, behind which the row in `record` belongs. For `appendLeaf`. */
  seekEnd(record: Buffer): void {
    this.#pool.beginOperation();
    const tail = sliceBytes(record, RECORD_TAIL_AT, RECORD_TAIL_AT + readU16(record, RECORD_TAIL_LENGTH_AT));
    this.#descend(readU32(record, 0), readU32(record, 4), readU32(record, 8), tail);
    const base = this.frame * PAGE_SIZE;
    const isEnd = this.slot === this.#arena.countOf(base) && this.#arena.nextOf(base) === 0;
    assert(isEnd && !this.found, "tree: rows are appended behind the last one");
  }

  /** Appends a leaf with these records, ascending, in the mini-transaction. */
  appendLeaf(records: Buffer, length: number): void {
    if (this.#rootLevel === 0) {
      if (this.#arena.countOf(this.frame * PAGE_SIZE) === 0) {
        this.#mini.applyCopy(Redo.FILL, this.frame, 0, records, 0, length);
        return;
      }
      this.#pushDownRoot();
    }
    const right = this.#header.allocate(PageType.LEAF, 0);
    this.#pages.link(this.#pathFrames[0]!, right);
    this.#mini.applyCopy(Redo.FILL, right, 0, records, 0, length);
    this.#insertChild(1, right);
  }

  /** Inserts the node record for a page that was put behind the one on the path. */
  #insertChild(level: number, child: number): void {
    const length = this.#pages.makeNodeRecord(this.#arena.recordAt(child * PAGE_SIZE, 0), this.#pool.pageIn(child));
    // A level above may need the same buffer for its own node record, so this one gets its own copy there.
    const copy = Buffer.allocUnsafeSlow(length);
    copyBytes(this.#pages.nodeRecord, 0, copy, 0, length);
    this.#insertAt(level, this.#pathSlots[level]! + 1, copy, length);
  }

  /** Moves the content of the root into a new page below it. */
  #pushDownRoot(): void {
    const root = this.#pathFrames[this.#rootLevel]!;
    const level = this.#rootLevel;
    const child = this.#header.allocate(level === 0 ? PageType.LEAF : PageType.NODE, level);
    this.#pages.moveRecords(root, 0, child);
    const at = this.#mini.open(Redo.PATCH, root, PAGE_TYPE_AT, PAGE_LEVEL_AT - PAGE_TYPE_AT + 1);
    this.#mini.buffer[at] = PageType.NODE;
    this.#mini.buffer[at + 1] = level + 1;
    this.#mini.apply();
    const length = this.#pages.makeNodeRecord(this.#arena.recordAt(child * PAGE_SIZE, 0), this.#pool.pageIn(child));
    this.#mini.applyCopy(Redo.INSERT, root, 0, this.#pages.nodeRecord, 0, length);
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
    this.#pages.link(left, right);
    // Slots from `cut` on move, counting the new record as if it were at `slot` already.
    const intoRight = slot >= cut;
    this.#pages.moveRecords(left, intoRight ? cut : cut - 1, right);
    if (intoRight) this.#mini.applyCopy(Redo.INSERT, right, slot - cut, record, 0, length);
    else this.#mini.applyCopy(Redo.INSERT, left, slot, record, 0, length);
    this.#insertChild(level + 1, right);
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

  #deleteAt(level: number, slot: number): void {
    const frame = this.#pathFrames[level]!;
    this.#mini.applyShort(Redo.REMOVE, frame, slot);
    if (level === this.#rootLevel) {
      this.#pullUpRoot();
      return;
    }
    if (this.#arena.countOf(frame * PAGE_SIZE) > 0) this.#mergeIfLow(level);
    else this.#drop(frame, level, this.#pathSlots[level + 1]!);
  }

  /** Frees a page of `level` that nothing is in any more; `slot` leads to it in the page above. */
  #drop(frame: number, level: number, slot: number): void {
    this.#pages.unlink(frame);
    this.#header.free(frame);
    this.#deleteAt(level + 1, slot);
  }

  /** Moves the content of a single child up into the root, which may then have a single child again (T5). */
  #pullUpRoot(): void {
    const arena = this.#arena;
    const root = this.#pathFrames[this.#rootLevel]!;
    const base = root * PAGE_SIZE;
    while (arena.levelOf(base) > 0 && arena.countOf(base) === 1) {
      const child = this.#pool.fetch(arena.childOf(arena.recordAt(base, 0)));
      this.#pages.clear(root, arena.levelOf(child * PAGE_SIZE));
      this.#pages.copyRecords(child, 0, root);
      this.#header.free(child);
    }
    this.#rootLevel = arena.levelOf(base);
  }

  /** Merges the page of `level` on the path with a neighbour, if it is less than half full and they fit. */
  #mergeIfLow(level: number): void {
    if (level === this.#rootLevel || this.#pages.usedBytes(this.#pathFrames[level]!) >= MERGE_BELOW) return;
    const parent = this.#pathFrames[level + 1]! * PAGE_SIZE;
    const slot = this.#pathSlots[level + 1]!;
    if (slot > 0 && this.#merge(level, slot)) return;
    if (slot + 1 < this.#arena.countOf(parent)) this.#merge(level, slot + 1);
  }

  /** Moves the page of `level` that `slot` leads to into its left neighbour; false when they do not fit. */
  #merge(level: number, slot: number): boolean {
    const arena = this.#arena;
    const parent = this.#pathFrames[level + 1]! * PAGE_SIZE;
    const separator = arena.recordAt(parent, slot);
    const left = this.#pool.fetch(arena.childOf(arena.recordAt(parent, slot - 1)));
    const right = this.#pool.fetch(arena.childOf(separator));
    let moved = this.#pages.usedBytes(right);
    if (level > 0) {
      const first = arena.recordAt(right * PAGE_SIZE, 0);
      moved += recordSize(arena.tailLength(separator), 4) - arena.sizeAt(first, level);
    }
    if (this.#pages.usedBytes(left) + moved > MERGED_MAX) return false;
    this.merges++;
    if (level > 0) {
      const first = arena.recordAt(right * PAGE_SIZE, 0);
      const length = this.#pages.makeNodeRecord(separator, arena.childOf(first));
      const end = arena.countOf(left * PAGE_SIZE);
      this.#mini.applyCopy(Redo.INSERT, left, end, this.#pages.nodeRecord, 0, length);
    }
    this.#pages.copyRecords(right, level > 0 ? 1 : 0, left);
    this.#drop(right, level, slot);
    return true;
  }

  /** Moves the content of a page of the tree, not the root, to a new page; in a mini-transaction of its own. */
  move(page: number): void {
    const arena = this.#arena;
    this.#pool.beginOperation();
    const from = this.#pool.fetch(page);
    const level = arena.levelOf(from * PAGE_SIZE);
    // A row below leads to the page; a node's first key may not (T2).
    let record = arena.recordAt(from * PAGE_SIZE, 0);
    for (let above = level; above > 0; above--) {
      record = arena.recordAt(this.#pool.fetch(arena.childOf(record)) * PAGE_SIZE, 0);
    }
    const at = record >> 2;
    const tailAt = record + RECORD_TAIL_AT;
    const tail = sliceBytes(arena.bytes, tailAt, tailAt + arena.tailLength(record));
    this.#descend(arena.words[at]!, arena.words[at + 1]!, arena.words[at + 2]!, tail);
    assert(this.#pathFrames[level] === from && level < this.#rootLevel, "tree: a page is where its keys are");
    this.#mini.begin();
    const to = this.#header.allocate(level === 0 ? PageType.LEAF : PageType.NODE, level);
    this.#pages.copyRecords(from, 0, to);
    this.#pages.link(from, to);
    this.#pages.unlink(from);
    this.#pages.setChild(this.#pathFrames[level + 1]!, this.#pathSlots[level + 1]!, this.#pool.pageIn(to));
    this.#header.free(from);
    this.#mini.commit();
  }

  /** The tail of the record at the position. */
  tail(): Bytes {
    const record = this.record;
    const from = record + RECORD_TAIL_AT;
    return sliceBytes(this.#arena.bytes, from, from + this.#arena.tailLength(record));
  }
}
