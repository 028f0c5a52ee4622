/**
 * Checkpoints of the redo log: two slots in `wal/redo.0`, blocks 1 and 3.
 *
 * A checkpoint slot:
 *
 *     offset  size
 *          0     4  CRC32C of bytes 4…511
 *          4     4  "TWCP"
 *          8     6  checkpoint number; its parity says which slot
 *         14     6  LSN: every change before it is in the tablespace, synced; a mini-transaction starts here
 *         20     4  epoch that writes the log now
 *         24     6  LSN at which that epoch began
 *         30     6  number of the last doublewrite batch whose pages were synced in place
 *         36     4  number of the binlog file in use, and
 *         40     6  how much of it had been synced: damage before that is not a torn tail
 *
 * The slots are written in turn, so that a torn one leaves the other (C1 in redo-ring.ts).
 */
import type { DiskFile } from "../common/disk/disk.ts";
import { readU32, readU48, wordsOf, writeU32, writeU48 } from "./bytes-view.ts";
import { BLOCK_SIZE, checksumHolds, sealChecksum } from "./redo-block.ts";

const CHECKPOINT_MAGIC = 0x50435754;

export interface Checkpoint {
  readonly number: number;
  readonly lsn: number;
  readonly epoch: number;
  readonly epochStart: number;
  readonly doublewriteBatch: number;
  readonly binlogFile: number;
  readonly binlogDurable: number;
}

/** A slot while it is read or written. */
const BLOCK = Buffer.alloc(BLOCK_SIZE);
const WORDS = wordsOf(BLOCK);

/** The checkpoint in a slot; undefined when it is damaged. */
export function readSlot(file: DiskFile, slot: number): Checkpoint | undefined {
  const block = BLOCK.fill(0);
  file.read(slotOffset(slot), block);
  if (readU32(block, 4) !== CHECKPOINT_MAGIC || !checksumHolds(block, WORDS, 0, BLOCK_SIZE)) return undefined;
  return {
    number: readU48(block, 8),
    lsn: readU48(block, 14),
    epoch: readU32(block, 20),
    epochStart: readU48(block, 24),
    doublewriteBatch: readU48(block, 30),
    binlogFile: readU32(block, 36),
    binlogDurable: readU48(block, 40),
  };
}

/** Writes a checkpoint into its slot of `wal/redo.0`. */
export function writeSlot(file: DiskFile, checkpoint: Checkpoint): void {
  const block = BLOCK.fill(0);
  writeU32(block, 4, CHECKPOINT_MAGIC);
  writeU48(block, 8, checkpoint.number);
  writeU48(block, 14, checkpoint.lsn);
  writeU32(block, 20, checkpoint.epoch);
  writeU48(block, 24, checkpoint.epochStart);
  writeU48(block, 30, checkpoint.doublewriteBatch);
  writeU32(block, 36, checkpoint.binlogFile);
  writeU48(block, 40, checkpoint.binlogDurable);
  sealChecksum(block, WORDS, 0, BLOCK_SIZE);
  file.write(slotOffset(checkpoint.number & 1), block);
}

/** Where a checkpoint slot lies in `wal/redo.0`. */
export function slotOffset(slot: number): number {
  return slot === 0 ? BLOCK_SIZE : 3 * BLOCK_SIZE;
}
