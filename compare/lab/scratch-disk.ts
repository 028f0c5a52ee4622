/**
 * A disk on which one recovery runs: shows an image, keeps what is written to itself, and notes everything about the image
 * that an answer depended on. Recovery is a function of these answers: two images that give the same answers are recovered
 * alike (outcome-tree.ts).
 *
 *     question               asked by                                             answer
 *     entry PATH             open, exists, remove, rename of a name not changed   absent, folder, or the size of a file
 *     names FOLDER           list                                                 the names in the image
 *     page PATH, INDEX       read, and a write to a part of a page                the page's id in its store
 *
 * What recovery has written itself is no question. Syncs are free: nothing fails here, and nothing is in flight.
 */
import { assert } from "../../common/assert.ts";
import type { Disk, DiskFile, OpenMode } from "../../common/disk/disk.ts";
import { DiskFailure } from "../../common/errors.ts";
import type { DiskImage, FileImage } from "./disk-image.ts";
import { folderOf } from "./name-list.ts";
import type { PagePool } from "./page-pool.ts";
import { PAGE_BYTES } from "./page-store.ts";

export const ENTRY = -1;
export const NAMES = -2;
/** ENTRY's answers beside a size. */
export const ABSENT = -1;
export const FOLDER = -2;

/** `what`: ENTRY, NAMES, or the index of a page. */
export interface Question {
  readonly path: string;
  readonly what: number;
  readonly answer: number | string;
}

/** What the image answers. */
export function answerOf(image: DiskImage, path: string, what: number): number | string {
  if (what === NAMES) return image.names.in(path).join("\n");
  const file = image.fileAt(path);
  if (what === ENTRY) return file?.size ?? (image.has(path) ? FOLDER : ABSENT);
  return file?.pages[what]?.id ?? ABSENT;
}

/** A file while recovery runs. */
interface ScratchContent {
  size: number;
  /** Undefined: as in the image. */
  readonly own: (Uint8Array | undefined)[];
  readonly base: FileImage | undefined;
  readonly basePath: string;
  /** Pages of the base that have been asked for. */
  readonly asked: Set<number>;
  /** Pages of the base from here on do not show: the file has been cut. */
  baseEnd: number;
  readonly pool: PagePool;
}

type Entry = ScratchContent | "folder" | "absent";

export class ScratchDisk implements Disk {
  readonly questions: Question[] = [];
  readonly #image: DiskImage;
  readonly #later: (run: () => void) => void;
  /** Names looked at or changed. */
  readonly #entries = new Map<string, Entry>();
  readonly #listed = new Set<string>();

  readonly #pool: PagePool;

  /** `later` ends a background sync. The disk lives until `pool` is reset. */
  constructor(image: DiskImage, later: (run: () => void) => void, pool: PagePool) {
    this.#image = image;
    this.#later = later;
    this.#pool = pool;
  }

  open(path: string, mode: OpenMode): DiskFile {
    let entry = this.#entry(path);
    if (entry === "folder") throw new DiskFailure("open", path, "EISDIR");
    if (entry === "absent") {
      if (mode === "read" || mode === "update") throw new DiskFailure("open", path, "ENOENT");
      this.#needFolder("open", folderOf(path));
      entry = contentOf(path, undefined, this.#pool);
      this.#entries.set(path, entry);
    } else if (mode === "create") throw new DiskFailure("open", path, "EEXIST");
    return new ScratchFile(path, entry, mode, this.questions, this.#later);
  }

  exists(path: string): boolean {
    return this.#entry(path) !== "absent";
  }

  rename(from: string, to: string): void {
    const entry = this.#entry(from);
    if (typeof entry === "string") throw new DiskFailure("rename", from, entry === "absent" ? "ENOENT" : "EISDIR");
    this.#needFolder("rename", folderOf(to));
    this.#entries.set(from, "absent");
    this.#entries.set(to, entry);
  }

  remove(path: string): void {
    const entry = this.#entry(path);
    if (typeof entry === "string") throw new DiskFailure("remove", path, entry === "absent" ? "ENOENT" : "EISDIR");
    this.#entries.set(path, "absent");
  }

  list(folder: string): string[] {
    if (!this.#listed.has(folder)) {
      this.#listed.add(folder);
      const answer = answerOf(this.#image, folder, NAMES);
      this.questions.push({ path: folder, what: NAMES, answer });
    }
    const names = new Set(this.#image.names.in(folder));
    for (const [path, entry] of this.#entries) {
      if (path === "" || folderOf(path) !== folder) continue;
      const name = path.slice(folder === "" ? 0 : folder.length + 1);
      if (entry === "absent") names.delete(name);
      else names.add(name);
    }
    return [...names].sort();
  }

  makeDir(folder: string): void {
    const entry = this.#entry(folder);
    if (entry === "folder") return;
    if (entry !== "absent") throw new DiskFailure("mkdir", folder, "EEXIST");
    this.makeDir(folderOf(folder));
    this.#entries.set(folder, "folder");
  }

  syncDir(folder: string): void {
    this.#needFolder("fsync", folder);
  }

  lock(): () => void {
    return () => {};
  }

  #entry(path: string): Entry {
    let entry = this.#entries.get(path);
    if (entry === undefined) {
      const file = this.#image.fileAt(path);
      this.questions.push({ path, what: ENTRY, answer: answerOf(this.#image, path, ENTRY) });
      entry = file === undefined ? (this.#image.has(path) ? "folder" : "absent") : contentOf(path, file, this.#pool);
      this.#entries.set(path, entry);
    }
    return entry;
  }

  #needFolder(operation: string, folder: string): void {
    const entry = this.#entry(folder);
    if (entry === "folder") return;
    throw new DiskFailure(operation, folder, entry === "absent" ? "ENOENT" : "ENOTDIR");
  }
}

function contentOf(path: string, base: FileImage | undefined, pool: PagePool): ScratchContent {
  const baseEnd = base?.pages.length ?? 0;
  return { size: base?.size ?? 0, own: [], base, basePath: path, asked: new Set(), baseEnd, pool };
}

class ScratchFile implements DiskFile {
  readonly path: string;
  readonly #content: ScratchContent;
  readonly #mode: OpenMode;
  readonly #questions: Question[];
  readonly #later: (run: () => void) => void;

  constructor(
    path: string,
    content: ScratchContent,
    mode: OpenMode,
    questions: Question[],
    later: (run: () => void) => void,
  ) {
    this.path = path;
    this.#content = content;
    this.#mode = mode;
    this.#questions = questions;
    this.#later = later;
  }

  size(): number {
    return this.#content.size;
  }

  read(at: number, into: Uint8Array): number {
    const content = this.#content;
    const end = Math.min(at + into.length, content.size);
    for (let position = at; position < end; ) {
      const within = position % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, end - position);
      const bytes = this.#page((position - within) / PAGE_BYTES);
      if (bytes === undefined) into.fill(0, position - at, position - at + count);
      else if (count === PAGE_BYTES) into.set(bytes, position - at);
      else into.set(bytes.subarray(within, within + count), position - at);
      position += count;
    }
    return Math.max(0, end - at);
  }

  write(at: number, bytes: Uint8Array): void {
    this.#needWritable("EBADF");
    if (bytes.length === 0) return;
    const content = this.#content;
    if (at + bytes.length > content.size) this.truncate(at + bytes.length);
    for (let done = 0; done < bytes.length; ) {
      const within = (at + done) % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, bytes.length - done);
      const index = (at + done - within) / PAGE_BYTES;
      this.#ownPage(index, count === PAGE_BYTES).set(bytes.subarray(done, done + count), within);
      done += count;
    }
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    this.#later(() => done(undefined));
  }

  syncNow(): void {}

  truncate(size: number): void {
    this.#needWritable("EINVAL");
    const content = this.#content;
    if (size < content.size) {
      const kept = Math.ceil(size / PAGE_BYTES);
      if (size % PAGE_BYTES > 0) this.#ownPage(kept - 1, false).fill(0, size % PAGE_BYTES);
      content.own.length = Math.min(content.own.length, kept);
      content.baseEnd = Math.min(content.baseEnd, kept);
    }
    content.size = size;
  }

  close(): void {}

  /** The page's bytes; undefined: zeros. */
  #page(index: number): Uint8Array | undefined {
    const content = this.#content;
    const own = content.own[index];
    if (own !== undefined) return own;
    if (index >= content.baseEnd) return undefined;
    const page = content.base?.pages[index];
    assert(page !== undefined, "the image has the page");
    if (!content.asked.has(index)) {
      content.asked.add(index);
      this.#questions.push({ path: content.basePath, what: index, answer: page.id });
    }
    return page.bytes;
  }

  #ownPage(index: number, isWhole: boolean): Uint8Array {
    const content = this.#content;
    let own = content.own[index];
    if (own === undefined) {
      const before = isWhole ? undefined : this.#page(index);
      own = this.#content.pool.take();
      if (before !== undefined) own.set(before);
      else if (!isWhole) own.fill(0);
      while (content.own.length < index) content.own.push(undefined);
      content.own[index] = own;
    }
    return own;
  }

  #needWritable(code: string): void {
    if (this.#mode === "read") throw new DiskFailure(code === "EBADF" ? "write" : "truncate", this.path, code);
  }
}
