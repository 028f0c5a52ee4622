/**
 * Transactions: row changes with undo.
 *
 * The first change of a command begins one (lazily); `end` ends it; it is prepared and committed with its group
 * (write-path.ts). Commands run one after another, so its rows are visible to the commands that follow before it is
 * durable: that is safe because their replies wait for the same log positions (I1), and because log order is execution
 * order: after a crash the transactions that survive are a prefix, and undoing the others in reverse order is exact.
 *
 * An interactive transaction (interactive.ts) is entered and left around each of its commands. Others run meanwhile; but nobody
 * changes a row that it has changed (lock-table.ts): its order among those who meet it is that of the logs, too.
 *
 * A delete removes the row at once if no view is open and the transaction is not interactive. Otherwise the row gets a delete
 * mark, an insert of the same key takes it over, and purge removes it when no view can want it any more.
 *
 * Each row change is one mini-transaction: undo record → redo of the row → the row in its page; and the row's count.
 */
import { assert, present } from "../common/assert.ts";
import { type Bytes, writeBytes } from "../common/bytes.ts";
import type { Host } from "../common/host.ts";
import type { BTree } from "./b-tree.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { copyBytes, copyWords, writeU16, writeU48 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { appendPage, type Chain, type ChainOwner, contentPart, OVERFLOW_PAYLOAD } from "./overflow.ts";
import {
  type Arena,
  FLAG_DELETED,
  PAGE_SIZE,
  RECORD_BYTES_MAX,
  RECORD_SYSTEM_BYTES,
  RECORD_VALUE_LENGTH_AT,
} from "./page.ts";
import type { ReadViews } from "./read-view.ts";
import { Redo } from "./redo-records.ts";
import { writeHead, writeKey } from "./row-format.ts";
import type { RowVersions } from "./row-versions.ts";
import { countRow } from "./rows/layout.ts";
import type { SpaceHeader } from "./space-header.ts";
import type { Transaction } from "./transaction-states.ts";
import {
  FREES_CHAIN,
  INTERACTIVE_BYTES,
  NEW_CHAIN_BYTES,
  SWAP_BYTES,
  TRANSACTION_BYTES,
  UNDO_BODY_AT,
  UNDO_MARK_AT,
  UNDO_PREVIOUS_AT,
  UNDO_TAIL_AT,
  Undo,
  type UndoLog,
} from "./undo-log.ts";

/** Where an interactive transaction is in the undo log, between its commands. */
export class InteractiveUndo {
  /** 0: it has changed nothing yet. */
  id = 0;
  header = 0;
  /** Its newest record. */
  last = 0;
  /** Undo records written. */
  changes = 0;
}

/** A row on its way into the tree. */
const RECORD = Buffer.alloc(RECORD_BYTES_MAX);

export class Transactions {
  readonly #host: Host;
  readonly #pool: BufferPool;
  readonly #arena: Arena;
  readonly #mini: MiniTransaction;
  readonly #header: SpaceHeader;
  readonly #tree: BTree;
  readonly #undo: UndoLog;
  readonly #views: ReadViews;
  readonly #versions: RowVersions;
  /** The running transaction; 0: none has begun. */
  #id = 0;
  #headerPointer = 0;
  #last = 0;
  /** The interactive transaction that is running; undefined: a command on its own runs. */
  #interactive: InteractiveUndo | undefined;
  /** Whether a command runs that writes: only then may rows change. */
  mayChange = false;
  /** Whether something else runs that no group commit must get into: a command that reads, a rollback. */
  isOccupied = false;

  constructor(
    host: Host,
    pool: BufferPool,
    mini: MiniTransaction,
    header: SpaceHeader,
    tree: BTree,
    undo: UndoLog,
    views: ReadViews,
    versions: RowVersions,
  ) {
    this.#host = host;
    this.#pool = pool;
    this.#arena = pool.arena;
    this.#mini = mini;
    this.#header = header;
    this.#tree = tree;
    this.#undo = undo;
    this.#views = views;
    this.#versions = versions;
  }

  /** Whether something is under way that a group commit must not get into. */
  get busy(): boolean {
    return this.mayChange || this.isOccupied || this.#mini.isOpen;
  }

  get running(): boolean {
    return this.#id !== 0;
  }

  /** Whether an interactive transaction runs, and the version of the row is not its own: its snapshot may show an older one. */
  isForeign(record: number): boolean {
    return this.#interactive !== undefined && this.#arena.transactionOf(record) !== this.#id;
  }

  /** Room for an undo record of `size` bytes; begins the transaction at its first change. Outside a mini-transaction. */
  #ready(size: number): void {
    assert(this.mayChange, "transaction: rows change only while a command runs");
    if (this.#id !== 0) {
      this.#undo.ensureRoom(size);
      return;
    }
    const id = this.#header.takeId();
    this.#undo.ensureRoom(size + INTERACTIVE_BYTES);
    this.#id = id;
  }

  /** The interactive transaction goes on: the changes that follow are its own. */
  enter(transaction: InteractiveUndo): void {
    assert(this.#id === 0 && this.#interactive === undefined, "transaction: one runs at a time");
    this.#interactive = transaction;
    this.#id = transaction.id;
    this.#headerPointer = transaction.header;
    this.#last = transaction.last;
  }

  /** Its command is over. */
  leave(): void {
    const transaction = present(this.#interactive, "transaction: left after it was entered");
    transaction.id = this.#id;
    transaction.header = this.#headerPointer;
    transaction.last = this.#last;
    this.#interactive = undefined;
    this.#id = 0;
    this.#last = 0;
  }

  /**
   * Appends an undo record's fixed part; returns where it starts in the mini-transaction's buffer. The first one of the
   * transaction carries the TRANSACTION record along.
   */
  #append(type: number, size: number): number {
    const first = this.#last === 0;
    let pointer = this.#undo.nextPointer;
    let headerBytes = 0;
    const interactive = this.#interactive;
    if (first) {
      headerBytes = interactive === undefined ? TRANSACTION_BYTES : INTERACTIVE_BYTES;
      this.#headerPointer = pointer;
      this.#last = pointer;
      pointer += headerBytes;
    }
    if (interactive !== undefined) {
      if (first) this.#views.began(this.#id, this.#headerPointer);
      interactive.changes++;
    }
    const at = this.#undo.append(type, size, this.#id, headerBytes);
    writeU48(this.#mini.buffer, at + UNDO_PREVIOUS_AT, this.#last);
    this.#last = pointer;
    return at;
  }

  /**
   * Inserts a row at the position of the tree's last search, which did not find the key, or found it with a delete mark. The
   * value is head + rest.
   */
  insert(hi: number, mid: number, low: number, tail: Bytes, flags: number, head: Bytes, rest: Bytes): void {
    const tree = this.#tree;
    if (tree.found) {
      this.#takeOver(flags, head, rest);
      return;
    }
    const size = (UNDO_TAIL_AT + tail.length + 3) & ~3;
    this.#ready(size);
    this.#mini.begin();
    const at = this.#append(Undo.INSERT, size);
    this.#mini.words[(at + size - 4) >> 2] = 0;
    writeKey(this.#mini.buffer, at + UNDO_BODY_AT, hi, mid, low, tail);
    this.#mini.apply();
    if (this.#host.tracing) this.#traceChange("undo");
    const valueAt = writeKey(RECORD, 0, hi, mid, low, tail);
    const length = this.#finishRecord(RECORD, valueAt, flags, head, rest);
    tree.insert(RECORD, length);
    countRow(this.#header, hi, mid, 1);
    if (this.#host.tracing) this.#traceChange("row");
    this.#mini.commit();
  }

  /** Gives the row that the tree's last search found another value. `freesChain`: the old value's chain is not kept. */
  update(flags: number, head: Bytes, rest: Bytes, freesChain: boolean): void {
    const { frame, slot, record } = this.#tree;
    this.#appendOld(Undo.UPDATE, freesChain);
    const arena = this.#arena;
    const length = head.length + rest.length;
    const valueAt = arena.valueAt(record);
    const lengthAt = (record + RECORD_VALUE_LENGTH_AT) >> 1;
    if (arena.halves[lengthAt] === (length | flags)) {
      // The same length and kind: only the end of the record changes, patched in whole words.
      const from = (valueAt - RECORD_SYSTEM_BYTES) & ~3;
      const end = (valueAt + length + 3) & ~3;
      const at = this.#mini.open(Redo.PATCH, frame, from - frame * PAGE_SIZE, end - from);
      const { buffer, words } = this.#mini;
      words[at >> 2] = arena.words[from >> 2]!;
      const system = at + valueAt - RECORD_SYSTEM_BYTES - from;
      this.#writeSystem(buffer, system);
      writeBytes(buffer, rest, writeHead(buffer, head, system + RECORD_SYSTEM_BYTES));
      this.#mini.apply();
    } else {
      assert(this.#tree.slot === slot, "transaction: the position is still there");
      this.#replace(record, flags, head, rest);
    }
    if (this.#host.tracing) this.#traceChange("row");
    this.#mini.commit();
  }

  /** Gives the record a value of any length, in the mini-transaction. */
  #replace(record: number, flags: number, head: Bytes, rest: Bytes): void {
    const arena = this.#arena;
    const keyBytes = arena.valueAt(record) - RECORD_SYSTEM_BYTES - record;
    copyBytes(arena.bytes, record, RECORD, 0, keyBytes);
    const size = this.#finishRecord(RECORD, keyBytes, flags, head, rest);
    this.#tree.replace(RECORD, size);
  }

  /** Makes a row with a delete mark a row again. Its chain, if it has one, is freed with the version that was deleted. */
  #takeOver(flags: number, head: Bytes, rest: Bytes): void {
    const { record } = this.#tree;
    assert(this.#arena.isDeleted(record), "transaction: a key is inserted once");
    const hi = this.#arena.words[record >> 2]!;
    const mid = this.#arena.words[(record >> 2) + 1]!;
    this.#appendOld(Undo.UPDATE, false);
    this.#replace(record, flags, head, rest);
    countRow(this.#header, hi, mid, 1);
    this.#versions.markedRows--;
    if (this.#host.tracing) this.#traceChange("row");
    this.#mini.commit();
  }

  /** Deletes the row that the tree's last search found, and its chain if it has one. */
  delete(): void {
    const { frame, record } = this.#tree;
    const hi = this.#arena.words[record >> 2]!;
    const mid = this.#arena.words[(record >> 2) + 1]!;
    if (this.#interactive !== undefined || this.#views.openCount > 0) {
      this.#appendOld(Undo.MARK, this.#arena.isExternal(record));
      this.#mark(frame, record);
      countRow(this.#header, hi, mid, -1);
      this.#versions.markedRows++;
      if (this.#host.tracing) this.#traceChange("row");
      this.#mini.commit();
      return;
    }
    this.#appendOld(Undo.DELETE, this.#arena.isExternal(record));
    this.#tree.delete();
    countRow(this.#header, hi, mid, -1);
    if (this.#host.tracing) this.#traceChange("row");
    this.#mini.commit();
  }

  /** Sets the delete mark, in the mini-transaction. */
  #mark(frame: number, record: number): void {
    const base = frame * PAGE_SIZE;
    const flagsAt = record + RECORD_VALUE_LENGTH_AT;
    let at = this.#mini.open(Redo.PATCH, frame, flagsAt - base, 2);
    writeU16(this.#mini.buffer, at, this.#arena.halves[flagsAt >> 1]! | FLAG_DELETED);
    this.#mini.apply();
    const systemAt = this.#arena.valueAt(record) - RECORD_SYSTEM_BYTES;
    at = this.#mini.open(Redo.PATCH, frame, systemAt - base, RECORD_SYSTEM_BYTES);
    this.#writeSystem(this.#mini.buffer, at);
    this.#mini.apply();
  }

  /** Exchanges two databases (SWAPDB). */
  swap(a: number, b: number): void {
    this.#pool.beginOperation();
    this.#ready(SWAP_BYTES);
    this.#mini.begin();
    const at = this.#append(Undo.SWAP, SWAP_BYTES);
    writeU16(this.#mini.buffer, at + UNDO_BODY_AT, a);
    writeU16(this.#mini.buffer, at + UNDO_BODY_AT + 2, b);
    this.#mini.apply();
    this.#header.swapDatabases(a, b);
    this.#mini.commit();
  }

  /** Writes a chain with the content key + body; to be done before the search for its owner, which will refer to it. */
  buildChain(owner: ChainOwner, key: Bytes, body: Bytes): Chain {
    this.#pool.beginOperation();
    this.#ready(NEW_CHAIN_BYTES);
    this.#mini.begin();
    const at = this.#append(Undo.NEW_CHAIN, NEW_CHAIN_BYTES);
    this.#mini.buffer.fill(0, at + UNDO_BODY_AT, at + NEW_CHAIN_BYTES);
    const pointer = this.#last;
    this.#mini.apply();
    this.#mini.commit();
    let first = 0;
    let last = 0;
    const total = key.length + body.length;
    for (let done = 0, pages = 1; done < total; done += OVERFLOW_PAYLOAD, pages++) {
      this.#pool.beginOperation();
      this.#mini.begin();
      last = appendPage(this.#pool, this.#mini, this.#header, owner, last, contentPart(key, body, done));
      if (first === 0) first = last;
      this.#undo.setChain(pointer, first, last, pages);
      this.#mini.commit();
    }
    return { first, last, keyBytes: key.length, bodyBytes: body.length };
  }

  /** Gives the running transaction of a command up: where its changes are in the undo log, which are to be undone. */
  abandon(): InteractiveUndo {
    assert(this.#id !== 0 && this.#interactive === undefined, "transaction: a command's own runs");
    const undo = new InteractiveUndo();
    undo.id = this.#id;
    undo.header = this.#headerPointer;
    undo.last = this.#last;
    this.#id = 0;
    this.#last = 0;
    return undo;
  }

  /** Ends the running transaction: all its changes are in the redo buffer. */
  end(): Transaction {
    assert(this.#id !== 0, "transaction: one runs");
    const transaction = { id: this.#id, xid: this.#id, header: this.#headerPointer, isInteractive: false };
    this.#id = 0;
    this.#last = 0;
    return transaction;
  }

  /** The undo record with the old version of the row at the position; begins the mini-transaction. */
  #appendOld(type: number, freesChain: boolean): void {
    const record = this.#tree.record;
    const arena = this.#arena;
    assert(this.#tree.found, "transaction: the row was found");
    const row = arena.sizeAt(record, 0);
    const size = UNDO_BODY_AT + row;
    this.#ready(size);
    this.#mini.begin();
    const at = this.#append(type, size);
    if (freesChain) this.#mini.buffer[at + UNDO_MARK_AT] = FREES_CHAIN;
    copyWords(arena.words, record >> 2, this.#mini.words, (at + UNDO_BODY_AT) >> 2, row >> 2);
    this.#mini.apply();
    if (this.#host.tracing) this.#traceChange("undo");
  }

  #writeSystem(buffer: Buffer, at: number): void {
    writeU48(buffer, at, this.#id);
    writeU48(buffer, at + 6, this.#last);
  }

  /** Completes a leaf record whose key and tail are there; returns its length. */
  #finishRecord(record: Buffer, at: number, flags: number, head: Bytes, rest: Bytes): number {
    const length = head.length + rest.length;
    assert(at + RECORD_SYSTEM_BYTES + length <= RECORD_BYTES_MAX, "transaction: a long value goes into a chain");
    writeU16(record, RECORD_VALUE_LENGTH_AT, length | flags);
    this.#writeSystem(record, at);
    return writeBytes(record, rest, writeHead(record, head, at + RECORD_SYSTEM_BYTES));
  }

  #traceChange(what: "undo" | "row"): void {
    const transaction = present(this.#id, "transaction: running");
    if (what === "undo") {
      this.#host.trace("wal.undo", { page: this.#undo.newestPage, transaction });
      return;
    }
    this.#host.trace("wal.redo", { transaction });
    this.#host.trace("wal.page", { page: this.#pool.pageIn(this.#tree.frame), transaction });
  }
}
