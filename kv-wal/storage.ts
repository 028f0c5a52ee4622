/** The parts of the engine, put together once: files below, rows above. */
import type { Host } from "../common/host.ts";
import { BTree } from "./b-tree.ts";
import { Binlog } from "./binlog/binlog.ts";
import { BufferPool } from "./buffer-pool.ts";
import { ChainMover } from "./chain-mover.ts";
import { Doublewrite } from "./doublewrite.ts";
import { MiniTransaction } from "./mini-transaction.ts";
import { PageCleaner } from "./page-cleaner.ts";
import { Purge } from "./purge.ts";
import { ReadViews } from "./read-view.ts";
import { RedoLog } from "./redo-log.ts";
import { RedoRing } from "./redo-ring.ts";
import { Rollback } from "./rollback.ts";
import { RowVersions } from "./row-versions.ts";
import { RowStore } from "./rows/row-store.ts";
import { SpaceHeader } from "./space-header.ts";
import { SpaceTrimmer } from "./space-trimmer.ts";
import { Tablespace } from "./tablespace.ts";
import { Transactions } from "./transaction.ts";
import { TransactionStates } from "./transaction-states.ts";
import { UndoLog } from "./undo-log.ts";

export class Storage {
  readonly space = new Tablespace();
  readonly doublewrite = new Doublewrite();
  readonly binlog: Binlog;
  readonly pool: BufferPool;
  readonly redo: RedoLog;
  readonly cleaner: PageCleaner;
  readonly mini: MiniTransaction;
  readonly header: SpaceHeader;
  readonly tree: BTree;
  readonly undo: UndoLog;
  readonly trimmer: SpaceTrimmer;
  readonly views = new ReadViews();
  readonly versions: RowVersions;
  readonly purge: Purge;
  readonly rollback: Rollback;
  readonly transactions: Transactions;
  readonly states: TransactionStates;
  readonly rows: RowStore;

  constructor(host: Host, frames: number) {
    this.binlog = new Binlog(host.disk);
    this.pool = new BufferPool(host.clock, this.space, frames);
    this.redo = new RedoLog(new RedoRing());
    this.cleaner = new PageCleaner(host, this.pool, this.redo, this.doublewrite, this.space, this.binlog);
    this.mini = new MiniTransaction(this.redo, this.pool);
    this.header = new SpaceHeader(this.pool, this.mini);
    this.tree = new BTree(this.pool, this.mini, this.header);
    this.undo = new UndoLog(this.pool, this.mini, this.header);
    this.versions = new RowVersions(this.pool);
    const { pool, mini, header, tree, undo, views, versions } = this;
    const chains = new ChainMover(pool, mini, header, tree);
    const { freeSpace } = header;
    this.trimmer = new SpaceTrimmer(pool, freeSpace, tree, chains, undo, this.space, this.redo, this.cleaner);
    this.purge = new Purge(pool, mini, header, tree, undo, views, versions);
    this.rollback = new Rollback(pool, mini, header, tree, undo, versions);
    this.transactions = new Transactions(host, pool, mini, header, tree, undo, views, versions);
    this.states = new TransactionStates(pool, mini, header, undo, this.transactions);
    this.rows = new RowStore(pool, tree, header, this.transactions, versions);
  }

  close(): void {
    this.space.close();
    this.doublewrite.close();
    this.binlog.close();
    this.redo.ring.close();
  }
}
