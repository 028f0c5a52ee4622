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
 *
 * For rule 3 nobody reads a ring of gigabytes to its end at every start. What was written behind a block lies contiguous
 * behind it. So the reader looks at the blocks that follow, and then at places whose distance doubles each time: had the
 * log gone on, the last of these looks would fall into its younger half. Only when one of them meets a block of this
 * lap and epoch, which a sound log does not have there, everything is read.
 */
import { CorruptFile } from "../common/errors.ts";
import { readU16, readU48, wordsOf } from "./bytes-view.ts";
import type { Checkpoint } from "./checkpoint-slot.ts";
import {
  BLOCK_EPOCH_AT,
  BLOCK_FIRST_GROUP_AT,
  BLOCK_HEADER_BYTES,
  BLOCK_NUMBER_AT,
  BLOCK_PAYLOAD,
  BLOCK_SIZE,
  BLOCK_USED_AT,
  checksumHolds,
  NO_GROUP,
  readBlockHeader,
} from "./redo-block.ts";
import { Redo, redoLength, redoType } from "./redo-records.ts";
import type { RedoRing } from "./redo-ring.ts";

/** Read at once: little at first, because most logs are short, then four times as much each time. */
const CHUNK_BYTES_MIN = 4 << 10;
const CHUNK_BYTES_MAX = 1 << 20;
/** Blocks behind the end that are looked at one by one. */
const LOOKED_AT_BLOCKS = 64;
const LOOK = Buffer.alloc(LOOKED_AT_BLOCKS * BLOCK_SIZE);

/** A mini-transaction: its records are `bytes[from, to)`, END included; it ends at `lsn`. */
export type VisitGroup = (bytes: Buffer, from: number, to: number, lsn: number) => void;

export class RedoReader {
  readonly #ring: RedoRing;
  readonly #checkpoint: Checkpoint;
  /** Blocks before this one have been found whole by this process: their checksums are not computed again. */
  readonly #verifiedTo: number;
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES_MIN);
  #words = wordsOf(this.#chunk);
  #chunkBlocks = 0;
  #chunkFirst = -1;
  /** Payload not consumed yet. */
  #pending = Buffer.allocUnsafeSlow(CHUNK_BYTES_MIN);
  #pendingFrom = 0;
  #pendingTo = 0;
  /** How far the records that are pending have been found whole. */
  #parsedTo = 0;
  #block: number;
  #ended = false;
  /** LSN of the first byte not consumed. */
  #lsn: number;

  constructor(ring: RedoRing, checkpoint: Checkpoint, verifiedTo = 0) {
    this.#ring = ring;
    this.#checkpoint = checkpoint;
    this.#verifiedTo = verifiedTo;
    this.#lsn = checkpoint.lsn;
    this.#block = Math.floor(checkpoint.lsn / BLOCK_PAYLOAD);
  }

  /** The end of the last whole mini-transaction visited. */
  get lsn(): number {
    return this.#lsn;
  }
  /** The block at which reading has stopped: those before it are whole. */
  get block(): number {
    return this.#block;
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
    if (header < 0) return { payload, firstGroup: NO_GROUP };
    const offset = this.#lsn - block * BLOCK_PAYLOAD;
    this.#chunk.copy(payload, 0, header + BLOCK_HEADER_BYTES, header + BLOCK_HEADER_BYTES + offset);
    const firstGroup = readU16(this.#chunk, header + BLOCK_FIRST_GROUP_AT);
    return { payload, firstGroup: firstGroup < offset ? firstGroup : NO_GROUP };
  }

  /** Length of the mini-transaction at the start of what is pending, 0 when it is not all there. */
  #groupLength(): number {
    const end = this.#pendingTo;
    for (let at = Math.max(this.#parsedTo, this.#pendingFrom); at < end; ) {
      const length = redoLength(this.#pending, at, end);
      if (length < 0) break;
      if (length === 0) {
        const place = this.#ring.placeOf(Math.floor(this.#lsn / BLOCK_PAYLOAD));
        throw new CorruptFile(place.path, place.offset, `redo record of unknown type at LSN ${this.#lsn}`);
      }
      const isEnd = redoType(this.#pending, at) === Redo.END;
      at += length;
      this.#parsedTo = at;
      if (isEnd) return at - this.#pendingFrom;
    }
    return 0;
  }

  /** Adds the payload of the next block; false at the end of the log. */
  #readBlock(): boolean {
    const number = this.#block;
    const { epoch, epochStart } = this.#checkpoint;
    const startBlock = Math.floor(epochStart / BLOCK_PAYLOAD);
    const at = this.#load(number);
    if (at < 0) {
      if (number < startBlock) this.#damaged(number);
      return false;
    }
    let used = readU16(this.#chunk, at + BLOCK_USED_AT);
    if (number >= startBlock && this.#words[(at + BLOCK_EPOCH_AT) >> 2] !== epoch) {
      if (number > startBlock) return false;
      used = Math.min(used, epochStart - number * BLOCK_PAYLOAD);
    }
    const skip = Math.max(0, this.#checkpoint.lsn - number * BLOCK_PAYLOAD);
    if (used > skip) this.#append(at + BLOCK_HEADER_BYTES + skip, used - skip);
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
      const isTight = kept + length > this.#pending.length / 2;
      const next = isTight ? Buffer.allocUnsafeSlow(this.#pending.length * 2) : this.#pending;
      this.#pending.copy(next, 0, this.#pendingFrom, this.#pendingTo);
      this.#pending = next;
      this.#parsedTo = Math.max(this.#parsedTo - this.#pendingFrom, 0);
      this.#pendingFrom = 0;
      this.#pendingTo = kept;
    }
    this.#chunk.copy(this.#pending, this.#pendingTo, at, at + length);
    this.#pendingTo += length;
  }

  /** Where in the chunk block `number` is, when the ring holds exactly that block, whole; −1 otherwise. */
  #load(number: number): number {
    if (number < this.#chunkFirst || number >= this.#chunkFirst + this.#chunkBlocks) {
      if (!this.#readChunk(number)) return -1;
    }
    const at = (number - this.#chunkFirst) * BLOCK_SIZE;
    if (!hasNumber(this.#chunk, at, number)) return -1;
    if (number < this.#verifiedTo) return at;
    // A block of zeros would pass for block 0 if only its number counted.
    return checksumHolds(this.#chunk, this.#words, at, BLOCK_SIZE) ? at : -1;
  }

  #readChunk(first: number): boolean {
    if (this.#chunkFirst >= 0 && this.#chunk.length < CHUNK_BYTES_MAX) {
      this.#chunk = Buffer.allocUnsafeSlow(this.#chunk.length * 4);
      this.#words = wordsOf(this.#chunk);
    }
    this.#chunkFirst = first;
    this.#chunkBlocks = Math.floor(this.#ring.read(first, this.#chunk) / BLOCK_SIZE);
    return this.#chunkBlocks > 0;
  }

  /** Rule 3: does a block know that the one at which we stopped had been durable? */
  #refuseRot(): void {
    const stopped = this.#block;
    const last = Math.floor(this.#checkpoint.lsn / BLOCK_PAYLOAD) + this.#ring.blocks;
    // The block itself may be a partial one, and whole.
    let goesOn = this.#looksLive(stopped + 1, Math.min(stopped + LOOKED_AT_BLOCKS, last));
    for (let distance = LOOKED_AT_BLOCKS; !goesOn && stopped + distance < last; distance *= 2) {
      goesOn = this.#looksLive(stopped + distance, stopped + distance + 1);
    }
    if (goesOn) this.#refuseWitness(stopped, last);
    else if (this.#isWitness(stopped, stopped)) this.#damaged(stopped);
  }

  /** Whether one of the blocks [from, to) has the number and the epoch that it would have if the log went on. */
  #looksLive(from: number, to: number): boolean {
    for (let first = from; first < to; ) {
      const bytes = this.#ring.read(first, LOOK.subarray(0, (to - first) * BLOCK_SIZE));
      if (bytes < BLOCK_SIZE) return false;
      for (let at = 0; at + BLOCK_SIZE <= bytes; at += BLOCK_SIZE, first++) {
        if (hasNumber(LOOK, at, first) && readBlockHeader(LOOK, at).epoch >= this.#checkpoint.epoch) return true;
      }
    }
    return false;
  }

  #refuseWitness(stopped: number, last: number): void {
    for (let number = stopped; number < last; number++) if (this.#isWitness(number, stopped)) this.#damaged(stopped);
  }

  /** Whether block `number` is whole and says that block `stopped` had been durable. */
  #isWitness(number: number, stopped: number): boolean {
    const at = this.#load(number);
    if (at < 0) return false;
    const { epoch, durable } = readBlockHeader(this.#chunk, at);
    return epoch > this.#checkpoint.epoch || (epoch === this.#checkpoint.epoch && durable > stopped);
  }

  #damaged(number: number): never {
    const place = this.#ring.placeOf(number);
    throw new CorruptFile(place.path, place.offset, `redo block ${number} is damaged, though it had been durable`);
  }
}

function hasNumber(bytes: Buffer, at: number, number: number): boolean {
  return readU48(bytes, at + BLOCK_NUMBER_AT) === number && readU16(bytes, at + BLOCK_USED_AT) <= BLOCK_PAYLOAD;
}
