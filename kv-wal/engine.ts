/**
 * kv-wal: log first, pages later. Puts storage, rows, logs and recovery together; the order of steps is in write-path.ts.
 */
import { assert } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import { type Call, Effects } from "../common/command/call.ts";
import { invoke } from "../common/command/invoke.ts";
import type { BinaryLogs } from "../common/command/session.ts";
import type { IsolationLevel } from "../common/command/transactions.ts";
import type { Config } from "../common/config.ts";
import type { Engine, InfoSection, Recovery } from "../common/engine.ts";
import { CorruptFile, UsageError } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { KeyspaceEvents } from "../common/keyspace/events.ts";
import { Backup } from "./backup.ts";
import { WalBinaryLogs } from "./binlog/binary-logs.ts";
import type { BinlogFormat } from "./binlog/row-capture.ts";
import { OVERFLOW, type TransactionEvents } from "./binlog/transaction-events.ts";
import { redoSizes } from "./directives.ts";
import { Force, overlayHost, refusalOf } from "./force-recovery.ts";
import { GroupCommit } from "./group-commit.ts";
import { walInfo } from "./info.ts";
import { InteractiveTransactions } from "./interactive.ts";
import { type CommandRunner, Interleaving } from "./interleaving.ts";
import { LogPressure } from "./log-pressure.ts";
import { PAGE_SIZE } from "./page.ts";
import { recoverStorage } from "./recovery.ts";
import { RowKeyspace } from "./rows/keyspace.ts";
import { DATABASES_MAX } from "./space-header.ts";
import { Storage } from "./storage.ts";
import type { Transaction } from "./transaction-states.ts";
import { execute, type Settled } from "./write-path.ts";

/** Expired keys removed by one transaction of the background. */
const EXPIRED_PER_STEP = 20;
/** What purge does in one idle call (purge.ts). */
const PURGED_PER_IDLE = 256;

export function createWalEngine(host: Host, config: Config): WalEngine {
  return new WalEngine(host, config);
}

export class WalEngine implements Engine, CommandRunner {
  readonly name = "wal";
  readonly keyspace: RowKeyspace;
  readonly storage: Storage;
  readonly #host: Host;
  readonly #config: Config;
  readonly transactions: Interleaving;
  readonly #pressure: LogPressure;
  /** Public, as `storage` is: the lab replaces single steps of it. */
  readonly commits: GroupCommit;
  readonly binaryLogs: BinaryLogs;
  readonly backup: Backup;
  readonly #policy = {
    flushLogAtCommit: 1,
    syncBinlog: 1,
    binlogBytesMax: 0,
    cacheBytesMax: 0,
    binlogExpireSeconds: 0,
  };
  /** The effects of the command that is running: an expired key that it meets is logged before what it does itself. */
  #running: Effects | undefined;
  /** Of expiry in the background. */
  readonly #ownEffects = new Effects();
  #expireNext = 0;
  /** Level of force-recovery: above 0 commands change nothing. */
  readonly #force: number;

  constructor(givenHost: Host, config: Config) {
    this.#force = config.number("force-recovery");
    const host = this.#force >= Force.READ_ONLY ? overlayHost(givenHost) : givenHost;
    this.#host = host;
    this.#config = config;
    const databases = config.number("databases");
    if (databases > DATABASES_MAX) throw new UsageError(`kv-wal has at most ${DATABASES_MAX} databases`);
    this.storage = new Storage(host, Math.floor(config.number("buffer-pool-size") / PAGE_SIZE));
    const limits = { listpackEntries: 0, listpackValue: 0 };
    this.keyspace = new RowKeyspace(this.storage.rows, new KeyspaceEvents(), databases, limits);
    this.keyspace.events.onExpired = (db, key) => this.#expired(db, key);
    this.commits = new GroupCommit(host, this.storage, this.#policy);
    this.backup = new Backup(host, this.storage, this.commits, redoSizes(config));
    this.binaryLogs = new WalBinaryLogs(this.storage.binlog, this.commits, this.backup, host, config);
    this.#pressure = new LogPressure(this.storage.redo, this.storage.cleaner);
    this.storage.cleaner.onFailure = (failure) => this.commits.fail(failure);
    const interactive = new InteractiveTransactions(this.storage, this.commits, this.keyspace.events, this);
    this.transactions = new Interleaving(host, this.storage, interactive, this);
    this.keyspace.mayExpire = (index, key) => this.transactions.mayExpire(index, key);
    this.#follow("lock-wait-timeout", (value) => {
      this.transactions.lockWaitMs = value * 1000;
    });
    this.#followText("transaction-isolation", (text) => {
      interactive.defaultIsolation = text.replace("-", " ") as IsolationLevel;
    });
    this.#follow("flush-log-at-trx-commit", (value) => {
      this.#policy.flushLogAtCommit = value;
    });
    this.#follow("sync-binlog", (value) => {
      this.#policy.syncBinlog = value;
    });
    this.#follow("max-binlog-size", (value) => {
      this.#policy.binlogBytesMax = value;
    });
    this.#follow("binlog-expire-logs-seconds", (value) => {
      this.#policy.binlogExpireSeconds = value;
    });
    this.#follow("max-binlog-cache-size", (value) => {
      this.#policy.cacheBytesMax = value;
    });
    this.#followText("binlog-format", (text) => {
      this.storage.rows.capture.policy.format = text as BinlogFormat;
    });
    this.#followText("binlog-row-image", (text) => {
      this.storage.rows.capture.policy.minimalImages = text === "MINIMAL";
    });
    const { pool, cleaner, doublewrite } = this.storage;
    this.#follow("old-blocks-pct", (value) => {
      pool.lru.oldPercent = value;
    });
    this.#follow("old-blocks-time", (value) => {
      pool.lru.oldBlocksMs = value;
    });
    this.#follow("max-dirty-pages-pct", (value) => {
      cleaner.maxDirtyPercent = value;
    });
    this.#follow("io-capacity", (value) => {
      cleaner.ioCapacity = value;
    });
    doublewrite.enabled = config.boolean("doublewrite");
    this.#follow("hash-max-listpack-entries", (value) => {
      limits.listpackEntries = value;
    });
    this.#follow("hash-max-listpack-value", (value) => {
      limits.listpackValue = value;
    });
  }

  recover(tell?: (line: string) => void): Recovery {
    const recovery = recoverStorage(this.#host, this.storage, {
      ...redoSizes(this.#config),
      resize: true,
      redoIsFirst: this.#config.number("flush-log-at-trx-commit") === 1,
      force: this.#force,
      tell,
    });
    this.keyspace.events.now = this.#host.clock.now();
    this.commits.open();
    if (this.#force === 0) this.commits.declarePolicy();
    this.storage.rows.passesDamage = this.#force > 0;
    this.#pressure.open();
    for (const name of ["flush-log-at-trx-commit", "sync-binlog"]) {
      this.#config.onChange(name, () => this.commits.policyChanged());
    }
    return recovery;
  }

  execute(call: Call): boolean {
    if (this.#pressure.isHigh && this.#pressure.holds(call)) return false;
    if (this.storage.versions.transactions !== 0) return this.transactions.execute(call);
    execute(this, call);
    call.effects.clear();
    return true;
  }

  get settleSyncs(): boolean {
    return this.commits.settleSyncs;
  }

  settle(done: Settled): void {
    this.commits.settle(done);
  }

  /**
   * Steps 1 to 3, for every row that the command changes; its binlog events go into `events`: those of an interactive
   * transaction, or else the command is a transaction of its own. False: it has failed.
   */
  apply(call: Call, events: TransactionEvents = this.commits.ownEvents): boolean {
    if (this.#force > 0) return this.look(call);
    const { transactions, rows } = this.storage;
    const { mark } = call.reply;
    this.keyspace.events.now = call.now;
    this.#running = call.effects;
    rows.capture.begin(events, call);
    transactions.mayChange = true;
    const succeeded = invoke(call, call.command, call.args);
    transactions.mayChange = false;
    rows.capture.end(call.effects);
    this.#running = undefined;
    return events.overflowed ? this.#tooLarge(call, mark, events) : succeeded;
  }

  /** The command, or the EXEC, needs more binlog events than it may have: it is answered so, and undone. */
  #tooLarge(call: Call, mark: number, events: TransactionEvents): boolean {
    call.reply.rewind(mark);
    call.reply.error(OVERFLOW);
    // An interactive transaction undoes its commands itself.
    if (events === this.commits.ownEvents) this.#undoOwn();
    return false;
  }

  /** Undoes the transaction of its own that is running, and forgets its events. */
  #undoOwn(): void {
    const { transactions, rollback, states, views } = this.storage;
    this.commits.ownEvents.truncate(0);
    if (!transactions.running) return;
    const { id, header, last } = transactions.abandon();
    transactions.isOccupied = true;
    rollback.undoBackTo(last, header, Math.min(id, views.oldestNeeded(this.commits.oldestUndecided)?.id ?? id));
    transactions.isOccupied = false;
    states.markRolledBack(header);
  }

  /** A command that only reads: damage that it meets is its answer, if the folder was opened by force. */
  look(call: Call): boolean {
    this.keyspace.events.now = call.now;
    if (this.#force === 0) return invoke(call, call.command, call.args);
    const { mark } = call.reply;
    try {
      return invoke(call, call.command, call.args);
    } catch (error) {
      if (!(error instanceof CorruptFile)) throw error;
      call.reply.rewind(mark);
      call.reply.error(`ERR ${error.message}`);
      return false;
    }
  }

  end(): Transaction | undefined {
    const { transactions } = this.storage;
    return transactions.running ? transactions.end() : undefined;
  }

  stage(transaction: Transaction, seconds: number): void {
    this.commits.stage(transaction, this.commits.ownEvents, seconds);
    this.commits.startIfLarge();
  }

  /** A full log makes writers wait (log-pressure.ts); they are not refused. A disk that fails stops the process. */
  get writeRefusal(): string | undefined {
    return refusalOf(this.#force);
  }

  idle(budgetMs: number): void {
    const { clock } = this.#host;
    const end = clock.monotonic() + budgetMs;
    this.keyspace.events.now = clock.now();
    this.commits.tick();
    if (this.#force === 0) this.#expire(end);
    this.commits.inBackground = true;
    if (this.#force < Force.NO_BACKGROUND) this.#tidy();
    this.storage.cleaner.idle();
    if (this.backup.isRunning) this.backup.idle(end);
    this.commits.inBackground = false;
  }

  /** Purge, and pages that move so that the space may shrink. */
  #tidy(): void {
    const { purge, trimmer, views } = this.storage;
    const { oldestUndecided } = this.commits;
    purge.run(oldestUndecided, PURGED_PER_IDLE);
    const settledBelow = views.oldestNeeded(oldestUndecided)?.id ?? Number.POSITIVE_INFINITY;
    trimmer.idle(oldestUndecided === undefined && !purge.behind, settledBelow);
  }

  info(): InfoSection[] {
    return [walInfo(this.storage, this.commits, this.transactions, this.backup, this.#pressure)];
  }

  /** Everything accepted becomes durable, every page is written: the next start has nothing to replay. */
  close(): Promise<void> {
    this.transactions.rollBackAll();
    this.backup.abandon();
    return new Promise((resolve, reject) => {
      this.commits.finish((failure) => {
        if (failure !== undefined) return reject(failure);
        const { binlog, cleaner, purge, trimmer } = this.storage;
        binlog.log.syncNow();
        if (this.#force < Force.NO_BACKGROUND) purge.run(undefined, Number.MAX_SAFE_INTEGER);
        cleaner.cleanAll();
        if (this.#force < Force.NO_BACKGROUND) trimmer.close();
        this.storage.close();
        resolve();
      });
    });
  }

  #expired(db: number, key: Bytes): void {
    assert(this.#running !== undefined, "an expired key is removed only by a transaction");
    this.#running.push(db, ["DEL", key]);
  }

  /** Active expiry: round the databases, each until its expiry rows are in the future, until the time is up. */
  #expire(end: number): void {
    const { databases } = this.keyspace;
    for (let turn = 0; turn < databases.length; turn++) {
      for (;;) {
        const expired = databases[this.#expireNext]!.findExpired(EXPIRED_PER_STEP);
        const removed = this.#removeExpired(this.#expireNext, expired);
        if (!removed || expired.length < EXPIRED_PER_STEP) break;
        if (this.#host.clock.monotonic() >= end) return;
      }
      this.#expireNext = (this.#expireNext + 1) % databases.length;
      if (this.#host.clock.monotonic() >= end) return;
    }
  }

  /**
   * In one transaction; or, if the binlog events of all are too many, each key in its own; one that is too large even so, as
   * a statement. False: not all are removed.
   */
  #removeExpired(index: number, keys: readonly Bytes[]): boolean {
    if (keys.length === 0) return true;
    const seconds = Math.floor(this.keyspace.events.now / 1000);
    const remove = () => {
      // Meeting an expired key is what removes it, and logs it.
      for (const key of keys) this.keyspace.databases[index]!.typeOf(key);
    };
    if (this.replay(seconds, remove)) return true;
    if (keys.length === 1) return this.replay(seconds, remove, true);
    let all = true;
    for (const key of keys) all = this.#removeExpired(index, [key]) && all;
    return all;
  }

  /**
   * What `change` does to the keyspace becomes one transaction, committed as those of commands; in the binlog it may be its
   * effects, whatever the format is. False: it had more binlog events than it may have, and was undone.
   */
  replay(seconds: number, change: () => void, asStatement = false): boolean {
    const { transactions, rows } = this.storage;
    this.#running = this.#ownEffects;
    rows.capture.beginOwn(this.commits.ownEvents, seconds, asStatement);
    transactions.mayChange = true;
    change();
    transactions.mayChange = false;
    rows.capture.end(this.#ownEffects);
    this.#running = undefined;
    this.#ownEffects.clear();
    const fits = !this.commits.ownEvents.overflowed;
    if (!fits) this.#undoOwn();
    const transaction = this.end();
    if (transaction !== undefined) this.stage(transaction, seconds);
    this.settle(() => {});
    return fits;
  }

  #followText(name: string, changed: (text: string) => void): void {
    changed(this.#config.text(name));
    this.#config.onChange(name, () => changed(this.#config.text(name)));
  }

  #follow(name: string, changed: (value: number) => void): void {
    changed(this.#config.number(name));
    this.#config.onChange(name, () => changed(this.#config.number(name)));
  }
}
