/**
 * A disk that fails on demand: the n-th call that a rule describes ends with EIO, ENOSPC, half of the bytes written, or
 * late. Everything else goes to the disk underneath.
 *
 * A failing write may have written a part: `written` of its bytes reach the disk before it throws, as with a full disk.
 * After a failed sync the state of the data is unknown (I6): here it was not made durable, and the next sync succeeds, which
 * is what tempts a program into pitfall 39.
 */
import { DiskFailure } from "../errors.ts";
import type { Disk, DiskFile, OpenMode } from "./disk.ts";

export type FaultyCall =
  | "open"
  | "read"
  | "write"
  | "sync"
  | "truncate"
  | "rename"
  | "remove"
  | "make-dir"
  | "sync-dir";

export interface Fault {
  readonly call: FaultyCall;
  /** Only on paths for which this is true; left out: on every path. */
  readonly path?: (path: string) => boolean;
  /** The first matching call that is hit, counted from 1; it and the `times - 1` after it. */
  readonly nth: number;
  /** 1 when left out. */
  readonly times?: number;
  /** The errno name. Left out: the call succeeds, after `slow`. */
  readonly code?: string;
  /** For "write": how many of the bytes are written before the failure, or what says it of a write to a file of `size` bytes. */
  readonly written?: number | ((at: number, length: number, size: number) => number);
  /** For a background "sync": is given its end, and calls it later. */
  readonly slow?: (end: () => void) => void;
}

function soon(run: () => void): void {
  void Promise.resolve().then(run);
}

/** Counts the calls and says which rule hits. */
class Faults {
  readonly #rules: { readonly fault: Fault; seen: number }[];

  constructor(faults: readonly Fault[]) {
    this.#rules = faults.map((fault) => ({ fault, seen: 0 }));
  }

  hit(call: FaultyCall, path: string): Fault | undefined {
    let found: Fault | undefined;
    for (const rule of this.#rules) {
      const { fault } = rule;
      if (fault.call !== call || fault.path?.(path) === false) continue;
      rule.seen++;
      if (rule.seen >= fault.nth && rule.seen < fault.nth + (fault.times ?? 1)) found ??= fault;
    }
    return found;
  }

  /** Throws when a rule with an error hits. */
  check(call: FaultyCall, path: string): void {
    const fault = this.hit(call, path);
    if (fault?.code !== undefined) throw new DiskFailure(call, path, fault.code);
  }
}

export class FaultyDisk implements Disk {
  readonly #disk: Disk;
  readonly #faults: Faults;
  readonly #later: (run: () => void) => void;

  /** `later` ends a background sync that fails; without it, that is as soon as the running code has returned. */
  constructor(disk: Disk, faults: readonly Fault[], later: (run: () => void) => void = soon) {
    this.#disk = disk;
    this.#faults = new Faults(faults);
    this.#later = later;
  }

  open(path: string, mode: OpenMode): DiskFile {
    this.#faults.check("open", path);
    return new FaultyFile(this.#disk.open(path, mode), this.#faults, this.#later);
  }

  exists(path: string): boolean {
    return this.#disk.exists(path);
  }

  rename(from: string, to: string): void {
    this.#faults.check("rename", from);
    this.#disk.rename(from, to);
  }

  remove(path: string): void {
    this.#faults.check("remove", path);
    this.#disk.remove(path);
  }

  list(folder: string): string[] {
    return this.#disk.list(folder);
  }

  makeDir(folder: string): void {
    this.#faults.check("make-dir", folder);
    this.#disk.makeDir(folder);
  }

  syncDir(folder: string): void {
    this.#faults.check("sync-dir", folder);
    this.#disk.syncDir(folder);
  }

  lock(path: string): () => void {
    return this.#disk.lock(path);
  }
}

class FaultyFile implements DiskFile {
  readonly path: string;
  readonly #file: DiskFile;
  readonly #faults: Faults;
  readonly #later: (run: () => void) => void;

  constructor(file: DiskFile, faults: Faults, later: (run: () => void) => void) {
    this.path = file.path;
    this.#file = file;
    this.#faults = faults;
    this.#later = later;
  }

  size(): number {
    return this.#file.size();
  }

  read(at: number, into: Uint8Array): number {
    this.#faults.check("read", this.path);
    return this.#file.read(at, into);
  }

  write(at: number, bytes: Uint8Array): void {
    const fault = this.#faults.hit("write", this.path);
    if (fault?.code === undefined) {
      this.#file.write(at, bytes);
      return;
    }
    const { written = 0 } = fault;
    const part = typeof written === "number" ? written : written(at, bytes.length, this.#file.size());
    this.#file.write(at, bytes.subarray(0, part));
    throw new DiskFailure("write", this.path, fault.code);
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    const fault = this.#faults.hit("sync", this.path);
    const code = fault?.code;
    const end = (failure: DiskFailure | undefined): void => {
      if (fault?.slow !== undefined) fault.slow(() => done(failure));
      else done(failure);
    };
    if (code === undefined) this.#file.sync(end);
    else this.#later(() => end(new DiskFailure("sync", this.path, code)));
  }

  syncNow(): void {
    this.#faults.check("sync", this.path);
    this.#file.syncNow();
  }

  truncate(size: number): void {
    this.#faults.check("truncate", this.path);
    this.#file.truncate(size);
  }

  close(): void {
    this.#file.close();
  }
}
