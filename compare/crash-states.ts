/**
 * The disks that a crash may leave, rebuilt from recorded operations. `CrashStates` follows the record; at any point it
 * gives, in ascending order of nastiness:
 *
 *     kill()        every call that returned survives: the page cache outlives a process
 *     killDuring()  likewise, and of the write in flight the first pages (4 KiB) survive
 *     power()       only what was synced survives, and only names whose folder was synced (I8)
 *     powerSome()   what was synced survives, and a part of the rest. Of unsynced names a prefix, because journaling file
 *                   systems keep their order. Of unsynced data, "in order", as ext4 does by default: what made a file
 *                   longer survives up to some sector, because the size is journaled after the data; what overwrote
 *                   something, any sectors of it. Or "any order": any sectors of any write (XFS after a crash may show
 *                   zeros before newer data)
 *
 * Fault model. A sync covers what was written to the file before it *started* (pitfall 22). Sectors are atomic: old or
 * new, never garbage. The size of a file follows the writes that survive. A sync that was told to have ended is honest.
 */
import { present } from "../common/assert.ts";
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

  powerSome(random: SeededRandom, order: "in order" | "any order"): MemoryDisk {
    const names: Names = new Map(this.#durable);
    for (const change of this.#pendingNames.slice(0, random.below(this.#pendingNames.length + 1))) {
      applyName(names, change);
    }
    return this.#disk(names, (file) =>
      order === "in order" ? survivingInOrder(file, random) : survivingInAnyOrder(file, random),
    );
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

/** A file that grew, if it did, from its durable end on without a gap, and in which any overwritten sectors are new. */
function survivingInOrder(file: RecordedFile, random: SeededRandom): PagedContent {
  const { pending } = file;
  const content = file.durable.copy();
  const prefix = random.below(pending.length + 1);
  for (let index = 0; index < pending.length; index++) {
    const change = pending[index] as DataChange;
    if (change.kind === "truncate" || change.at + change.bytes.length > content.size) {
      if (index < prefix) applyData(content, change);
      else if (index === prefix && change.kind === "write") writeFirstSectors(content, change, random);
    } else if (!random.oneIn(3)) {
      if (random.oneIn(2)) applyData(content, change);
      else writeSomeSectors(content, change, random);
    }
  }
  return content;
}

/** A file of which any unsynced changes reached the disk. */
function survivingInAnyOrder(file: RecordedFile, random: SeededRandom): PagedContent {
  const { pending } = file;
  const content = file.durable.copy();
  if (pending.length === 0) return content;
  const isTorn = random.oneIn(2);
  for (const change of pending) {
    if (random.oneIn(2)) continue;
    if (isTorn && change.kind === "write" && random.oneIn(2)) writeSomeSectors(content, change, random);
    else applyData(content, change);
  }
  return content;
}

/** Writes the start of a write, up to the end of some sector. */
function writeFirstSectors(
  content: PagedContent,
  change: Extract<DataChange, { kind: "write" }>,
  random: SeededRandom,
): void {
  const first = SECTOR_BYTES - (change.at % SECTOR_BYTES);
  const sectors = Math.ceil((change.bytes.length - first) / SECTOR_BYTES);
  if (sectors > 0) content.write(change.at, change.bytes.subarray(0, first + SECTOR_BYTES * random.below(sectors)));
}

/** Writes some of the sectors that a write touches; sectors count from the start of the file. */
function writeSomeSectors(
  content: PagedContent,
  change: Extract<DataChange, { kind: "write" }>,
  random: SeededRandom,
): void {
  for (let done = 0; done < change.bytes.length; ) {
    const length = Math.min(SECTOR_BYTES - ((change.at + done) % SECTOR_BYTES), change.bytes.length - done);
    if (random.oneIn(2)) content.write(change.at + done, change.bytes.subarray(done, done + length));
    done += length;
  }
}
