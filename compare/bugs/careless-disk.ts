/**
 * A disk with bad habits: most bugs of a storage engine show as one call that is left out, done in part, done too early or
 * answered wrongly. A habit replaces one kind of call; it gets what the engine asked for and the honest file or disk underneath.
 *
 *     engine ──▶ CarelessDisk ──▶ the recorded disk          so the record has what was really done
 */
import type { Disk, DiskFile, OpenMode } from "../../common/disk/disk.ts";
import type { DiskFailure } from "../../common/errors.ts";

type Synced = (failure: DiskFailure | undefined) => void;

/** What the disk does instead. */
export interface Habits {
  open?(path: string, mode: OpenMode, disk: Disk): DiskFile;
  rename?(from: string, to: string, disk: Disk): void;
  syncDir?(folder: string, disk: Disk): void;
  read?(file: DiskFile, at: number, into: Uint8Array): number;
  write?(file: DiskFile, at: number, bytes: Uint8Array): void;
  /** In the background. */
  sync?(file: DiskFile, done: Synced): void;
  syncNow?(file: DiskFile): void;
  truncate?(file: DiskFile, size: number): void;
  size?(file: DiskFile): number;
}

export class CarelessDisk implements Disk {
  readonly #disk: Disk;
  readonly #habits: Habits;

  constructor(disk: Disk, habits: Habits) {
    this.#disk = disk;
    this.#habits = habits;
  }

  open(path: string, mode: OpenMode): DiskFile {
    const file = this.#habits.open?.(path, mode, this.#disk) ?? this.#disk.open(path, mode);
    return new CarelessFile(file, this.#habits);
  }
  exists(path: string): boolean {
    return this.#disk.exists(path);
  }
  rename(from: string, to: string): void {
    if (this.#habits.rename === undefined) this.#disk.rename(from, to);
    else this.#habits.rename(from, to, this.#disk);
  }
  remove(path: string): void {
    this.#disk.remove(path);
  }
  list(folder: string): string[] {
    return this.#disk.list(folder);
  }
  makeDir(folder: string): void {
    this.#disk.makeDir(folder);
  }
  syncDir(folder: string): void {
    if (this.#habits.syncDir === undefined) this.#disk.syncDir(folder);
    else this.#habits.syncDir(folder, this.#disk);
  }
  lock(path: string): () => void {
    return this.#disk.lock(path);
  }
}

class CarelessFile implements DiskFile {
  readonly path: string;
  readonly #file: DiskFile;
  readonly #habits: Habits;

  constructor(file: DiskFile, habits: Habits) {
    this.path = file.path;
    this.#file = file;
    this.#habits = habits;
  }

  size(): number {
    return this.#habits.size?.(this.#file) ?? this.#file.size();
  }
  read(at: number, into: Uint8Array): number {
    return this.#habits.read?.(this.#file, at, into) ?? this.#file.read(at, into);
  }
  write(at: number, bytes: Uint8Array): void {
    if (this.#habits.write === undefined) this.#file.write(at, bytes);
    else this.#habits.write(this.#file, at, bytes);
  }
  sync(done: Synced): void {
    if (this.#habits.sync === undefined) this.#file.sync(done);
    else this.#habits.sync(this.#file, done);
  }
  syncNow(): void {
    if (this.#habits.syncNow === undefined) this.#file.syncNow();
    else this.#habits.syncNow(this.#file);
  }
  truncate(size: number): void {
    if (this.#habits.truncate === undefined) this.#file.truncate(size);
    else this.#habits.truncate(this.#file, size);
  }
  close(): void {
    this.#file.close();
  }
}
