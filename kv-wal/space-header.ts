/**
 * Page 0 of the tablespace: what exists once.
 *
 *     offset  size
 *         32     4  "TWSP"            36  4  version        40  4  page size      44  8  folder id
 *         52     4  seed of the key hash
 *         56     4  pages of the space: the next new page number (free-space.ts)
 *         60     4  first page of the free list   64  4  pages of the free list
 *         68     4  oldest undo page  72  4  newest undo page
 *         76     6  ids below this one may have been given away (transactions, XIDs and containers share one counter)
 *         82     6  the transactions up to this id have reached prepare
 *         88     6  the transactions up to this id are committed, those that recovery has rolled back excepted
 *         94     1  1: every XID in the binlog has its transaction in redo that was durable before (flush_log_at_trx_commit
 *                   is 1)
 *         96     4  pages marked as free in the bitmap pages
 *        112     4  when the last group was committed: the binlog file, and
 *        116     6  how much of it was durable; damage before that is not a torn tail
 *        122     6  the last XID of that group
 *        128  512 × 24  per database: id (4), keys (6), keys with an expiry (6), zeros (8)
 *
 * Entry i of the last table says which database id number i shows (SWAPDB exchanges ids); the counts beside it belong to the
 * *id* i. Counts change in the mini-transaction that inserts or deletes the counted row, and rolling that back
 * changes them back: so DBSIZE is O(1) and exact after every crash, without undo records of its own.
 */
import { assert } from "../common/assert.ts";
import { CorruptFile } from "../common/errors.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { readU32, readU48, writeU32, writeU48 } from "./bytes-view.ts";
import { FIRST_BITMAP_PAGE, FreeSpace } from "./free-space.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { PAGE_SIZE } from "./page.ts";
import { Redo } from "./redo-records.ts";
import { SPACE_PATH } from "./tablespace.ts";

const MAGIC = 0x50535754;
const VERSION = 4;
const SEED_AT = 52;
const PAGES_AT = 56;
const UNDO_OLDEST_AT = 68;
const UNDO_NEWEST_AT = 72;
const ID_LIMIT_AT = 76;
const PREPARED_AT = 82;
const COMMITTED_AT = 88;
const REDO_FIRST_AT = 94;
const BINLOG_FILE_AT = 112;
const BINLOG_DURABLE_AT = 116;
const LAST_XID_AT = 122;
const BINLOG_PLACE_BYTES = 16;
export const DATABASES_AT = 128;
export const DATABASE_BYTES = 24;
export const DATABASES_MAX = 512;
/** The root of the tree never moves. */
export const ROOT_PAGE = 1;
/** Header, root and the first bitmap page. */
export const FIRST_PAGES = FIRST_BITMAP_PAGE + 1;
/** Ids are reserved in the log this many at a time. */
const ID_BATCH = 4096;

/** Fills page 0 of a new tablespace (all but its checksum). */
export function writeFirstHeader(page: Buffer, id: Uint8Array, seed: number, redoIsFirst: boolean): void {
  writeU32(page, 32, MAGIC);
  writeU32(page, 36, VERSION);
  writeU32(page, 40, PAGE_SIZE);
  page.set(id, 44);
  writeU32(page, SEED_AT, seed);
  writeU32(page, PAGES_AT, FIRST_PAGES);
  writeU48(page, ID_LIMIT_AT, 1);
  page[REDO_FIRST_AT] = redoIsFirst ? 1 : 0;
  for (let i = 0; i < DATABASES_MAX; i++) writeU32(page, DATABASES_AT + DATABASE_BYTES * i, i);
}

export class SpaceHeader {
  readonly #pool: BufferPool;
  /** Of all frames. */
  readonly #bytes: Buffer;
  readonly #mini: MiniTransaction;
  readonly freeSpace: FreeSpace;
  #frame = 0;
  #base = 0;
  #nextId = 1;

  constructor(pool: BufferPool, mini: MiniTransaction) {
    this.#pool = pool;
    this.#bytes = pool.arena.bytes;
    this.#mini = mini;
    this.freeSpace = new FreeSpace(pool, mini);
  }

  /** Takes page 0 for good; `lsn` is where the redo log ends. */
  open(folderId: Buffer, lsn: number): void {
    this.#frame = this.#pool.fetch(0);
    this.#pool.pin(this.#frame);
    this.#base = this.#frame * PAGE_SIZE;
    const bytes = this.#bytes;
    if (readU32(bytes, this.#base + 32) !== MAGIC || readU32(bytes, this.#base + 36) !== VERSION) {
      throw new CorruptFile(SPACE_PATH, 32, "not a tablespace of this version");
    }
    if (!folderId.equals(bytes.subarray(this.#base + 44, this.#base + 52))) {
      throw new CorruptFile(SPACE_PATH, 44, "the tablespace belongs to another folder than the redo log");
    }
    this.#nextId = this.idLimit;
    this.freeSpace.open(this.#frame, lsn);
  }

  get hashSeed(): number {
    return readU32(this.#bytes, this.#base + SEED_AT);
  }
  get pages(): number {
    return this.freeSpace.pages;
  }
  get freePages(): number {
    return this.freeSpace.listed + this.freeSpace.marked;
  }
  get oldestUndo(): number {
    return readU32(this.#bytes, this.#base + UNDO_OLDEST_AT);
  }
  get newestUndo(): number {
    return readU32(this.#bytes, this.#base + UNDO_NEWEST_AT);
  }
  get idLimit(): number {
    return readU48(this.#bytes, this.#base + ID_LIMIT_AT);
  }

  get preparedUpTo(): number {
    return readU48(this.#bytes, this.#base + PREPARED_AT);
  }
  get committedUpTo(): number {
    return readU48(this.#bytes, this.#base + COMMITTED_AT);
  }

  setPreparedUpTo(id: number): void {
    assert(id > this.preparedUpTo, "space: transactions are prepared in the order of their ids");
    this.#patch48(PREPARED_AT, id);
  }
  setCommittedUpTo(id: number): void {
    assert(id > this.committedUpTo && id <= this.preparedUpTo, "space: prepared transactions are committed in order");
    this.#patch48(COMMITTED_AT, id);
  }

  /** Whether redo is durable before the binlog is written, always: what the binlog has, redo must have. */
  get redoIsFirst(): boolean {
    return this.#bytes[this.#base + REDO_FIRST_AT] === 1;
  }
  setRedoIsFirst(isFirst: boolean): void {
    this.#mini.patchByte(this.#frame, REDO_FIRST_AT, isFirst ? 1 : 0);
  }

  get binlogFile(): number {
    return readU32(this.#bytes, this.#base + BINLOG_FILE_AT);
  }
  get binlogDurable(): number {
    return readU48(this.#bytes, this.#base + BINLOG_DURABLE_AT);
  }
  get lastXid(): number {
    return readU48(this.#bytes, this.#base + LAST_XID_AT);
  }
  /** A group that ends with this XID is committed; so much of the binlog is durable. */
  setBinlogPlace(file: number, durable: number, lastXid: number): void {
    const at = this.#mini.open(Redo.PATCH, this.#frame, BINLOG_FILE_AT, BINLOG_PLACE_BYTES);
    writeU32(this.#mini.buffer, at, file);
    writeU48(this.#mini.buffer, at + 4, durable);
    writeU48(this.#mini.buffer, at + 10, lastXid);
    this.#mini.apply();
  }

  setOldestUndo(page: number): void {
    this.#mini.patchU32(this.#frame, UNDO_OLDEST_AT, page);
  }
  setNewestUndo(page: number): void {
    this.#mini.patchU32(this.#frame, UNDO_NEWEST_AT, page);
  }

  /** The id that will be given next. */
  get nextId(): number {
    return this.#nextId;
  }

  /** The next id, never given before; outside a mini-transaction. */
  takeId(): number {
    if (this.#nextId >= this.idLimit) this.#raiseIdLimit(this.#nextId + ID_BATCH);
    return this.#nextId++;
  }

  /** Ids below `id` are never given again: recovery calls it with what it has met in the binlog (pitfall 35). */
  skipIdsBelow(id: number): void {
    if (id <= this.#nextId) return;
    this.#nextId = id;
    if (id > this.idLimit) this.#raiseIdLimit(id);
  }

  #raiseIdLimit(limit: number): void {
    this.#mini.begin();
    this.#patch48(ID_LIMIT_AT, limit);
    this.#mini.commit();
  }

  /** A page for new content, initialised, inside a mini-transaction. Returns its frame. */
  allocate(type: number, level: number): number {
    return this.freeSpace.allocate(type, level);
  }

  /** Gives a page back, inside a mini-transaction. */
  free(frame: number): void {
    this.freeSpace.free(frame);
  }

  /** Gives a chain of pages back, inside a mini-transaction. */
  freeChain(first: number, last: number, count: number): void {
    this.freeSpace.freeChain(first, last, count);
  }

  /** The id of the database that number `index` shows. */
  databaseId(index: number): number {
    return readU32(this.#bytes, this.#base + DATABASES_AT + DATABASE_BYTES * index);
  }

  /** Exchanges what two numbers show, inside a mini-transaction. */
  swapDatabases(a: number, b: number): void {
    const idA = this.databaseId(a);
    const idB = this.databaseId(b);
    this.#mini.patchU32(this.#frame, DATABASES_AT + DATABASE_BYTES * a, idB);
    this.#mini.patchU32(this.#frame, DATABASES_AT + DATABASE_BYTES * b, idA);
  }

  /** Keys in the database with this id. */
  keys(id: number): number {
    return readU48(this.#bytes, this.#base + DATABASES_AT + DATABASE_BYTES * id + 4);
  }

  /** Keys with an expiry in the database with this id. */
  expiringKeys(id: number): number {
    return readU48(this.#bytes, this.#base + DATABASES_AT + DATABASE_BYTES * id + 10);
  }

  addKeys(id: number, difference: number): void {
    this.#patch48(DATABASES_AT + DATABASE_BYTES * id + 4, this.keys(id) + difference);
  }

  addExpiringKeys(id: number, difference: number): void {
    this.#patch48(DATABASES_AT + DATABASE_BYTES * id + 10, this.expiringKeys(id) + difference);
  }

  #patch48(offset: number, value: number): void {
    assert(value >= 0, "space: counts are not negative");
    const at = this.#mini.open(Redo.PATCH, this.#frame, offset, 6);
    writeU48(this.#mini.buffer, at, value);
    this.#mini.apply();
  }
}
