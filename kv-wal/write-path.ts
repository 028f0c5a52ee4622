/**
 * The order of steps, log first, pages later (common/steps.ts has the same names):
 *
 *     execute   1. undo           the old row goes into an undo page                               W1
 *               2. redo           the change goes into the redo buffer                             W1
 *               3. page           and then into the page in the buffer pool                        W1
 *     settle    4. prepare        the transactions of the turn are marked prepared in the redo     W4
 *                                 buffer: one mark, because they follow one another
 *               5. redo-write     redo up to that mark is written                                  W4
 *               6. redo-sync      and synced (flush_log_at_trx_commit = 1)                         W5
 *               7. binlog-write   the transactions of the turn go into the binlog                  W7
 *               8. binlog-sync    and are synced (sync_binlog): the decision                       W8
 *               9. commit         they are marked committed in the redo buffer, with one mark      W9
 *                                 again; it needs no sync of its own: recovery asks the binlog
 *              10. reply          `done`: the replies of the turn may leave                        W10
 *     later     11. doublewrite, page-write, page-sync, checkpoint (page-cleaner.ts)
 *
 * I5 holds because 8 comes after 6 and before 9 and 10: a prepared transaction whose XID the binlog has is committed by
 * recovery, one whose XID it lacks is rolled back, and nobody was told about either. I1 holds because 10 answers the reads
 * of the turn as well, and comes after the group of every transaction that they could have seen.
 *
 * An interactive transaction takes 1 to 3 with each of its commands, and 4 to 10 after COMMIT (interactive.ts).
 *
 * Group commit: 4 to 9 run once for all transactions of a turn, and of the turns that ended while a sync was running.
 *
 * The parts are interfaces, so that the lab can put them together in another order and show what breaks.
 */
import type { Call } from "../common/command/call.ts";
import type { Transaction } from "./transaction-states.ts";

/** What is committed together. */
export interface Group {
  readonly transactions: readonly Transaction[];
  /** Their binlog events. */
  readonly events: readonly Buffer[];
  /** The replies that wait for it. */
  readonly replies: readonly Settled[];
}

/** Called once when the replies of a turn may leave, or with the failure when they must not. */
export type Settled = (failure: Error | undefined) => void;

/** Rows and transactions. */
export interface Executor {
  /** Runs the command; row changes take steps 1, 2 and 3 each, and leave their binlog events in memory. */
  apply(call: Call): void;
  /** Ends the transaction that the command began; undefined when it changed nothing. */
  end(): Transaction | undefined;
  /** Hands a transaction that has ended over to the group of this turn. */
  stage(transaction: Transaction, seconds: number): void;
}

/** One command, or one EXEC: one transaction. */
export function execute(engine: Executor, call: Call): void {
  engine.apply(call); // 1, 2, 3
  const transaction = engine.end();
  if (transaction !== undefined) engine.stage(transaction, Math.floor(call.now / 1000));
}

/** The two logs and the marks. Each step calls `next` when it is done: at once, or in a later turn. */
export interface CommitSteps {
  markPrepared(group: Group): void;
  flushPrepared(group: Group, next: () => void): void;
  writeBinlog(group: Group, next: () => void): void;
  markCommitted(group: Group): void;
  reply(group: Group): void;
}

/** The end of one or more turns. */
export function commitGroup(steps: CommitSteps, group: Group, ended: () => void): void {
  steps.markPrepared(group); // 4
  steps.flushPrepared(group, () => {
    // 5, 6
    steps.writeBinlog(group, () => {
      // 7, 8
      steps.markCommitted(group); // 9
      steps.reply(group); // 10
      ended();
    });
  });
}
