/**
 * A hash table whose entries are cells (cell.ts): the keys of a database, or the fields of one large hash.
 *
 * Buckets are an Int32Array of references; entries of a bucket are chained through the first word of their cells. The
 * table doubles when it has as many entries as buckets and shrinks when it has eight times fewer. Nothing pauses: while it
 * is resized there are two tables, every operation moves one bucket from the old ("draining") to the new, and a lookup
 * looks into both.
 *
 *     draining  │ moved, empty │ moved, empty │ ● ● │ ●   │ …          #drained = 2
 *     buckets   │ ●            │              │ ●   │     │ …
 *
 * SCAN's guarantee (an entry that is there during the whole scan is visited at least once) is Redis's: the cursor counts
 * up from its highest bit down. The buckets that a bucket splits into, or that merge into one, share their low bits; counting
 * the high bits first visits them one after the other, so a table that doubles or halves between two calls moves nothing
 * from "still to come" into "already visited". While two tables exist, a bucket of the smaller one is visited together
 * with all buckets of the larger one that it maps to.
 */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { CELL_HEADER_BYTES, WORD_HASH, WORD_KEY_LENGTH, WORD_NEXT } from "./cell.ts";
import { SLAB_SHIFT, type Slabs, UNIT_MASK } from "./slabs.ts";

const BUCKETS_MIN = 16;
/** Empty buckets passed over in one step of a resize. */
const EMPTY_BUCKETS_MAX = 10;
/** Buckets drawn for a random entry before the search goes on in order. */
const RANDOM_DRAWS_MAX = 100;

export class Dictionary {
  readonly #slabs: Slabs;
  #buckets: Int32Array;
  #draining: Int32Array | undefined;
  #drained = 0;
  #size = 0;

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
    this.#buckets = new Int32Array(BUCKETS_MIN);
  }

  get size(): number {
    return this.#size;
  }

  get resizing(): boolean {
    return this.#draining !== undefined;
  }

  /** The entry of `key`, whose hash is `hash`; 0 when there is none. */
  find(key: Bytes, hash: number): number {
    if (this.#draining !== undefined) {
      this.drain(1);
      if (this.#draining !== undefined) {
        const found = this.#findIn(this.#draining, key, hash);
        if (found !== 0) return found;
      }
    }
    return this.#findIn(this.#buckets, key, hash);
  }

  /** Adds an entry whose key is not there yet. Its cell has key and hash already. */
  insert(entry: number, hash: number): void {
    const bucket = hash & (this.#buckets.length - 1);
    this.#setNext(entry, this.#buckets[bucket]!);
    this.#buckets[bucket] = entry;
    this.#size++;
    if (this.#size > this.#buckets.length && this.#draining === undefined) this.#resize(this.#buckets.length * 2);
  }

  /** Takes an entry out; its cell stays the caller's. */
  unlink(entry: number, hash: number): void {
    this.#relink(entry, hash, this.#next(entry));
    this.#size--;
    const buckets = this.#buckets.length;
    if (this.#draining === undefined && buckets > BUCKETS_MIN && this.#size * 8 < buckets) this.#resize(buckets >> 2);
  }

  /** The entry has moved to another cell (all of it is already there). */
  replace(entry: number, moved: number, hash: number): void {
    this.#relink(entry, hash, moved);
  }

  /** Goes on with a resize, by `steps` buckets. */
  drain(steps: number): void {
    const draining = this.#draining;
    if (draining === undefined) return;
    const mask = this.#buckets.length - 1;
    let at = this.#drained;
    for (let step = 0; step < steps && at < draining.length; step++) {
      const last = Math.min(at + EMPTY_BUCKETS_MAX, draining.length - 1);
      while (draining[at] === 0 && at < last) at++;
      let entry = draining[at]!;
      while (entry !== 0) {
        const next = this.#next(entry);
        const bucket = this.#slabs.words[entry >>> SLAB_SHIFT]![((entry & UNIT_MASK) << 1) + WORD_HASH]! & mask;
        this.#setNext(entry, this.#buckets[bucket]!);
        this.#buckets[bucket] = entry;
        entry = next;
      }
      draining[at] = 0;
      at++;
    }
    this.#drained = at;
    if (at === draining.length) this.#draining = undefined;
  }

  /** Visits every entry once. The visitor may free the entry's cell, and must not look anything up. */
  each(visit: (entry: number) => void): void {
    if (this.#draining !== undefined) this.#eachOf(this.#draining, visit);
    this.#eachOf(this.#buckets, visit);
  }

  /** One step of a scan: visits the entries of a bucket and returns the next cursor, 0 at the end. See above. */
  scanBucket(cursor: number, visit: (entry: number) => void): number {
    let small = this.#buckets;
    let large = this.#buckets;
    if (this.#draining !== undefined) {
      if (this.#draining.length < small.length) small = this.#draining;
      else large = this.#draining;
    }
    const smallMask = small.length - 1;
    const largeMask = large.length - 1;
    let at = cursor | 0;
    if (small !== large) this.#visitChain(small[at & smallMask]!, visit);
    do {
      this.#visitChain(large[at & largeMask]!, visit);
      at = reverseBits((reverseBits(at | ~largeMask) + 1) | 0);
    } while ((at & (smallMask ^ largeMask)) !== 0);
    return at >>> 0;
  }

  /**
   * An entry, roughly uniform: a random bucket that is not empty, then a random entry of it. In a sparse table the draw ends
   * after some empty buckets, and the next one that is not empty is taken. The table is not empty.
   */
  random(pick: (bound: number) => number): number {
    assert(this.#size > 0, "dictionary: a random entry of none");
    const draining = this.#draining;
    const old = draining === undefined ? 0 : draining.length - this.#drained;
    const total = old + this.#buckets.length;
    let first = 0;
    let at = 0;
    for (let draw = 0; first === 0; draw++) {
      at = draw < RANDOM_DRAWS_MAX ? pick(total) : (at + 1) % total;
      first = at < old ? draining![this.#drained + at]! : this.#buckets[at - old]!;
    }
    let length = 0;
    for (let entry = first; entry !== 0; entry = this.#next(entry)) length++;
    let entry = first;
    for (let steps = pick(length); steps > 0; steps--) entry = this.#next(entry);
    return entry;
  }

  #findIn(table: Int32Array, key: Bytes, hash: number): number {
    const slabs = this.#slabs;
    const length = key.length;
    let entry = table[hash & (table.length - 1)]!;
    search: while (entry !== 0) {
      const slab = entry >>> SLAB_SHIFT;
      const words = slabs.words[slab]!;
      const word = (entry & UNIT_MASK) << 1;
      if (words[word + WORD_HASH] === hash && words[word + WORD_KEY_LENGTH] === length) {
        const bytes = slabs.bytes[slab]!;
        const at = ((entry & UNIT_MASK) << 3) + CELL_HEADER_BYTES;
        for (let i = 0; i < length; i++) {
          if (bytes[at + i] !== key.charCodeAt(i)) {
            entry = words[word + WORD_NEXT]!;
            continue search;
          }
        }
        return entry;
      }
      entry = words[word + WORD_NEXT]!;
    }
    return 0;
  }

  #resize(buckets: number): void {
    this.#draining = this.#buckets;
    this.#drained = 0;
    this.#buckets = new Int32Array(Math.max(buckets, BUCKETS_MIN));
  }

  /** Makes whatever points to `entry` point to `target`. */
  #relink(entry: number, hash: number, target: number): void {
    const linked =
      this.#relinkIn(this.#buckets, entry, hash, target) ||
      (this.#draining !== undefined && this.#relinkIn(this.#draining, entry, hash, target));
    assert(linked, "dictionary: an entry is in the chain of its bucket");
  }

  #relinkIn(table: Int32Array, entry: number, hash: number, target: number): boolean {
    const bucket = hash & (table.length - 1);
    let at = table[bucket]!;
    if (at === entry) {
      table[bucket] = target;
      return true;
    }
    while (at !== 0) {
      const next = this.#next(at);
      if (next === entry) {
        this.#setNext(at, target);
        return true;
      }
      at = next;
    }
    return false;
  }

  #eachOf(table: Int32Array, visit: (entry: number) => void): void {
    for (let bucket = 0; bucket < table.length; bucket++) this.#visitChain(table[bucket]!, visit);
  }

  #visitChain(first: number, visit: (entry: number) => void): void {
    let entry = first;
    while (entry !== 0) {
      const next = this.#next(entry);
      visit(entry);
      entry = next;
    }
  }

  #next(entry: number): number {
    return this.#slabs.words[entry >>> SLAB_SHIFT]![((entry & UNIT_MASK) << 1) + WORD_NEXT]!;
  }

  #setNext(entry: number, next: number): void {
    this.#slabs.words[entry >>> SLAB_SHIFT]![((entry & UNIT_MASK) << 1) + WORD_NEXT] = next;
  }
}

function reverseBits(value: number): number {
  let v = ((value >>> 1) & 0x55555555) | ((value & 0x55555555) << 1);
  v = ((v >>> 2) & 0x33333333) | ((v & 0x33333333) << 2);
  v = ((v >>> 4) & 0x0f0f0f0f) | ((v & 0x0f0f0f0f) << 4);
  v = ((v >>> 8) & 0x00ff00ff) | ((v & 0x00ff00ff) << 8);
  return (v >>> 16) | (v << 16);
}
