/**
 * Makes the files of a new data folder.
 *
 * The redo log comes last (redo-files.ts), when everything else is durable: a folder without it is
 * empty or half made, and is made again; a folder with it is complete (I8).
 */
import type { Disk } from "../common/disk/disk.ts";
import { CorruptFile } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { binlogPath, createBinlogFile, writeBinlogIndex } from "./binlog/binlog-files.ts";
import { fileStart } from "./binlog/events.ts";
import { readU32 } from "./bytes-view.ts";
import { DOUBLEWRITE_PATH } from "./doublewrite.ts";
import { FIRST_BITMAP_PAGE } from "./free-space.ts";
import { Arena, PAGE_SIZE, PageType } from "./page.ts";
import { sealChecksum } from "./redo-block.ts";
import { createRing, type RedoSizes, redoFileName, WAL_FOLDER } from "./redo-files.ts";
import { FIRST_CHECKPOINT } from "./redo-log.ts";
import { FIRST_PAGES, ROOT_PAGE, writeFirstHeader } from "./space-header.ts";
import { SPACE_PATH } from "./tablespace.ts";

export function isCreated(disk: Disk): boolean {
  return disk.exists(redoFileName(0));
}

export interface NewFolder extends RedoSizes {
  /** The policy makes redo durable before the binlog: known from the first transaction on, or its loss could not be told. */
  readonly redoIsFirst?: boolean;
}

/** Makes a new folder, or completes one whose making a crash cut short. */
export function createFolder(host: Host, options: NewFolder): void {
  const { disk } = host;
  refuseData(disk);
  disk.makeDir(WAL_FOLDER);
  disk.syncDir("");
  const id = host.random.bytes(8);
  createSpace(disk, id, readU32(Buffer.from(host.random.bytes(4)), 0), options.redoIsFirst === true);
  const doublewrite = disk.open(DOUBLEWRITE_PATH, "ensure");
  doublewrite.truncate(0);
  doublewrite.syncNow();
  doublewrite.close();
  createBinlogFile(disk, 1, Math.floor(host.clock.now() / 1000));
  writeBinlogIndex(disk, [1]);
  createRing(disk, id, 1, options, FIRST_CHECKPOINT);
}

/** Pages behind the first three are data, and so are events in a binlog: without a redo log they are not to be overwritten. */
function refuseData(disk: Disk): void {
  const refuse = (what: string) => {
    throw new CorruptFile(redoFileName(0), 0, `the redo log is missing, but the ${what} has data`);
  };
  if (sizeOf(disk, SPACE_PATH) > FIRST_PAGES * PAGE_SIZE) refuse("tablespace");
  if (sizeOf(disk, binlogPath(1)) > fileStart(0).length || disk.exists(binlogPath(2))) refuse("binlog");
}

function sizeOf(disk: Disk, path: string): number {
  if (!disk.exists(path)) return 0;
  const file = disk.open(path, "read");
  const size = file.size();
  file.close();
  return size;
}

function createSpace(disk: Disk, id: Uint8Array, seed: number, redoIsFirst: boolean): void {
  const arena = new Arena(FIRST_PAGES);
  arena.init(0, 0, PageType.SPACE, 0);
  arena.init(PAGE_SIZE, ROOT_PAGE, PageType.LEAF, 0);
  arena.init(FIRST_BITMAP_PAGE * PAGE_SIZE, FIRST_BITMAP_PAGE, PageType.BITMAP, 0);
  writeFirstHeader(arena.bytes, id, seed, redoIsFirst);
  for (let at = 0; at < FIRST_PAGES * PAGE_SIZE; at += PAGE_SIZE) sealChecksum(arena.bytes, arena.words, at, PAGE_SIZE);
  const file = disk.open(SPACE_PATH, "ensure");
  file.truncate(0);
  file.write(0, arena.bytes);
  file.syncNow();
  file.close();
}
