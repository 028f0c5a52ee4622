/** Seeded bugs of files, writes and syncs: pitfalls 1 to 8, 21, 36, 39 to 43, 52 to 54, 59, 61 to 63. */
import type { Policy } from "../policy.ts";
import {
  ALL,
  ALWAYS,
  ANY,
  type Bug,
  CLEANING,
  isBinlog,
  isIncrement,
  isPageWrite,
  isRedo,
  isSpace,
  isStep,
  KERNEL,
  KILL,
  onDisk,
  POWER,
  RELAXED,
  recoveringOn,
  STRICT,
} from "./bug.ts";
import { tornEnd } from "./earlier-life.ts";
import {
  appending,
  buffered,
  everyNthWrite,
  ignoredWrite,
  inPlace,
  retriedSync,
  swappedWrites,
  withoutSync,
  withoutSyncAfterRename,
  withoutSyncDir,
} from "./habits.ts";

const isManifest = (path: string): boolean => path.endsWith(".manifest");
const isIndex = (path: string): boolean => path === "wal/binlog.index";
/** Long enough for several binlog files. */
const ROTATING = { operations: 30, directives: { "max-binlog-size": "4096" }, binlog: true } as const;
/** Pages are cleaned now and then: crashes right behind a checkpoint, which relies on them. */
const CLEANED = { ...CLEANING, crashAfter: isStep("wal.checkpoint") } as const;
/** Crashes while pages are on their way to their places. */
const WRITING_PAGES = { ...CLEANING, partlyOneIn: 1, crashAfter: isPageWrite } as const;

const TORN_INCREMENT = tornEnd(ALWAYS, isIncrement);
const TORN_BINLOG = tornEnd(STRICT, isBinlog);

function aof(pitfall: number, what: string, hunt: Bug["hunt"]): Bug {
  return { pitfall, what, engine: "aof", hunt };
}

function wal(pitfall: number, what: string, hunt: Bug["hunt"]): Bug {
  return { pitfall, what, engine: "wal", hunt };
}

export const FILE_BUGS: readonly Bug[] = [
  aof(
    1,
    "the folder of a new increment is not synced",
    onDisk(
      ALWAYS,
      withoutSyncDir((folder) => folder !== ""),
      POWER,
    ),
  ),
  wal(
    1,
    "the folder of new files is not synced",
    onDisk(
      STRICT,
      withoutSyncDir((folder) => folder === "wal"),
      POWER,
    ),
  ),
  aof(
    2,
    "the folder is not synced behind the manifest's rename",
    onDisk(ALWAYS, withoutSyncAfterRename(isManifest), POWER),
  ),
  wal(
    2,
    "the folder is not synced behind the index's rename",
    onDisk(STRICT, withoutSyncAfterRename(isIndex), POWER, ROTATING),
  ),
  aof(
    3,
    "the folder of a new folder is not synced",
    onDisk(
      ALWAYS,
      withoutSyncDir((folder) => folder === ""),
      POWER,
    ),
  ),
  wal(
    3,
    "the folder of a new folder is not synced",
    onDisk(
      STRICT,
      withoutSyncDir((folder) => folder === ""),
      POWER,
    ),
  ),
  aof(
    4,
    "the manifest is renamed before its contents are synced",
    onDisk(
      ALWAYS,
      withoutSync((path) => path.includes("temp-")),
      POWER,
    ),
  ),
  wal(
    4,
    "the index is renamed before its contents are synced",
    onDisk(
      STRICT,
      withoutSync((path) => path.endsWith("index.new")),
      POWER,
      ROTATING,
    ),
  ),
  aof(
    5,
    "the file is synced behind a rename, instead of its folder",
    onDisk(ALWAYS, withoutSyncAfterRename(isManifest, true), POWER),
  ),
  wal(
    5,
    "the index is synced behind its rename, instead of the folder",
    onDisk(STRICT, withoutSyncAfterRename(isIndex, true), POWER, ROTATING),
  ),
  aof(
    7,
    "the manifest is written in place",
    onDisk(
      ALWAYS,
      inPlace((path) => (path.includes("temp-") ? path.replace("temp-", "") : undefined)),
      ALL,
    ),
  ),
  wal(
    7,
    "the index is written in place",
    onDisk(
      STRICT,
      inPlace((path) => (path.endsWith("index.new") ? "wal/binlog.index" : undefined)),
      ALL,
      ROTATING,
    ),
  ),
  aof(
    8,
    "the torn end is not cut before it is written over",
    onDisk(
      ALWAYS,
      () => ({ truncate: (file, size) => (isIncrement(file.path) ? undefined : file.truncate(size)) }),
      ALL,
      {
        life: TORN_INCREMENT,
      },
    ),
  ),
  wal(21, "the redo sync is answered when the write is done", onDisk(STRICT, withoutSync(isRedo), POWER)),
  wal(
    21,
    "the tablespace's sync is answered when the write is done",
    onDisk(STRICT, withoutSync(isSpace), POWER, { operations: 60 }),
  ),
  aof(
    36,
    "the torn end is kept, and appended to",
    onDisk(ALWAYS, appending(isIncrement), ALL, { life: TORN_INCREMENT }),
  ),
  wal(
    36,
    "the binlog's torn end is kept, and appended to",
    onDisk(STRICT, appending(isBinlog), ALL, { life: TORN_BINLOG, binlog: true }),
  ),
  aof(39, "a failed sync is tried again, and 'succeeds'", onDisk(ALWAYS, retriedSync(isIncrement, 3), POWER)),
  wal(39, "a failed binlog sync is tried again, and 'succeeds'", onDisk(STRICT, retriedSync(isBinlog, 3), POWER)),
  wal(
    39,
    "a failed tablespace sync is tried again, and 'succeeds'",
    onDisk(STRICT, retriedSync(isSpace, 3), POWER, CLEANED),
  ),
  aof(40, "a short write is ignored", onDisk(ALWAYS, everyNthWrite(isIncrement, 5, half), ALL)),
  wal(40, "a short redo write is ignored", onDisk(STRICT, everyNthWrite(isRedo, 9, half), ALL)),
  wal(40, "a short binlog write is ignored", onDisk(STRICT, everyNthWrite(isBinlog, 5, half), ALL, { binlog: true })),
  wal(40, "a short page write is ignored", onDisk(STRICT, everyNthWrite(isSpace, 4, half), POWER, CLEANED)),
  aof(41, "a full disk is ignored", onDisk(KERNEL, ignoredWrite(isIncrement, 5), KILL)),
  wal(41, "a full binlog disk is ignored", onDisk(STRICT, ignoredWrite(isBinlog, 5), KILL, { binlog: true })),
  aof(
    43,
    "a failed read of the increment is served as an empty file",
    recoveringOn(ALWAYS, () => ({ size: (file) => (isIncrement(file.path) ? 0 : file.size()) }), KILL),
  ),
  wal(
    43,
    "a failed read of the redo log is served as zeros",
    recoveringOn(STRICT, () => ({ read: zerosBehind(isRedo, 4 * 512) }), KILL),
  ),
  wal(
    43,
    "a failed read of a page is served as zeros",
    recoveringOn(STRICT, () => ({ read: zerosBehind(isSpace, 2 * 16384) }), KILL, { operations: 60 }),
  ),
  aof(52, "two writes are under way at once, and change places", onDisk(KERNEL, swappedWrites(isIncrement), KILL)),
  wal(
    52,
    "two binlog writes are under way at once, and change places",
    onDisk(policyOfKill(), swappedWrites(isBinlog), KILL),
  ),
  aof(
    53,
    "append mode ignores the write's position",
    onDisk(ALWAYS, appendMode(isIncrement), ALL, { life: TORN_INCREMENT }),
  ),
  aof(54, "bytes in a stream's buffer count as written", onDisk(ALWAYS, buffered(isIncrement, 2048), KILL)),
  wal(54, "redo in a stream's buffer counts as written", onDisk(RELAXED, buffered(isRedo, 8192, 8), KILL)),
  wal(54, "binlog in a stream's buffer counts as written", onDisk(STRICT, buffered(isBinlog, 4096, 1), KILL)),
  aof(
    59,
    "the rest of an uninitialized buffer reaches the file",
    onDisk(ALWAYS, everyNthWrite(isIncrement, 4, withJunk), KILL),
  ),
  aof(
    61,
    "what an exit handler would write counts as durable",
    onDisk(KERNEL, buffered(isIncrement, Number.POSITIVE_INFINITY), KILL),
  ),
  aof(62, "fsync leaves the drive's cache alone", onDisk(ALWAYS, withoutSync(isIncrement), POWER)),
  wal(
    62,
    "fsync leaves the drive's cache alone, for every file",
    onDisk(
      STRICT,
      withoutSync(() => true),
      POWER,
    ),
  ),
  wal(
    62,
    "fsync of the doublewrite file leaves the drive's cache alone",
    onDisk(
      STRICT,
      withoutSync((path) => path === "wal/doublewrite"),
      ANY,
      WRITING_PAGES,
    ),
  ),
  aof(
    63,
    "a folder that cannot be synced is passed over",
    onDisk(
      ALWAYS,
      withoutSyncDir(() => true),
      POWER,
    ),
  ),
];

/** Only the first half of the bytes reaches the file. */
function half(file: { write(at: number, bytes: Uint8Array): void }, at: number, bytes: Uint8Array): void {
  file.write(at, bytes.subarray(0, bytes.length >> 1));
}

/** The bytes, and some behind them that belong to nobody. */
function withJunk(file: { write(at: number, bytes: Uint8Array): void }, at: number, bytes: Uint8Array): void {
  file.write(at, Buffer.concat([bytes, Buffer.alloc(37, 0x5a)]));
}

/** Reads of such a file, from some offset on, give zeros. */
function zerosBehind(wanted: (path: string) => boolean, from: number) {
  return (file: { path: string; read(at: number, into: Uint8Array): number }, at: number, into: Uint8Array): number => {
    const length = file.read(at, into);
    if (wanted(file.path) && at >= from) into.fill(0, 0, length);
    return length;
  };
}

/** The cut is done; but the write goes to the end of the file as it was opened. */
function appendMode(wanted: (path: string) => boolean): ReturnType<typeof appending> {
  return () => {
    let end = 0;
    return {
      write(file, at, bytes) {
        if (!wanted(file.path)) return file.write(at, bytes);
        end = Math.max(end, file.size());
        file.write(end, bytes);
        end += bytes.length;
      },
      truncate(file, size) {
        if (wanted(file.path)) end = file.size();
        file.truncate(size);
      },
    };
  };
}

/** Redo and binlog are written, and nothing is synced: a kill must not lose anything. */
function policyOfKill(): Policy {
  return { ...STRICT, name: "2/0", directives: { "flush-log-at-trx-commit": "2", "sync-binlog": "0" } };
}
