/**
 * Group commit: gathers ended transactions and waiting replies, and takes one group after the other through the steps of
 * write-path.ts.
 *
 * What is synced for a commit says commit-policy.ts; whether in place or in the background, sync-place.ts. Redo is handled
 * before the binlog whatever the policy. The flush of every second (`tick`) happens always: it is what makes the commit
 * marks durable.
 *
 * Invariants: G1 one group is on its way at a time, so binlog order is execution order is commit order (pitfall 37).
 * G2 a sync vouches only for what was written before it began (common/log). G3 after a failed write or sync those who wait
 * get the failure, and every later call throws it: nothing is acknowledged any more (I6).
 */
import { assert } from "../common/assert.ts";
import { DiskFailure } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import type { Binlog } from "./binlog/binlog.ts";
import { BinlogCache } from "./binlog/binlog-cache.ts";
import { TransactionEvents } from "./binlog/transaction-events.ts";
import { type CommitPolicy, syncsAtCommit } from "./commit-policy.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import type { Purge } from "./purge.ts";
import type { RedoLog } from "./redo-log.ts";
import type { SpaceHeader } from "./space-header.ts";
import type { Storage } from "./storage.ts";
import { SyncPlace } from "./sync-place.ts";
import type { Transactions } from "./transaction.ts";
import type { Transaction, TransactionStates } from "./transaction-states.ts";
import { type CommitSteps, commitGroup, type Group, type Settled } from "./write-path.ts";

const FLUSH_EVERY_MS = 1000;

/**
 * A group with so many bytes of binlog events does not wait for the end of the turn: what has just been made is still in the
 * processor's cache when it is written, and the next events find their buffer there.
 */
const EARLY_GROUP_BYTES = 64 * 1024;

/** What purge does behind one group (purge.ts). */
const PURGED_PER_GROUP = 64;

export class GroupCommit implements CommitSteps {
  readonly #host: Host;
  readonly #redo: RedoLog;
  readonly #binlog: Binlog;
  readonly #transactions: Transactions;
  readonly #states: TransactionStates;
  readonly #header: SpaceHeader;
  readonly #mini: MiniTransaction;
  readonly #purge: Purge;
  readonly #policy: CommitPolicy;
  readonly #place = new SyncPlace();
  /** Filled now, and that of the group on its way. */
  #cache: BinlogCache;
  #otherCache: BinlogCache;
  #staged: Transaction[] = [];
  #oldestStaged: Transaction | undefined;
  #replies: Settled[] = [];
  #group: Group | undefined;
  /** Its transaction with the smallest id. */
  #oldestInGroup: Transaction | undefined;
  #groupsSinceSync = 0;
  #lastFlushAt = 0;
  #failure: Error | undefined;
  #whenEmpty: Settled | undefined;
  /** What waits until no transaction is undecided. */
  readonly #whenQuiet: (() => void)[] = [];
  /** Set while background work runs, which syncs in place too. */
  inBackground = false;
  groups = 0;
  committed = 0;

  constructor(host: Host, storage: Storage, policy: CommitPolicy) {
    this.#host = host;
    this.#redo = storage.redo;
    this.#binlog = storage.binlog;
    this.#transactions = storage.transactions;
    this.#states = storage.states;
    this.#header = storage.header;
    this.#mini = storage.mini;
    this.#purge = storage.purge;
    this.#policy = policy;
    this.#cache = new BinlogCache(policy);
    this.#otherCache = new BinlogCache(policy);
  }

  /** After recovery. */
  open(): void {
    this.#cache.reset(this.#binlog.log.appended);
    this.#lastFlushAt = this.#host.clock.monotonic();
    this.#purgeExpired();
  }

  /** Makes durable, before any group is committed under the policy, whether it lets the binlog have what redo may lose. */
  declarePolicy(): void {
    const redoIsFirst = this.#policy.flushLogAtCommit === 1;
    if (this.#header.redoIsFirst === redoIsFirst) return;
    this.#mini.begin();
    this.#header.setRedoIsFirst(redoIsFirst);
    this.#mini.commit();
    this.#redo.flushNow();
  }

  /** What was acknowledged under the policy before becomes durable: reads under a stricter one may see it (I1). */
  policyChanged(): void {
    this.declarePolicy();
    this.#redo.flushNow();
    this.#binlog.syncNow();
  }

  /** Transactions that have ended and are not committed. */
  get undecided(): number {
    return this.#staged.length + (this.#group?.transactions.length ?? 0);
  }

  /** The oldest of them; its undo must stay. */
  get oldestUndecided(): Transaction | undefined {
    const oldest = this.#oldestInGroup;
    return oldest === undefined ? this.#oldestStaged : oldestOf(oldest, this.#oldestStaged);
  }

  /** Where commands that are a transaction of their own leave their binlog events. */
  get ownEvents(): TransactionEvents {
    return this.#cache.events;
  }

  /** For the binlog events of a transaction of many commands. */
  newEvents(): TransactionEvents {
    return new TransactionEvents(this.#policy);
  }

  stage(transaction: Transaction, events: TransactionEvents, seconds: number): void {
    this.throwFailure();
    this.#cache.add(events, transaction.xid, seconds);
    this.#staged.push(transaction);
    const oldest = oldestOf(transaction, this.#oldestStaged);
    // Not stored anew each time: a young object in an old one takes the garbage collector's slow path.
    if (oldest !== this.#oldestStaged) this.#oldestStaged = oldest;
  }

  /** After `stage`, outside any command: a large group that has no sync to wait for starts now (EARLY_GROUP_BYTES). */
  startIfLarge(): void {
    if (this.#cache.length < EARLY_GROUP_BYTES || this.#group !== undefined) return;
    if (!syncsAtCommit(this.#policy)) this.#startOrThrow();
  }

  /** As Engine.settleSyncs. */
  get settleSyncs(): boolean {
    return this.#group === undefined && this.#staged.length > 0 && syncsAtCommit(this.#policy);
  }

  /** The end of a turn. */
  settle(done: Settled): void {
    this.throwFailure();
    if (this.#group === undefined && this.#staged.length === 0) {
      done(undefined);
      return;
    }
    this.#replies.push(done);
    if (this.#group === undefined) this.#startOrThrow();
  }

  /** What a step in place throws is thrown to the caller, and from then on to everybody (G3). */
  #startOrThrow(): void {
    try {
      this.#start();
    } catch (error) {
      if (error instanceof DiskFailure) this.fail(error);
      throw error;
    }
  }

  #start(): void {
    const cache = this.#cache;
    const group = { transactions: this.#staged, events: cache.events.chunks(), replies: this.#replies };
    this.#group = group;
    this.#oldestInGroup = this.#oldestStaged;
    this.#staged = [];
    this.#oldestStaged = undefined;
    this.#replies = [];
    this.#cache = this.#otherCache;
    this.#otherCache = cache;
    this.#cache.reset(cache.end);
    commitGroup(this, group, () => this.#ended());
  }

  #ended(): void {
    this.#place.ended(this.#group?.transactions.length ?? 0, this.#staged.length, this.#replies.length);
    this.#group = undefined;
    this.#oldestInGroup = undefined;
    if (this.#purge.behind) this.#purge.run(this.oldestUndecided, PURGED_PER_GROUP);
    if (this.#staged.length === 0) {
      this.#rotateIfFull();
      if (this.#whenQuiet.length > 0) this.#becomeQuiet();
    }
    if (this.#replies.length > 0) this.#start();
    else if (this.#whenEmpty !== undefined) this.finish(this.#whenEmpty);
  }

  /** 4 */
  markPrepared(group: Group): void {
    const { transactions } = group;
    if (transactions.length === 0) return;
    this.#states.markPrepared(transactions);
    if (!this.#host.tracing) return;
    const lsn = this.#redo.log.appended;
    for (const { id } of transactions) this.#host.trace("wal.prepare", { transaction: id, lsn });
  }

  /** 5, 6 */
  flushPrepared(group: Group, next: () => void): void {
    if (group.transactions.length === 0 || this.#policy.flushLogAtCommit === 0) {
      next();
      return;
    }
    const { log } = this.#redo;
    const bytes = log.appended - log.written;
    this.#redo.write();
    if (this.#host.tracing) this.#host.trace("wal.redo-write", { file: "wal/redo", lsn: log.written, bytes });
    if (this.#policy.flushLogAtCommit === 2) {
      next();
      return;
    }
    const done = () => {
      if (this.#host.tracing) this.#host.trace("wal.redo-sync", { file: "wal/redo", lsn: log.durable });
      next();
    };
    if (this.#inPlace(group) && !log.syncing) {
      this.#redo.flushNow();
      done();
    } else this.#redo.whenDurable((failure) => this.#resume(failure, done));
  }

  /** 7, 8 */
  writeBinlog(group: Group, next: () => void): void {
    if (group.transactions.length === 0) {
      next();
      return;
    }
    const file = this.#binlog.path;
    const from = this.#binlog.log.written;
    this.#binlog.write(group.events);
    const offset = this.#binlog.log.written;
    if (this.#host.tracing) this.#host.trace("wal.binlog-write", { file, bytes: offset - from, offset });
    const { syncBinlog } = this.#policy;
    if (syncBinlog === 0 || ++this.#groupsSinceSync < syncBinlog) {
      next();
      return;
    }
    this.#groupsSinceSync = 0;
    const done = () => {
      if (this.#host.tracing) this.#host.trace("wal.binlog-sync", { file, offset: this.#binlog.log.durable });
      next();
    };
    if (this.#inPlace(group)) {
      this.#binlog.syncNow();
      done();
    } else this.#binlog.whenDurable((failure) => this.#resume(failure, done));
  }

  /** 9 */
  markCommitted(group: Group): void {
    const { transactions } = group;
    if (transactions.length === 0) return;
    this.#states.markCommitted(transactions, this.#binlog.number, this.#binlog.log.durable);
    this.groups++;
    this.committed += transactions.length;
    if (this.#host.tracing) {
      for (const transaction of transactions) this.#host.trace("wal.commit", { transaction: transaction.id });
    }
  }

  /** 10 */
  reply(group: Group): void {
    for (let i = 0; i < group.replies.length; i++) group.replies[i]!(undefined);
  }

  /**
   * A background sync has ended. Usually that is a turn of its own; but a writer that waits for a full log syncs in place,
   * in the middle of a command, and then the group goes on when that command has ended.
   */
  #resume(failure: DiskFailure | undefined, next: () => void): void {
    if (failure !== undefined) this.fail(failure);
    else if (this.inBackground || this.#transactions.busy) this.#host.afterTick(() => this.#goOn(next));
    else this.#goOn(next);
  }

  /** Nobody has called who could be thrown a failure: it goes to those who wait, and to the next call (G3). */
  #goOn(next: () => void): void {
    if (this.#failure !== undefined) return;
    try {
      next();
    } catch (error) {
      if (!(error instanceof DiskFailure)) throw error;
      this.fail(error);
    }
  }

  /** Something in the background has failed: nothing is acknowledged any more (G3). */
  fail(failure: DiskFailure): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    const replies = [...(this.#group?.replies ?? []), ...this.#replies.splice(0)];
    for (const reply of replies) reply(failure);
    this.#whenEmpty?.(failure);
  }

  /** Throws what a background sync has met (G3). */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #inPlace(group: Group): boolean {
    return this.#place.isInPlace(group.transactions.length) || this.#binlogIsFull || this.#whenQuiet.length > 0;
  }

  get #binlogIsFull(): boolean {
    return this.#binlog.log.written >= this.#policy.binlogBytesMax;
  }

  /** With nothing undecided: a full binlog file is closed and a new one begun. */
  #rotateIfFull(): void {
    if (this.#binlogIsFull && !this.#binlog.log.syncing) this.#rotate();
  }

  #rotate(): void {
    assert(this.undecided === 0, "binlog: rotated when nothing is undecided (pitfall 34)");
    this.#redo.flushNow();
    this.#binlog.rotate(this.#seconds);
    this.#cache.reset(this.#binlog.log.appended);
    this.#purgeExpired();
  }

  /** FLUSH BINARY LOGS: a new file, as soon as nothing is undecided. */
  rotateSoon(): void {
    this.whenQuiet(() => this.#rotate());
  }

  /** Calls `run` as soon as nothing is undecided: now, or behind the group that is on its way. */
  whenQuiet(run: () => void): void {
    this.throwFailure();
    this.#whenQuiet.push(run);
    if (this.#group === undefined && this.#staged.length === 0) this.#becomeQuiet();
  }

  #becomeQuiet(): void {
    for (const run of this.#whenQuiet.splice(0)) run();
  }

  #purgeExpired(): void {
    const { binlogExpireSeconds } = this.#policy;
    if (binlogExpireSeconds > 0) this.#binlog.purgeOlderThan(this.#seconds - binlogExpireSeconds);
  }

  get #seconds(): number {
    return Math.floor(this.#host.clock.now() / 1000);
  }

  /** About ten times a second: writes the redo log and syncs it in the background once a second, whatever the policy. */
  tick(): void {
    this.throwFailure();
    const now = this.#host.clock.monotonic();
    if (now - this.#lastFlushAt < FLUSH_EVERY_MS || this.#redo.log.syncing) return;
    this.#lastFlushAt = now;
    this.#redo.write();
    if (this.#redo.log.durable === this.#redo.log.written) return;
    this.#redo.whenDurable((failure) => {
      if (failure !== undefined) this.fail(failure);
    });
  }

  /** Calls `done` when nothing is on its way any more, or never will be. */
  finish(done: Settled): void {
    this.throwFailure();
    this.#whenEmpty = done;
    if (this.#group !== undefined) return;
    if (this.#staged.length > 0) this.#startOrThrow();
    else done(undefined);
  }
}

function oldestOf(transaction: Transaction, other: Transaction | undefined): Transaction {
  return other !== undefined && other.id < transaction.id ? other : transaction;
}
