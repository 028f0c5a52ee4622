/**
 * Records every operation on another disk that changes something, so that the states a crash may leave can be rebuilt
 * from the record (compare/crash-states.ts) and shown (compare/trace.ts).
 *
 * A file keeps its number whatever it is renamed to. An operation is told after it was done; a sync twice, when it starts
 * and when it ends, because what was written in between is not covered by it (pitfall 22). An operation that failed is
 * not told: on a disk that fails, the failures are the disk's own (faulty-disk.ts).
 */
import type { DiskFailure } from "../errors.ts";
import type { Disk, DiskFile, OpenMode } from "./disk.ts";

/** One change. `file` is the number of a file, `path` its name at that moment. */
export type DiskOperation =
  | { readonly kind: "create"; readonly path: string; readonly file: number }
  | {
      readonly kind: "write";
      readonly path: string;
      readonly file: number;
      readonly at: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "truncate"; readonly path: string; readonly file: number; readonly size: number }
  | { readonly kind: "sync-start"; readonly path: string; readonly file: number; readonly sync: number }
  | { readonly kind: "sync-end"; readonly path: string; readonly file: number; readonly sync: number }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  /** A second name; engines make none, foreign programs do. */
  | { readonly kind: "link"; readonly path: string; readonly to: string }
  | { readonly kind: "remove"; readonly path: string }
  | { readonly kind: "make-dir"; readonly path: string }
  | { readonly kind: "sync-dir"; readonly path: string };

export class RecordingDisk implements Disk {
  readonly #disk: Disk;
  readonly #record: (operation: DiskOperation) => void;
  readonly #numbers = new Map<string, number>();
  #lastFile = 0;
  #lastSync = 0;

  constructor(disk: Disk, record: (operation: DiskOperation) => void) {
    this.#disk = disk;
    this.#record = record;
  }

  open(path: string, mode: OpenMode): DiskFile {
    const isNew = !this.#disk.exists(path);
    const file = this.#disk.open(path, mode);
    const number = this.#numberOf(path);
    if (isNew) this.#record({ kind: "create", path, file: number });
    return new RecordingFile(file, number, this.#record, () => ++this.#lastSync);
  }

  exists(path: string): boolean {
    return this.#disk.exists(path);
  }

  rename(from: string, to: string): void {
    this.#disk.rename(from, to);
    const number = this.#numberOf(from);
    this.#numbers.delete(from);
    this.#numbers.set(to, number);
    this.#record({ kind: "rename", path: from, to });
  }

  remove(path: string): void {
    this.#disk.remove(path);
    this.#numbers.delete(path);
    this.#record({ kind: "remove", path });
  }

  list(folder: string): string[] {
    return this.#disk.list(folder);
  }

  makeDir(folder: string): void {
    if (folder === "" || this.#disk.exists(folder)) return;
    const slash = folder.lastIndexOf("/");
    if (slash > 0) this.makeDir(folder.slice(0, slash));
    this.#disk.makeDir(folder);
    this.#record({ kind: "make-dir", path: folder });
  }

  syncDir(folder: string): void {
    this.#disk.syncDir(folder);
    this.#record({ kind: "sync-dir", path: folder });
  }

  lock(path: string): () => void {
    return this.#disk.lock(path);
  }

  #numberOf(path: string): number {
    const known = this.#numbers.get(path);
    if (known !== undefined) return known;
    this.#numbers.set(path, ++this.#lastFile);
    return this.#lastFile;
  }
}

class RecordingFile implements DiskFile {
  readonly path: string;
  readonly #file: DiskFile;
  readonly #number: number;
  readonly #record: (operation: DiskOperation) => void;
  readonly #nextSync: () => number;

  constructor(file: DiskFile, number: number, record: (operation: DiskOperation) => void, nextSync: () => number) {
    this.path = file.path;
    this.#file = file;
    this.#number = number;
    this.#record = record;
    this.#nextSync = nextSync;
  }

  size(): number {
    return this.#file.size();
  }

  read(at: number, into: Uint8Array): number {
    return this.#file.read(at, into);
  }

  write(at: number, bytes: Uint8Array): void {
    this.#file.write(at, bytes);
    // The caller reuses its buffer: the record needs a copy.
    if (bytes.length === 0) return;
    this.#record({ kind: "write", path: this.path, file: this.#number, at, bytes: new Uint8Array(bytes) });
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    const sync = this.#nextSync();
    this.#tellSync("sync-start", sync);
    this.#file.sync((failure) => {
      if (failure === undefined) this.#tellSync("sync-end", sync);
      done(failure);
    });
  }

  syncNow(): void {
    const sync = this.#nextSync();
    this.#tellSync("sync-start", sync);
    this.#file.syncNow();
    this.#tellSync("sync-end", sync);
  }

  truncate(size: number): void {
    this.#file.truncate(size);
    this.#record({ kind: "truncate", path: this.path, file: this.#number, size });
  }

  close(): void {
    this.#file.close();
  }

  #tellSync(kind: "sync-start" | "sync-end", sync: number): void {
    this.#record({ kind, path: this.path, file: this.#number, sync });
  }
}
