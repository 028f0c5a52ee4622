/**
 * Commands while interactive transactions are open: what each of them may see, and for whom it has to wait.
 *
 *     BEGIN, COMMIT, …           at once
 *     a command that reads       through a view: that of its transaction; of none, what is committed. It waits for nobody, unless
 *                                its transaction is SERIALIZABLE
 *     a command that writes      takes its locks (lock-plan.ts), all of them before it changes anything, then runs; inside a
 *                                transaction or as one of its own
 *
 * A command that has to wait is not run at all: its connection keeps it, and runs it again when the lock has been granted (it
 * holds that lock then), when it has waited too long, or when it was chosen as the victim of a deadlock; then the answer is the
 * error that is remembered here for its session. As in MySQL, a wait that is too long fails only the command; a deadlock
 * rolls back the victim's whole transaction.
 *
 * Without an open transaction nothing of this runs: the engine asks one number (row-versions.ts N1).
 */
import type { Bytes } from "../common/bytes.ts";
import type { Call } from "../common/command/call.ts";
import { invoke } from "../common/command/invoke.ts";
import type { Session } from "../common/command/session.ts";
import type { BeginOptions, TransactionControl } from "../common/command/transactions.ts";
import type { Host } from "../common/host.ts";
import { type InteractiveTransaction, type InteractiveTransactions, Participant } from "./interactive.ts";
import { databaseLock, isExec, KEYSPACE, keyLock, locksOf, type PlannedLock, writes } from "./lock-plan.ts";
import { LockMode, LockTable } from "./lock-table.ts";
import type { ReadView } from "./read-view.ts";
import type { Storage } from "./storage.ts";
import { type Executor, execute } from "./write-path.ts";

export const DEADLOCK = "ERR Deadlock found when trying to get lock; try restarting transaction";
export const TIMEOUT = "ERR Lock wait timeout exceeded; try restarting transaction";
const READ_ONLY = "ERR Cannot execute statement in a READ ONLY transaction.";

/** How the engine runs commands. */
export interface CommandRunner extends Executor {
  /** A command that changes nothing. */
  look(call: Call): void;
}

export class Interleaving implements TransactionControl {
  readonly #host: Host;
  readonly #storage: Storage;
  readonly #runner: CommandRunner;
  readonly interactive: InteractiveTransactions;
  readonly locks = new LockTable();
  /** Who runs a command with locks now. */
  #running: Participant | undefined;
  /** Commands that are transactions of their own and wait, or have what they waited for. */
  readonly #alone = new Map<Session, Participant>();
  /** The answers to commands that have waited in vain. */
  readonly #failures = new Map<Session, Bytes>();
  lockWaitMs = 50_000;
  deadlocks = 0;
  timeouts = 0;

  constructor(host: Host, storage: Storage, interactive: InteractiveTransactions, runner: CommandRunner) {
    this.#host = host;
    this.#storage = storage;
    this.interactive = interactive;
    this.#runner = runner;
  }

  /** Runs a command; false: it has to wait. */
  execute(call: Call): boolean {
    const { session } = call;
    const transaction = this.interactive.of(session);
    if ((transaction ?? this.#alone.get(session))?.waiting !== undefined) return false;
    const failure = this.#failures.get(session);
    if (failure !== undefined) {
      this.#failures.delete(session);
      this.#recount();
      // An EXEC that fails is over, as every EXEC.
      if (isExec(call.command)) session.client?.endTransaction();
      call.reply.error(failure);
      return true;
    }
    if (call.command.about.group === "transactions" && isControl(call)) {
      this.#storage.transactions.isOccupied = true;
      invoke(call, call.command, call.args);
      this.#storage.transactions.isOccupied = false;
      return true;
    }
    return transaction === undefined ? this.#runAlone(call) : this.#runInside(transaction, call);
  }

  #runAlone(call: Call): boolean {
    const { views } = this.#storage;
    const { session } = call;
    let owner = this.#alone.get(session);
    if (!writes(call)) {
      // An EXEC that has waited may have nothing to do any more: a watched key was changed.
      if (owner !== undefined) this.#endAlone(owner);
      this.#look(call, views.activeCount > 0 ? views.latest(0) : undefined);
      return true;
    }
    const plan = locksOf(call);
    if (owner === undefined && !plan.every(({ name, mode }) => this.locks.isFree(undefined, name, mode))) {
      owner = new Participant(session);
      this.#alone.set(session, owner);
      this.#recount();
    }
    if (owner !== undefined && !this.#lock(owner, plan)) return this.#waitsOrFails(owner, call);
    this.#running = owner;
    execute(this.#runner, call);
    call.effects.clear();
    this.#running = undefined;
    if (owner !== undefined) this.#endAlone(owner);
    return true;
  }

  #runInside(transaction: InteractiveTransaction, call: Call): boolean {
    const isWrite = writes(call);
    const refusal = isWrite ? refusalOf(transaction, call) : undefined;
    if (refusal !== undefined) {
      call.reply.error(refusal);
      return true;
    }
    const locksKeys = isWrite || transaction.isolation === "SERIALIZABLE";
    const plan = locksKeys ? [INTENTION, ...locksOf(call)] : [INTENTION];
    if (!this.#lock(transaction, plan)) return this.#waitsOrFails(transaction, call);
    if (isWrite) {
      this.#running = transaction;
      this.interactive.change(transaction, call);
      this.#running = undefined;
    } else this.#look(call, this.interactive.viewOf(transaction));
    return true;
  }

  #look(call: Call, view: ReadView | undefined): void {
    const { versions, transactions } = this.#storage;
    versions.view = view;
    transactions.isOccupied = true;
    this.#runner.look(call);
    transactions.isOccupied = false;
    versions.view = undefined;
  }

  /** Takes the locks in their order; false: the owner waits for one, or was the victim of a deadlock. */
  #lock(owner: Participant, plan: readonly PlannedLock[]): boolean {
    for (const { name, mode } of plan) {
      if (this.locks.take(owner, name, mode)) continue;
      if (!this.#breakDeadlocks(owner)) return false;
      // The victim of the deadlock had what was missing.
      if (owner.waiting !== undefined) return false;
    }
    return true;
  }

  /** False: the owner itself was the victim. */
  #breakDeadlocks(owner: Participant): boolean {
    for (;;) {
      const cycle = this.locks.findCycle(owner);
      if (cycle === undefined) return true;
      this.deadlocks++;
      let victim = owner;
      // Every owner in the table of this engine is a participant.
      for (const other of cycle) if (other.changes < victim.changes) victim = other as Participant;
      this.locks.cancel(victim);
      victim.cancelTimer();
      this.#failures.set(victim.session, DEADLOCK);
      this.#end(victim, (transaction) => this.interactive.rollBack(transaction));
      if (victim === owner) return false;
      victim.session.client?.unblock();
    }
  }

  /** What to do with a command that did not get its locks: false, it waits; true, it has been answered. */
  #waitsOrFails(owner: Participant, call: Call): boolean {
    if (owner.waiting === undefined) return this.execute(call);
    owner.cancelTimer = this.#host.clock.after(this.lockWaitMs, () => this.#timedOut(owner));
    return false;
  }

  #timedOut(owner: Participant): void {
    if (owner.waiting === undefined) return;
    this.timeouts++;
    this.locks.cancel(owner);
    this.#failures.set(owner.session, TIMEOUT);
    if (this.#alone.get(owner.session) === owner) this.#endAlone(owner);
    this.#recount();
    owner.session.client?.unblock();
  }

  /** Ends a transaction, in one of two ways, or a command that waits; what it has locked is free. */
  #end(owner: Participant, way: (transaction: InteractiveTransaction) => void): void {
    const transaction = this.interactive.of(owner.session);
    if (transaction === owner) {
      way(transaction);
      this.locks.release(owner);
      this.#recount();
    } else this.#endAlone(owner);
  }

  #endAlone(owner: Participant): void {
    this.#alone.delete(owner.session);
    this.locks.release(owner);
    this.#recount();
  }

  /** N1: how many there are who want the tree to be looked at closely. */
  #recount(): void {
    this.#storage.versions.transactions = this.interactive.count + this.#alone.size + this.#failures.size;
  }

  /** Whether the running command may remove this key, which has expired: not if somebody else has locked it. */
  mayExpire(index: number, key: Bytes): boolean {
    if (this.locks.size === 0) return true;
    const { IX, X } = LockMode;
    return (
      this.locks.isFree(this.#running, databaseLock(index), IX) &&
      this.locks.isFree(this.#running, keyLock(index, key), X)
    );
  }

  /** Rolls back everything that is open: the engine closes. */
  rollBackAll(): void {
    for (const transaction of this.interactive.all()) this.forget(transaction.session);
  }

  // TransactionControl.

  isOpen(session: Session): boolean {
    return this.interactive.of(session) !== undefined;
  }

  begin(call: Call, options: BeginOptions): void {
    if (this.isOpen(call.session)) this.commit(call);
    this.interactive.begin(call.session, options);
    this.#recount();
  }

  commit(call: Call): void {
    this.#end(this.interactive.required(call), (transaction) => this.interactive.commit(transaction, call.now));
  }

  rollback(call: Call): void {
    this.#end(this.interactive.required(call), (transaction) => this.interactive.rollBack(transaction));
  }

  savepoint(call: Call, name: Bytes): void {
    this.interactive.savepoint(this.interactive.required(call), name);
  }

  rollbackTo(call: Call, name: Bytes): void {
    this.interactive.rollbackTo(this.interactive.required(call), name);
  }

  release(call: Call, name: Bytes): void {
    this.interactive.release(this.interactive.required(call), name);
  }

  knows(session: Session): boolean {
    return this.isOpen(session) || this.#alone.has(session) || this.#failures.has(session);
  }

  forget(session: Session): void {
    this.#failures.delete(session);
    const owner = this.interactive.of(session) ?? this.#alone.get(session);
    if (owner !== undefined) {
      owner.cancelTimer();
      if (owner.waiting !== undefined) this.locks.cancel(owner);
      this.#end(owner, (transaction) => this.interactive.rollBack(transaction));
    }
    this.#recount();
  }
}

/** While a transaction looks at the databases, they stay what they are. */
const INTENTION: PlannedLock = { name: KEYSPACE, mode: LockMode.IS };

function isControl({ command }: Call): boolean {
  return !isExec(command) && command.keySpecs.length === 0;
}

function refusalOf(transaction: InteractiveTransaction, { command }: Call): Bytes | undefined {
  if (transaction.readOnly) return READ_ONLY;
  if (command.fullName === "swapdb") return "ERR SWAPDB is not allowed between BEGIN and COMMIT";
  return undefined;
}
