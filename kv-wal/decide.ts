/**
 * Steps 5 and 6 of recovery: which transactions are committed, and undoing the others (I5).
 *
 * The undo log names those that were not over. One that had reached prepare is committed if the binlog has its XID, whole;
 * the others are rolled back, newest change first, whoever made it. Because all logs have the same order, what
 * survives of the transactions of one command is a prefix. Interactive ones are judged each for itself, by the state and
 * the XID in their undo record. Undoing the rest is exact, because a row that one of them has changed was locked until it
 * had its place in the order of the logs: whoever changed the row later, stands behind it there, and here is undone before.
 */
import { assert } from "../common/assert.ts";
import { CorruptFile } from "../common/errors.ts";
import { readU16, readU48 } from "./bytes-view.ts";
import { Force } from "./force-recovery.ts";
import type { RecoveryReport } from "./recovery-report.ts";
import type { Storage } from "./storage.ts";
import type { Transaction } from "./transaction-states.ts";
import {
  ACTIVE,
  COMMITTED,
  DONE,
  INTERACTIVE_BYTES,
  PREPARED,
  ROLLED_BACK,
  UNDO_MARK_AT,
  UNDO_SIZE_AT,
  UNDO_STATE_AT,
  UNDO_XID_AT,
  Undo,
} from "./undo-log.ts";

/** A transaction that was not over. */
interface Unfinished extends Transaction {
  readonly prepared: boolean;
}

/** What the undo log says. */
interface UndoScan {
  readonly unfinished: Unfinished[];
  /** XIDs of interactive transactions that are committed, and are not purged yet. */
  readonly committed: Set<number>;
  /** The XID that was committed last. */
  readonly lastCommitted: number;
}

/** Commits and rolls back; `lastXid` is the last one in the binlog. */
export function decide(storage: Storage, force: number, lastXid: number, report: RecoveryReport): void {
  const scan = scanUndo(storage);
  const { unfinished, lastCommitted } = scan;
  const asked = askBinlog(storage, scan, lastXid);
  const winners = unfinished.filter(({ xid }) => asked.decided.has(xid)).sort((a, b) => a.xid - b.xid);
  const losers = unfinished.filter(({ xid }) => !asked.decided.has(xid));
  if (winners.length > 0) {
    commit(storage, winners, losers);
    report.line(`committed ${countOf(winners, "prepared transaction")} whose XID is in the binlog`);
  }
  if (asked.lost > 0) {
    refuseLostRedo(storage, force, lastXid);
    report.line(
      `${asked.lost} transactions are in the binlog that the engine has lost (flush_log_at_trx_commit is not 1)`,
    );
    acceptLoss(storage, lastXid);
  }
  // A new binlog file cannot tell what the one before it has.
  if (lastXid > 0 && lastCommitted > lastXid)
    report.line("the engine has transactions that the binlog has lost (sync_binlog is not 1)");
  report.ended("decide");
  if (force >= Force.NO_ROLLBACK) {
    if (losers.length > 0) report.line(`left ${countOf(losers, "transaction")} as they are, not rolled back`);
    return;
  }
  rollBack(storage, losers, report);
  report.ended("rollback");
}

/** What the binlog has was in durable redo before, if that was the policy: then the end of the redo log is damaged. */
function refuseLostRedo(storage: Storage, force: number, lastXid: number): void {
  if (!storage.header.redoIsFirst || force >= Force.READ_ONLY) return;
  const { log, ring, unreadBlock } = storage.redo;
  const { path, offset } = ring.placeOf(unreadBlock);
  const problem = `the redo log ends at LSN ${log.appended}, but had XID ${lastXid}, which the binlog has: it is damaged`;
  throw new CorruptFile(path, offset, problem);
}

/** They are not asked for again: the next recovery, under a stricter policy, must not take their loss for damage. */
function acceptLoss(storage: Storage, lastXid: number): void {
  const { mini, header, binlog } = storage;
  storage.pool.beginOperation();
  mini.begin();
  header.setBinlogPlace(binlog.number, binlog.log.durable, lastXid);
  mini.commit();
}

function commit(storage: Storage, winners: readonly Unfinished[], losers: readonly Unfinished[]): void {
  const last = winners.filter((transaction) => !transaction.isInteractive).at(-1);
  if (last !== undefined) {
    assert(
      losers.every(({ id, isInteractive }) => isInteractive || id > last.id),
      "recovery: what survives of the transactions of one command is a prefix",
    );
  }
  const { binlog } = storage;
  storage.states.markCommitted(winners, binlog.number, binlog.log.durable);
}

/** "3 prepared transactions (XID 17, 18, 19)", "1 active transaction (XID 20)". */
function countOf(transactions: readonly Transaction[], what: string): string {
  const shown = transactions.slice(0, 10).map(({ xid }) => xid);
  const rest = transactions.length > shown.length ? " …" : "";
  return `${transactions.length} ${what}${transactions.length === 1 ? "" : "s"} (XID ${shown.join(", ")}${rest})`;
}

function scanUndo(storage: Storage): UndoScan {
  const unfinished: Unfinished[] = [];
  const committed = new Set<number>();
  let lastCommitted = 0;
  const { bytes } = storage.pool.arena;
  const { preparedUpTo, committedUpTo } = storage.header;
  storage.undo.each((record, pointer) => {
    const id = storage.undo.idAt(record);
    const state = bytes[record + UNDO_STATE_AT]!;
    if (bytes[record] !== Undo.TRANSACTION || state === ROLLED_BACK) return;
    const isInteractive = readU16(bytes, record + UNDO_SIZE_AT) === INTERACTIVE_BYTES;
    // An interactive transaction that is not prepared has no XID: its id serves, which no other has.
    const ownXid = isInteractive && state !== ACTIVE;
    const xid = ownXid ? readU48(bytes, record + UNDO_XID_AT) : id;
    if (isInteractive ? state === COMMITTED : id <= committedUpTo) {
      lastCommitted = Math.max(lastCommitted, xid);
      if (isInteractive) committed.add(xid);
    } else {
      const prepared = isInteractive ? state === PREPARED : id <= preparedUpTo;
      unfinished.push({ id, xid, header: pointer, isInteractive, prepared });
    }
  });
  return { unfinished, committed, lastCommitted };
}

/**
 * Which of the prepared transactions the binlog has; and how many it has of which the engine has lost the prepare: they come
 * after the last group that is committed, and are neither prepared nor committed themselves.
 */
function askBinlog(
  { header, binlog }: Storage,
  { unfinished, committed }: UndoScan,
  lastXid: number,
): { decided: Set<number>; lost: number } {
  const decided = new Set<number>();
  let lost = 0;
  if (lastXid <= header.lastXid) return { decided, lost };
  const prepared = new Set(unfinished.filter((transaction) => transaction.prepared).map(({ xid }) => xid));
  binlog.eachDecision((xid) => {
    if (prepared.has(xid)) decided.add(xid);
    else if (xid > header.lastXid && !committed.has(xid)) lost++;
  });
  return { decided, lost };
}

/** Undoes all changes of these transactions, the newest first, whoever made them. */
function rollBack(storage: Storage, losers: readonly Unfinished[], report: RecoveryReport): void {
  if (losers.length === 0) return;
  const ids = new Set(losers.map(({ id }) => id));
  const pointers: number[] = [];
  const { bytes } = storage.pool.arena;
  storage.undo.each((record, pointer) => {
    if (bytes[record] === Undo.TRANSACTION || bytes[record + UNDO_MARK_AT] === DONE) return;
    if (ids.has(storage.undo.idAt(record))) pointers.push(pointer);
  });
  const keptFrom = losers.reduce((least, { id }) => Math.min(least, id), Number.POSITIVE_INFINITY);
  for (const [done, pointer] of pointers.reverse().entries()) {
    storage.rollback.undo(pointer, keptFrom);
    report.progress("rolling back", done, pointers.length);
  }
  for (const loser of losers) storage.states.markRolledBack(loser.header);
  const prepared = losers.filter((transaction) => transaction.prepared);
  const active = losers.filter((transaction) => !transaction.prepared);
  if (prepared.length > 0) report.line(`rolled back ${countOf(prepared, "prepared transaction")} without XID`);
  if (active.length > 0) report.line(`rolled back ${countOf(active, "active transaction")}`);
}
