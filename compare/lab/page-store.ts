/**
 * Pages of simulated files, each distinct content once. A crash state differs from the next in a few pages: the rest is
 * shared, comparing two files is comparing numbers, and a million states need no more memory than their differences.
 *
 *     id      equal ids, equal bytes; and the other way round, inside one store
 *     hash    of the content alone, so that it means the same in every process: distinct states of a campaign are counted
 *             by it
 */
import { hashPage } from "./hash.ts";
import { NameLists } from "./name-list.ts";

export const PAGE_BYTES = 4096;
/**
 * Pages of one piece of memory. A buffer of its own for every page would be memory outside the heap of which the garbage
 * collector hears each time, and because of which it runs.
 */
const SLAB_PAGES = 64;

export interface Page {
  /** Never changed. */
  readonly bytes: Uint8Array;
  readonly id: number;
  /** 53 bits. */
  readonly hash: number;
}

export class PageStore {
  readonly zero: Page;
  /** Of the images whose pages are here. */
  readonly names = new NameLists();
  readonly #byHash = new Map<number, Page | Page[]>();
  /** Memory of pages that turned out to be known. */
  readonly #spare: Uint8Array[] = [];
  #slab = new ArrayBuffer(0);
  #slabUsed = 0;
  #count = 0;

  constructor() {
    this.zero = this.intern(new Uint8Array(PAGE_BYTES));
  }

  /** How many distinct pages there are. */
  get size(): number {
    return this.#count;
  }

  /** The page's bytes once more, to be changed and then interned. */
  copyOf({ bytes }: Page): Uint8Array {
    const copy = this.#spare.pop() ?? this.#newPage();
    copy.set(bytes);
    return copy;
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
    for (const page of candidates) {
      if (Buffer.compare(page.bytes, bytes) !== 0) continue;
      this.#spare.push(bytes);
      return page;
    }
    const page = { bytes, id: this.#count++, hash };
    this.#byHash.set(hash, [...candidates, page]);
    return page;
  }

  #newPage(): Uint8Array {
    if (this.#slabUsed === this.#slab.byteLength) {
      this.#slab = new ArrayBuffer(SLAB_PAGES * PAGE_BYTES);
      this.#slabUsed = 0;
    }
    this.#slabUsed += PAGE_BYTES;
    return new Uint8Array(this.#slab, this.#slabUsed - PAGE_BYTES, PAGE_BYTES);
  }
}
