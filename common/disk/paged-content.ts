/**
 * The bytes of a simulated file: pages of 4 KiB and a size. Copies share their pages until one of them writes, so a copy
 * costs one reference per page, and thousands of states of one disk fit in memory.
 */

const PAGE_BYTES = 4096;

export interface Page {
  bytes: Uint8Array;
  /** Another content holds this page too: it is copied before it is changed. */
  shared: boolean;
}

function share(page: Page | undefined): Page | undefined {
  if (page !== undefined) page.shared = true;
  return page;
}

export class PagedContent {
  #size = 0;
  /** A page never written, or cut off, is undefined and reads as zeros. */
  readonly #pages: (Page | undefined)[] = [];
  /** Indexes of the pages changed since `takeChanged`. */
  readonly #changed = new Set<number>();

  /** Content made of these pages (undefined: zeros), which nobody changes: they are copied before they are. */
  static of(size: number, pages: readonly (Uint8Array | undefined)[]): PagedContent {
    const content = new PagedContent();
    content.#size = size;
    for (const bytes of pages) content.#pages.push(bytes && { bytes, shared: true });
    return content;
  }

  get size(): number {
    return this.#size;
  }

  /** Reads up to `into.length` bytes; returns how many there were. */
  read(at: number, into: Uint8Array): number {
    const end = Math.min(at + into.length, this.#size);
    for (let position = at; position < end; ) {
      const within = position % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, end - position);
      const page = this.#pages[(position - within) / PAGE_BYTES];
      if (page === undefined) into.fill(0, position - at, position - at + count);
      else into.set(page.bytes.subarray(within, within + count), position - at);
      position += count;
    }
    return Math.max(0, end - at);
  }

  write(at: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    for (let done = 0; done < bytes.length; ) {
      const within = (at + done) % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, bytes.length - done);
      this.#ownPage((at + done - within) / PAGE_BYTES).set(bytes.subarray(done, done + count), within);
      done += count;
    }
    if (at + bytes.length > this.#size) this.#size = at + bytes.length;
  }

  /** Cuts or grows; what was cut never comes back. */
  truncate(size: number): void {
    if (size < this.#size) {
      const last = Math.floor(size / PAGE_BYTES);
      if (this.#pages[last] !== undefined) this.#ownPage(last).fill(0, size % PAGE_BYTES);
      for (let index = last + 1; index < this.#pages.length; index++) {
        if (this.#pages[index] === undefined) continue;
        this.#pages[index] = undefined;
        this.#changed.add(index);
      }
    }
    this.#size = size;
  }

  copy(): PagedContent {
    const copy = new PagedContent();
    copy.#size = this.#size;
    for (let index = 0; index < this.#pages.length; index++) copy.#pages[index] = share(this.#pages[index]);
    return copy;
  }

  /** The pages changed since the last call, shared. */
  takeChanged(): Map<number, Page | undefined> {
    const pages = new Map<number, Page | undefined>();
    for (const index of this.#changed) pages.set(index, share(this.#pages[index]));
    this.#changed.clear();
    return pages;
  }

  /** Takes over what `takeChanged` of another content gave, and its size. */
  adopt(size: number, pages: ReadonlyMap<number, Page | undefined>): void {
    this.#size = size;
    for (const [index, page] of pages) this.#pages[index] = page;
  }

  /** Counts every page that is not the very page of `other` as changed. */
  noteDifferences(other: PagedContent): void {
    for (let index = 0; index < this.#pages.length; index++) {
      if (this.#pages[index] !== other.#pages[index]) this.#changed.add(index);
    }
  }

  #ownPage(index: number): Uint8Array {
    this.#changed.add(index);
    const page = this.#pages[index];
    if (page !== undefined && !page.shared) return page.bytes;
    const bytes = page === undefined ? new Uint8Array(PAGE_BYTES) : page.bytes.slice();
    this.#pages[index] = { bytes, shared: false };
    return bytes;
  }
}
