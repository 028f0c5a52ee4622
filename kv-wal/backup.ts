/**
 * An online backup: a copy of the tablespace as it was at one moment, while the server goes on writing.
 *
 *     begin    dirty pages are written in small batches, until few are left; then, as soon as no transaction is undecided, the
 *              rest of them, and a checkpoint: the tablespace file is the whole state now. The place in the binlog is noted
 *     copy     the file's pages in order, some in every idle call. A page that is about to be overwritten, or cut off, before
 *              it was copied is copied first (`SpaceObserver`): the copy is of the moment of `begin`, whatever comes
 *     end      the copy is synced; an empty redo log with the checkpoint is made beside it, and an empty binlog; the manifest
 *              `backup.json` comes last, and a folder without it is no backup (I8)
 *
 * So there is no redo to copy and nothing to lock, other than with InnoDB's backup tools, which see the files only from outside:
 * the price is that a page is read again before it is overwritten the first time. Transactions that were not over at that
 * moment are in the copy with their undo: recovery of the copy rolls them back, as after a crash. The backup is a complete data
 * folder: a server could be started on it; `restore.ts` copies it and applies the binlog from the noted place on.
 *
 * A failure of the backup's disk ends the backup and nothing else.
 */
import { assert, present } from "../common/assert.ts";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { CorruptFile, DiskFailure } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { createBinlogFile, writeBinlogIndex } from "./binlog/binlog-files.ts";
import type { BinlogPlace } from "./binlog/transactions.ts";
import { readU48, wordsOf } from "./bytes-view.ts";
import type { Checkpoint } from "./checkpoint-slot.ts";
import { BATCH_PAGES, DOUBLEWRITE_PATH } from "./doublewrite.ts";
import type { GroupCommit } from "./group-commit.ts";
import { PAGE_LSN_AT, PAGE_SIZE } from "./page.ts";
import { createRing, type RedoSizes, WAL_FOLDER } from "./redo-files.ts";
import type { Storage } from "./storage.ts";
import { pageState, SPACE_PATH, type SpaceObserver } from "./tablespace.ts";

export const MANIFEST_PATH = "backup.json";
const MANIFEST_VERSION = 1;
/** Pages read at once. */
const RUN_PAGES = 16;

export interface BackupManifest {
  readonly version: number;
  /** The moment of the copy. */
  readonly time: string;
  readonly lsn: number;
  /** What the binlog has from here on is not in the backup. */
  readonly binlog: BinlogPlace;
  /** The data folder it was made of, as its server called it. */
  readonly source: string;
}

type Phase = "none" | "cleaning" | "waiting" | "copying" | "syncing" | "done" | "failed";

export class Backup implements SpaceObserver {
  readonly #host: Host;
  readonly #storage: Storage;
  readonly #commits: GroupCommit;
  readonly #sizes: RedoSizes;
  /** Made by the first backup: most engines make none. */
  #run: Buffer | undefined;
  #disk: Disk | undefined;
  #file: DiskFile | undefined;
  #source = "";
  #phase: Phase = "none";
  #batchesLeft = 0;
  #pages = 0;
  /** Pages before this one are copied, and so are those in the set. */
  #copiedTo = 0;
  readonly #copiedEarly = new Set<number>();
  #manifest: BackupManifest | undefined;
  /** Why the last one failed. */
  problem = "";

  constructor(host: Host, storage: Storage, commits: GroupCommit, sizes: RedoSizes) {
    this.#host = host;
    this.#storage = storage;
    this.#commits = commits;
    this.#sizes = sizes;
  }

  get isRunning(): boolean {
    return this.#phase !== "none" && this.#phase !== "done" && this.#phase !== "failed";
  }
  get status(): string {
    return this.#phase;
  }
  get pages(): number {
    return this.#pages;
  }
  get pagesCopied(): number {
    return this.#copiedTo;
  }

  /** Begins a backup into an empty folder. `source` is what the manifest calls the data folder. */
  start(disk: Disk, source: string): void {
    assert(!this.isRunning, "backup: one at a time");
    this.#disk = disk;
    this.#source = source;
    this.#pages = 0;
    this.#copiedTo = 0;
    this.#copiedEarly.clear();
    this.problem = "";
    this.#phase = "cleaning";
    // Whoever writes makes pages dirty again: not for ever.
    this.#batchesLeft = Math.ceil((2 * this.#storage.pool.dirtyCount) / BATCH_PAGES);
  }

  /** A part of the work, until `end` on the monotonic clock; something in any case. */
  idle(end: number): void {
    if (this.#phase === "cleaning") this.#clean(end);
    else if (this.#phase === "copying") {
      this.#attempt(() => {
        do this.#copyRun();
        while (this.#copiedTo < this.#pages && this.#host.clock.monotonic() < end);
        if (this.#copiedTo === this.#pages) this.#sync();
      });
    }
  }

  #clean(end: number): void {
    const { pool, cleaner } = this.#storage;
    while (pool.dirtyCount > BATCH_PAGES && this.#batchesLeft > 0) {
      this.#batchesLeft--;
      cleaner.writeFrames(pool.oldestDirty(BATCH_PAGES, Number.POSITIVE_INFINITY));
      if (this.#host.clock.monotonic() >= end) return;
    }
    this.#phase = "waiting";
    this.#commits.whenQuiet(() => {
      // Not if the server closes meanwhile.
      if (this.#phase === "waiting") this.#begin();
    });
  }

  /** The moment of the copy. */
  #begin(): void {
    const { cleaner, binlog, redo, space } = this.#storage;
    assert(this.#commits.undecided === 0, "backup: no transaction is half way between engine and binlog");
    binlog.syncNow();
    cleaner.cleanAll();
    const position = binlog.log.durable;
    binlog.keptFrom = binlog.number;
    this.#pages = space.pages;
    this.#manifest = {
      version: MANIFEST_VERSION,
      time: new Date(this.#host.clock.now()).toISOString(),
      lsn: redo.checkpoint.lsn,
      binlog: { file: binlog.number, position },
      source: this.#source,
    };
    assert(redo.checkpoint.lsn === redo.log.appended, "backup: the checkpoint is the end of the log");
    this.#phase = "copying";
    this.#attempt(() => {
      const disk = present(this.#disk, "backup: folder");
      disk.makeDir(WAL_FOLDER);
      this.#file = disk.open(SPACE_PATH, "create");
      space.observer = this;
    });
  }

  #copyRun(): void {
    const count = Math.min(RUN_PAGES, this.#pages - this.#copiedTo);
    this.#copy(this.#copiedTo, count);
    this.#copiedTo += count;
  }

  /** Copies pages that nobody has copied yet, as they are in the tablespace. */
  #copy(first: number, count: number): void {
    this.#run ??= Buffer.allocUnsafeSlow(RUN_PAGES * PAGE_SIZE);
    const bytes = this.#run.subarray(0, count * PAGE_SIZE);
    const words = wordsOf(this.#run);
    this.#storage.space.readRun(first, bytes);
    for (let i = 0; i < count; i++) {
      const page = first + i;
      if (this.#copiedEarly.delete(page)) continue;
      const at = i * PAGE_SIZE;
      if (pageState(page, bytes, words, at) === "damaged") throw this.#storage.space.damaged(page);
      const isNewer = readU48(bytes, at + PAGE_LSN_AT) > present(this.#manifest, "backup: manifest").lsn;
      assert(!isNewer, "backup: a page is copied before it is overwritten");
      present(this.#file, "backup: file").write(page * PAGE_SIZE, bytes.subarray(at, at + PAGE_SIZE));
    }
  }

  /** The tablespace is about to lose what these pages have. */
  beforeChange(first: number, end: number): void {
    this.#attempt(() => {
      for (let page = Math.max(first, this.#copiedTo); page < Math.min(end, this.#pages); page++) {
        if (this.#copiedEarly.has(page)) continue;
        this.#copy(page, 1);
        this.#copiedEarly.add(page);
      }
    });
  }

  #sync(): void {
    this.#phase = "syncing";
    this.#storage.space.observer = undefined;
    present(this.#file, "backup: file").sync((failure) => {
      if (this.#phase !== "syncing") return;
      this.#attempt(() => {
        if (failure !== undefined) throw failure;
        this.#finish();
      });
    });
  }

  #finish(): void {
    const disk = present(this.#disk, "backup: folder");
    const manifest = present(this.#manifest, "backup: manifest");
    const { redo } = this.#storage;
    const doublewrite = disk.open(DOUBLEWRITE_PATH, "create");
    doublewrite.syncNow();
    doublewrite.close();
    createBinlogFile(disk, 1, Math.floor(Date.parse(manifest.time) / 1000));
    writeBinlogIndex(disk, [1]);
    const checkpoint: Checkpoint = {
      ...redo.checkpoint,
      number: 0,
      lsn: manifest.lsn,
      epochStart: manifest.lsn,
      doublewriteBatch: 0,
      binlogFile: 1,
      binlogDurable: 0,
    };
    createRing(disk, redo.ring.id, 1, this.#sizes, checkpoint);
    disk.syncDir("");
    writeManifest(disk, manifest);
    this.#stop("done");
  }

  /** Runs a part of the backup; its failures are not the server's. */
  #attempt(part: () => void): void {
    try {
      part();
    } catch (error) {
      if (!(error instanceof DiskFailure || error instanceof CorruptFile)) throw error;
      this.problem = error.message;
      this.#stop("failed");
    }
  }

  #stop(phase: Phase): void {
    this.#storage.space.observer = undefined;
    this.#storage.binlog.keptFrom = Number.POSITIVE_INFINITY;
    this.#file?.close();
    this.#file = undefined;
    this.#disk = undefined;
    this.#phase = phase;
  }

  /** The server closes: what there is stays without a manifest. */
  abandon(): void {
    if (this.isRunning) this.#stop("failed");
  }
}

function writeManifest(disk: Disk, manifest: BackupManifest): void {
  const file = disk.open(MANIFEST_PATH, "create");
  file.write(0, Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`));
  file.syncNow();
  file.close();
  disk.syncDir("");
}

/** The manifest of a backup; a folder without one was not completed. */
export function readManifest(disk: Disk): BackupManifest {
  if (!disk.exists(MANIFEST_PATH)) throw new CorruptFile(MANIFEST_PATH, 0, "missing: this is no complete backup,");
  const file = disk.open(MANIFEST_PATH, "read");
  const bytes = Buffer.alloc(file.size());
  file.read(0, bytes);
  file.close();
  const manifest = parseManifest(bytes.toString());
  if (manifest?.version !== MANIFEST_VERSION) throw new CorruptFile(MANIFEST_PATH, 0, "not a manifest of this version");
  return manifest;
}

function parseManifest(text: string): BackupManifest | undefined {
  try {
    return JSON.parse(text) as BackupManifest;
  } catch {
    return undefined;
  }
}
