/**
 * The redo log as a ring of blocks over N files of fixed size (redo-files.ts).
 *
 * Every file starts with four blocks of its own:
 *
 *     block 0  file header: CRC32C(4) "TWRD"(4) version(4) index(4) files(4) blocks per file(4) folder id(8)
 *              set(4) zeros
 *     block 1  checkpoint slot A (redo.0 only)      block 2  zeros      block 3  checkpoint slot B (redo.0 only)
 *
 * Checkpoint slots are in checkpoint-slot.ts.
 *
 * Invariants: C1 the two slots are written in turn and synced, so a torn one leaves the other (pitfall 15). C2 the LSN is
 * durable (pitfall 16). C3 block b lies at ring position b modulo the ring's size; a block is overwritten only after a
 * checkpoint beyond it is durable (pitfall 28).
 */
import { assert } from "../common/assert.ts";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { CorruptFile, type DiskFailure } from "../common/errors.ts";
import { readU32, wordsOf } from "./bytes-view.ts";
import { type Checkpoint, readSlot, writeSlot } from "./checkpoint-slot.ts";
import { BLOCK_PAYLOAD, BLOCK_SIZE, checksumHolds } from "./redo-block.ts";
import {
  createRing,
  type RedoSizes,
  RING_HEADER_BYTES,
  RING_MAGIC,
  RING_VERSION,
  redoFileName,
  removeOtherSets,
  wholeBlocks,
} from "./redo-files.ts";

export class RedoRing {
  readonly #files: DiskFile[] = [];
  readonly #unsynced = new Set<DiskFile>();
  /** Files that a background sync is working on: not durable before it has answered. */
  readonly #syncing = new Set<DiskFile>();
  #blocksPerFile = 0;
  #set = 1;
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
      const path = redoFileName(index, this.#set);
      if (!disk.exists(path)) throw new CorruptFile(path, 0, "a file of the redo log is missing");
      const file = disk.open(path, "update");
      const header = Buffer.alloc(BLOCK_SIZE);
      file.read(0, header);
      if (readU32(header, 4) !== RING_MAGIC || !checksumHolds(header, wordsOf(header), 0, BLOCK_SIZE)) {
        throw new CorruptFile(path, 0, "bad header of a redo log file");
      }
      if (readU32(header, 8) !== RING_VERSION) throw new CorruptFile(path, 8, "a redo log of another version");
      if (index === 0) {
        files = readU32(header, 16);
        this.#blocksPerFile = readU32(header, 20);
        header.copy(this.id, 0, 24, 32);
        this.#set = readU32(header, 32);
      }
      const isPlace = readU32(header, 12) === index && readU32(header, 32) === this.#set;
      const matches = isPlace && this.id.equals(header.subarray(24, 32));
      if (!matches) throw new CorruptFile(path, 12, "a redo log file of another folder or place");
      // What is missing at its end would look like the end of the log.
      const size = file.size();
      if (size < RING_HEADER_BYTES + this.#blocksPerFile * BLOCK_SIZE) throw new CorruptFile(path, size, "cut short");
      this.#files.push(file);
    }
  }

  /** Whether the ring is as these sizes want it. */
  hasSizes(sizes: RedoSizes): boolean {
    const fileBytes = RING_HEADER_BYTES + this.#blocksPerFile * BLOCK_SIZE;
    return this.files === sizes.files && fileBytes === wholeBlocks(sizes.fileBytes);
  }

  /** Removes what a crash has left of other sets. */
  removeOthers(disk: Disk): void {
    removeOtherSets(disk, this.#set, this.files);
  }

  /** A ring of other sizes takes the place of this one, whose log ends at the checkpoint and is durable. */
  replace(disk: Disk, sizes: RedoSizes, checkpoint: Checkpoint): void {
    assert(this.#unsynced.size === 0 && this.#syncing.size === 0, "redo: nothing is on its way to a ring that goes");
    createRing(disk, this.id, this.#set + 1, sizes, checkpoint);
    this.close();
    this.open(disk);
    this.removeOthers(disk);
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
    const path = redoFileName(Math.floor(position / this.#blocksPerFile), this.#set);
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
    return readSlot(this.#files[0]!, slot);
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
