/**
 * The files of the redo log: a ring of blocks over N files of fixed size, `wal/redo.0` … `wal/redo.N−1`.
 *
 * Every file starts with four blocks of its own:
 *
 *     block 0  file header: CRC32C(4) "TWRD"(4) version(4) index(4) files(4) blocks per file(4) folder id(8) zeros
 *     block 1  checkpoint slot A (redo.0 only)      block 2  zeros      block 3  checkpoint slot B (redo.0 only)
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
 * Invariants: C1 the two slots are written in turn and synced, so a torn one leaves the other (pitfall 15). C2 the LSN is
 * durable (pitfall 16). C3 block b lies at ring position b modulo the ring's size; a block is overwritten only after a
 * checkpoint beyond it is durable (pitfall 28).
 */
import { assert } from "../common/assert.ts";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { CorruptFile, type DiskFailure } from "../common/errors.ts";
import { readU32, readU48, wordsOf, writeU32, writeU48 } from "./bytes-view.ts";
import { BLOCK_PAYLOAD, BLOCK_SIZE, checksumHolds, sealChecksum } from "./redo-block.ts";

export const RING_HEADER_BYTES = 4 * BLOCK_SIZE;
const FILE_MAGIC = 0x44525754;
const CHECKPOINT_MAGIC = 0x50435754;
const VERSION = 2;
const ZERO_CHUNK_BYTES = 256 << 10;

export interface Checkpoint {
  readonly number: number;
  readonly lsn: number;
  readonly epoch: number;
  readonly epochStart: number;
  readonly doublewriteBatch: number;
  readonly binlogFile: number;
  readonly binlogDurable: number;
}

export function redoFileName(index: number): string {
  return `wal/redo.${index}`;
}

/** Makes one file of the ring, filled with zeros so that later writes change no metadata; synced. */
export function createRingFile(
  disk: Disk,
  path: string,
  index: number,
  files: number,
  fileBytes: number,
  id: Uint8Array,
): DiskFile {
  const file = disk.open(path, "ensure");
  file.truncate(0);
  const zeros = Buffer.alloc(ZERO_CHUNK_BYTES);
  for (let at = 0; at < fileBytes; at += zeros.length) file.write(at, zeros.subarray(0, fileBytes - at));
  const header = Buffer.alloc(BLOCK_SIZE);
  writeU32(header, 4, FILE_MAGIC);
  writeU32(header, 8, VERSION);
  writeU32(header, 12, index);
  writeU32(header, 16, files);
  writeU32(header, 20, (fileBytes - RING_HEADER_BYTES) / BLOCK_SIZE);
  header.set(id, 24);
  sealChecksum(header, wordsOf(header), 0, BLOCK_SIZE);
  file.write(0, header);
  return file;
}

export class RedoRing {
  readonly #files: DiskFile[] = [];
  readonly #unsynced = new Set<DiskFile>();
  /** Files that a background sync is working on: not durable before it has answered. */
  readonly #syncing = new Set<DiskFile>();
  #blocksPerFile = 0;
  /** The folder's id, also in the tablespace: files of different folders must not be mixed. */
  id = Buffer.alloc(8);

  get files(): number {
    return this.#files.length;
  }
  /** Blocks in the whole ring. */
  get blocks(): number {
    return this.#blocksPerFile * this.#files.length;
  }
  /** Log bytes the ring can hold. */
  get capacity(): number {
    return this.blocks * BLOCK_PAYLOAD;
  }

  /** Opens an existing ring; its own headers say how large it is. */
  open(disk: Disk): void {
    let files = 1;
    for (let index = 0; index < files; index++) {
      const path = redoFileName(index);
      if (!disk.exists(path)) throw new CorruptFile(path, 0, "a file of the redo log is missing");
      const file = disk.open(path, "update");
      const header = Buffer.alloc(BLOCK_SIZE);
      file.read(0, header);
      if (readU32(header, 4) !== FILE_MAGIC || !checksumHolds(header, wordsOf(header), 0, BLOCK_SIZE)) {
        throw new CorruptFile(path, 0, "bad header of a redo log file");
      }
      if (readU32(header, 8) !== VERSION) throw new CorruptFile(path, 8, "a redo log of another version");
      if (index === 0) {
        files = readU32(header, 16);
        this.#blocksPerFile = readU32(header, 20);
        header.copy(this.id, 0, 24, 32);
      }
      const matches = readU32(header, 12) === index && this.id.equals(header.subarray(24, 32));
      if (!matches) throw new CorruptFile(path, 12, "a redo log file of another folder or place");
      // What is missing at its end would look like the end of the log.
      const size = file.size();
      if (size < RING_HEADER_BYTES + this.#blocksPerFile * BLOCK_SIZE) throw new CorruptFile(path, size, "cut short");
      this.#files.push(file);
    }
  }

  /** Writes whole blocks, the first of which has number `block`. */
  write(block: number, bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) {
      const position = (block + done / BLOCK_SIZE) % this.blocks;
      const inFile = position % this.#blocksPerFile;
      const length = Math.min(bytes.length - done, (this.#blocksPerFile - inFile) * BLOCK_SIZE);
      const file = this.#files[Math.floor(position / this.#blocksPerFile)]!;
      this.#unsynced.add(file);
      file.write(RING_HEADER_BYTES + inFile * BLOCK_SIZE, bytes.subarray(done, done + length));
      done += length;
    }
  }

  /** Reads blocks from number `block` on, as far as they lie in one file; returns how many bytes. */
  read(block: number, into: Buffer): number {
    const position = block % this.blocks;
    const inFile = position % this.#blocksPerFile;
    const length = Math.min(into.length, (this.#blocksPerFile - inFile) * BLOCK_SIZE);
    const file = this.#files[Math.floor(position / this.#blocksPerFile)]!;
    return file.read(RING_HEADER_BYTES + inFile * BLOCK_SIZE, into.subarray(0, length));
  }

  /** Where a block lies, for messages: file name and offset. */
  placeOf(block: number): { path: string; offset: number } {
    const position = block % this.blocks;
    const path = redoFileName(Math.floor(position / this.#blocksPerFile));
    return { path, offset: RING_HEADER_BYTES + (position % this.#blocksPerFile) * BLOCK_SIZE };
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    assert(this.#syncing.size === 0, "redo: one background sync at a time");
    for (const file of this.#unsynced) this.#syncing.add(file);
    if (this.#syncing.size === 0) this.#syncing.add(this.#files[0]!);
    this.#unsynced.clear();
    let waiting = this.#syncing.size;
    let first: DiskFailure | undefined;
    for (const file of this.#syncing) {
      file.sync((failure) => {
        first ??= failure;
        if (--waiting > 0) return;
        this.#syncing.clear();
        done(first);
      });
    }
  }

  syncNow(): void {
    for (const file of this.#syncing) file.syncNow();
    for (const file of this.#unsynced) file.syncNow();
    this.#unsynced.clear();
  }

  /** Every file, whoever wrote to it: what a killed process had written must be durable before recovery relies on it. */
  syncAll(): void {
    for (const file of this.#files) file.syncNow();
    this.#unsynced.clear();
  }

  /** The newest whole checkpoint. */
  readCheckpoint(): Checkpoint {
    const slots = [0, 1].map((slot) => this.readSlot(slot)).filter((slot) => slot !== undefined);
    slots.sort((a, b) => b.number - a.number);
    if (slots[0] === undefined) throw new CorruptFile(redoFileName(0), BLOCK_SIZE, "both checkpoint slots are damaged");
    return slots[0];
  }

  readSlot(slot: number): Checkpoint | undefined {
    const block = Buffer.alloc(BLOCK_SIZE);
    this.#files[0]!.read(slotOffset(slot), block);
    if (readU32(block, 4) !== CHECKPOINT_MAGIC || !checksumHolds(block, wordsOf(block), 0, BLOCK_SIZE))
      return undefined;
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

  /** Writes a checkpoint into its slot and syncs it. */
  writeCheckpoint(checkpoint: Checkpoint): void {
    writeSlot(this.#files[0]!, checkpoint);
    this.#files[0]!.syncNow();
  }

  /** The same, with a sync in the background. */
  writeCheckpointInBackground(checkpoint: Checkpoint, done: (failure: DiskFailure | undefined) => void): void {
    writeSlot(this.#files[0]!, checkpoint);
    this.#files[0]!.sync(done);
  }

  close(): void {
    for (const file of this.#files.splice(0)) file.close();
  }
}

/** Writes a checkpoint into its slot of `wal/redo.0`. */
export function writeSlot(file: DiskFile, checkpoint: Checkpoint): void {
  const block = Buffer.alloc(BLOCK_SIZE);
  writeU32(block, 4, CHECKPOINT_MAGIC);
  writeU48(block, 8, checkpoint.number);
  writeU48(block, 14, checkpoint.lsn);
  writeU32(block, 20, checkpoint.epoch);
  writeU48(block, 24, checkpoint.epochStart);
  writeU48(block, 30, checkpoint.doublewriteBatch);
  writeU32(block, 36, checkpoint.binlogFile);
  writeU48(block, 40, checkpoint.binlogDurable);
  sealChecksum(block, wordsOf(block), 0, BLOCK_SIZE);
  file.write(slotOffset(checkpoint.number & 1), block);
}

/** Where a checkpoint slot lies in `wal/redo.0`. */
export function slotOffset(slot: number): number {
  return slot === 0 ? BLOCK_SIZE : 3 * BLOCK_SIZE;
}
