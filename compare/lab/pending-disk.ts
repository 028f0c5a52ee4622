/**
 * A disk in the middle of its work: what the operating system shows (live), what is on the medium for certain (durable),
 * and every change in between (pending). It follows a record, operation by operation; a persistence model (models/) says
 * which parts of what is pending a crash may leave.
 *
 * 1. A sync covers the changes of its file from before it *started* (pitfall 22), once it has *ended*.
 * 2. A change of names is durable when its folder has been synced (I8); a name is reachable when all folders above it are.
 * 3. A change keeps the file as it was before and after it: images share their pages, so history costs little.
 */
import { present } from "../../common/assert.ts";
import type { DiskOperation } from "../../common/disk/recording-disk.ts";
import { DiskImage, FileDraft, FileImage } from "./disk-image.ts";
import { folderOf, type NameList } from "./name-list.ts";
import type { PageStore } from "./page-store.ts";

type DataOperation = Extract<DiskOperation, { kind: "write" | "truncate" }>;
type NameOperation = Extract<DiskOperation, { kind: "create" | "link" | "rename" | "remove" | "make-dir" }>;

/** A change of a file's content or size that no sync has made durable. */
export interface PendingData {
  /** Its number among the operations that were applied, from 0. */
  readonly operation: number;
  readonly what: DataOperation;
  readonly before: FileImage;
  readonly after: FileImage;
}

/** A change of names that no sync of a folder has made durable. */
export interface PendingName {
  readonly operation: number;
  readonly what: NameOperation;
  /** What the new name means; undefined for a folder, and for a removal. */
  readonly file: PendingFile | undefined;
}

export interface PendingFile {
  live: FileImage;
  durable: FileImage;
  /** From `durable` to `live`, oldest first. */
  pending: PendingData[];
  /** How many changes were made durable before the first of `pending`. */
  durableCount: number;
  /** Syncs that have not ended: how many changes each covers. */
  readonly syncs: Map<number, number>;
  /** Counts what has happened to `pending` and `durable`. */
  version: number;
  /** The name it was made with, for messages. */
  readonly path: string;
}

/** Path → file, or undefined for a folder. */
export type Names = Map<string, PendingFile | undefined>;

/** The names of an image, and the file that each means; undefined: a folder. */
export interface Layout {
  readonly names: NameList;
  readonly files: readonly (PendingFile | undefined)[];
}

/** Makes a change of names in `names`, in which an earlier one may be missing. */
export function applyName(names: Names, change: PendingName): void {
  const { what, file } = change;
  if (what.kind === "create" || what.kind === "make-dir") names.set(what.path, file);
  else if (what.kind === "link") names.set(what.to, file);
  else if (what.kind === "remove") names.delete(what.path);
  else {
    if (file === undefined) moveFolder(names, what.path, what.to);
    names.delete(what.path);
    names.set(what.to, file);
  }
}

function moveFolder(names: Names, from: string, to: string): void {
  for (const [path, file] of [...names]) {
    if (!path.startsWith(`${from}/`)) continue;
    names.delete(path);
    names.set(to + path.slice(from.length), file);
  }
}

export class PendingDisk {
  readonly store: PageStore;
  readonly live: Names = new Map();
  readonly durable: Names = new Map();
  /** Oldest first. */
  pendingNames: PendingName[] = [];
  /** Count the changes of what is live, and of what is durable. */
  liveVersion = 0;
  durableVersion = 0;
  readonly #files = new Map<number, PendingFile>();
  #liveLayout: Layout | undefined;
  #durableLayout: Layout | undefined;
  #operations = 0;

  /** Starts on a disk on which everything is durable. */
  constructor(base: DiskImage) {
    this.store = base.store;
    for (const [path, image] of base.entries) {
      const file = image && newFile(path, image);
      this.live.set(path, file);
      this.durable.set(path, file);
    }
  }

  /** How many operations have been applied. */
  get operations(): number {
    return this.#operations;
  }

  /** The record's next operation was done. */
  apply(operation: DiskOperation): void {
    const number = this.#operations++;
    switch (operation.kind) {
      case "write":
      case "truncate":
        this.#change(number, this.fileOf(operation), operation);
        return;
      case "sync-start": {
        const file = this.fileOf(operation);
        file.syncs.set(operation.sync, file.durableCount + file.pending.length);
        return;
      }
      case "sync-end":
        this.#endSync(this.fileOf(operation), operation.sync);
        return;
      case "sync-dir":
        this.#syncFolder(operation.path);
        return;
      default:
        this.#rename(number, operation);
    }
  }

  /** The file that an operation changes; one that was there before the record began is found by its name. */
  fileOf(operation: { readonly file: number; readonly path: string }): PendingFile {
    const known = this.#files.get(operation.file);
    if (known !== undefined) return known;
    const file = present(this.live.get(operation.path), `the record tells the creation of ${operation.path}`);
    this.#files.set(operation.file, file);
    return file;
  }

  /** Every file that has a name now or for certain, or that a pending change of names gives one: once. */
  files(): PendingFile[] {
    const files = new Set<PendingFile>();
    for (const file of this.durable.values()) if (file !== undefined) files.add(file);
    for (const file of this.live.values()) if (file !== undefined) files.add(file);
    for (const { file } of this.pendingNames) if (file !== undefined) files.add(file);
    return [...files];
  }

  /** These names, as far as they are reachable. */
  layout(names: Names): Layout {
    const paths: string[] = [];
    const files: (PendingFile | undefined)[] = [];
    const reachable = (path: string): boolean => path === "" || (names.has(path) && reachable(folderOf(path)));
    for (const [path, file] of names) {
      if (!reachable(path)) continue;
      paths.push(path);
      files.push(file);
    }
    return { names: this.store.names.of(paths), files };
  }

  /** The disk with these names, and this content of each file. */
  imageOf({ names, files }: Layout, contentOf: (file: PendingFile) => FileImage): DiskImage {
    return new DiskImage(
      this.store,
      names,
      files.map((file) => file && contentOf(file)),
    );
  }

  /** What the operating system shows now. */
  liveImage(): DiskImage {
    return this.imageOf(this.liveLayout(), (file) => file.live);
  }

  liveLayout(): Layout {
    this.#liveLayout ??= this.layout(this.live);
    return this.#liveLayout;
  }

  /** What is on the medium for certain. */
  durableImage(): DiskImage {
    return this.imageOf(this.durableLayout(), (file) => file.durable);
  }

  durableLayout(): Layout {
    this.#durableLayout ??= this.layout(this.durable);
    return this.#durableLayout;
  }

  #change(number: number, file: PendingFile, what: DataOperation): void {
    const draft = new FileDraft(this.store, file.live);
    if (what.kind === "write") draft.write(what.at, what.bytes);
    else draft.truncate(what.size);
    const after = draft.done();
    file.pending.push({ operation: number, what, before: file.live, after });
    file.live = after;
    file.version++;
    this.liveVersion++;
  }

  #endSync(file: PendingFile, sync: number): void {
    const covered = present(file.syncs.get(sync), "a sync starts before it ends");
    file.syncs.delete(sync);
    const count = covered - file.durableCount;
    if (count <= 0) return;
    file.durable = present(file.pending.splice(0, count).at(-1), "what a sync covers").after;
    file.durableCount = covered;
    file.version++;
    this.durableVersion++;
  }

  #syncFolder(folder: string): void {
    for (const path of this.durable.keys()) {
      if (path !== "" && folderOf(path) === folder && !this.live.has(path)) this.durable.delete(path);
    }
    for (const [path, file] of this.live) {
      if (path !== "" && folderOf(path) === folder) this.durable.set(path, file);
    }
    this.pendingNames = this.pendingNames.filter(({ what }) => folderOf(newNameOf(what)) !== folder);
    this.#durableLayout = undefined;
    this.durableVersion++;
  }

  #rename(number: number, what: NameOperation): void {
    let file: PendingFile | undefined;
    if (what.kind === "create") {
      file = this.#files.get(what.file) ?? newFile(what.path, new FileImage(0, []));
      this.#files.set(what.file, file);
    } else if (what.kind === "link" || what.kind === "rename") file = this.live.get(what.path);
    const change = { operation: number, what, file };
    applyName(this.live, change);
    this.#liveLayout = undefined;
    this.pendingNames.push(change);
    this.liveVersion++;
  }
}

/** The name whose folder must be synced for the change to be durable. */
export function newNameOf(what: NameOperation): string {
  return what.kind === "rename" || what.kind === "link" ? what.to : what.path;
}

function newFile(path: string, image: FileImage): PendingFile {
  return { live: image, durable: image, pending: [], durableCount: 0, syncs: new Map(), version: 0, path };
}
