/**
 * Which files the append-only file consists of while the server runs, and how a rewrite changes that.
 *
 *                    base      increments      history
 *     serving        b1        i1 i2                        i2 grows
 *     next           b1        i1 i2 i3                     i2 is sealed, i3 grows                commitNext
 *     new base       b2        i3              b1 i1 i2     b2 = b1 + i1 + i2                     commitBase
 *     serving        b2        i3                           history is removed                    commitHistory
 *
 * Each arrow is one manifest, prepared first and then committed. What fails before a commit has changed nothing that counts;
 * when a commit fails, nobody knows which manifest a power loss leaves, and the process must stop (I6).
 */
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { DiskFailure } from "../common/errors.ts";
import { createIncrement, pathOf, removeHistory } from "./aof-folder.ts";
import {
  type AofNames,
  baseName,
  commitManifest,
  incrementName,
  type Manifest,
  type ManifestEntry,
  prepareManifest,
  type Seal,
  temporaryPath,
} from "./aof-manifest.ts";
import type { BaseFile } from "./base-file.ts";

/** What the file system frees in about a millisecond. */
const SHRINK_BYTES = 4 * 1024 * 1024;

export class AofFiles {
  readonly #disk: Disk;
  readonly #names: AofNames;
  #current: Manifest;
  /** The manifest that was prepared. */
  #prepared: Manifest;
  /** Bytes of all files but the one that grows. */
  bytesBefore: number;
  /** Bytes of all files when the last rewrite ended; after a start, of the base. */
  bytesAtRewrite: number;

  constructor(disk: Disk, names: AofNames, files: readonly ManifestEntry[], bytesBefore: number, baseBytes: number) {
    this.#disk = disk;
    this.#names = names;
    this.#current = { files, history: [] };
    this.#prepared = this.#current;
    this.bytesBefore = bytesBefore;
    this.bytesAtRewrite = baseBytes;
  }

  /** The increment that grows, to be read. */
  openGrowing(): DiskFile {
    return this.#disk.open(pathOf(this.#names, this.#growing.name), "read");
  }

  /** Makes the next increment. The one that grows now is sealed. */
  prepareNext(seal: Seal): DiskFile {
    const growing = this.#growing;
    const sequence = growing.sequence + 1;
    const next: ManifestEntry = { name: incrementName(this.#names, sequence), sequence, type: "i" };
    const file = createIncrement(this.#disk, this.#names, next.name);
    const { files, history } = this.#current;
    try {
      this.#prepare({ files: [...files.slice(0, -1), { ...growing, seal }, next], history });
    } catch (error) {
      file.close();
      throw error;
    }
    return file;
  }

  commitNext(): void {
    const sealed = this.#prepared.files.at(-2)?.seal;
    this.#commit();
    this.bytesBefore += sealed?.bytes ?? 0;
  }

  /** Where a base is written until it is whole. */
  temporaryBase(format: "rdb" | "aof"): string {
    return temporaryPath(this.#names, baseName(this.#names, this.#nextBase, format));
  }

  /**
   * Gives a base that is on disk its name, durably, and prepares the manifest that names it. All else but the increment that
   * grows is history then.
   */
  prepareBase(base: BaseFile): void {
    const sequence = this.#nextBase;
    const name = baseName(this.#names, sequence, base.format);
    const path = pathOf(this.#names, name);
    this.#disk.rename(base.path, path);
    try {
      this.#disk.syncDir(this.#names.folder); // I8, and the manifest's rule 2
      const superseded = this.#current.files.slice(0, -1).map((entry) => ({ ...entry, type: "h" as const }));
      this.#prepare({
        files: [{ name, sequence, type: "b", seal: base.seal }, this.#growing],
        history: [...this.#current.history, ...superseded],
      });
    } catch (error) {
      this.forget(path); // no manifest names it, and there may be no room
      throw error;
    }
  }

  commitBase(growingBytes: number): void {
    this.#commit();
    this.bytesBefore = this.#current.files[0]?.seal?.bytes ?? 0;
    this.bytesAtRewrite = this.bytesBefore + growingBytes;
  }

  /** Cuts a piece off the history: freeing a large file at once takes long. False: nothing large is left of it. */
  shrinkHistory(): boolean {
    for (const { name } of this.#current.history) {
      const path = pathOf(this.#names, name);
      if (!this.#disk.exists(path)) continue;
      const file = this.#disk.open(path, "update");
      try {
        const size = file.size();
        if (size <= SHRINK_BYTES) continue;
        file.truncate(size - SHRINK_BYTES);
        return true;
      } finally {
        file.close();
      }
    }
    return false;
  }

  /** Removes the history, and prepares the manifest without it. */
  prepareHistory(): void {
    removeHistory(this.#disk, this.#names, this.#current.history);
    this.#prepare({ files: this.#current.files, history: [] });
  }

  commitHistory(): void {
    this.#commit();
  }

  /** Removes what a failed step has made. What cannot be removed now is removed at the next start. */
  forget(path: string): void {
    try {
      if (this.#disk.exists(path)) this.#disk.remove(path);
    } catch (error) {
      if (!(error instanceof DiskFailure)) throw error;
    }
  }

  get #growing(): ManifestEntry {
    return this.#current.files.at(-1)!;
  }

  /** The number of the next base: higher than any there is. */
  get #nextBase(): number {
    const bases = this.#current.files.filter(({ type }) => type === "b");
    return Math.max(0, ...bases.map(({ sequence }) => sequence)) + 1;
  }

  #prepare(manifest: Manifest): void {
    prepareManifest(this.#disk, this.#names, manifest);
    this.#prepared = manifest;
  }

  #commit(): void {
    commitManifest(this.#disk, this.#names);
    this.#current = this.#prepared;
  }
}
