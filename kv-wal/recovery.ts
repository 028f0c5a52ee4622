/**
 * Recovery, in this order; every step can be crashed and run again (I7):
 *
 *     1. create      a new or half-made folder is completed (create.ts)
 *     2. repair      pages that a power loss has torn are replaced by their doublewrite copies; all files are synced, so
 *                    that nothing below relies on bytes that only the page cache has
 *     3. binlog      its torn tail is cut, durably (E1)
 *     4. redo        read to its end; a new epoch begins there, durably; every mini-transaction from the checkpoint on is
 *                    applied to the pages that do not have it yet
 *     5. decide      prepared + XID in the binlog → committed; prepared without, or active → rolled back (I5)
 *     6. undo        the changes of all that are rolled back, newest first
 *     7. purge       undo that nobody wants any more
 *
 * With flush_log_at_trx_commit 0 or 2, or sync_binlog other than 1, the two logs may disagree after a power loss: the binlog
 * has transactions that the engine has lost, or the other way round. That is what these settings mean; it is reported.
 */
import { assert } from "../common/assert.ts";
import type { Recovery } from "../common/engine.ts";
import { CorruptFile } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { readBinlog } from "./binlog/binlog-reader.ts";
import { EVENT_HEADER_BYTES, EventType } from "./binlog/events.ts";
import { readU48, wordsOf } from "./bytes-view.ts";
import { createFolder, isCreated, type RedoSizes } from "./create.ts";
import { PAGE_NUMBER_AT, PAGE_SIZE } from "./page.ts";
import { RedoReader } from "./redo-reader.ts";
import { applyRedo, Redo, redoLength, redoPage, redoType } from "./redo-records.ts";
import type { Checkpoint } from "./redo-ring.ts";
import type { Storage } from "./storage.ts";
import { SPACE_PATH } from "./tablespace.ts";
import type { Transaction } from "./transaction.ts";
import { DONE, ROLLED_BACK, UNDO_MARK_AT, UNDO_STATE_AT, Undo } from "./undo-log.ts";

/** A transaction that was not over. */
interface Unfinished extends Transaction {
  readonly prepared: boolean;
}

/** What the undo log says. */
interface UndoScan {
  readonly unfinished: Unfinished[];
  /** The youngest transaction that the engine knows, and the youngest that is committed. */
  readonly lastId: number;
  readonly lastCommitted: number;
}

const EVERYTHING = Number.MAX_SAFE_INTEGER;

export function recoverStorage(host: Host, storage: Storage, sizes: RedoSizes): Recovery {
  const started = host.clock.monotonic();
  const lines: string[] = [];
  if (!isCreated(host.disk)) {
    createFolder(host, sizes);
    lines.push(`made a new data folder with ${sizes.files} redo log files of ${sizes.fileBytes} bytes`);
  }
  const checkpoint = repair(host, storage, lines);
  const binlogEnd = openBinlog(storage, checkpoint, lines);
  replay(storage, checkpoint, lines);
  const scan = scanUndo(storage);
  // Ids of lost transactions may still be XIDs in the binlog: they are never given again (pitfall 35).
  storage.header.skipIdsBelow(binlogEnd.lastXid + 1);
  decide(host, storage, scan, binlogEnd.lastXid, lines);
  storage.purge.run(undefined, EVERYTHING);
  storage.redo.flushNow();
  return { lines, durationMs: host.clock.monotonic() - started };
}

/** Step 2. */
function repair(host: Host, storage: Storage, lines: string[]): Checkpoint {
  const { redo, space, doublewrite } = storage;
  redo.ring.open(host.disk);
  const checkpoint = redo.ring.readCheckpoint();
  space.open(host.disk);
  doublewrite.open(host.disk, checkpoint.doublewriteBatch);
  for (const page of doublewrite.repair(space, checkpoint.doublewriteBatch)) {
    lines.push(`repaired torn page ${page} from its doublewrite copy`);
  }
  // A killed process may have left pages in the page cache only; their copies are going to be overwritten (D1).
  space.syncNow();
  redo.ring.syncAll();
  return checkpoint;
}

/** Step 3. */
function openBinlog(storage: Storage, checkpoint: Checkpoint, lines: string[]): { lastXid: number } {
  const durable = { file: checkpoint.binlogFile, position: checkpoint.binlogDurable };
  const end = storage.binlog.open(durable, () => {});
  if (end.cutBytes > 0) {
    lines.push(`cut ${end.cutBytes} bytes of a torn tail from ${storage.binlog.path} at offset ${end.position}`);
  }
  return end;
}

/** Step 4. */
function replay(storage: Storage, checkpoint: Checkpoint, lines: string[]): void {
  const { redo, pool, header } = storage;
  const scout = new RedoReader(redo.ring, checkpoint);
  scout.each(() => {});
  const { payload, firstGroup } = scout.tail();
  redo.begin(checkpoint, scout.lsn, payload, firstGroup);
  pool.acceptAbsent = true;
  const applied = new ReplayCounts();
  new RedoReader(redo.ring, checkpoint).each((bytes, from, to, lsn) =>
    applyGroup(storage, applied, bytes, from, to, lsn),
  );
  pool.acceptAbsent = false;
  if (scout.lsn > checkpoint.lsn) {
    const { groups, records, skipped } = applied;
    lines.push(
      `replayed redo from LSN ${checkpoint.lsn} to ${scout.lsn}: ${groups} mini-transactions, ` +
        `${records} records applied, ${skipped} already in their pages`,
    );
  }
  pool.beginOperation();
  header.open(redo.ring.id);
  storage.undo.open();
  storage.rows.open();
}

class ReplayCounts {
  groups = 0;
  records = 0;
  skipped = 0;
  readonly changed: number[] = [];
}

function applyGroup(
  storage: Storage,
  counts: ReplayCounts,
  bytes: Buffer,
  from: number,
  to: number,
  lsn: number,
): void {
  const { pool } = storage;
  pool.beginOperation();
  counts.groups++;
  const words = wordsOf(bytes);
  for (let at = from; redoType(bytes, at) !== Redo.END; at += redoLength(bytes, at, to)) {
    const page = redoPage(bytes, at);
    const frame = pool.fetch(page);
    const pageLsn = pool.arena.lsnOf(frame * PAGE_SIZE);
    refuseLost(storage, page, frame, pageLsn, redoType(bytes, at));
    if (pageLsn >= lsn) {
      counts.skipped++;
      continue;
    }
    applyRedo(pool.arena, frame * PAGE_SIZE, bytes, words, at);
    pool.willChange(frame, counts.changed);
    counts.records++;
  }
  pool.changed(counts.changed, lsn - (to - from), lsn);
}

/** A page that is not there although it was changed, not made; or one that knows more than the log: the log's end is lost. */
function refuseLost(storage: Storage, page: number, frame: number, pageLsn: number, record: number): void {
  const { pool, redo, space } = storage;
  const isAbsent = pool.arena.words[(frame * PAGE_SIZE + PAGE_NUMBER_AT) >> 2] !== page;
  if (isAbsent && record !== Redo.INIT) throw space.damaged(page);
  if (pageLsn <= redo.log.appended) return;
  const problem = `page ${page} has changes up to LSN ${pageLsn}, but the redo log ends at ${redo.log.appended}, seen`;
  throw new CorruptFile(SPACE_PATH, page * PAGE_SIZE, problem);
}

function scanUndo(storage: Storage): UndoScan {
  const unfinished: Unfinished[] = [];
  let lastId = 0;
  let lastCommitted = 0;
  const { bytes } = storage.pool.arena;
  const { preparedUpTo, committedUpTo } = storage.header;
  storage.undo.each((record, pointer) => {
    const id = storage.undo.idAt(record);
    // Purge may have freed the page in which a long transaction begins.
    lastId = Math.max(lastId, id);
    if (bytes[record] !== Undo.TRANSACTION || bytes[record + UNDO_STATE_AT] === ROLLED_BACK) return;
    if (id <= committedUpTo) lastCommitted = Math.max(lastCommitted, id);
    else unfinished.push({ id, header: pointer, prepared: id <= preparedUpTo });
  });
  return { unfinished, lastId, lastCommitted };
}

/** Steps 5 and 6. */
function decide(host: Host, storage: Storage, scan: UndoScan, lastXid: number, lines: string[]): void {
  const { unfinished, lastId, lastCommitted } = scan;
  const prepared = new Set(unfinished.filter((transaction) => transaction.prepared).map(({ id }) => id));
  const asked = askBinlog(host, storage, prepared, lastId, lastXid);
  const winners = unfinished.filter(({ id }) => asked.decided.has(id));
  const losers = unfinished.filter(({ id }) => !asked.decided.has(id));
  if (winners.length > 0) {
    const last = winners.at(-1)!;
    assert(
      losers.every(({ id }) => id > last.id),
      "recovery: what survives is a prefix",
    );
    storage.transactions.markCommitted(last);
  }
  rollBack(storage, losers);
  if (asked.decided.size > 0)
    lines.push(`committed ${asked.decided.size} prepared transactions whose XID is in the binlog`);
  const active = losers.filter((transaction) => !transaction.prepared).length;
  if (losers.length > active) lines.push(`rolled back ${losers.length - active} prepared transactions without XID`);
  if (active > 0) lines.push(`rolled back ${active} active transactions`);
  if (asked.unknown > 0) {
    lines.push(
      `${asked.unknown} transactions are in the binlog that the engine has lost (flush_log_at_trx_commit is not 1)`,
    );
  }
  // A new binlog file cannot tell what the one before it has.
  if (lastXid > 0 && lastCommitted > lastXid)
    lines.push("the engine has transactions that the binlog has lost (sync_binlog is not 1)");
}

/** Which of the prepared transactions the binlog has, and how many it has that are younger than all that the engine knows. */
function askBinlog(
  host: Host,
  storage: Storage,
  prepared: ReadonlySet<number>,
  lastId: number,
  lastXid: number,
): { decided: Set<number>; unknown: number } {
  const decided = new Set<number>();
  let unknown = 0;
  if (prepared.size === 0 && lastXid <= lastId) return { decided, unknown };
  const file = host.disk.open(storage.binlog.path, "read");
  readBinlog(file, (type, buffer, at) => {
    if (type !== EventType.XID) return;
    const xid = readU48(buffer, at + EVENT_HEADER_BYTES);
    if (prepared.has(xid)) decided.add(xid);
    else if (xid > lastId) unknown++;
  });
  file.close();
  return { decided, unknown };
}

/** Undoes all changes of these transactions, the newest first, whoever made them. */
function rollBack(storage: Storage, losers: readonly Unfinished[]): void {
  if (losers.length === 0) return;
  const ids = new Set(losers.map(({ id }) => id));
  const pointers: number[] = [];
  const { bytes } = storage.pool.arena;
  storage.undo.each((record, pointer) => {
    if (bytes[record] === Undo.TRANSACTION || bytes[record + UNDO_MARK_AT] === DONE) return;
    if (ids.has(storage.undo.idAt(record))) pointers.push(pointer);
  });
  for (const pointer of pointers.reverse()) storage.rollback.undo(pointer);
  for (const loser of losers) storage.transactions.markRolledBack(loser);
}
