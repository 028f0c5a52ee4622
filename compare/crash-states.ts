/**
 * The disks that a crash may leave, rebuilt from recorded operations. `CrashStates` follows the record; at any point it
 * gives, in ascending order of nastiness:
 *
 *     kill()        every call that returned survives: the page cache outlives a process
 *     killDuring()  likewise, and of the write in flight the first pages (4 KiB) survive
 *     power()       only what was synced survives, and only names whose folder was synced (I8)
 *     powerSome()   what was synced survives, and of the rest any part: whole writes, some of their 512-byte sectors, or
 *                   none, in any order; of unsynced names a prefix, because journaling file systems keep their order
 *
 * Fault model. A sync covers what was written to the file before it *started* (pitfall 22). Sectors are atomic: old or
 * new, never garbage. The size of a file follows the writes that survive. A sync that was told to have ended is honest.
 */
import { assert, present } from "../common/assert.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { PagedContent } from "../common/disk/paged-content.ts";
import type { DiskOperation } from "../common/disk/recording-disk.ts";
import type { SeededRandom } from "./random.ts";

const SECTOR_BYTES = 512;
const PAGE_BYTES = 4096;

type DataChange = Extract<DiskOperation, { kind: "write" | "truncate" }>;
type NameChange = Extract<DiskOperation, { kind: "create" | "rename" | "remove" | "make-dir" }>;

interface RecordedFile {
  readonly live: PagedContent;
  readonly durable: PagedContent;
  /** What is in `live` and not in `durable`, oldest first. */
  readonly pending: DataChange[];
  /** How many changes were made durable before the first of `pending`. */
  durableCount: number;
  /** Syncs that have not ended: how many changes each covers. */
  readonly syncs: Map<number, number>;
}

/** Path → file number, or undefined for a folder. */
type Names = Map<string, number | undefined>;

function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** The folder whose sync makes a change of names durable. */
function folderOfChange(change: NameChange): string {
  return folderOf(change.kind === "rename" ? change.to : change.path);
}

function applyData(content: PagedContent, change: DataChange): void {
  if (change.kind === "write") content.write(change.at, change.bytes);
  else content.truncate(change.size);
}

function applyName(names: Names, change: NameChange): void {
  if (change.kind === "create") names.set(change.path, change.file);
  else if (change.kind === "make-dir") names.set(change.path, undefined);
  else if (change.kind === "remove") names.delete(change.path);
  else {
    names.set(change.to, names.get(change.path));
    names.delete(change.path);
  }
}

export class CrashStates {
  readonly #files = new Map<number, RecordedFile>();
  readonly #live: Names = new Map([["", undefined]]);
  readonly #durable: Names = new Map([["", undefined]]);
  #pendingNames: NameChange[] = [];
  /** Counts the changes of what `kill()` gives, and of what `power()` gives: equal numbers, equal disks. */
  killVersion = 0;
  powerVersion = 0;

  /** Starts on an empty disk, or on one that recovery was given: everything on it is durable. */
  constructor(base?: MemoryDisk) {
    for (const [path, content] of base?.files() ?? []) {
      // The record numbers its files from 1: those that were there before get negative numbers.
      const number = content === undefined ? undefined : -1 - this.#files.size;
      if (content !== undefined && number !== undefined) {
        this.#files.set(number, { ...newFile(), live: content, durable: content.copy() });
      }
      this.#live.set(path, number);
      this.#durable.set(path, number);
    }
  }

  /** The record's next operation was done. */
  apply(operation: DiskOperation): void {
    switch (operation.kind) {
      case "write":
      case "truncate":
        applyData(this.#fileOf(operation).live, operation);
        this.#fileOf(operation).pending.push(operation);
        this.killVersion++;
        return;
      case "sync-start": {
        const file = this.#fileOf(operation);
        file.syncs.set(operation.sync, file.durableCount + file.pending.length);
        return;
      }
      case "sync-end":
        this.#endSync(this.#fileOf(operation), operation.sync);
        return;
      case "sync-dir":
        this.#syncFolder(operation.path);
        return;
      default:
        if (operation.kind === "create") this.#files.set(operation.file, newFile());
        applyName(this.#live, operation);
        this.#pendingNames.push(operation);
        this.killVersion++;
    }
  }

  kill(): MemoryDisk {
    return this.#disk(this.#live, (file) => file.live);
  }

  /** The states in which a write that has not been applied yet was torn at a page boundary, all of them. */
  killDuring(operation: DiskOperation): MemoryDisk[] {
    if (operation.kind !== "write") return [];
    const disks: MemoryDisk[] = [];
    const target = this.#fileOf(operation);
    const first = PAGE_BYTES - (operation.at % PAGE_BYTES);
    for (let length = first; length < operation.bytes.length; length += PAGE_BYTES) {
      disks.push(
        this.#disk(this.#live, (file) => {
          if (file !== target) return file.live;
          const torn = file.live.copy();
          torn.write(operation.at, operation.bytes.subarray(0, length));
          return torn;
        }),
      );
    }
    return disks;
  }

  power(): MemoryDisk {
    return this.#disk(this.#durable, (file) => file.durable);
  }

  powerSome(random: SeededRandom): MemoryDisk {
    const names: Names = new Map(this.#durable);
    for (const change of this.#pendingNames.slice(0, random.below(this.#pendingNames.length + 1))) {
      applyName(names, change);
    }
    return this.#disk(names, (file) => surviving(file, random));
  }

  #file(number: number): RecordedFile {
    return present(this.#files.get(number), "a name belongs to a file");
  }

  /** The file that an operation changes; one that was there before the record began is found by its name. */
  #fileOf(operation: { readonly file: number; readonly path: string }): RecordedFile {
    const known = this.#files.get(operation.file);
    if (known !== undefined) return known;
    const file = this.#file(present(this.#live.get(operation.path), "the record tells a file's creation"));
    this.#files.set(operation.file, file);
    return file;
  }

  #endSync(file: RecordedFile, sync: number): void {
    const covered = present(file.syncs.get(sync), "a sync starts before it ends");
    file.syncs.delete(sync);
    const count = covered - file.durableCount;
    if (count <= 0) return;
    for (const change of file.pending.splice(0, count)) applyData(file.durable, change);
    file.durableCount = covered;
    this.powerVersion++;
  }

  #syncFolder(folder: string): void {
    for (const path of this.#durable.keys()) {
      if (path !== "" && folderOf(path) === folder && !this.#live.has(path)) this.#durable.delete(path);
    }
    for (const [path, file] of this.#live) {
      if (path !== "" && folderOf(path) === folder) this.#durable.set(path, file);
    }
    this.#pendingNames = this.#pendingNames.filter((change) => folderOfChange(change) !== folder);
    this.powerVersion++;
  }

  #disk(names: Names, contentOf: (file: RecordedFile) => PagedContent): MemoryDisk {
    const reachable = (path: string): boolean => path === "" || (names.has(path) && reachable(folderOf(path)));
    const files = new Map<string, PagedContent | undefined>();
    for (const [path, number] of names) {
      if (reachable(path)) files.set(path, number === undefined ? undefined : contentOf(this.#file(number)));
    }
    return MemoryDisk.of(files);
  }
}

function newFile(): RecordedFile {
  return { live: new PagedContent(), durable: new PagedContent(), pending: [], durableCount: 0, syncs: new Map() };
}

/** A file of which some unsynced changes reached the disk. */
function surviving(file: RecordedFile, random: SeededRandom): PagedContent {
  const { pending } = file;
  const content = file.durable.copy();
  if (pending.length === 0) return content;
  const style = random.below(4);
  const prefix = random.below(pending.length + 1);
  for (let index = 0; index < pending.length; index++) {
    const change = pending[index] as DataChange;
    // A quarter each: nothing; a prefix whose last write is torn; any subset; any subset, each write possibly torn.
    if (style === 0 || (style === 1 && index > prefix) || (style >= 2 && random.oneIn(2))) continue;
    const torn = change.kind === "write" && (style === 1 ? index === prefix : style === 3 && random.oneIn(2));
    if (torn) writeSomeSectors(content, change, random);
    else applyData(content, change);
  }
  return content;
}

/** Writes some of the sectors that a write touches; sectors count from the start of the file. */
function writeSomeSectors(content: PagedContent, change: DataChange, random: SeededRandom): void {
  assert(change.kind === "write", "only a write can be torn");
  for (let done = 0; done < change.bytes.length; ) {
    const length = Math.min(SECTOR_BYTES - ((change.at + done) % SECTOR_BYTES), change.bytes.length - done);
    if (random.oneIn(2)) content.write(change.at + done, change.bytes.subarray(done, done + length));
    done += length;
  }
}
