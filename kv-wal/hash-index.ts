/**
 * The adaptive hash index, InnoDB's shortcut through the tree: where a key was found last. It is only memory, it is never
 * told when rows move, and it is never trusted: a hint counts when the place it names has that very key now.
 *
 *     hint     check bits of the hash | frame | slot (10 bits)       32 bits; 0: none
 *     bucket   four hints, which lie in one line of the processor's cache
 *
 * What a lookup costs is cache misses: one for the bucket, one for the row. The check bits, as many as frame numbers
 * leave, spare the look at rows of other keys. The table starts small and is made anew, twice as large, when hints push
 * each other out: as long as it fits into the cache, the first miss is a cheap one.
 *
 * Invariant: H1 what `find` answers is what a search of the tree would answer: a key is in one leaf only, and a frame is
 * believed only while the buffer pool says that a page lives in it.
 */
import { assert } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { type Arena, PAGE_SIZE, PageType } from "./page.ts";

const SLOT_BITS = 10;
const SLOTS = 1 << SLOT_BITS;
const WAYS = 4;
const HINTS_MIN = 1 << 9;
const HINTS_MAX = 1 << 24;

export class HashIndex {
  readonly #pool: BufferPool;
  readonly #arena: Arena;
  /** Bits that a hint has for frame and slot; the rest are check bits. */
  readonly #placeBits: number;
  #hints = new Uint32Array(HINTS_MIN);
  /** Of the bucket's first hint. */
  #mask = HINTS_MIN - WAYS;
  /** Hints that were pushed out since the table was made. */
  #displaced = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
    this.#arena = pool.arena;
    this.#placeBits = SLOT_BITS + 32 - Math.clz32(pool.frames - 1);
    assert(this.#placeBits < 31, "hash index: a hint has room for check bits");
  }

  /** Frame × 1024 + slot of the key, its page fetched; −1 when this index does not know. */
  find(hi: number, mid: number, low: number, tail: Bytes): number {
    const hints = this.#hints;
    const placeBits = this.#placeBits;
    const check = low >>> placeBits;
    const bucket = low & this.#mask;
    for (let way = bucket; way < bucket + WAYS; way++) {
      const hint = hints[way]!;
      if (hint >>> placeBits !== check || hint === 0) continue;
      const place = hint & ((1 << placeBits) - 1);
      if (this.#has(place, hi, mid, low, tail)) return place;
    }
    return -1;
  }

  #has(place: number, hi: number, mid: number, low: number, tail: Bytes): boolean {
    const frame = place >>> SLOT_BITS;
    const slot = place & (SLOTS - 1);
    const arena = this.#arena;
    const base = frame * PAGE_SIZE;
    if (slot >= arena.countOf(base) || arena.typeOf(base) !== PageType.LEAF || !this.#pool.isInUse(frame)) return false;
    if (!arena.hasKey(arena.recordAt(base, slot), hi, mid, low, tail)) return false;
    this.#pool.fetch(this.#pool.pageIn(frame));
    return true;
  }

  remember(low: number, frame: number, slot: number): void {
    if (slot >= SLOTS) return;
    const hints = this.#hints;
    const place = frame * SLOTS + slot;
    const check = low >>> this.#placeBits;
    const bucket = low & this.#mask;
    let way = bucket;
    // A wrong hint for this hash, or an empty place; otherwise some other hint goes.
    while (way < bucket + WAYS && hints[way] !== 0 && hints[way]! >>> this.#placeBits !== check) way++;
    if (way === bucket + WAYS) {
      way = bucket + (slot & (WAYS - 1));
      this.#displaced++;
    }
    hints[way] = ((check << this.#placeBits) | place) >>> 0;
    if (this.#displaced > hints.length >> 2 && hints.length < HINTS_MAX) this.#grow();
  }

  #grow(): void {
    this.#hints = new Uint32Array(this.#hints.length * 2);
    this.#mask = this.#hints.length - WAYS;
    this.#displaced = 0;
  }
}

export function frameOfHint(hint: number): number {
  return hint >>> SLOT_BITS;
}
export function slotOfHint(hint: number): number {
  return hint & (SLOTS - 1);
}
