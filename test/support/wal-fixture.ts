/** kv-wal engines for tests: on a disk in memory, small pools and logs. */
import { type Call, Effects } from "../../common/command/call.ts";
import { DirectiveConfig } from "../../common/config.ts";
import type { Disk } from "../../common/disk/disk.ts";
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { NO_EXPIRY } from "../../common/keyspace/keyspace.ts";
import { SERVER_DIRECTIVES } from "../../common/server/directives.ts";
import { WAL_DIRECTIVES } from "../../kv-wal/directives.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";
import type { RowKeyspace } from "../../kv-wal/rows/keyspace.ts";
import { TestHost } from "./test-host.ts";

/** One megabyte of pages, half a megabyte of redo. */
export const SMALL = {
  "buffer-pool-size": "1mb",
  "redo-log-file-size": "256kb",
  "redo-log-files-in-group": "2",
} as const;

export function walConfig(directives: Readonly<Record<string, string>> = {}): DirectiveConfig {
  return new DirectiveConfig([SERVER_DIRECTIVES, WAL_DIRECTIVES], { ...SMALL, ...directives });
}

/** An engine that has recovered whatever is on the disk. */
export function openWal(disk: Disk, directives: Readonly<Record<string, string>> = {}): WalEngine {
  const engine = createWalEngine(new TestHost(disk), walConfig(directives));
  engine.recover();
  return engine;
}

/** A keyspace of rows in which everything is one long transaction: for tests of the containers alone. */
export function openRowKeyspace(disk: Disk = new MemoryDisk()): RowKeyspace {
  const engine = openWal(disk);
  engine.storage.transactions.mayChange = true;
  return engine.keyspace;
}

/** What the engine needs of a call, for a function that changes the keyspace and says what it did. */
export function runOn(engine: WalEngine, effects: Call["effects"], change: () => void): void {
  const { transactions } = engine.storage;
  const { capture } = engine.storage.rows;
  capture.beginOwn(engine.commits.ownEvents, 1);
  transactions.mayChange = true;
  change();
  transactions.mayChange = false;
  capture.end(effects);
  const transaction = engine.end();
  if (transaction !== undefined) engine.stage(transaction, 1);
  effects.clear();
}

/** SET as a transaction of its own, not settled. */
export function stageSet(engine: WalEngine, key: string, value: string): void {
  const effects = new Effects();
  effects.push(0, ["SET", key, value]);
  runOn(engine, effects, () => engine.keyspace.databases[0]!.strings.set(key, value, NO_EXPIRY));
}
