/**
 * Pages of simulated files, each distinct content once. A crash state differs from the next in a few pages: the rest is
 * shared, comparing two files is comparing numbers, and a million states need no more memory than their differences.
 *
 *     id      equal ids, equal bytes; and the other way round, inside one store
 *     hash    of the content alone, so that it means the same in every process: distinct states of a campaign are counted
 *             by it
 */

export const PAGE_BYTES = 4096;

export interface Page {
  /** Never changed. */
  readonly bytes: Uint8Array;
  readonly id: number;
  /** 53 bits. */
  readonly hash: number;
}

const HASH_HIGH = 2 ** 21;

/** Two sums of 32 bits over the words, mixed and put together to 53 bits. */
function hashPage(words: Int32Array): number {
  let a = 0x9e3779b9 | 0;
  let b = 0x85ebca6b | 0;
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as number;
    a = Math.imul(a ^ word, 0x01000193) + (a >>> 15);
    b = Math.imul(b + word, 0x5bd1e995) ^ (b >>> 13);
  }
  return mix(a, b);
}

/** A number of 53 bits from two of 32. */
export function mix(a: number, b: number): number {
  a = Math.imul(a ^ (a >>> 16), 0x7feb352d);
  b = Math.imul(b ^ (b >>> 15), 0x846ca68b);
  a ^= b >>> 16;
  return ((a >>> 0) % HASH_HIGH) * 2 ** 32 + (b >>> 0);
}

/** `hash` and `value` (both up to 53 bits) as one hash; order matters. */
export function combine(hash: number, value: number): number {
  const a = Math.imul((hash / 2 ** 32) ^ (value | 0), 0x2c1b3c6d) + ((value / 2 ** 32) | 0);
  const b = Math.imul((hash | 0) ^ Math.imul(value | 0, 0x297a2d39), 0x5bd1e995) ^ (a >>> 7);
  return mix(a, b);
}

export function hashText(text: string): number {
  let a = 0x811c9dc5 | 0;
  let b = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b + code, 0x5bd1e995) ^ (b >>> 13);
  }
  return mix(a, b);
}

export class PageStore {
  readonly zero: Page;
  readonly #byHash = new Map<number, Page | Page[]>();
  #count = 0;

  constructor() {
    this.zero = this.intern(new Uint8Array(PAGE_BYTES));
  }

  /** How many distinct pages there are. */
  get size(): number {
    return this.#count;
  }

  /** The page with this content. `bytes` is PAGE_BYTES long, aligned to words, and belongs to the store from now on. */
  intern(bytes: Uint8Array): Page {
    const hash = hashPage(new Int32Array(bytes.buffer, bytes.byteOffset, PAGE_BYTES / 4));
    const known = this.#byHash.get(hash);
    if (known === undefined) {
      const page = { bytes, id: this.#count++, hash };
      this.#byHash.set(hash, page);
      return page;
    }
    const candidates = Array.isArray(known) ? known : [known];
    for (const page of candidates) if (Buffer.compare(page.bytes, bytes) === 0) return page;
    const page = { bytes, id: this.#count++, hash };
    this.#byHash.set(hash, [...candidates, page]);
    return page;
  }
}
