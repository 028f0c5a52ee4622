/**
 * Blocks of the redo log: 512 bytes, the unit that a disk writes whole or not at all.
 *
 *     offset  size
 *          0     4  CRC32C of bytes 4…511
 *          4     4  epoch: how often the folder had been opened when the block was written
 *          8     6  block number, counted from the making of the folder and never reused
 *         14     2  bytes used of the payload
 *         16     2  where the first mini-transaction that starts in this block starts; 65535: none does
 *         18     6  number of the first block not known to be durable when this one was written
 *         24   488  payload
 *
 * LSNs count payload bytes: LSN = block number × 488 + offset in the payload.
 *
 * Why these fields: the number refuses blocks of an earlier lap of the ring (pitfall 14). The epoch refuses blocks that
 * were written behind a tail which recovery has cut (pitfall 17; the exact rule is in redo-reader.ts). The durable number
 * tells rot from an end: a bad block that a later block knows to have been durable is damage, and recovery refuses
 * instead of silently stopping there (pitfall 19).
 *
 * The last, partly filled block is written again when it has grown, so its durable half is on its way once more (pitfall
 * 20). It is one sector, aligned, and the fault model is that a disk writes a sector whole or not at all; InnoDB relies on
 * the same. The remedies were weighed: a new block for every sync would waste up to 40 % of the log at one commit per sync,
 * and a second place for the last block one more write, in another place of the disk, for every commit.
 */
import { readU16, readU32, readU48, writeU16, writeU32, writeU48 } from "./bytes-view.ts";
import { crc32cWords } from "./crc32c.ts";

export const BLOCK_SIZE = 512;
export const BLOCK_HEADER_BYTES = 24;
export const BLOCK_PAYLOAD = BLOCK_SIZE - BLOCK_HEADER_BYTES;
export const BLOCK_EPOCH_AT = 4;
export const BLOCK_NUMBER_AT = 8;
export const BLOCK_USED_AT = 14;
export const BLOCK_FIRST_GROUP_AT = 16;
const DURABLE_AT = 18;
export const NO_GROUP = 0xffff;

export interface BlockHeader {
  readonly epoch: number;
  readonly number: number;
  readonly used: number;
  readonly firstGroup: number;
  readonly durable: number;
}

/** Fills in header and checksum of the block at `at`; the payload is there already. */
export function sealBlock(bytes: Buffer, words: Uint32Array, at: number, header: BlockHeader): void {
  writeU32(bytes, at + BLOCK_EPOCH_AT, header.epoch);
  writeU48(bytes, at + BLOCK_NUMBER_AT, header.number);
  writeU16(bytes, at + BLOCK_USED_AT, header.used);
  writeU16(bytes, at + BLOCK_FIRST_GROUP_AT, header.firstGroup);
  writeU48(bytes, at + DURABLE_AT, header.durable);
  sealChecksum(bytes, words, at, BLOCK_SIZE);
}

export function readBlockHeader(bytes: Buffer, at: number): BlockHeader {
  return {
    epoch: readU32(bytes, at + BLOCK_EPOCH_AT),
    number: readU48(bytes, at + BLOCK_NUMBER_AT),
    used: readU16(bytes, at + BLOCK_USED_AT),
    firstGroup: readU16(bytes, at + BLOCK_FIRST_GROUP_AT),
    durable: readU48(bytes, at + DURABLE_AT),
  };
}

/** Writes the CRC32C of everything behind the first four bytes of `[at, at + size)` into them. */
export function sealChecksum(bytes: Buffer, words: Uint32Array, at: number, size: number): void {
  writeU32(bytes, at, crc32cWords(words, (at + 4) >> 2, (at + size) >> 2));
}

/** Whether the checksum in the first four bytes holds; a range of zeros has none. */
export function checksumHolds(bytes: Buffer, words: Uint32Array, at: number, size: number): boolean {
  return readU32(bytes, at) === crc32cWords(words, (at + 4) >> 2, (at + size) >> 2);
}
