/**
 * The redo log: common/log's buffer over a sink that cuts the bytes into checksummed blocks (redo-block.ts) and writes
 * them to the ring (redo-ring.ts). Positions of the Log are LSNs, so `appended`, `written` and `durable` mean here what
 * they mean there.
 *
 * Block headers are made when bytes are written, once per block and flush, not once per record.
 */
import { assert } from "../common/assert.ts";
import type { Disk } from "../common/disk/disk.ts";
import type { DiskFailure } from "../common/errors.ts";
import { Log, type LogSink } from "../common/log/log.ts";
import { wordsOf } from "./bytes-view.ts";
import type { Checkpoint } from "./checkpoint-slot.ts";
import { BLOCK_HEADER_BYTES, BLOCK_PAYLOAD, BLOCK_SIZE, NO_GROUP, sealBlock } from "./redo-block.ts";
import type { RedoSizes } from "./redo-files.ts";
import type { RedoRing } from "./redo-ring.ts";

/** Blocks formatted before one write call. */
const CHUNK_BLOCKS = 256;
/** Blocks on their way to the ring: filled and written within one call. */
const CHUNK = Buffer.alloc(CHUNK_BLOCKS * BLOCK_SIZE);
const CHUNK_WORDS = wordsOf(CHUNK);
/** No mini-transaction is longer: a split of every level of a deep tree. */
export const GROUP_BYTES_MAX = 128 * 1024;

/** Of a new folder. The log starts with block 1, so that LSN 0 can mean "never". */
export const FIRST_CHECKPOINT: Checkpoint = {
  number: 0,
  lsn: BLOCK_PAYLOAD,
  epoch: 0,
  epochStart: BLOCK_PAYLOAD,
  doublewriteBatch: 0,
  binlogFile: 1,
  binlogDurable: 0,
};

/** What a checkpoint says of the other files. */
export type CheckpointPlaces = Omit<Checkpoint, "number" | "lsn" | "epoch" | "epochStart">;

class BlockSink implements LogSink {
  readonly ring: RedoRing;
  /** Payload of the last block, which the next write continues. */
  readonly #tail = Buffer.alloc(BLOCK_PAYLOAD);
  #tailFirstGroup = NO_GROUP;
  /** LSNs of the first mini-transaction of each block not written yet, ascending. */
  readonly groupStarts: number[] = [];
  epoch = 0;
  durable = 0;
  blocksWritten = 0;

  constructor(ring: RedoRing) {
    this.ring = ring;
  }

  /** Continues behind `lsn`, in a block whose earlier payload is `payload`. */
  resume(payload: Buffer, firstGroup: number): void {
    payload.copy(this.#tail);
    this.#tailFirstGroup = firstGroup;
  }

  write(at: number, bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) done += this.#writeChunk(at + done, bytes as Buffer, done);
  }

  #writeChunk(lsn: number, bytes: Buffer, from: number): number {
    const first = Math.floor(lsn / BLOCK_PAYLOAD);
    const durable = Math.floor(this.durable / BLOCK_PAYLOAD);
    let offset = lsn - first * BLOCK_PAYLOAD;
    let done = from;
    let blocks = 0;
    while (done < bytes.length && blocks < CHUNK_BLOCKS) {
      const at = blocks * BLOCK_SIZE;
      const payload = at + BLOCK_HEADER_BYTES;
      if (offset > 0) this.#tail.copy(CHUNK, payload, 0, offset);
      const length = Math.min(BLOCK_PAYLOAD - offset, bytes.length - done);
      bytes.copy(CHUNK, payload + offset, done, done + length);
      const used = offset + length;
      if (used < BLOCK_PAYLOAD) CHUNK.fill(0, payload + used, at + BLOCK_SIZE);
      const number = first + blocks;
      const firstGroup = this.#firstGroupOf(number, offset);
      sealBlock(CHUNK, CHUNK_WORDS, at, { epoch: this.epoch, number, used, firstGroup, durable });
      done += length;
      offset = 0;
      blocks++;
    }
    const last = (blocks - 1) * BLOCK_SIZE + BLOCK_HEADER_BYTES;
    CHUNK.copy(this.#tail, 0, last, last + BLOCK_PAYLOAD);
    this.ring.write(first, CHUNK.subarray(0, blocks * BLOCK_SIZE));
    this.blocksWritten += blocks;
    return done - from;
  }

  #firstGroupOf(block: number, offset: number): number {
    if (offset === 0) this.#tailFirstGroup = NO_GROUP;
    const end = (block + 1) * BLOCK_PAYLOAD;
    while (this.groupStarts.length > 0 && this.groupStarts[0]! < end) {
      const start = this.groupStarts.shift()!;
      if (this.#tailFirstGroup === NO_GROUP) this.#tailFirstGroup = start - block * BLOCK_PAYLOAD;
    }
    return this.#tailFirstGroup;
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    this.ring.sync(done);
  }
  syncNow(): void {
    this.ring.syncNow();
  }
}

export class RedoLog {
  readonly ring: RedoRing;
  readonly #sink: BlockSink;
  #log: Log;
  #checkpoint: Checkpoint = FIRST_CHECKPOINT;
  /** Its LSN, once more: asked for by every mini-transaction, and objects made by spreading differ in shape. */
  #checkpointLsn = FIRST_CHECKPOINT.lsn;
  #nextBlockAt = 0;
  /** The first block that recovery could not read: behind the end of the log, or damaged. */
  unreadBlock = 0;
  syncs = 0;

  constructor(ring: RedoRing) {
    this.ring = ring;
    this.#sink = new BlockSink(ring);
    this.#log = new Log(this.#sink, 0);
  }

  /** The buffer behind it: mini-transactions append to it. */
  get log(): Log {
    return this.#log;
  }
  get checkpoint(): Checkpoint {
    return this.#checkpoint;
  }
  get blocksWritten(): number {
    return this.#sink.blocksWritten;
  }
  /** Log bytes between the checkpoint and the end. */
  get age(): number {
    return this.#log.appended - this.#checkpointLsn;
  }
  /** The age that must never be passed: one block is kept apart, because the oldest one may start before the checkpoint. */
  get ageMax(): number {
    return this.ring.capacity - 2 * BLOCK_PAYLOAD;
  }

  /** Opens a new epoch behind `lsn`, in a durable checkpoint slot, before anything is written in it (pitfall 17). */
  begin(last: Checkpoint, lsn: number, payload: Buffer, firstGroup: number): void {
    const epoch = last.epoch + 1;
    this.#moveTo({ ...last, number: last.number + 1, epoch, epochStart: lsn });
    this.ring.writeCheckpoint(this.#checkpoint);
    this.#sink.resume(payload, firstGroup);
    this.#sink.epoch = epoch;
    this.#log = new Log(this.#sink, lsn);
    this.#nextBlockAt = lsn;
  }

  /** Changes the size of the ring. Every page is written: the checkpoint is at the end of the log. */
  resize(disk: Disk, sizes: RedoSizes): void {
    assert(this.age === 0 && this.#log.durable === this.#log.appended, "redo: only an empty log changes its size");
    const next = { ...this.#checkpoint, number: this.#checkpoint.number + 1 };
    this.ring.replace(disk, sizes, next);
    this.#moveTo(next);
  }

  /** A mini-transaction starts at `lsn`. */
  groupStarts(lsn: number): void {
    if (lsn < this.#nextBlockAt) return;
    this.#sink.groupStarts.push(lsn);
    this.#nextBlockAt = (Math.floor(lsn / BLOCK_PAYLOAD) + 1) * BLOCK_PAYLOAD;
  }

  /** Hands the buffer to the operating system. */
  write(): void {
    assert(this.age <= this.ageMax, "redo: a block is overwritten only behind the checkpoint");
    this.#sink.durable = this.#log.durable;
    this.#log.write();
  }

  /** Writes and syncs everything appended. */
  flushNow(): void {
    this.write();
    if (this.#log.durable === this.#log.written) return;
    this.syncs++;
    this.#log.syncNow();
  }

  /** Calls `done` when everything written so far is durable: now, or after a background sync. */
  whenDurable(done: (failure: DiskFailure | undefined) => void): void {
    this.syncs++;
    this.#log.whenDurable(this.#log.written, done);
  }

  #nextCheckpoint(lsn: number, places: CheckpointPlaces): Checkpoint {
    assert(lsn <= this.#log.durable, "redo: a checkpoint lies in durable redo (pitfall 16)");
    assert(lsn >= this.#checkpoint.lsn, "redo: the checkpoint never goes back");
    return { ...this.#checkpoint, number: this.#checkpoint.number + 1, lsn, ...places };
  }

  /** Moves the checkpoint: everything before `lsn` is in the tablespace, synced. */
  writeCheckpoint(lsn: number, places: CheckpointPlaces): void {
    const next = this.#nextCheckpoint(lsn, places);
    this.ring.writeCheckpoint(next);
    this.#moveTo(next);
  }

  #moveTo(checkpoint: Checkpoint): void {
    this.#checkpoint = checkpoint;
    this.#checkpointLsn = checkpoint.lsn;
  }

  /**
   * The same, in the background: the log behind it is free when `done` is called. A checkpoint written in place meanwhile
   * takes the same slot, so that the other one is whole all the time (C1).
   */
  writeCheckpointInBackground(
    lsn: number,
    places: CheckpointPlaces,
    done: (failure: DiskFailure | undefined) => void,
  ): void {
    const next = this.#nextCheckpoint(lsn, places);
    this.ring.writeCheckpointInBackground(next, (failure) => {
      if (failure === undefined && next.number > this.#checkpoint.number) this.#moveTo(next);
      done(failure);
    });
  }
}
