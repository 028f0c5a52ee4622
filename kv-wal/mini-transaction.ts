/**
 * Mini-transactions: changes of several pages that are replayed all or not at all (I7, redo-records.ts R1, R2).
 *
 *     begin ─ open(INSERT, frame, slot, 90) ─ fill 90 bytes ─ apply ─ … ─ commit
 *
 * Each record is written into the redo buffer first and then applied to the page from there: the log is ahead of the
 * page even inside this process.
 *
 * Invariants: M1 inside a mini-transaction nothing is written to any file; `begin` makes the room that it may need, in
 * the redo log (a full log makes writers wait here: dirty pages are flushed and the checkpoint moves) and in the buffer
 * pool. M2 at `commit` each changed page gets the LSN of the end and is on the dirty list. M3 there is one at a time.
 */
import { assert } from "../common/assert.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { copyBytes, wordsOf, writeU32 } from "./bytes-view.ts";
import { PAGE_SIZE } from "./page.ts";
import { GROUP_BYTES_MAX, type RedoLog } from "./redo-log.ts";
import {
  applyContent,
  REDO_END_BYTES,
  REDO_HEADER_BYTES,
  Redo,
  writeRedoEnd,
  writeRedoHeader,
} from "./redo-records.ts";

/** So much redo is handed to the operating system before the turn ends: memory that is used again is still in the cache. */
const BUFFERED_BYTES_MAX = 128 * 1024;

export class MiniTransaction {
  readonly #redo: RedoLog;
  readonly #pool: BufferPool;
  readonly #changed: number[] = [];
  #start = 0;
  #open = false;
  // The open record.
  #recordType = 0;
  #recordWhere = 0;
  #recordLength = 0;
  #recordFrame = 0;
  #recordAt = 0;
  #recordEnd = 0;
  /** The redo buffer while a record is open: fill it from the offset that `open` returned. */
  buffer: Buffer = Buffer.alloc(0);
  /** The same as words: records start at multiples of four. */
  words: Uint32Array = wordsOf(this.buffer);

  constructor(redo: RedoLog, pool: BufferPool) {
    this.#redo = redo;
    this.#pool = pool;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  begin(): void {
    assert(!this.#open, "mini-transaction: one at a time");
    if (this.#redo.age + GROUP_BYTES_MAX > this.#redo.ageMax || this.#pool.needsRoom) this.#pool.makeRoom();
    this.#start = this.#redo.log.appended;
    this.#redo.groupStarts(this.#start);
    this.#open = true;
  }

  /** Starts a record with `length` bytes of content; returns where in `buffer` they go. Then comes `apply`. */
  open(type: number, frame: number, where: number, length: number): number {
    const size = REDO_HEADER_BYTES + ((length + 3) & ~3);
    const at = this.#reserve(size);
    const { words } = this;
    writeRedoHeader(words, at, type, this.#pool.pageIn(frame), where, length);
    if (length > 0) words[(at + size - 4) >> 2] = 0;
    this.#recordType = type;
    this.#recordWhere = where;
    this.#recordLength = length;
    this.#recordFrame = frame;
    this.#recordAt = at;
    this.#recordEnd = at + size;
    return at + REDO_HEADER_BYTES;
  }

  #reserve(size: number): number {
    const log = this.#redo.log;
    const buffer = log.reserve(size);
    if (buffer !== this.buffer) {
      this.buffer = buffer;
      this.words = wordsOf(buffer);
    }
    return log.bufferedBytes;
  }

  /** The open record is complete: it is in the log, and the page follows. */
  apply(): void {
    this.#redo.log.advance(this.#recordEnd);
    this.#pool.willChange(this.#recordFrame, this.#changed);
    const { buffer, words } = this;
    const base = this.#recordFrame * PAGE_SIZE;
    const from = this.#recordAt + REDO_HEADER_BYTES;
    applyContent(this.#pool.arena, base, this.#recordType, this.#recordWhere, buffer, words, from, this.#recordLength);
  }

  /** A record without content: INIT, REMOVE, TRUNCATE. */
  applyShort(type: number, frame: number, where: number): void {
    this.open(type, frame, where, 0);
    this.apply();
  }

  /** A record whose content is copied from `source`. */
  applyCopy(type: number, frame: number, where: number, source: Buffer, from: number, length: number): void {
    const at = this.open(type, frame, where, length);
    copyBytes(source, from, this.buffer, at, length);
    this.apply();
  }

  patchU32(frame: number, offset: number, value: number): void {
    const at = this.open(Redo.PATCH, frame, offset, 4);
    writeU32(this.buffer, at, value);
    this.apply();
  }

  patchByte(frame: number, offset: number, value: number): void {
    const at = this.open(Redo.PATCH, frame, offset, 1);
    this.buffer[at] = value;
    this.apply();
  }

  /** Ends it; returns the LSN of its end. */
  commit(): number {
    const { log } = this.#redo;
    const at = this.#reserve(REDO_END_BYTES);
    writeRedoEnd(this.words, at);
    log.advance(at + REDO_END_BYTES);
    const end = log.appended;
    assert(end - this.#start <= GROUP_BYTES_MAX, "mini-transaction: a group has a limit");
    this.#pool.changed(this.#changed, this.#start, end);
    this.#open = false;
    if (at > BUFFERED_BYTES_MAX) this.#redo.write();
    return end;
  }
}
