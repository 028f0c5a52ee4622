/**
 * Point-in-time recovery: a backup is copied and recovered, and the transactions that the binlog has behind the backup's
 * place are run on it again, in order, up to a time or a position.
 *
 * Applied are whole transactions only: those that committed before the time (the second in their XID event), or that end at or
 * before the position. A binlog that does not reach from the backup to there without a gap is refused.
 *
 * The engine runs with flush_log_at_trx_commit 2 and sync_binlog 0: everything is made durable when it closes, and a
 * folder whose restore was cut short is not one to be kept (the caller names it as the last step).
 */
import type { DirectiveConfig } from "../common/config.ts";
import type { Disk } from "../common/disk/disk.ts";
import { UsageError } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { readManifest } from "./backup.ts";
import { BinlogApplier } from "./binlog/apply.ts";
import { binlogPath, binlogSize } from "./binlog/binlog-files.ts";
import { BinlogChain, type BinlogPlace, type LoggedTransaction } from "./binlog/transactions.ts";
import { createWalEngine } from "./engine.ts";
import { WAL_FOLDER } from "./redo-files.ts";

const COPY_BYTES = 1 << 20;

/** Where to stop; undefined: at the end of the binlog. */
export type Until = { readonly time: number } | BinlogPlace | undefined;

export interface Restored {
  readonly transactions: number;
  /** Behind the last transaction applied. */
  readonly place: BinlogPlace;
  /** When that one committed, in seconds. */
  readonly seconds: number | undefined;
}

/** What `restore` works with. */
export interface RestoreParts {
  readonly backup: Disk;
  /** A folder with the binlog that was written since. */
  readonly binlogs: Disk;
  /** The new data folder, empty. */
  readonly host: Host;
  readonly config: DirectiveConfig;
  readonly until: Until;
}

export function restore({ backup, binlogs, host, config, until }: RestoreParts): Promise<Restored> {
  const manifest = readManifest(backup);
  const chain = new BinlogChain(binlogs);
  refuseUnreachable(chain, binlogs, manifest.binlog, Date.parse(manifest.time), until);
  copyBackup(backup, host.disk);
  config.start("binlog-format", "ROW", "restore");
  config.start("flush-log-at-trx-commit", "2", "restore");
  config.start("sync-binlog", "0", "restore");
  // What a server has logged is not too large here.
  config.start("max-binlog-cache-size", String(2 ** 40), "restore");
  const engine = createWalEngine(host, config);
  engine.recover();
  const pick = (bound: number) => host.random.below(bound);
  const applier = new BinlogApplier(engine.keyspace, { config, now: host.clock.now(), pick });
  let transactions = 0;
  let place = manifest.binlog;
  let seconds: number | undefined;
  chain.each(manifest.binlog, (transaction, file) => {
    if (isBehind(transaction, file, until)) return false;
    engine.replay(transaction.seconds, () => applier.apply(transaction));
    transactions++;
    place = { file, position: transaction.end };
    seconds = transaction.seconds;
    return true;
  });
  return engine.close().then(() => {
    host.disk.syncDir("");
    return { transactions, place, seconds };
  });
}

function isBehind(transaction: LoggedTransaction, file: number, until: Until): boolean {
  if (until === undefined) return false;
  if ("time" in until) return transaction.seconds * 1000 >= until.time;
  return file > until.file || (file === until.file && transaction.end > until.position);
}

/** Says before anything is done that the place cannot be reached. */
function refuseUnreachable(chain: BinlogChain, disk: Disk, from: BinlogPlace, backupTime: number, until: Until): void {
  if (!chain.numbers.includes(from.file)) {
    throw new UsageError(`the binlog has a gap: the backup ends in ${binlogPath(from.file)}, which is no longer there`);
  }
  if (until === undefined) return;
  if ("time" in until) {
    if (until.time < backupTime) throw new UsageError("the backup is younger than that time");
    return;
  }
  const isBefore = until.file < from.file || (until.file === from.file && until.position < from.position);
  if (isBefore) throw new UsageError("the backup is younger than that position");
  const exists = chain.numbers.includes(until.file) && until.position <= binlogSize(disk, until.file);
  if (!exists) throw new UsageError(`the binlog does not reach ${binlogPath(until.file)}:${until.position}`);
}

/** Copies the files of a backup, all but the manifest, durably. */
function copyBackup(from: Disk, to: Disk): void {
  if (to.list("").some((name) => name !== "twolog.lock"))
    throw new UsageError("the folder to restore into is not empty");
  to.makeDir(WAL_FOLDER);
  const chunk = Buffer.alloc(COPY_BYTES);
  for (const name of from.list(WAL_FOLDER)) {
    const source = from.open(`${WAL_FOLDER}/${name}`, "read");
    const target = to.open(`${WAL_FOLDER}/${name}`, "create");
    for (let at = 0, length = source.read(0, chunk); length > 0; length = source.read(at, chunk)) {
      target.write(at, chunk.subarray(0, length));
      at += length;
    }
    target.syncNow();
    target.close();
    source.close();
  }
  to.syncDir(WAL_FOLDER);
  to.syncDir("");
}
