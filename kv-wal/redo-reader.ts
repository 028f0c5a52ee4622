/**
 * Reads the redo log from a checkpoint to its end, mini-transaction by mini-transaction.
 *
 * Where the log ends. The checkpoint names the epoch e that was writing and the LSN s at which it began. Everything
 * before s was made durable by the recovery that opened e, so:
 *
 * 1. A block before the one that holds s must be there, whole, whatever its epoch; otherwise the log is damaged.
 * 2. The block that holds s counts up to s when it is of an older epoch (nothing of e reached the disk).
 * 3. Behind it only whole blocks of epoch e with the expected number count. The first that is not one ends the log,
 *    unless a later block of e says that it had been durable: then the log is damaged (pitfall 19).
 *    A block of a later epoch says so as well: the checkpoint that opened it was durable before it, and is lost.
 * 4. A block that is not full ends the log. Of a mini-transaction without its END nothing counts (pitfall 18).
 */
import { CorruptFile } from "../common/errors.ts";
import { wordsOf } from "./bytes-view.ts";
import {
  BLOCK_HEADER_BYTES,
  BLOCK_PAYLOAD,
  BLOCK_SIZE,
  type BlockHeader,
  checksumHolds,
  NO_GROUP,
  readBlockHeader,
} from "./redo-block.ts";
import { Redo, redoLength, redoType } from "./redo-records.ts";
import type { Checkpoint, RedoRing } from "./redo-ring.ts";

const CHUNK_BYTES = 128 << 10;

/** A mini-transaction: its records are `bytes[from, to)`, END included; it ends at `lsn`. */
export type VisitGroup = (bytes: Buffer, from: number, to: number, lsn: number) => void;

export class RedoReader {
  readonly #ring: RedoRing;
  readonly #checkpoint: Checkpoint;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  readonly #words = wordsOf(this.#chunk);
  #chunkBlocks = 0;
  #chunkFirst = -1;
  /** Payload not consumed yet. */
  #pending = Buffer.alloc(CHUNK_BYTES);
  #pendingFrom = 0;
  #pendingTo = 0;
  #block: number;
  #ended = false;
  /** LSN of the first byte not consumed. */
  #lsn: number;

  constructor(ring: RedoRing, checkpoint: Checkpoint) {
    this.#ring = ring;
    this.#checkpoint = checkpoint;
    this.#lsn = checkpoint.lsn;
    this.#block = Math.floor(checkpoint.lsn / BLOCK_PAYLOAD);
  }

  /** The end of the last whole mini-transaction visited. */
  get lsn(): number {
    return this.#lsn;
  }

  /** Visits every whole mini-transaction in order; afterwards `lsn` is the end of the log. */
  each(visit: VisitGroup): void {
    for (;;) {
      const length = this.#groupLength();
      if (length > 0) {
        const from = this.#pendingFrom;
        this.#pendingFrom += length;
        this.#lsn += length;
        visit(this.#pending, from, from + length, this.#lsn);
      } else if (this.#ended || !this.#readBlock()) {
        this.#ended = true;
        this.#refuseRot();
        return;
      }
    }
  }

  /** The payload before `lsn` in its block, with which the writer continues that block. */
  tail(): { payload: Buffer; firstGroup: number } {
    const block = Math.floor(this.#lsn / BLOCK_PAYLOAD);
    const payload = Buffer.alloc(BLOCK_PAYLOAD);
    const header = this.#load(block);
    if (header === undefined) return { payload, firstGroup: NO_GROUP };
    const offset = this.#lsn - block * BLOCK_PAYLOAD;
    const at = this.#offsetOf(block) + BLOCK_HEADER_BYTES;
    this.#chunk.copy(payload, 0, at, at + offset);
    return { payload, firstGroup: header.firstGroup < offset ? header.firstGroup : NO_GROUP };
  }

  /** Length of the mini-transaction at the start of what is pending, 0 when it is not all there. */
  #groupLength(): number {
    const end = this.#pendingTo;
    for (let at = this.#pendingFrom; at < end; ) {
      const length = redoLength(this.#pending, at, end);
      if (length < 0) return 0;
      if (length === 0) {
        const place = this.#ring.placeOf(Math.floor(this.#lsn / BLOCK_PAYLOAD));
        throw new CorruptFile(place.path, place.offset, `redo record of unknown type at LSN ${this.#lsn}`);
      }
      if (redoType(this.#pending, at) === Redo.END) return at + length - this.#pendingFrom;
      at += length;
    }
    return 0;
  }

  /** Adds the payload of the next block; false at the end of the log. */
  #readBlock(): boolean {
    const number = this.#block;
    const { epoch, epochStart } = this.#checkpoint;
    const startBlock = Math.floor(epochStart / BLOCK_PAYLOAD);
    const header = this.#load(number);
    if (header === undefined) {
      if (number < startBlock) this.#damaged(number);
      return false;
    }
    let used = header.used;
    if (number >= startBlock && header.epoch !== epoch) {
      if (number > startBlock) return false;
      used = Math.min(used, epochStart - number * BLOCK_PAYLOAD);
    }
    const skip = Math.max(0, this.#checkpoint.lsn - number * BLOCK_PAYLOAD);
    if (used > skip) this.#append(this.#offsetOf(number) + BLOCK_HEADER_BYTES + skip, used - skip);
    if (used === BLOCK_PAYLOAD) {
      this.#block++;
      return true;
    }
    if (number < startBlock) this.#damaged(number);
    this.#ended = true;
    return used > skip;
  }

  #append(at: number, length: number): void {
    if (this.#pendingTo + length > this.#pending.length) {
      const kept = this.#pendingTo - this.#pendingFrom;
      const next = kept + length > this.#pending.length / 2 ? Buffer.alloc(this.#pending.length * 2) : this.#pending;
      this.#pending.copy(next, 0, this.#pendingFrom, this.#pendingTo);
      this.#pending = next;
      this.#pendingFrom = 0;
      this.#pendingTo = kept;
    }
    this.#chunk.copy(this.#pending, this.#pendingTo, at, at + length);
    this.#pendingTo += length;
  }

  /** The header of block `number`, when the ring holds exactly that block, whole. */
  #load(number: number): BlockHeader | undefined {
    if (number < this.#chunkFirst || number >= this.#chunkFirst + this.#chunkBlocks) {
      this.#chunkFirst = number;
      this.#chunkBlocks = Math.floor(this.#ring.read(number, this.#chunk) / BLOCK_SIZE);
      if (this.#chunkBlocks === 0) return undefined;
    }
    const at = this.#offsetOf(number);
    const header = readBlockHeader(this.#chunk, at);
    if (header.number !== number || header.used > BLOCK_PAYLOAD) return undefined;
    // A block of zeros would pass for block 0 if only its number counted.
    return checksumHolds(this.#chunk, this.#words, at, BLOCK_SIZE) ? header : undefined;
  }

  #offsetOf(number: number): number {
    return (number - this.#chunkFirst) * BLOCK_SIZE;
  }

  /** Rule 3: does a block know that the one at which we stopped had been durable? */
  #refuseRot(): void {
    const stopped = this.#block;
    const last = Math.floor(this.#checkpoint.lsn / BLOCK_PAYLOAD) + this.#ring.blocks;
    for (let number = stopped; number < last; number++) {
      if (number >= this.#chunkFirst + this.#chunkBlocks) this.#load(number);
      const at = this.#offsetOf(number);
      const header = readBlockHeader(this.#chunk, at);
      if (header.number !== number || header.epoch < this.#checkpoint.epoch) continue;
      if (header.epoch === this.#checkpoint.epoch && header.durable <= stopped) continue;
      if (checksumHolds(this.#chunk, this.#words, at, BLOCK_SIZE)) this.#damaged(stopped);
    }
  }

  #damaged(number: number): never {
    const place = this.#ring.placeOf(number);
    throw new CorruptFile(place.path, place.offset, `redo block ${number} is damaged, though it had been durable`);
  }
}
