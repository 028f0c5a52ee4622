/**
 * What changes of the tree's shape are made of: pages linked and unlinked, records moved from one to another, node records
 * made. Every function works inside a mini-transaction and logs what it does; b-tree.ts says when.
 */
import type { BufferPool } from "./buffer-pool.ts";
import { copyBytes, writeU16, writeU32 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import {
  type Arena,
  PAGE_BODY_AT,
  PAGE_NEXT_AT,
  PAGE_PREVIOUS_AT,
  PAGE_SIZE,
  PageType,
  RECORD_TAIL_AT,
  recordSize,
} from "./page.ts";
import { Redo } from "./redo-records.ts";

const NODE_RECORD_MAX = 2048;
/** Records on their way from one page to another. */
const MOVED = Buffer.alloc(PAGE_SIZE);

export class TreePages {
  readonly #pool: BufferPool;
  readonly #arena: Arena;
  readonly #mini: MiniTransaction;
  /** The last node record made. */
  readonly nodeRecord = Buffer.alloc(NODE_RECORD_MAX);

  constructor(pool: BufferPool, mini: MiniTransaction) {
    this.#pool = pool;
    this.#arena = pool.arena;
    this.#mini = mini;
  }

  /** Bytes of a page that records and slots take. */
  usedBytes(frame: number): number {
    return PAGE_SIZE - PAGE_BODY_AT - this.#arena.freeBytes(frame * PAGE_SIZE);
  }

  /** Appends the records from `slot` on to the page `to`; `from` keeps them. */
  copyRecords(from: number, slot: number, to: number): void {
    const arena = this.#arena;
    const base = from * PAGE_SIZE;
    const level = arena.levelOf(base);
    const count = arena.countOf(base);
    if (slot === count) return;
    let length = 0;
    for (let i = slot; i < count; i++) {
      const record = arena.recordAt(base, i);
      const size = arena.sizeAt(record, level);
      copyBytes(arena.bytes, record, MOVED, length, size);
      length += size;
    }
    this.#mini.applyCopy(Redo.FILL, to, 0, MOVED, 0, length);
  }

  /** Moves the records from `slot` on to the end of the page `to`. */
  moveRecords(from: number, slot: number, to: number): void {
    if (slot === this.#arena.countOf(from * PAGE_SIZE)) return;
    this.copyRecords(from, slot, to);
    this.#mini.applyShort(Redo.TRUNCATE, from, slot);
  }

  /** Empties a page; its links are gone. */
  clear(frame: number, level: number): void {
    this.#mini.applyShort(Redo.INIT, frame, (level === 0 ? PageType.LEAF : PageType.NODE) | (level << 8));
  }

  /** The record in `slot` of a node leads to another page. */
  setChild(frame: number, slot: number, child: number): void {
    const base = frame * PAGE_SIZE;
    const record = this.#arena.recordAt(base, slot);
    this.#mini.patchU32(frame, record + RECORD_TAIL_AT + this.#arena.tailLength(record) - base, child);
  }

  /** Puts `right` behind `left` in the list of their level. */
  link(left: number, right: number): void {
    const next = this.#arena.nextOf(left * PAGE_SIZE);
    const leftPage = this.#pool.pageIn(left);
    const rightPage = this.#pool.pageIn(right);
    this.#mini.patchU32(right, PAGE_PREVIOUS_AT, leftPage);
    this.#mini.patchU32(right, PAGE_NEXT_AT, next);
    this.#mini.patchU32(left, PAGE_NEXT_AT, rightPage);
    if (next !== 0) this.#mini.patchU32(this.#pool.fetch(next), PAGE_PREVIOUS_AT, rightPage);
  }

  /** Takes a page out of the list of its level. */
  unlink(frame: number): void {
    const previous = this.#arena.previousOf(frame * PAGE_SIZE);
    const next = this.#arena.nextOf(frame * PAGE_SIZE);
    if (previous !== 0) this.#mini.patchU32(this.#pool.fetch(previous), PAGE_NEXT_AT, next);
    if (next !== 0) this.#mini.patchU32(this.#pool.fetch(next), PAGE_PREVIOUS_AT, previous);
  }

  /** Makes the node record that leads to `child`, with the key of `record`; returns its length. */
  makeNodeRecord(record: number, child: number): number {
    const tail = this.#arena.tailLength(record);
    const length = recordSize(tail, 4);
    this.nodeRecord.fill(0, 0, length);
    copyBytes(this.#arena.bytes, record, this.nodeRecord, 0, RECORD_TAIL_AT + tail);
    writeU16(this.nodeRecord, RECORD_TAIL_AT - 2, 0);
    writeU32(this.nodeRecord, RECORD_TAIL_AT + tail, child);
    return RECORD_TAIL_AT + tail + 4;
  }
}
