/**
 * Interactive transactions: BEGIN … COMMIT of many commands, side by side with others.
 *
 *     begin       nothing happens yet: an id is taken at the first change, a view at the first read
 *     a command   reads through the view of its isolation level; or locks what it needs (interleaving.ts) and changes the newest
 *                 versions: steps 1 to 3 of write-path.ts
 *     commit      is staged, and takes steps 4 to 10 with the group of its turn; its changes are seen from then on, and its
 *                 locks are free: who locks them next stands behind it in every log
 *     rollback    its undo records, newest first; then its locks are free
 *
 *     level               reads see                                    reads lock
 *     READ UNCOMMITTED    the newest versions, committed or not        nothing
 *     READ COMMITTED      what was committed when the command began    nothing
 *     REPEATABLE READ     what was committed at the first read         nothing
 *     SERIALIZABLE        the newest versions                          what they read
 *
 * Commands that change something always work on the newest versions ("current reads" in InnoDB): INCR does not lose an
 * update at any level. A command that fails is undone as far as it got, and the transaction goes on.
 *
 * What the outside must not see before the commit is kept with the transaction: its binlog events, and what it has to tell to
 * those who WATCH.
 */
import { assert } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import type { Call } from "../common/command/call.ts";
import type { Session } from "../common/command/session.ts";
import type { BeginOptions, IsolationLevel } from "../common/command/transactions.ts";
import { CommandError } from "../common/errors.ts";
import type { KeyspaceChange, KeyspaceEvents } from "../common/keyspace/events.ts";
import type { TransactionEvents } from "./binlog/transaction-events.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { Lock, LockOwner } from "./lock-table.ts";
import type { ReadView } from "./read-view.ts";
import type { Storage } from "./storage.ts";
import { InteractiveUndo } from "./transaction.ts";

/** How far a transaction has come: what a command that fails, or ROLLBACK TO, goes back to. */
interface Mark {
  /** Its newest undo record; 0: it had changed nothing. */
  readonly undo: number;
  readonly events: number;
  readonly told: number;
}

interface Savepoint {
  readonly name: string;
  readonly mark: Mark;
}

/** Who waits for locks: a transaction, or a command on its own. */
export class Participant implements LockOwner {
  readonly session: Session;
  readonly held = new Set<Lock>();
  waiting: LockOwner["waiting"];
  /** Ends the timer of the wait. */
  cancelTimer: () => void = () => {};

  constructor(session: Session) {
    this.session = session;
  }

  get changes(): number {
    return 0;
  }

  granted(): void {
    this.cancelTimer();
    this.session.client?.unblock();
  }
}

export class InteractiveTransaction extends Participant {
  readonly isolation: IsolationLevel;
  readonly readOnly: boolean;
  readonly undo = new InteractiveUndo();
  readonly events: TransactionEvents;
  /** What WATCH has to be told at commit. */
  readonly told: KeyspaceChange[] = [];
  readonly savepoints: Savepoint[] = [];
  /** Of REPEATABLE READ, from the first read on. */
  snapshot: ReadView | undefined;

  constructor(session: Session, isolation: IsolationLevel, readOnly: boolean, events: TransactionEvents) {
    super(session);
    this.isolation = isolation;
    this.readOnly = readOnly;
    this.events = events;
  }

  override get changes(): number {
    return this.undo.changes;
  }
}

/** Runs commands that change rows. */
export interface RowChanger {
  /** The binlog events of the command go into `events`. False: it has failed. */
  apply(call: Call, events: TransactionEvents): boolean;
}

export class InteractiveTransactions {
  readonly #storage: Storage;
  readonly #commits: GroupCommit;
  readonly #events: KeyspaceEvents;
  readonly #changer: RowChanger;
  readonly #open = new Map<Session, InteractiveTransaction>();
  defaultIsolation: IsolationLevel = "REPEATABLE READ";
  begun = 0;
  committed = 0;
  rolledBack = 0;

  constructor(storage: Storage, commits: GroupCommit, events: KeyspaceEvents, changer: RowChanger) {
    this.#storage = storage;
    this.#commits = commits;
    this.#events = events;
    this.#changer = changer;
  }

  get count(): number {
    return this.#open.size;
  }

  of(session: Session): InteractiveTransaction | undefined {
    return this.#open.get(session);
  }

  all(): InteractiveTransaction[] {
    return [...this.#open.values()];
  }

  /** The transaction that a command of its own kind belongs to. */
  required(call: Call): InteractiveTransaction {
    const transaction = this.#open.get(call.session);
    if (transaction === undefined) throw new CommandError(`ERR ${call.command.name.toUpperCase()} without BEGIN`);
    return transaction;
  }

  begin(session: Session, { isolation, readOnly }: BeginOptions): void {
    assert(!this.#open.has(session), "a session has one transaction at a time");
    const level = isolation ?? this.defaultIsolation;
    this.#open.set(session, new InteractiveTransaction(session, level, readOnly, this.#commits.newEvents()));
    this.begun++;
  }

  /** Runs a command that changes the newest versions; its locks are there. */
  change(transaction: InteractiveTransaction, call: Call): void {
    const { transactions } = this.#storage;
    const before = markOf(transaction);
    this.#events.gathered = transaction.told;
    transactions.enter(transaction.undo);
    const succeeded = this.#changer.apply(call, transaction.events);
    transactions.leave();
    this.#events.gathered = undefined;
    call.effects.clear();
    if (!succeeded) this.#backTo(transaction, before);
  }

  /** The view through which a command of the transaction reads; undefined: it reads the newest versions. */
  viewOf(transaction: InteractiveTransaction): ReadView | undefined {
    const { views, header, undo } = this.#storage;
    const own = transaction.undo.id;
    switch (transaction.isolation) {
      case "READ COMMITTED":
        return views.latest(own);
      case "REPEATABLE READ":
        transaction.snapshot ??= views.open(own, header.nextId, undo.nextPointer);
        transaction.snapshot.own = own;
        return transaction.snapshot;
      default:
        return undefined;
    }
  }

  /** Ends the transaction with its changes. The locks are left to the caller. */
  commit(transaction: InteractiveTransaction, now: number): void {
    const { header, views } = this.#storage;
    this.#close(transaction);
    this.committed++;
    const { id, header: record, last } = transaction.undo;
    if (id === 0) return;
    if (last === record) this.#storage.states.markRolledBack(record);
    else {
      const staged = { id, xid: header.takeId(), header: record, isInteractive: true };
      this.#commits.stage(staged, transaction.events, Math.floor(now / 1000));
    }
    views.ended(id);
    this.#events.tell(transaction.told);
  }

  /** Ends the transaction without its changes. The locks are left to the caller. */
  rollBack(transaction: InteractiveTransaction): void {
    const { states, views } = this.#storage;
    this.#close(transaction);
    this.rolledBack++;
    const { id, header } = transaction.undo;
    if (id === 0) return;
    this.#undoTo(transaction, header);
    states.markRolledBack(header);
    views.ended(id);
  }

  savepoint(transaction: InteractiveTransaction, name: Bytes): void {
    const { savepoints } = transaction;
    const same = savepoints.findIndex((savepoint) => savepoint.name === name.toLowerCase());
    if (same >= 0) savepoints.splice(same, 1);
    savepoints.push({ name: name.toLowerCase(), mark: markOf(transaction) });
  }

  /** Undoes what was done since the savepoint. Its locks stay, as InnoDB's do. */
  rollbackTo(transaction: InteractiveTransaction, name: Bytes): void {
    const at = placeOf(transaction, name);
    transaction.savepoints.length = at + 1;
    this.#backTo(transaction, transaction.savepoints[at]!.mark);
  }

  release(transaction: InteractiveTransaction, name: Bytes): void {
    transaction.savepoints.length = placeOf(transaction, name);
  }

  #close(transaction: InteractiveTransaction): void {
    this.#open.delete(transaction.session);
    if (transaction.snapshot !== undefined) this.#storage.views.close(transaction.snapshot);
  }

  #backTo(transaction: InteractiveTransaction, mark: Mark): void {
    const { undo, events, told } = transaction;
    if (undo.id !== 0) this.#undoTo(transaction, mark.undo === 0 ? undo.header : mark.undo);
    events.truncate(mark.events);
    told.length = mark.told;
  }

  #undoTo({ undo }: InteractiveTransaction, until: number): void {
    const { rollback, views, transactions } = this.#storage;
    const keptFrom = views.oldestNeeded(this.#commits.oldestUndecided)?.id ?? Number.POSITIVE_INFINITY;
    const before = transactions.isOccupied;
    transactions.isOccupied = true;
    rollback.undoBackTo(undo.last, until, keptFrom);
    transactions.isOccupied = before;
    undo.last = until;
  }
}

function markOf({ undo, events, told }: InteractiveTransaction): Mark {
  return { undo: undo.last, events: events.mark(), told: told.length };
}

function placeOf({ savepoints }: InteractiveTransaction, name: Bytes): number {
  const at = savepoints.findIndex((savepoint) => savepoint.name === name.toLowerCase());
  if (at < 0) throw new CommandError(`ERR SAVEPOINT ${name} does not exist`);
  return at;
}
