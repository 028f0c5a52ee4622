/**
 * Writes what the running command changes, as row images, into the events of its transaction. Rows call it where the old and
 * the new row are at hand (kv-wal/rows/), before they change the tree; old values come as bytes of the page in the pool.
 *
 *     binlog_format   ROW        every change as row images, but for FLUSHDB and SWAPDB, which are statements in SQL (CALL of
 *                                a procedure of the schema), as MySQL logs TRUNCATE: their images would be the whole database
 *                     STATEMENT  the effects of the command as text
 *                     MIXED      as text if the command replaces what was there whatever that was, so that running it
 *                                again changes nothing (STATEMENT_SAFE); as rows if its result depends on the old row
 *
 * With STATEMENT nothing of this is paid but a test of `rows`.
 */
import { type Bytes, writeBytes } from "../../common/bytes.ts";
import type { Call, Effects } from "../../common/command/call.ts";
import type { Command } from "../../common/command/define.ts";
import { WRITE } from "../../common/command/flags.ts";
import { NO_EXPIRY } from "../../common/keyspace/keyspace.ts";
import { copyView, writeU16, writeU32, writeU48 } from "../bytes-view.ts";
import { RowChange } from "./row-events.ts";
import { flushCall, swapCall, Table } from "./schema.ts";
import type { TransactionEvents } from "./transaction-events.ts";

export type BinlogFormat = "ROW" | "STATEMENT" | "MIXED";

/** Set by the engine from its directives; may change at run time. */
export interface BinlogPolicy {
  format: BinlogFormat;
  /** binlog_row_image MINIMAL. */
  minimalImages: boolean;
}

/** Commands that write, but whose effects say what is there afterwards, whatever was there before. */
const STATEMENT_SAFE: ReadonlySet<string> = new Set(
  [
    "set setex psetex mset getset getdel getex incrbyfloat del unlink hset hmset hdel hincrbyfloat",
    "expire pexpire expireat pexpireat persist flushdb flushall",
  ].flatMap((line) => line.split(" ")),
);

/** Reading may remove a key that has expired: DEL. */
function isStatementSafe(command: Command): boolean {
  return (command.flags & WRITE) === 0 || STATEMENT_SAFE.has(command.name);
}

/** Null bits of images with so many columns, none of which is NULL. */
const NO_NULLS = [0xff, 0xfe, 0xfc, 0xf8, 0xf0];
/** Of kv_key: expire_at is NULL. */
const EXPIRY_IS_NULL = 8;
/** Null bits, database and length of the key. */
const KEY_BYTES = 1 + 2 + 4;
/** A row of kv_key but for the bytes of the key. */
const KEY_ROW_BYTES = KEY_BYTES + 1 + 8;
/** Shorter byte strings are written by a loop: a call into native code would cost more. */
const LOOP_BYTES_MAX = 24;
const TABLE_OF_TYPE: readonly Table[] = [
  Table.KEY,
  Table.STRING,
  Table.LIST,
  Table.SET,
  Table.ZSET,
  Table.HASH,
  Table.STREAM,
];

function writeText(buffer: Buffer, at: number, bytes: Bytes): number {
  const { length } = bytes;
  if (length > LOOP_BYTES_MAX) return writeBytes(buffer, bytes, at);
  for (let i = 0; i < length; i++) buffer[at + i] = bytes.charCodeAt(i);
  return at + length;
}

function writeBlob(buffer: Buffer, at: number, bytes: Bytes): number {
  writeU32(buffer, at, bytes.length);
  return writeText(buffer, at + 4, bytes);
}

function writeOld(view: DataView, at: number, from: DataView, fromAt: number, length: number): number {
  view.setUint32(at, length, true);
  copyView(from, fromAt, view, at + 4, length);
  return at + 4 + length;
}

/** Null bits, database, key. */
function writeKey(buffer: Buffer, at: number, nulls: number, database: number, key: Bytes): number {
  buffer[at] = nulls;
  writeU16(buffer, at + 1, database);
  return writeBlob(buffer, at + 3, key);
}

function writeExpiry(buffer: Buffer, at: number, expiry: number): number {
  if (expiry === NO_EXPIRY) return at;
  writeU48(buffer, at, expiry);
  writeU16(buffer, at + 6, 0);
  return at + 8;
}

/** A row of kv_key, whole. */
function writeKeyRow(buffer: Buffer, at: number, database: number, key: Bytes, type: number, expiry: number): number {
  const nulls = NO_NULLS[4]! | (expiry === NO_EXPIRY ? EXPIRY_IS_NULL : 0);
  const end = writeKey(buffer, at, nulls, database, key);
  buffer[end] = type;
  return writeExpiry(buffer, end + 1, expiry);
}

export class BinlogCapture {
  readonly policy: BinlogPolicy = { format: "ROW", minimalImages: false };
  /** Where the running command's events go. */
  #events: TransactionEvents | undefined;
  /** Whether the running command's changes are wanted as rows. */
  rows = false;
  #asStatement = false;

  /** A command begins to run; its events go into `events`. */
  begin(events: TransactionEvents, call: Call): void {
    this.#asStatement = this.#logsStatement(call);
    this.#open(events, Math.floor(call.now / 1000));
  }

  /** As `begin`, for changes that no command makes: expiry in the background. */
  beginOwn(events: TransactionEvents, seconds: number, asStatement = false): void {
    this.#asStatement = asStatement || this.policy.format !== "ROW";
    this.#open(events, seconds);
  }

  #open(events: TransactionEvents, seconds: number): void {
    this.#events = events;
    this.rows = !this.#asStatement;
    events.setTime(seconds);
  }

  #logsStatement(call: Call): boolean {
    const { format } = this.policy;
    if (format !== "MIXED") return format === "STATEMENT";
    // A transaction of several commands is logged in one way.
    const queue = call.session.client?.transaction.queue;
    if (call.command.name === "exec" && queue !== undefined) {
      return queue.every(({ command }) => isStatementSafe(command));
    }
    return isStatementSafe(call.command);
  }

  /** The command has run, with these effects. */
  end(effects: Effects): void {
    this.rows = false;
    if (!this.#asStatement) return;
    for (let i = 0; i < effects.args.length; i++) this.#target().addStatement(effects.db[i]!, effects.args[i]!);
  }

  #target(): TransactionEvents {
    return this.#events!;
  }

  /** Room for a row; what does not fit ends the capture, and the transaction (`overflowed`). */
  #openRow(table: Table, change: RowChange, bytes: number, alsoMapped: Table = table): boolean {
    if (this.#target().openRow(table, change, bytes, alsoMapped)) return true;
    this.rows = false;
    return false;
  }

  keyInserted(database: number, key: Bytes, type: number, expiry: number): void {
    // The rows of the value follow: their table is mapped in the same statement.
    if (!this.#openRow(Table.KEY, RowChange.INSERT, KEY_ROW_BYTES + key.length, TABLE_OF_TYPE[type])) return;
    const { buffer, length } = this.#target();
    this.#target().advance(writeKeyRow(buffer, length, database, key, type, expiry));
  }

  keyDeleted(database: number, key: Bytes, type: number, expiry: number): void {
    const minimal = this.policy.minimalImages;
    const change = minimal ? RowChange.DELETE_MINIMAL : RowChange.DELETE;
    if (!this.#openRow(Table.KEY, change, KEY_ROW_BYTES + key.length)) return;
    const { buffer, length } = this.#target();
    const end = minimal
      ? writeKey(buffer, length, NO_NULLS[2]!, database, key)
      : writeKeyRow(buffer, length, database, key, type, expiry);
    this.#target().advance(end);
  }

  /** The key has another expiry. */
  keyChanged(database: number, key: Bytes, type: number, before: number, after: number): void {
    const minimal = this.policy.minimalImages;
    const change = minimal ? RowChange.UPDATE_MINIMAL : RowChange.UPDATE;
    if (!this.#openRow(Table.KEY, change, 2 * (KEY_ROW_BYTES + key.length))) return;
    const { buffer, length } = this.#target();
    let end: number;
    if (minimal) {
      end = writeKey(buffer, length, NO_NULLS[2]!, database, key);
      buffer[end] = NO_NULLS[2]! | (after === NO_EXPIRY ? 2 : 0);
      buffer[end + 1] = type;
      end = writeExpiry(buffer, end + 2, after);
    } else {
      end = writeKeyRow(buffer, length, database, key, type, before);
      end = writeKeyRow(buffer, end, database, key, type, after);
    }
    this.#target().advance(end);
  }

  /** RENAME and MOVE of a container: the key is another one. All columns, because the primary key changes. */
  keyMoved(database: number, key: Bytes, toDatabase: number, toKey: Bytes, type: number, expiry: number): void {
    if (!this.#openRow(Table.KEY, RowChange.UPDATE, 2 * KEY_ROW_BYTES + key.length + toKey.length)) return;
    const { buffer, length } = this.#target();
    const end = writeKeyRow(buffer, length, database, key, type, expiry);
    this.#target().advance(writeKeyRow(buffer, end, toDatabase, toKey, type, expiry));
  }

  stringInserted(database: number, key: Bytes, value: Bytes): void {
    if (!this.#openRow(Table.STRING, RowChange.INSERT, KEY_BYTES + key.length + 4 + value.length)) return;
    const { buffer, length } = this.#target();
    const end = writeKey(buffer, length, NO_NULLS[3]!, database, key);
    this.#target().advance(writeBlob(buffer, end, value));
  }

  /** The old value is `size` bytes at `at` of `old`. */
  stringChanged(database: number, key: Bytes, old: DataView, at: number, size: number, value: Bytes): void {
    const minimal = this.policy.minimalImages;
    const keyBytes = KEY_BYTES + key.length;
    const bytes = keyBytes + 4 + value.length + (minimal ? 1 : keyBytes + 4 + size);
    if (!this.#openRow(Table.STRING, minimal ? RowChange.UPDATE_MINIMAL : RowChange.UPDATE, bytes)) return;
    const { buffer, view, length } = this.#target();
    let end = writeKey(buffer, length, minimal ? NO_NULLS[2]! : NO_NULLS[3]!, database, key);
    if (minimal) buffer[end++] = NO_NULLS[1]!;
    else {
      end = writeOld(view, end, old, at, size);
      copyView(view, length, view, end, keyBytes);
      end += keyBytes;
    }
    this.#target().advance(writeBlob(buffer, end, value));
  }

  stringDeleted(database: number, key: Bytes, old: DataView, at: number, size: number): void {
    const minimal = this.policy.minimalImages;
    const bytes = KEY_BYTES + key.length + 4 + size;
    if (!this.#openRow(Table.STRING, minimal ? RowChange.DELETE_MINIMAL : RowChange.DELETE, bytes)) return;
    const { buffer, view, length } = this.#target();
    const end = writeKey(buffer, length, minimal ? NO_NULLS[2]! : NO_NULLS[3]!, database, key);
    this.#target().advance(minimal ? end : writeOld(view, end, old, at, size));
  }

  fieldInserted(database: number, key: Bytes, field: Bytes, value: Bytes): void {
    const bytes = KEY_BYTES + key.length + 4 + field.length + 4 + value.length;
    if (!this.#openRow(Table.HASH, RowChange.INSERT, bytes)) return;
    const { buffer, length } = this.#target();
    const end = writeBlob(buffer, writeKey(buffer, length, NO_NULLS[4]!, database, key), field);
    this.#target().advance(writeBlob(buffer, end, value));
  }

  fieldChanged(
    database: number,
    key: Bytes,
    field: Bytes,
    old: DataView,
    at: number,
    size: number,
    value: Bytes,
  ): void {
    const minimal = this.policy.minimalImages;
    const keyBytes = KEY_BYTES + key.length + 4 + field.length;
    const bytes = keyBytes + 4 + value.length + (minimal ? 1 : keyBytes + 4 + size);
    if (!this.#openRow(Table.HASH, minimal ? RowChange.UPDATE_MINIMAL : RowChange.UPDATE, bytes)) return;
    const { buffer, view, length } = this.#target();
    const nulls = minimal ? NO_NULLS[3]! : NO_NULLS[4]!;
    let end = writeBlob(buffer, writeKey(buffer, length, nulls, database, key), field);
    if (minimal) buffer[end++] = NO_NULLS[1]!;
    else {
      end = writeOld(view, end, old, at, size);
      copyView(view, length, view, end, keyBytes);
      end += keyBytes;
    }
    this.#target().advance(writeBlob(buffer, end, value));
  }

  fieldDeleted(database: number, key: Bytes, field: Bytes, old: DataView, at: number, size: number): void {
    const minimal = this.policy.minimalImages;
    const bytes = KEY_BYTES + key.length + 4 + field.length + 4 + size;
    if (!this.#openRow(Table.HASH, minimal ? RowChange.DELETE_MINIMAL : RowChange.DELETE, bytes)) return;
    const { buffer, view, length } = this.#target();
    const nulls = minimal ? NO_NULLS[3]! : NO_NULLS[4]!;
    const end = writeBlob(buffer, writeKey(buffer, length, nulls, database, key), field);
    this.#target().advance(minimal ? end : writeOld(view, end, old, at, size));
  }

  /** RENAME and MOVE of a hash, for each of its fields. */
  fieldMoved(database: number, key: Bytes, toDatabase: number, toKey: Bytes, field: Bytes, value: Bytes): void {
    const bytes = 2 * (KEY_BYTES + 4 + field.length + 4 + value.length) + key.length + toKey.length;
    if (!this.#openRow(Table.HASH, RowChange.UPDATE, bytes)) return;
    const { buffer, length } = this.#target();
    let end = writeBlob(buffer, writeKey(buffer, length, NO_NULLS[4]!, database, key), field);
    end = writeBlob(buffer, end, value);
    end = writeBlob(buffer, writeKey(buffer, end, NO_NULLS[4]!, toDatabase, toKey), field);
    this.#target().advance(writeBlob(buffer, end, value));
  }

  /** Everything in a database is removed. */
  flushed(database: number): void {
    this.#call(flushCall(database));
  }

  /** Two databases exchange their contents. */
  swapped(a: number, b: number): void {
    this.#call(swapCall(a, b));
  }

  #call(sql: string): void {
    this.#target().addSql(sql);
    if (this.#target().overflowed) this.rows = false;
  }
}
