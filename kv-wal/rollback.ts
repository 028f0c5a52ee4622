/**
 * Rolling back: the undo records of a transaction, newest first, each in one mini-transaction with the mark that it is
 * done (undo-log.ts U2). Crashed half way, it goes on with the records that are not done (I7).
 *
 * A transaction that took over a row with a delete mark gives the mark back; but if purge has passed, or may pass, the MARK
 * record of that deletion (purge.ts), nobody would remove the row any more: then it is removed here.
 */
import { assert } from "../common/assert.ts";
import { sliceBytes } from "../common/bytes.ts";
import type { BTree } from "./b-tree.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { copyBytes, readU16, readU32, readU48 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import {
  FLAG_DELETED,
  PAGE_SIZE,
  RECORD_BYTES_MAX,
  RECORD_SYSTEM_BYTES,
  RECORD_TAIL_AT,
  RECORD_VALUE_LENGTH_AT,
  VALUE_LENGTH_MASK,
} from "./page.ts";
import type { RowVersions } from "./row-versions.ts";
import { countRow } from "./rows/layout.ts";
import type { SpaceHeader } from "./space-header.ts";
import {
  DONE,
  offsetPart,
  pagePart,
  UNDO_BODY_AT,
  UNDO_MARK_AT,
  UNDO_PREVIOUS_AT,
  UNDO_SIZE_AT,
  UNDO_TAIL_AT,
  UNDO_TAIL_LENGTH_AT,
  Undo,
  type UndoLog,
} from "./undo-log.ts";

/** A copy of the undo record, so that its page may move while the row is found. */
const COPY = Buffer.alloc(PAGE_SIZE);
const ROW = Buffer.alloc(RECORD_BYTES_MAX);

export class Rollback {
  readonly #pool: BufferPool;
  readonly #mini: MiniTransaction;
  readonly #header: SpaceHeader;
  readonly #tree: BTree;
  readonly #undo: UndoLog;
  readonly #versions: RowVersions;

  constructor(
    pool: BufferPool,
    mini: MiniTransaction,
    header: SpaceHeader,
    tree: BTree,
    undo: UndoLog,
    versions: RowVersions,
  ) {
    this.#pool = pool;
    this.#mini = mini;
    this.#header = header;
    this.#tree = tree;
    this.#undo = undo;
    this.#versions = versions;
  }

  /** Undoes the records of one transaction from `last` back to `until`, which stays. */
  undoBackTo(last: number, until: number, keptFrom: number): void {
    for (let pointer = last; pointer !== until; ) pointer = this.undo(pointer, keptFrom);
  }

  /**
   * Undoes one record; returns the one before it of the same transaction. The undo records of transactions with ids from
   * `keptFrom` on have not been purged.
   */
  undo(pointer: number, keptFrom: number): number {
    this.#pool.beginOperation();
    const base = this.#pool.fetch(pagePart(pointer)) * PAGE_SIZE + offsetPart(pointer);
    const { bytes } = this.#pool.arena;
    const record = COPY;
    copyBytes(bytes, base, record, 0, readU16(bytes, base + UNDO_SIZE_AT));
    assert(record[UNDO_MARK_AT] !== DONE, "rollback: a record is undone once");
    const type = record[0]!;
    if (type === Undo.NEW_CHAIN || type === Undo.SWAP) this.#undoOther(type);
    else this.#undoRow(type, keptFrom);
    this.#undo.setByte(pointer, UNDO_MARK_AT, DONE);
    this.#mini.commit();
    return readU48(record, UNDO_PREVIOUS_AT);
  }

  /** Begins the mini-transaction, as `#undoRow`. */
  #undoOther(type: number): void {
    const body = UNDO_BODY_AT;
    this.#mini.begin();
    if (type === Undo.SWAP) {
      this.#header.swapDatabases(readU16(COPY, body), readU16(COPY, body + 2));
      return;
    }
    const first = readU32(COPY, body);
    if (first !== 0) this.#header.freeChain(first, readU32(COPY, body + 4), readU32(COPY, body + 8));
  }

  #undoRow(type: number, keptFrom: number): void {
    const record = COPY;
    const hi = readU32(record, UNDO_BODY_AT);
    const mid = readU32(record, UNDO_BODY_AT + 4);
    const low = readU32(record, UNDO_BODY_AT + 8);
    const tailEnd = UNDO_TAIL_AT + readU16(record, UNDO_TAIL_LENGTH_AT);
    const found = this.#tree.search(hi, mid, low, sliceBytes(record, UNDO_TAIL_AT, tailEnd));
    assert(found === (type !== Undo.DELETE), "rollback: the row is as the transaction left it");
    this.#mini.begin();
    if (type === Undo.INSERT) this.#tree.delete();
    else {
      const length = this.#oldRow(tailEnd - UNDO_TAIL_AT);
      if (type === Undo.DELETE) this.#tree.insert(ROW, length);
      else if (this.#wasMarked && readU48(ROW, tailEnd - UNDO_TAIL_AT + RECORD_TAIL_AT) < keptFrom) {
        this.#tree.delete();
      } else {
        this.#tree.replace(ROW, length);
        if (this.#wasMarked) this.#versions.markedRows++;
      }
    }
    if (type === Undo.MARK) this.#versions.markedRows--;
    const isCounted = type === Undo.INSERT || (type === Undo.UPDATE && this.#wasMarked);
    if (isCounted) countRow(this.#header, hi, mid, -1);
    else if (type !== Undo.UPDATE) countRow(this.#header, hi, mid, 1);
  }

  /** Whether the old row in the copied undo record has a delete mark. */
  get #wasMarked(): boolean {
    return (readU16(COPY, UNDO_BODY_AT + RECORD_VALUE_LENGTH_AT) & FLAG_DELETED) !== 0;
  }

  /** The old row out of the undo record; returns its length. */
  #oldRow(tail: number): number {
    const value = readU16(COPY, UNDO_BODY_AT + RECORD_VALUE_LENGTH_AT) & VALUE_LENGTH_MASK;
    const length = RECORD_TAIL_AT + tail + RECORD_SYSTEM_BYTES + value;
    copyBytes(COPY, UNDO_BODY_AT, ROW, 0, length);
    return length;
  }
}
