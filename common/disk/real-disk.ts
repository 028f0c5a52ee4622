/**
 * The operating system's disk: the only file of the program, besides compare, that imports node:fs.
 *
 * What the calls of disk.ts become:
 *
 *     write    pwrite, continued after a short write. A position is always given: two writers of one file never share
 *              an offset, and append mode (which ignores positions on Linux) is never used.
 *     sync     fdatasync. On Linux it also flushes the part of the inode that is needed to read the data back, the size
 *              above all, so it covers appends and truncations; it skips time stamps, which saves a journal commit per
 *              overwrite. On macOS libuv turns it into fcntl(F_FULLFSYNC), which reaches the platter where plain fsync
 *              stops in the drive's cache; expect it to be ten times slower there.
 *     syncDir  open the folder, fsync it, close it (I8). Windows cannot sync a folder (EPERM, EISDIR): NTFS journals its
 *              entries itself, and the call does nothing.
 *
 * A file that is closed while a background sync runs stays open until that sync has ended: otherwise the descriptor's
 * number could be given to another file while the thread pool still holds it.
 */
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { assert } from "../assert.ts";
import { DiskFailure, UsageError } from "../errors.ts";
import type { Disk, DiskFile, OpenMode } from "./disk.ts";

/** Node takes at most 2 GiB − 1 in one read or write. */
const TRANSFER_BYTES_MAX = 1 << 30;

const FLAGS: Readonly<Record<OpenMode, string>> = { read: "r", update: "r+", create: "wx+", ensure: "r+" };

function codeOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (typeof code !== "string") throw error;
  return code;
}

/** Runs one system call; what it throws becomes a DiskFailure. */
function attempt<T>(operation: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new DiskFailure(operation, path, codeOf(error));
  }
}

/** A folder of the operating system as the data folder. */
export class RealDisk implements Disk {
  readonly #root: string;

  /** Opens the data folder, making it (durably, parents included) when it is missing. */
  constructor(folder: string) {
    this.#root = resolve(folder);
    try {
      makeFolders(this.#root);
    } catch (error) {
      throw new UsageError(`cannot use the data folder ${this.#root}: ${codeOf(error)}`);
    }
  }

  open(path: string, mode: OpenMode): DiskFile {
    const full = join(this.#root, path);
    if (mode === "ensure") return new RealFile(path, full, openOrCreate(full));
    return new RealFile(
      path,
      full,
      attempt("open", full, () => openSync(full, FLAGS[mode], 0o644)),
    );
  }

  exists(path: string): boolean {
    return existsSync(join(this.#root, path));
  }

  rename(from: string, to: string): void {
    const full = join(this.#root, from);
    attempt("rename", full, () => renameSync(full, join(this.#root, to)));
  }

  remove(path: string): void {
    const full = join(this.#root, path);
    attempt("remove", full, () => unlinkSync(full));
  }

  list(folder: string): string[] {
    try {
      return readdirSync(join(this.#root, folder)).sort();
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOENT") return [];
      throw new DiskFailure("list", join(this.#root, folder), code);
    }
  }

  makeDir(folder: string): void {
    const full = join(this.#root, folder);
    attempt("mkdir", full, () => makeFolder(full));
  }

  syncDir(folder: string): void {
    const full = join(this.#root, folder);
    attempt("fsync", full, () => syncFolder(full));
  }

  lock(path: string): () => void {
    const full = join(this.#root, path);
    try {
      return takeLock(full);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError(`cannot lock the data folder: ${full}: ${codeOf(error)}`);
    }
  }
}

class RealFile implements DiskFile {
  readonly path: string;
  readonly #full: string;
  readonly #descriptor: number;
  /**
   * The descriptor of background syncs. Linux reports a failed write-back once per descriptor: with one for both, a
   * background sync could take the error away from a `syncNow` that runs before its callback (I6).
   */
  #backgroundDescriptor: number | undefined;
  #syncs = 0;
  #closed = false;

  constructor(path: string, full: string, descriptor: number) {
    this.path = path;
    this.#full = full;
    this.#descriptor = descriptor;
  }

  size(): number {
    this.#assertOpen();
    return attempt("stat", this.#full, () => fstatSync(this.#descriptor).size);
  }

  read(at: number, into: Uint8Array): number {
    this.#assertOpen();
    let count = 0;
    try {
      while (count < into.length) {
        const length = Math.min(into.length - count, TRANSFER_BYTES_MAX);
        const got = readSync(this.#descriptor, into, count, length, at + count);
        if (got === 0) break;
        count += got;
      }
    } catch (error) {
      throw new DiskFailure("read", this.#full, codeOf(error));
    }
    return count;
  }

  /** When it throws, a part of `bytes` may have been written: a torn tail, which every log reader must expect. */
  write(at: number, bytes: Uint8Array): void {
    this.#assertOpen();
    let count = 0;
    try {
      while (count < bytes.length) {
        const length = Math.min(bytes.length - count, TRANSFER_BYTES_MAX);
        count += writeSync(this.#descriptor, bytes, count, length, at + count);
      }
    } catch (error) {
      throw new DiskFailure("write", this.#full, codeOf(error));
    }
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    this.#assertOpen();
    this.#backgroundDescriptor ??= this.#openAgain();
    this.#syncs++;
    fdatasync(this.#backgroundDescriptor, (error) => {
      this.#syncs--;
      if (this.#closed && this.#syncs === 0) this.#closeDescriptors();
      done(error === null ? undefined : new DiskFailure("fsync", this.#full, codeOf(error)));
    });
  }

  syncNow(): void {
    this.#assertOpen();
    try {
      fdatasyncSync(this.#descriptor);
    } catch (error) {
      throw new DiskFailure("fsync", this.#full, codeOf(error));
    }
  }

  truncate(size: number): void {
    this.#assertOpen();
    attempt("truncate", this.#full, () => ftruncateSync(this.#descriptor, size));
  }

  close(): void {
    this.#assertOpen();
    this.#closed = true;
    if (this.#syncs === 0) attempt("close", this.#full, () => this.#closeDescriptors());
  }

  #openAgain(): number {
    const descriptor = attempt("open", this.#full, () => openSync(this.#full, "r+"));
    assert(fstatSync(descriptor).ino === fstatSync(this.#descriptor).ino, "a file keeps its name while it is open");
    return descriptor;
  }

  #closeDescriptors(): void {
    closeSync(this.#descriptor);
    if (this.#backgroundDescriptor !== undefined) closeSync(this.#backgroundDescriptor);
  }

  #assertOpen(): void {
    assert(!this.#closed, "a closed file is not used");
  }
}

/** O_CREAT without O_EXCL and O_TRUNC, which Node's flag words cannot say: open it, or make it, whichever works. */
function openOrCreate(full: string): number {
  for (;;) {
    try {
      return openSync(full, "r+");
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw new DiskFailure("open", full, codeOf(error));
    }
    try {
      return openSync(full, "wx+", 0o644);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw new DiskFailure("open", full, codeOf(error));
    }
  }
}

function syncFolder(full: string): void {
  if (process.platform === "win32") return;
  const descriptor = openSync(full, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Makes a folder and its missing parents, each entry synced in the folder that holds it (I8; crash point A8). One that is
 * there is synced too: a crash may have come between making and syncing it. If we may not read its parent, we did not make it.
 */
function makeFolders(full: string): void {
  if (existsSync(full)) {
    readdirSync(full);
    try {
      syncFolder(dirname(full));
    } catch (error) {
      if (codeOf(error) !== "EACCES") throw error;
    }
    return;
  }
  const parent = dirname(full);
  makeFolders(parent);
  makeFolder(full);
  syncFolder(parent);
}

/** Not `recursive`: that says ENOENT for a read-only file system, and never returns in /proc. */
function makeFolder(full: string): void {
  try {
    mkdirSync(full);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    readdirSync(full);
  }
}

/*
 * The lock of the data folder.
 *
 * The lock file names its holder: process id, the time that process started (ids are reused, the pair is not) and the id
 * of this boot. It is written under another name and then linked: the name appears at once and with its whole content.
 *
 * A lock whose holder is dead is replaced only by the process that holds the *claim* on it, which is a lock itself, named
 * after the dead holder. So of two servers that find the same stale lock one replaces it and the other meets a live claim,
 * or finds the lock changed; and a claim left by a crash is a stale lock like any other.
 *
 * A holder in another pid namespace cannot be seen: containers that share a data folder need the care of their owner.
 */

/** "pid start boot": who holds a lock. */
type Holder = string;

function readOr(path: string, missing: string): string {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    return missing;
  }
}

/**
 * When a process started, in clock ticks since boot: field 22 of /proc/PID/stat, counted behind the name's last ")". A
 * killed process that its parent has not collected yet (state Z) has ended: it holds nothing any more.
 */
function startOf(pid: number | "self"): string {
  const stat = readOr(`/proc/${pid}/stat`, "");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? "-" : (fields[19] ?? "-");
}

function bootId(): string {
  return readOr("/proc/sys/kernel/random/boot_id", "-");
}

function isAlive(holder: Holder): boolean {
  const [pidText = "", start = "-", boot = "-"] = holder.split(" ");
  const pid = Number(pidText);
  if (!Number.isInteger(pid) || pid <= 0 || boot !== bootId()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false;
  }
  return startOf(pid) === start;
}

function takeLock(full: string): () => void {
  const self: Holder = `${process.pid} ${startOf("self")} ${bootId()}`;
  for (;;) {
    if (linkHolder(full, self)) return () => releaseLock(full, self);
    const holder = readOr(full, "");
    if (holder === "" && !existsSync(full)) continue;
    const [pid = "?", start = ""] = holder.split(" ");
    if (isAlive(holder)) throw new UsageError(`the data folder is in use by process ${pid} (lock file ${full})`);

    const releaseClaim = takeLock(`${full}.after-${pid}-${start}`);
    try {
      if (readOr(full, "") === holder) unlinkSync(full);
    } finally {
      releaseClaim();
    }
  }
}

/** Makes the lock file, unless there is one. */
function linkHolder(full: string, self: Holder): boolean {
  const draft = `${full}.${process.pid}`;
  try {
    writeFileSync(draft, `${self}\n`);
    linkSync(draft, full);
    return true;
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    return false;
  } finally {
    if (existsSync(draft)) unlinkSync(draft);
  }
}

function releaseLock(full: string, self: Holder): void {
  if (readOr(full, "") === self) unlinkSync(full);
}
