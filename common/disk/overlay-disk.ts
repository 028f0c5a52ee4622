/**
 * A disk over another one: everything is read from below, and every change stays in memory. So a folder can be recovered,
 * checked or served without touching it, and without copying it: memory grows with what is changed only.
 *
 * The disk below must not change meanwhile. Nothing here is ever durable, so syncs have nothing to do.
 */
import { DiskFailure } from "../errors.ts";
import type { Disk, DiskFile, OpenMode } from "./disk.ts";

const PAGE_BYTES = 4096;

/** The bytes of one file: the file below as far as it still counts, and changed pages over it. */
class OverlayContent {
  readonly below: DiskFile | undefined;
  /** Bytes of the file below that still show where no page lies over them. */
  #shown: number;
  #size: number;
  readonly #pages = new Map<number, Uint8Array>();

  constructor(below: DiskFile | undefined) {
    this.below = below;
    this.#size = below?.size() ?? 0;
    this.#shown = this.#size;
  }

  get size(): number {
    return this.#size;
  }

  read(at: number, into: Uint8Array): number {
    const count = Math.max(0, Math.min(into.length, this.#size - at));
    const shown = Math.max(0, Math.min(count, this.#shown - at));
    if (shown > 0) this.below!.read(at, into.subarray(0, shown));
    into.fill(0, shown, count);
    if (this.#pages.size === 0) return count;
    for (let position = at; position < at + count; ) {
      const within = position % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - within, at + count - position);
      const page = this.#pages.get((position - within) / PAGE_BYTES);
      if (page !== undefined) into.set(page.subarray(within, within + length), position - at);
      position += length;
    }
    return count;
  }

  write(at: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    for (let done = 0; done < bytes.length; ) {
      const within = (at + done) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - within, bytes.length - done);
      this.#page((at + done - within) / PAGE_BYTES).set(bytes.subarray(done, done + length), within);
      done += length;
    }
    this.#size = Math.max(this.#size, at + bytes.length);
  }

  /** The page with this index, as it reads now, ready to be changed. */
  #page(index: number): Uint8Array {
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint8Array(PAGE_BYTES);
      this.read(index * PAGE_BYTES, page);
      this.#pages.set(index, page);
    }
    return page;
  }

  truncate(size: number): void {
    if (size < this.#size) {
      for (const [index, page] of this.#pages) {
        const start = index * PAGE_BYTES;
        if (start >= size) this.#pages.delete(index);
        else if (start + PAGE_BYTES > size) page.fill(0, size - start);
      }
      this.#shown = Math.min(this.#shown, size);
    }
    this.#size = size;
  }
}

function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

export class OverlayDisk implements Disk {
  readonly #below: Disk;
  /** Files that were opened or made here; undefined: the file below is removed here. */
  readonly #files = new Map<string, OverlayContent | undefined>();
  readonly #folders = new Set<string>([""]);
  #closed = false;

  constructor(below: Disk) {
    this.#below = below;
  }

  open(path: string, mode: OpenMode): DiskFile {
    if (this.#folders.has(path)) throw new DiskFailure("open", path, "EISDIR");
    const exists = this.exists(path);
    if (exists && mode === "create") throw new DiskFailure("open", path, "EEXIST");
    if (!exists && (mode === "read" || mode === "update")) throw new DiskFailure("open", path, "ENOENT");
    if (!exists) this.#needFolder("open", folderOf(path));
    return new OverlayFile(path, this.#contentOf(path, exists), mode, this);
  }

  #contentOf(path: string, exists: boolean): OverlayContent {
    let content = this.#files.get(path);
    if (content === undefined) {
      content = new OverlayContent(exists ? this.#below.open(path, "read") : undefined);
      this.#files.set(path, content);
    }
    return content;
  }

  #needFolder(operation: string, folder: string): void {
    if (!this.exists(folder)) throw new DiskFailure(operation, folder, "ENOENT");
  }

  exists(path: string): boolean {
    if (this.#files.has(path)) return this.#files.get(path) !== undefined;
    return this.#folders.has(path) || this.#below.exists(path);
  }

  rename(from: string, to: string): void {
    if (!this.exists(from)) throw new DiskFailure("rename", from, "ENOENT");
    this.#needFolder("rename", folderOf(to));
    const content = this.#contentOf(from, true);
    this.#files.set(from, undefined);
    this.#files.set(to, content);
  }

  remove(path: string): void {
    if (!this.exists(path)) throw new DiskFailure("remove", path, "ENOENT");
    this.#files.set(path, undefined);
  }

  list(folder: string): string[] {
    const names = new Set(this.#below.list(folder));
    const nameIn = (path: string) => path.slice(folder === "" ? 0 : folder.length + 1);
    for (const made of this.#folders) if (made !== "" && folderOf(made) === folder) names.add(nameIn(made));
    for (const [path, content] of this.#files) {
      if (folderOf(path) !== folder) continue;
      if (content === undefined) names.delete(nameIn(path));
      else names.add(nameIn(path));
    }
    return [...names].sort();
  }

  makeDir(folder: string): void {
    if (this.exists(folder)) return;
    this.makeDir(folderOf(folder));
    this.#folders.add(folder);
  }

  syncDir(folder: string): void {
    this.#needFolder("fsync", folder);
  }

  lock(path: string): () => void {
    return this.#below.lock(path);
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Closes the files below. Nothing of this disk may be used afterwards; who waits for a sync is not answered any more. */
  close(): void {
    this.#closed = true;
    for (const content of this.#files.values()) content?.below?.close();
    this.#files.clear();
  }
}

class OverlayFile implements DiskFile {
  readonly path: string;
  readonly #content: OverlayContent;
  readonly #mode: OpenMode;
  readonly #disk: OverlayDisk;

  constructor(path: string, content: OverlayContent, mode: OpenMode, disk: OverlayDisk) {
    this.path = path;
    this.#disk = disk;
    this.#content = content;
    this.#mode = mode;
  }

  size(): number {
    return this.#content.size;
  }
  read(at: number, into: Uint8Array): number {
    return this.#content.read(at, into);
  }
  write(at: number, bytes: Uint8Array): void {
    if (this.#mode === "read") throw new DiskFailure("write", this.path, "EBADF");
    this.#content.write(at, bytes);
  }
  sync(done: (failure: DiskFailure | undefined) => void): void {
    void Promise.resolve().then(() => {
      if (!this.#disk.isClosed) done(undefined);
    });
  }
  syncNow(): void {}
  truncate(size: number): void {
    if (this.#mode === "read") throw new DiskFailure("truncate", this.path, "EINVAL");
    this.#content.truncate(size);
  }
  /** The file below stays open for those who open this one again. */
  close(): void {}
}
