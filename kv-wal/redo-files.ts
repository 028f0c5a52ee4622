/**
 * The files of the redo log as a set: their names, and how a set is made, so that a crash leaves the old one or the new one.
 *
 *     wal/redo.0        of every set; its header says which set it belongs to, and how many files that has
 *     wal/redo.N        the other files of the first set
 *     wal/redo.N.S      those of set S
 *
 * A set is made (I8): its files are written under names that no set in use has, redo.0 as `redo.0.new`, and synced; the
 * folder is synced; `redo.0.new` is renamed to `redo.0`, which is the moment from which the new set counts; the folder is
 * synced again. Only then are the files of the set before removed. What a crash leaves over belongs to a set that does not
 * count, and is removed at the next start, when the folder is synced: otherwise a power loss could bring back the redo.0 of
 * before, but not its companions.
 *
 * The log is empty when a set takes the place of another: the checkpoint in the new redo.0 is at its end.
 */
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { wordsOf, writeU32 } from "./bytes-view.ts";
import { type Checkpoint, writeSlot } from "./checkpoint-slot.ts";
import { BLOCK_SIZE, sealChecksum } from "./redo-block.ts";

export const WAL_FOLDER = "wal";
/** Header of a file, and the checkpoint slots (redo-ring.ts). */
export const RING_HEADER_BYTES = 4 * BLOCK_SIZE;
export const RING_MAGIC = 0x44525754;
export const RING_VERSION = 3;
const ZERO_CHUNK_BYTES = 256 << 10;

export interface RedoSizes {
  readonly fileBytes: number;
  readonly files: number;
}

export function redoFileName(index: number, set = 1): string {
  return index === 0 || set === 1 ? `${WAL_FOLDER}/redo.${index}` : `${WAL_FOLDER}/redo.${index}.${set}`;
}

/** File bytes as they can be: whole blocks. */
export function wholeBlocks(fileBytes: number): number {
  return Math.floor(fileBytes / BLOCK_SIZE) * BLOCK_SIZE;
}

/** Makes set `set`, durably, with this checkpoint; it counts from then on. */
export function createRing(disk: Disk, id: Uint8Array, set: number, sizes: RedoSizes, checkpoint: Checkpoint): void {
  const draft = `${redoFileName(0)}.new`;
  for (let index = sizes.files - 1; index >= 0; index--) {
    const file = disk.open(index === 0 ? draft : redoFileName(index, set), "ensure");
    fillRingFile(file, index, set, sizes, id);
    if (index === 0) writeSlot(file, checkpoint);
    file.syncNow();
    file.close();
  }
  disk.syncDir(WAL_FOLDER);
  disk.rename(draft, redoFileName(0));
  disk.syncDir(WAL_FOLDER);
}

/** Header and zeros, so that later writes change no metadata. */
function fillRingFile(file: DiskFile, index: number, set: number, sizes: RedoSizes, id: Uint8Array): void {
  const fileBytes = wholeBlocks(sizes.fileBytes);
  file.truncate(0);
  const zeros = Buffer.alloc(Math.min(ZERO_CHUNK_BYTES, fileBytes));
  for (let at = 0; at < fileBytes; at += zeros.length) file.write(at, zeros.subarray(0, fileBytes - at));
  const header = Buffer.alloc(BLOCK_SIZE);
  writeU32(header, 4, RING_MAGIC);
  writeU32(header, 8, RING_VERSION);
  writeU32(header, 12, index);
  writeU32(header, 16, sizes.files);
  writeU32(header, 20, (fileBytes - RING_HEADER_BYTES) / BLOCK_SIZE);
  header.set(id, 24);
  writeU32(header, 32, set);
  sealChecksum(header, wordsOf(header), 0, BLOCK_SIZE);
  file.write(0, header);
}

/** Removes redo files that do not belong to the set in use. */
export function removeOtherSets(disk: Disk, set: number, files: number): void {
  const kept = new Set(Array.from({ length: files }, (_, index) => redoFileName(index, set)));
  const names = disk.list(WAL_FOLDER).map((name) => `${WAL_FOLDER}/${name}`);
  const others = names.filter((name) => name.startsWith(`${WAL_FOLDER}/redo.`) && !kept.has(name));
  if (others.length === 0) return;
  disk.syncDir(WAL_FOLDER);
  for (const name of others) disk.remove(name);
  disk.syncDir(WAL_FOLDER);
}
