/**
 * A disk in memory that knows what a power loss would leave of it: fast, deterministic, and cheap to copy.
 *
 *     names    live  ──syncDir──▶ durable      (path → file; folders likewise)
 *     content  live  ──sync─────▶ durable      (per file: pages of 4 KiB and a size)
 *
 * Rules, the pessimistic reading of disk.ts:
 *   1. `write` changes live content only. `sync` captures the pages changed since the last capture when it *starts*, and
 *      makes them durable when it *ends*; of two syncs of one file the one that ends also completes those before it.
 *   2. `syncDir` makes the entries of that one folder durable as they are now. A file whose entry is durable and whose
 *      content never was is an empty file after a power loss; one whose entry is not does not exist (I8).
 *   3. An entry is reachable after a power loss only if every folder above it is durable too.
 *
 * Pages are copy-on-write: `clone`, `afterPowerLoss` and the captures of `sync` share them.
 */
import { assert } from "../assert.ts";
import { DiskFailure, UsageError } from "../errors.ts";
import type { Disk, DiskFile, OpenMode } from "./disk.ts";
import { type Page, PagedContent } from "./paged-content.ts";

/** Calls `complete` when a background sync has ended; the simulator decides when, and in which order. */
export type SyncScheduler = (complete: () => void) => void;

/** Without a scheduler a sync ends as soon as the running code has returned. */
const soon: SyncScheduler = (complete) => void Promise.resolve().then(complete);

/** What one sync will make durable. */
interface Capture {
  readonly size: number;
  readonly pages: ReadonlyMap<number, Page | undefined>;
}

/** A file, independent of its names and of who has it open. */
class Inode {
  readonly live: PagedContent;
  readonly durable: PagedContent;
  /** Captures whose sync has not ended, oldest first. */
  readonly #captures: Capture[] = [];

  constructor(live: PagedContent, durable: PagedContent) {
    this.live = live;
    this.durable = durable;
    live.noteDifferences(durable);
  }

  capture(): Capture {
    const capture = { size: this.live.size, pages: this.live.takeChanged() };
    this.#captures.push(capture);
    return capture;
  }

  /** The sync that took `capture` has ended. */
  complete(capture: Capture): void {
    const index = this.#captures.indexOf(capture);
    for (const done of this.#captures.splice(0, index + 1)) this.durable.adopt(done.size, done.pages);
  }
}

/** The names of one moment. A folder is an entry without an inode; "" is the data folder. */
type Names = Map<string, Inode | undefined>;

function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

export class MemoryDisk implements Disk {
  readonly #live: Names = new Map([["", undefined]]);
  readonly #durable: Names = new Map([["", undefined]]);
  readonly #locks = new Set<string>();
  readonly #schedule: SyncScheduler;
  readonly #wait: () => void;

  /** An empty disk. `wait` is called while a `syncNow` runs: the simulator lets time pass. */
  constructor(schedule: SyncScheduler = soon, wait: () => void = () => {}) {
    this.#schedule = schedule;
    this.#wait = wait;
  }

  /** A disk on which these files (undefined: a folder) are all there is, and durable. */
  static of(files: ReadonlyMap<string, PagedContent | undefined>, schedule: SyncScheduler = soon): MemoryDisk {
    const disk = new MemoryDisk(schedule);
    for (const [path, content] of files) disk.#live.set(path, content && new Inode(content.copy(), content.copy()));
    for (const [path, inode] of disk.#live) disk.#durable.set(path, inode);
    return disk;
  }

  /** Every path with its live content, as `of` takes it. */
  files(): Map<string, PagedContent | undefined> {
    return new Map([...this.#live].map(([path, inode]) => [path, inode?.live.copy()]));
  }

  open(path: string, mode: OpenMode): DiskFile {
    const inode = this.#live.get(path);
    if (this.#live.has(path) && inode === undefined) throw new DiskFailure("open", path, "EISDIR");
    if (inode !== undefined) {
      if (mode === "create") throw new DiskFailure("open", path, "EEXIST");
      return new MemoryFile(path, inode, mode, this.#schedule, this.#wait);
    }
    if (mode === "read" || mode === "update") throw new DiskFailure("open", path, "ENOENT");
    this.#needFolder("open", folderOf(path));
    const created = new Inode(new PagedContent(), new PagedContent());
    this.#live.set(path, created);
    return new MemoryFile(path, created, mode, this.#schedule, this.#wait);
  }

  exists(path: string): boolean {
    return this.#live.has(path);
  }

  rename(from: string, to: string): void {
    const inode = this.#live.get(from);
    if (inode === undefined) throw new DiskFailure("rename", from, this.#live.has(from) ? "EISDIR" : "ENOENT");
    this.#needFolder("rename", folderOf(to));
    this.#live.delete(from);
    this.#live.set(to, inode);
  }

  remove(path: string): void {
    if (this.#live.get(path) === undefined) {
      throw new DiskFailure("remove", path, this.#live.has(path) ? "EISDIR" : "ENOENT");
    }
    this.#live.delete(path);
  }

  list(folder: string): string[] {
    const names: string[] = [];
    for (const path of this.#live.keys()) {
      if (path !== "" && folderOf(path) === folder) names.push(path.slice(folder === "" ? 0 : folder.length + 1));
    }
    return names.sort();
  }

  makeDir(folder: string): void {
    if (this.#live.get(folder) !== undefined) throw new DiskFailure("mkdir", folder, "EEXIST");
    if (folder === "" || this.#live.has(folder)) return;
    this.makeDir(folderOf(folder));
    this.#live.set(folder, undefined);
  }

  syncDir(folder: string): void {
    this.#needFolder("fsync", folder);
    for (const path of this.#durable.keys()) {
      if (path !== "" && folderOf(path) === folder && !this.#live.has(path)) this.#durable.delete(path);
    }
    for (const [path, inode] of this.#live) {
      if (path !== "" && folderOf(path) === folder) this.#durable.set(path, inode);
    }
  }

  lock(path: string): () => void {
    if (this.#locks.has(path)) throw new UsageError(`the data folder is in use by this process (lock ${path})`);
    this.#locks.add(path);
    return () => this.#locks.delete(path);
  }

  /** A disk with the same live and durable state, unlocked, independent from here on. Background syncs stay behind. */
  clone(schedule: SyncScheduler = soon, wait: () => void = () => {}): MemoryDisk {
    const copies = new Map<Inode, Inode>();
    const copyOf = (inode: Inode): Inode => {
      const copy = copies.get(inode) ?? new Inode(inode.live.copy(), inode.durable.copy());
      copies.set(inode, copy);
      return copy;
    };
    const disk = new MemoryDisk(schedule, wait);
    for (const [path, inode] of this.#live) disk.#live.set(path, inode && copyOf(inode));
    for (const [path, inode] of this.#durable) disk.#durable.set(path, inode && copyOf(inode));
    return disk;
  }

  /** The disk after the power failed now: what was not made durable is gone. Everything on the new disk is durable. */
  afterPowerLoss(schedule: SyncScheduler = soon): MemoryDisk {
    const disk = new MemoryDisk(schedule);
    const reachable = (path: string): boolean => path === "" || (this.#durable.has(path) && reachable(folderOf(path)));
    for (const [path, inode] of this.#durable) {
      if (!reachable(path)) continue;
      disk.#durable.set(path, inode && new Inode(inode.durable.copy(), inode.durable.copy()));
    }
    for (const [path, inode] of disk.#durable) disk.#live.set(path, inode);
    return disk;
  }

  /** Every path, sorted, with its content (undefined: a folder): for comparing disks. */
  snapshot(): Map<string, Uint8Array | undefined> {
    const files = new Map<string, Uint8Array | undefined>();
    for (const path of [...this.#live.keys()].sort()) {
      const inode = this.#live.get(path);
      const bytes = inode && new Uint8Array(inode.live.size);
      if (inode !== undefined && bytes !== undefined) inode.live.read(0, bytes);
      if (path !== "") files.set(path, bytes);
    }
    return files;
  }

  #needFolder(operation: string, folder: string): void {
    if (!this.#live.has(folder)) throw new DiskFailure(operation, folder, "ENOENT");
    if (this.#live.get(folder) !== undefined) throw new DiskFailure(operation, folder, "ENOTDIR");
  }
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #inode: Inode;
  readonly #mode: OpenMode;
  readonly #schedule: SyncScheduler;
  readonly #wait: () => void;
  #closed = false;

  constructor(path: string, inode: Inode, mode: OpenMode, schedule: SyncScheduler, wait: () => void) {
    this.path = path;
    this.#inode = inode;
    this.#mode = mode;
    this.#schedule = schedule;
    this.#wait = wait;
  }

  size(): number {
    this.#assertOpen();
    return this.#inode.live.size;
  }

  read(at: number, into: Uint8Array): number {
    this.#assertOpen();
    return this.#inode.live.read(at, into);
  }

  write(at: number, bytes: Uint8Array): void {
    this.#assertWritable("write");
    this.#inode.live.write(at, bytes);
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    this.#assertOpen();
    const inode = this.#inode;
    const capture = inode.capture();
    this.#schedule(() => {
      inode.complete(capture);
      done(undefined);
    });
  }

  syncNow(): void {
    this.#assertOpen();
    const capture = this.#inode.capture();
    this.#wait();
    this.#inode.complete(capture);
  }

  truncate(size: number): void {
    this.#assertWritable("truncate");
    this.#inode.live.truncate(size);
  }

  close(): void {
    this.#assertOpen();
    this.#closed = true;
  }

  #assertOpen(): void {
    assert(!this.#closed, "a closed file is not used");
  }

  #assertWritable(operation: string): void {
    this.#assertOpen();
    if (this.#mode === "read") throw new DiskFailure(operation, this.path, operation === "write" ? "EBADF" : "EINVAL");
  }
}
