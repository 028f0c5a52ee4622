/**
 * The disk as the engines see it. Paths are relative to the data folder, with "/" between names.
 *
 * Every call is synchronous except `sync`, which runs in the background. The contract, which the crash simulator takes
 * literally:
 *
 * - `write` hands bytes to the operating system: they survive the death of the process, not a power loss.
 * - `sync(done)` / `syncNow()` make the bytes *written before the call* (and the file's size) survive a power loss.
 *   Bytes written while a background sync runs are NOT covered by it (pitfall 22).
 * - a file created, renamed or removed counts only after `syncDir` of its folder (I8); so does a folder.
 * - every failure is a `DiskFailure` with the errno name. After a failed sync the state of the file is unknown (I6).
 */
import type { DiskFailure } from "../errors.ts";

/** `read`: must exist, read only. `update`: must exist. `create`: must not exist. `ensure`: created when missing. */
export type OpenMode = "read" | "update" | "create" | "ensure";

export interface Disk {
  open(path: string, mode: OpenMode): DiskFile;
  exists(path: string): boolean;
  /** Atomically replaces `to`. Durable after `syncDir` of the folder of `to`. */
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Names in a folder, sorted; empty when the folder does not exist. */
  list(folder: string): string[];
  /** Makes one folder; nothing happens when it is there. */
  makeDir(folder: string): void;
  /** Makes the entries of a folder durable. "" is the data folder itself. */
  syncDir(folder: string): void;
  /** Takes the data folder for this process, or throws `UsageError` naming the holder. Returns the release. */
  lock(path: string): () => void;
}

export interface DiskFile {
  readonly path: string;
  size(): number;
  /** Reads up to `into.length` bytes at offset `at`; returns how many there were (less only at the end of the file). */
  read(at: number, into: Uint8Array): number;
  /** Writes all bytes at offset `at` (short writes are continued); a hole before `at` reads as zeros. */
  write(at: number, bytes: Uint8Array): void;
  /** Syncs in the background; `done` is called in a later event-loop turn, with the failure if there was one. */
  sync(done: (failure: DiskFailure | undefined) => void): void;
  /** Syncs and waits. */
  syncNow(): void;
  truncate(size: number): void;
  close(): void;
}
