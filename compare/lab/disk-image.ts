/**
 * The content of a whole disk, never changed: what a crash left, or what a run began with. Made of interned pages, so that
 * an image is a few arrays of references, and its digest says whether two are the same.
 */
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { PagedContent } from "../../common/disk/paged-content.ts";
import { combine } from "./hash.ts";
import type { NameList } from "./name-list.ts";
import { PAGE_BYTES, type Page, type PageStore } from "./page-store.ts";

/** Sums of two stay exact. */
const SUM_LIMIT = 2 ** 52;
const FOLDER_DIGEST = 7;

/** The content of one file. `pages.length` is the size in pages, rounded up; bytes behind the size are zeros. */
export class FileImage {
  readonly size: number;
  readonly pages: readonly Page[];
  #digest = 0;

  constructor(size: number, pages: readonly Page[]) {
    this.size = size;
    this.pages = pages;
  }

  /** Of the content alone: the same in every process. */
  get digest(): number {
    if (this.#digest === 0) {
      let hash = this.size;
      for (const page of this.pages) hash = combine(hash, page.hash);
      this.#digest = hash;
    }
    return this.#digest;
  }

  isSame({ size, pages }: FileImage): boolean {
    return size === this.size && pages.every((page, index) => page === this.pages[index]);
  }

  /** Reads up to `into.length` bytes at `at`; returns how many there were. */
  read(at: number, into: Uint8Array): number {
    const end = Math.min(at + into.length, this.size);
    for (let position = at; position < end; ) {
      const within = position % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, end - position);
      const page = this.pages[(position - within) / PAGE_BYTES] as Page;
      into.set(page.bytes.subarray(within, within + count), position - at);
      position += count;
    }
    return Math.max(0, end - at);
  }
}

/** A file being made from another: pages are copied when they are first written. */
export class FileDraft {
  readonly #store: PageStore;
  readonly #pages: Page[];
  readonly #own = new Map<number, Uint8Array>();
  #size: number;

  constructor(store: PageStore, from: FileImage | undefined) {
    this.#store = store;
    this.#pages = from === undefined ? [] : from.pages.slice();
    this.#size = from?.size ?? 0;
  }

  get size(): number {
    return this.#size;
  }

  write(at: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (at + bytes.length > this.#size) this.truncate(at + bytes.length);
    for (let done = 0; done < bytes.length; ) {
      const within = (at + done) % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, bytes.length - done);
      this.#page((at + done - within) / PAGE_BYTES).set(bytes.subarray(done, done + count), within);
      done += count;
    }
  }

  /** Writes what another file has at the same place: whole pages are shared. */
  take(from: FileImage, at: number, length: number): void {
    const end = Math.min(at + length, from.size);
    if (end <= at) return;
    if (end > this.#size) this.truncate(end);
    for (let position = at; position < end; ) {
      const within = position % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, end - position);
      const index = (position - within) / PAGE_BYTES;
      const page = from.pages[index] as Page;
      if (count === PAGE_BYTES) {
        this.#pages[index] = page;
        this.#own.delete(index);
      } else if (this.#pages[index] !== page || this.#own.has(index)) {
        this.#page(index).set(page.bytes.subarray(within, within + count), within);
      }
      position += count;
    }
  }

  /** Cuts, or grows with zeros; what was cut never comes back. */
  truncate(size: number): void {
    const count = Math.ceil(size / PAGE_BYTES);
    const { zero } = this.#store;
    if (size < this.#size) {
      this.#pages.length = count;
      for (const index of this.#own.keys()) if (index >= count) this.#own.delete(index);
      if (size % PAGE_BYTES > 0) this.#page(count - 1).fill(0, size % PAGE_BYTES);
    }
    while (this.#pages.length < count) this.#pages.push(zero);
    this.#size = size;
  }

  done(): FileImage {
    for (const [index, bytes] of this.#own) this.#pages[index] = this.#store.intern(bytes);
    this.#own.clear();
    return new FileImage(this.#size, this.#pages);
  }

  #page(index: number): Uint8Array {
    let bytes = this.#own.get(index);
    if (bytes === undefined) {
      bytes = this.#store.copyOf(this.#pages[index] as Page);
      this.#own.set(index, bytes);
    }
    return bytes;
  }
}

/** Paths with "/" between names; undefined: a folder. "" is the data folder. */
export type Entries = ReadonlyMap<string, FileImage | undefined>;

export class DiskImage {
  readonly store: PageStore;
  readonly names: NameList;
  /** Of the names, in their order; undefined: a folder. */
  readonly files: readonly (FileImage | undefined)[];
  #digest = 0;

  constructor(store: PageStore, names: NameList, files: readonly (FileImage | undefined)[]) {
    this.store = store;
    this.names = names;
    this.files = files;
  }

  static withEntries(store: PageStore, entries: Entries): DiskImage {
    return new DiskImage(store, store.names.of([...entries.keys()]), [...entries.values()]);
  }

  static empty(store: PageStore): DiskImage {
    return new DiskImage(store, store.names.of([""]), [undefined]);
  }

  /** What the disk shows now. */
  static of(store: PageStore, disk: MemoryDisk): DiskImage {
    const entries = new Map<string, FileImage | undefined>([["", undefined]]);
    for (const [path, bytes] of disk.snapshot()) entries.set(path, bytes && imageOf(store, bytes));
    return DiskImage.withEntries(store, entries);
  }

  /** Made anew with every call. */
  get entries(): Entries {
    return new Map(this.names.paths.map((path, place) => [path, this.files[place]]));
  }

  has(path: string): boolean {
    return this.names.placeOf(path) !== undefined;
  }

  /** Undefined: the path is a folder, or nothing. */
  fileAt(path: string): FileImage | undefined {
    const place = this.names.placeOf(path);
    return place === undefined ? undefined : this.files[place];
  }

  /** Equal for equal content, in every process; 53 bits. The order of the entries does not matter. */
  get digest(): number {
    if (this.#digest === 0) {
      const { files } = this;
      const { hashes } = this.names;
      let sum = 1;
      for (let place = 0; place < files.length; place++) {
        const hash = combine(hashes[place] as number, files[place]?.digest ?? FOLDER_DIGEST);
        sum = (sum + (hash % SUM_LIMIT)) % SUM_LIMIT;
      }
      this.#digest = sum;
    }
    return this.#digest;
  }

  /** The same names in the same order, and the same content. */
  isSame(other: DiskImage): boolean {
    if (this.names !== other.names) return false;
    for (let place = 0; place < this.files.length; place++) {
      const [own, others] = [this.files[place], other.files[place]];
      if (own === others) continue;
      if (own === undefined || others === undefined || !own.isSame(others)) return false;
    }
    return true;
  }

  /** A disk of its own with this content, all of it durable. */
  toMemoryDisk(): MemoryDisk {
    const files = new Map<string, PagedContent | undefined>();
    for (const [path, file] of this.entries) {
      files.set(
        path,
        file &&
          PagedContent.of(
            file.size,
            file.pages.map(({ bytes }) => bytes),
          ),
      );
    }
    return MemoryDisk.of(files);
  }
}

/** A file with these bytes. */
export function imageOf(store: PageStore, bytes: Uint8Array): FileImage {
  const draft = new FileDraft(store, undefined);
  draft.write(0, bytes);
  return draft.done();
}
