/**
 * How far transactions have come, as the undo log keeps it (undo-log.ts, "State"): one mark in the space header for all
 * transactions of one command up to an id, and a mark of its own for each interactive one.
 */
import { assert } from "../common/assert.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import type { SpaceHeader } from "./space-header.ts";
import type { Transactions } from "./transaction.ts";
import { COMMITTED, PREPARED, ROLLED_BACK, UNDO_STATE_AT, type UndoLog } from "./undo-log.ts";

/** What a transaction is outside the undo log. */
export interface Transaction {
  readonly id: number;
  /** By which the binlog knows it. */
  readonly xid: number;
  /** Roll pointer of its TRANSACTION record. */
  readonly header: number;
  readonly isInteractive: boolean;
}

export class TransactionStates {
  readonly #pool: BufferPool;
  readonly #mini: MiniTransaction;
  readonly #header: SpaceHeader;
  readonly #undo: UndoLog;
  readonly #transactions: Transactions;

  constructor(pool: BufferPool, mini: MiniTransaction, header: SpaceHeader, undo: UndoLog, transactions: Transactions) {
    this.#pool = pool;
    this.#mini = mini;
    this.#header = header;
    this.#undo = undo;
    this.#transactions = transactions;
  }

  /** These transactions, in the order in which they ended, are prepared. */
  markPrepared(group: readonly Transaction[]): void {
    const last = this.#markInteractive(group, PREPARED);
    if (last === undefined) return;
    this.#mini.begin();
    this.#header.setPreparedUpTo(last.id);
    this.#mini.commit();
  }

  /**
   * These transactions, in the order in which they ended, are committed. The mark says how much of which binlog file is durable
   * then, so that recovery does not take damage in it for a torn tail.
   */
  markCommitted(group: readonly Transaction[], binlogFile: number, binlogDurable: number): void {
    const last = this.#markInteractive(group, COMMITTED);
    this.#mini.begin();
    if (last !== undefined) this.#header.setCommittedUpTo(last.id);
    this.#header.setBinlogPlace(binlogFile, binlogDurable, group.at(-1)!.xid);
    this.#mini.commit();
  }

  /** All changes of the transaction have been undone. */
  markRolledBack(header: number): void {
    this.#pool.beginOperation();
    this.#mini.begin();
    this.#undo.setByte(header, UNDO_STATE_AT, ROLLED_BACK);
    this.#mini.commit();
  }

  /** Marks the interactive transactions among them; returns the last one of the others. */
  #markInteractive(group: readonly Transaction[], state: number): Transaction | undefined {
    const { busy, running } = this.#transactions;
    assert(!busy && !running, "transaction: none is half way when others are marked");
    let last: Transaction | undefined;
    for (let i = 0; i < group.length; i++) {
      const transaction = group[i]!;
      if (!transaction.isInteractive) {
        last = transaction;
        continue;
      }
      this.#pool.beginOperation();
      this.#mini.begin();
      // From prepare on, recovery asks the binlog for it.
      if (state === PREPARED) this.#undo.setXid(transaction.header, transaction.xid);
      this.#undo.setByte(transaction.header, UNDO_STATE_AT, state);
      this.#mini.commit();
    }
    return last;
  }
}
