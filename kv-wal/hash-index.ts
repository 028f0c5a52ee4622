/**
 * The adaptive hash index, InnoDB's shortcut through the tree: where a key was found last. It is only memory, it is never
 * told when rows move, and it is never trusted: a hint counts when the place it names has that very key now.
 *
 * Invariant: H1 what `find` answers is what a search of the tree would answer: a key is in one leaf only, and a frame is
 * believed only while the buffer pool says that a page lives in it.
 */
import type { Bytes } from "../common/bytes.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { type Arena, PAGE_SIZE, PageType } from "./page.ts";

const SLOT_BITS = 10;
const SLOTS = 1 << SLOT_BITS;
const HINTS_PER_FRAME = 128;
const HINTS_MAX = 1 << 22;

export class HashIndex {
  readonly #pool: BufferPool;
  readonly #arena: Arena;
  /** By the low word of the key, which is a hash: frame × 1024 + slot. */
  readonly #hints: Uint32Array;
  readonly #mask: number;

  constructor(pool: BufferPool) {
    this.#pool = pool;
    this.#arena = pool.arena;
    let size = SLOTS;
    while (size < pool.frames * HINTS_PER_FRAME && size < HINTS_MAX) size *= 2;
    this.#hints = new Uint32Array(size);
    this.#mask = size - 1;
  }

  /** Frame × 1024 + slot of the key, its page fetched; −1 when this index does not know. */
  find(hi: number, mid: number, low: number, tail: Bytes): number {
    const hint = this.#hints[low & this.#mask]!;
    const frame = hint >>> SLOT_BITS;
    const slot = hint & (SLOTS - 1);
    const arena = this.#arena;
    const base = frame * PAGE_SIZE;
    if (slot >= arena.countOf(base) || arena.typeOf(base) !== PageType.LEAF || !this.#pool.isInUse(frame)) return -1;
    if (!arena.hasKey(arena.recordAt(base, slot), hi, mid, low, tail)) return -1;
    this.#pool.fetch(this.#pool.pageIn(frame));
    return hint;
  }

  remember(low: number, frame: number, slot: number): void {
    if (slot < SLOTS) this.#hints[low & this.#mask] = frame * SLOTS + slot;
  }
}

export function frameOfHint(hint: number): number {
  return hint >>> SLOT_BITS;
}
export function slotOfHint(hint: number): number {
  return hint & (SLOTS - 1);
}
