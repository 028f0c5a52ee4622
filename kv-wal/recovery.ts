/**
 * Recovery, in this order; every step can be crashed and run again (I7):
 *
 *     1. create      a new or half-made folder is completed (create.ts)
 *     2. repair      pages that a power loss has torn are replaced by their doublewrite copies; all files are synced, so
 *                    that nothing below relies on bytes that only the page cache has
 *     3. redo        read to its end; a new epoch begins there, durably; every mini-transaction from the checkpoint on is
 *                    applied to the pages that do not have it yet (replay.ts)
 *     4. binlog      its torn tail is cut, durably (E1); redo says how much of it cannot be torn
 *     5. decide      prepared + XID in the binlog → committed; prepared without, or active → rolled back (I5, decide.ts)
 *     6. undo        the changes of all that are rolled back, newest first
 *     7. purge       undo that nobody wants any more
 *     8. resize      when the directives want a redo log of another size, every page is written and a new one is made
 *
 * Above force-recovery 0 some of it is left out (force-recovery.ts).
 *
 * With flush_log_at_trx_commit 0 or 2, or sync_binlog other than 1, the two logs may disagree after a power loss: the binlog
 * has transactions that the engine has lost, or the other way round. That is what these settings mean; it is reported.
 */
import type { Recovery } from "../common/engine.ts";
import { CorruptFile, UsageError } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { createBinlogFile, writeBinlogIndex } from "./binlog/binlog-files.ts";
import type { Checkpoint } from "./checkpoint-slot.ts";
import { createFolder, isCreated, type NewFolder } from "./create.ts";
import { decide } from "./decide.ts";
import { Force } from "./force-recovery.ts";
import { PAGE_SIZE } from "./page.ts";
import { RecoveryReport, type Tell } from "./recovery-report.ts";
import type { RedoSizes } from "./redo-files.ts";
import { FIRST_CHECKPOINT } from "./redo-log.ts";
import { Replay } from "./replay.ts";
import type { Storage } from "./storage.ts";
import { SPACE_PATH } from "./tablespace.ts";

export interface RecoveryOptions extends NewFolder {
  /** Whether a redo log of other sizes is replaced. */
  readonly resize?: boolean;
  /** Level of force-recovery; 0 when left out. */
  readonly force?: number;
  readonly tell?: Tell | undefined;
}

const EVERYTHING = Number.MAX_SAFE_INTEGER;

export function recoverStorage(host: Host, storage: Storage, options: RecoveryOptions): Recovery {
  const report = new RecoveryReport(host.clock, options.tell);
  const force = options.force ?? 0;
  const isNew = !isCreated(host.disk);
  if (isNew) {
    if (force > 0) throw new UsageError("force-recovery is for a folder that has data: this one has none of kv-wal");
    createFolder(host, options);
    report.line(`made a new data folder with ${options.files} redo log files of ${options.fileBytes} bytes`);
  }
  if (force > 0) report.line(`force-recovery is ${force}: commands that write are refused`);
  const checkpoint = repair(host, storage, force, report);
  replay(storage, checkpoint, force, report);
  const binlogEnd = openBinlog(host, storage, checkpoint, force, report);
  if (force < Force.NO_UNDO) {
    // Ids of lost transactions may still be XIDs in the binlog: they are never given again (pitfall 35).
    storage.header.skipIdsBelow(binlogEnd.lastXid + 1);
    decide(storage, force, binlogEnd.lastXid, report);
  }
  if (force < Force.NO_BACKGROUND) {
    storage.purge.run(undefined, EVERYTHING);
    report.ended("purge");
  }
  // Purge has removed every row with a delete mark; where it did not run, readers look for marks.
  storage.versions.markedRows = force < Force.NO_BACKGROUND ? 0 : 1;
  storage.purge.headersPassed = 0;
  storage.redo.flushNow();
  if (options.resize === true && force === 0) resizeRedo(host, storage, options, report);
  for (const page of storage.space.damagedPages) report.line(`passed over ${storage.space.damaged(page).message}`);
  if (!isNew) report.summary();
  return { lines: report.lines, durationMs: report.durationMs };
}

/** Step 8. */
function resizeRedo(host: Host, storage: Storage, sizes: RedoSizes, report: RecoveryReport): void {
  const { redo, cleaner } = storage;
  redo.ring.removeOthers(host.disk);
  if (redo.ring.hasSizes(sizes)) return;
  cleaner.cleanAll();
  redo.resize(host.disk, sizes);
  report.line(`made a new redo log with ${sizes.files} files of ${sizes.fileBytes} bytes`);
  report.ended("resize");
}

/** Step 2. */
function repair(host: Host, storage: Storage, force: number, report: RecoveryReport): Checkpoint {
  const { redo, space, doublewrite } = storage;
  redo.ring.open(host.disk);
  const checkpoint = readCheckpoint(storage, force, report);
  space.open(host.disk);
  doublewrite.open(host.disk, checkpoint.doublewriteBatch);
  for (const page of doublewrite.repair(space, checkpoint.doublewriteBatch)) {
    report.line(`repaired torn page ${page} of ${SPACE_PATH}, offset ${page * PAGE_SIZE}, from its doublewrite copy`);
  }
  // A killed process may have left pages in the page cache only; their copies are going to be overwritten (D1).
  space.syncNow();
  redo.ring.syncAll();
  report.ended("repair");
  return checkpoint;
}

function readCheckpoint(storage: Storage, force: number, report: RecoveryReport): Checkpoint {
  try {
    return storage.redo.ring.readCheckpoint();
  } catch (error) {
    if (!(error instanceof CorruptFile) || force < Force.NO_REDO) throw error;
    report.line(`goes on without a checkpoint: ${error.message}`);
    return FIRST_CHECKPOINT;
  }
}

/** Step 4. */
function openBinlog(
  host: Host,
  storage: Storage,
  checkpoint: Checkpoint,
  force: number,
  report: RecoveryReport,
): { lastXid: number } {
  if (force >= Force.NO_UNDO) {
    // The engine needs one to go on from; this one is in memory only.
    createBinlogFile(host.disk, 1, 0);
    writeBinlogIndex(host.disk, [1]);
  }
  const durable = force >= Force.NO_UNDO ? { file: 0, position: 0 } : durableBinlog(storage, checkpoint);
  const end = storage.binlog.open(durable);
  if (end.rotated) report.line(`took ROTATE back from ${storage.binlog.path}: the next file had not been made`);
  else if (end.cutBytes > 0) {
    report.line(`cut ${end.cutBytes} bytes of a torn tail from ${storage.binlog.path} at offset ${end.position}`);
  }
  if (force < Force.READ_ONLY) keepPlace(storage);
  report.ended("binlog");
  return end;
}

/**
 * How much of the binlog cannot be a torn tail: what the checkpoint says, or the last commit mark behind it. The mark in a page is
 * older than the checkpoint when there is no redo behind that, and may speak of another binlog: that of which this folder
 * is a backup.
 */
function durableBinlog({ redo, header }: Storage, checkpoint: Checkpoint): { file: number; position: number } {
  const { binlogFile: file, binlogDurable: position } = checkpoint;
  if (redo.log.appended === checkpoint.lsn) return { file, position };
  const isBehind = header.binlogFile > file || (header.binlogFile === file && header.binlogDurable > position);
  return isBehind ? { file: header.binlogFile, position: header.binlogDurable } : { file, position };
}

/** Before there is redo again, the mark in the page must be one of this binlog. */
function keepPlace({ header, binlog, mini, pool }: Storage): void {
  const { binlogFile, binlogDurable, lastXid } = header;
  if (binlogFile < binlog.number || (binlogFile === binlog.number && binlogDurable <= binlog.log.durable)) return;
  pool.beginOperation();
  mini.begin();
  header.setBinlogPlace(binlog.number, binlog.log.durable, lastXid);
  mini.commit();
}

/** Step 3. */
function replay(storage: Storage, checkpoint: Checkpoint, force: number, report: RecoveryReport): void {
  const { redo, pool, header } = storage;
  pool.acceptNewer = force >= Force.READ_ONLY;
  new Replay(storage, force, report).run(checkpoint);
  pool.beginOperation();
  header.open(redo.ring.id, redo.log.appended);
  if (force < Force.NO_UNDO) storage.undo.open();
  storage.rows.open();
  report.ended("redo");
}
