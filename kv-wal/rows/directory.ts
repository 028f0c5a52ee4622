/**
 * The directory: one row per key. A lookup leaves what it found in the fields of this object, and the tree's position on
 * the row (or where it would be), until the next operation: commands on the hot path search once and allocate nothing.
 */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { CommandError } from "../../common/errors.ts";
import type { KeyspaceEvents } from "../../common/keyspace/events.ts";
import { NO_EXPIRY, Type } from "../../common/keyspace/keyspace.ts";
import { readU48 } from "../bytes-view.ts";
import { NO_VERSION } from "../row-versions.ts";
import {
  CONVERTED,
  DIRECTORY_HI,
  expiryHi,
  fieldHi,
  fieldMid,
  HAS_EXPIRY,
  headOf,
  TYPE_MASK,
  tailOf,
  timeLow,
  timeMid,
  u32Bytes,
  u48Bytes,
} from "./layout.ts";
import type { RowStore, Stored } from "./row-store.ts";

const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
/** Type byte, expiry. */
export const HEAD_BYTES_MAX = 7;
/** Id and number of elements, behind the head of a container's row. */
const CONTAINER_BYTES = 12;

export class Directory {
  readonly rows: RowStore;
  readonly events: KeyspaceEvents;
  // The last lookup.
  type: Type = Type.NONE;
  converted = false;
  expiry: number = NO_EXPIRY;
  /** Bytes of the value before the body: with a container's id and count. */
  headLength = 0;
  record = 0;
  container = 0;
  count = 0;
  /** Whether the running command may remove an expired key: not when somebody else has locked it. */
  mayExpire: (index: number, key: Bytes) => boolean = () => true;
  #hash = 0;
  #tail: Bytes = "";

  constructor(rows: RowStore, events: KeyspaceEvents) {
    this.rows = rows;
    this.events = events;
  }

  /**
   * Looks a key up in the database with number `index`. An expired key is removed first, if a command runs; otherwise
   * it is only treated as missing.
   */
  find(index: number, key: Bytes): Type {
    const databaseId = this.rows.header.databaseId(index);
    this.#hash = this.rows.hashOf(key);
    this.#tail = tailOf(key);
    if (!this.#search(databaseId)) return Type.NONE;
    if (this.expiry === NO_EXPIRY || this.expiry > this.events.now) return this.type;
    if (this.rows.transactions.mayChange && this.mayExpire(index, key)) {
      this.remove(index, key);
      this.events.expired(index, key);
      this.#search(databaseId);
    }
    this.type = Type.NONE;
    return Type.NONE;
  }

  /** As `find`, for a command that works on `type` only. False when the key is missing. */
  findAs(index: number, key: Bytes, type: Type): boolean {
    const found = this.find(index, key);
    if (found === Type.NONE) return false;
    if (found !== type) throw new CommandError(WRONG_TYPE);
    return true;
  }

  #search(databaseId: number): boolean {
    const { tree } = this.rows;
    if (!tree.search(DIRECTORY_HI, databaseId, this.#hash, this.#tail)) {
      this.type = Type.NONE;
      this.expiry = NO_EXPIRY;
      return false;
    }
    if (this.rows.versions.inUse !== 0) return this.#readVersion(tree.record);
    this.#read(tree.record);
    return true;
  }

  /** As `#read`, of the version that the running command sees. */
  #readVersion(newest: number): boolean {
    const record = this.rows.versions.visible(newest);
    if (record === NO_VERSION) {
      this.type = Type.NONE;
      this.expiry = NO_EXPIRY;
      return false;
    }
    this.#read(record);
    return true;
  }

  /** Whether the running command looks through a snapshot at a row that its own transaction has changed since. */
  get isOwnVersion(): boolean {
    const { arena, versions } = this.rows;
    return versions.view?.isSnapshot === true && versions.view.own === arena.transactionOf(this.record);
  }

  #read(record: number): void {
    const { arena } = this.rows;
    const at = arena.valueAt(record);
    const first = arena.bytes[at]!;
    this.record = record;
    this.type = (first & TYPE_MASK) as Type;
    this.converted = (first & CONVERTED) !== 0;
    this.headLength = 1;
    this.expiry = NO_EXPIRY;
    if ((first & HAS_EXPIRY) !== 0) {
      this.expiry = readU48(arena.bytes, at + 1);
      this.headLength = HEAD_BYTES_MAX;
    }
    if (this.type === Type.STRING) return;
    this.container = readU48(arena.bytes, at + this.headLength);
    this.count = readU48(arena.bytes, at + this.headLength + 6);
    this.headLength += CONTAINER_BYTES;
  }

  /** The expiry stored in a directory row. */
  expiryAt(record: number): number {
    const { arena } = this.rows;
    const at = arena.valueAt(record);
    return (arena.bytes[at]! & HAS_EXPIRY) === 0 ? NO_EXPIRY : readU48(arena.bytes, at + 1);
  }

  typeAt(record: number): Type {
    return (this.rows.arena.bytes[this.rows.arena.valueAt(record)]! & TYPE_MASK) as Type;
  }

  /**
   * Gives the key of the last `find` the string `body`, whatever it had. `kind`: Type.STRING, perhaps CONVERTED.
   */
  putString(index: number, key: Bytes, kind: number, expiry: number, body: Bytes): void {
    const { rows } = this;
    const databaseId = rows.header.databaseId(index);
    if (this.type !== Type.NONE && this.type !== Type.STRING) {
      this.remove(index, key);
      this.#search(databaseId);
    }
    if (rows.capture.rows) this.#captureString(index, key, expiry, body);
    if (rows.needsChain(key, HEAD_BYTES_MAX, body)) {
      const stored = rows.store(DIRECTORY_HI, databaseId, key, HEAD_BYTES_MAX, body);
      this.#search(databaseId);
      this.#put(databaseId, headOf(kind, expiry), expiry, stored.flags, stored.rest);
      return;
    }
    this.#put(databaseId, headOf(kind, expiry), expiry, 0, body);
  }

  /** For the binlog: the key of the last `find` gets this string. A long old value is read, which loses the position. */
  #captureString(index: number, key: Bytes, expiry: number, body: Bytes): void {
    const { rows } = this;
    const { capture } = rows;
    if (this.type === Type.NONE) {
      capture.keyInserted(index, key, Type.STRING, expiry);
      if (capture.rows) capture.stringInserted(index, key, body);
      return;
    }
    if (expiry !== this.expiry) capture.keyChanged(index, key, Type.STRING, this.expiry, expiry);
    const isLong = rows.arena.isExternal(this.record);
    const { bytes, at, size } = rows.oldBody(this.record, this.headLength);
    if (capture.rows) capture.stringChanged(index, key, bytes, at, size, body);
    if (isLong) this.#search(rows.header.databaseId(index));
  }

  /** For the binlog: the key of the last `find` is deleted, with everything under it. The position may be lost. */
  #captureDelete(index: number, key: Bytes): void {
    const { rows, record, type, expiry } = this;
    const { capture } = rows;
    if (type === Type.STRING) {
      const { bytes, at, size } = rows.oldBody(record, this.headLength);
      capture.stringDeleted(index, key, bytes, at, size);
    } else {
      rows.each(fieldHi(this.container), fieldMid(this.container), 0, (field) => {
        const name = rows.keyOf(field);
        const { bytes, at, size } = rows.oldBody(field, 0);
        if (capture.rows) capture.fieldDeleted(index, key, name, bytes, at, size);
        return capture.rows;
      });
    }
    if (capture.rows) capture.keyDeleted(index, key, type, expiry);
  }

  /** For the binlog: the container of the last `find` moves to another key. The position is lost. */
  #captureMove(index: number, key: Bytes, toIndex: number, toKey: Bytes): void {
    const { rows } = this;
    const { capture } = rows;
    capture.keyMoved(index, key, toIndex, toKey, this.type, this.expiry);
    rows.each(fieldHi(this.container), fieldMid(this.container), 0, (field) => {
      const name = rows.keyOf(field);
      if (capture.rows) capture.fieldMoved(index, key, toIndex, toKey, name, rows.body(field, 0));
      return capture.rows;
    });
  }

  /** Makes the row of a container with `count` elements; the key is missing. */
  putContainer(index: number, key: Bytes, kind: number, expiry: number, container: number, count: number): void {
    const { rows } = this;
    const databaseId = rows.header.databaseId(index);
    const stored: Stored = rows.store(DIRECTORY_HI, databaseId, key, HEAD_BYTES_MAX + CONTAINER_BYTES, "");
    this.#hash = rows.hashOf(key);
    this.#tail = tailOf(key);
    this.#search(databaseId);
    const head = headOf(kind, expiry) + u48Bytes(container) + u48Bytes(count);
    this.#put(databaseId, head, expiry, stored.flags, stored.rest);
  }

  #put(databaseId: number, head: Bytes, expiry: number, flags: number, rest: Bytes): void {
    const { rows } = this;
    const before = this.type === Type.NONE ? NO_EXPIRY : this.expiry;
    if (this.type === Type.NONE) {
      rows.transactions.insert(DIRECTORY_HI, databaseId, this.#hash, this.#tail, flags, head, rest);
    } else rows.transactions.update(flags, head, rest, rows.arena.isExternal(this.record));
    if (before !== expiry) this.#moveExpiry(databaseId, before, expiry);
  }

  /** Changes the expiry of the key of the last `find`. */
  setExpiry(index: number, key: Bytes, expiry: number): void {
    const before = this.expiry;
    if (before === expiry) return;
    const { capture } = this.rows;
    if (capture.rows) capture.keyChanged(index, key, this.type, before, expiry);
    const head = headOf(this.#kind, expiry);
    this.#rehead(this.type === Type.STRING ? head : head + u48Bytes(this.container) + u48Bytes(this.count));
    this.#moveExpiry(this.rows.header.databaseId(index), before, expiry);
  }

  /** Changes the number of elements of the container of the last `find`, which must be searched again. */
  setCount(index: number, key: Bytes, count: number, converted: boolean): void {
    this.find(index, key);
    const kind = converted ? this.#kind | CONVERTED : this.#kind;
    this.#rehead(headOf(kind, this.expiry) + u48Bytes(this.container) + u48Bytes(count));
  }

  get #kind(): number {
    return this.type | (this.converted ? CONVERTED : 0);
  }

  /** Replaces the head and keeps the rest, a chain included. */
  #rehead(head: Bytes): void {
    const { rows, record } = this;
    const flags = rows.arena.isExternal(record) ? 0x8000 : 0;
    rows.transactions.update(flags, head, rows.rest(record, this.headLength), false);
  }

  #moveExpiry(databaseId: number, before: number, after: number): void {
    const { tree, transactions } = this.rows;
    const hi = expiryHi(databaseId);
    if (before !== NO_EXPIRY) {
      const found = tree.search(hi, timeMid(before), timeLow(before), this.#tail);
      assert(found, "directory: every expiry has its row");
      transactions.delete();
    }
    if (after === NO_EXPIRY) return;
    tree.search(hi, timeMid(after), timeLow(after), this.#tail);
    transactions.insert(hi, timeMid(after), timeLow(after), this.#tail, 0, u32Bytes(this.#hash), "");
  }

  /** Removes the key of the last `find`, with everything under it. */
  remove(index: number, key: Bytes): void {
    const databaseId = this.rows.header.databaseId(index);
    if (this.rows.capture.rows) {
      this.#captureDelete(index, key);
      this.#search(databaseId);
    }
    this.#remove(databaseId);
  }

  #remove(databaseId: number): void {
    const { rows } = this;
    const container = this.type === Type.STRING ? 0 : this.container;
    rows.transactions.delete();
    if (this.expiry !== NO_EXPIRY) this.#moveExpiry(databaseId, this.expiry, NO_EXPIRY);
    if (container !== 0) rows.deleteRange(fieldHi(container), fieldMid(container));
  }

  /**
   * Removes the directory row and expiry of the key of the last `find`, and leaves what a container has: it becomes that of
   * another key.
   */
  unlink(index: number, key: Bytes, toIndex: number, toKey: Bytes): void {
    const { rows } = this;
    const databaseId = rows.header.databaseId(index);
    if (rows.capture.rows) {
      this.#captureMove(index, key, toIndex, toKey);
      this.#search(databaseId);
    }
    rows.transactions.delete();
    if (this.expiry !== NO_EXPIRY) this.#moveExpiry(databaseId, this.expiry, NO_EXPIRY);
  }

  /** Removes every key of a database. */
  clear(index: number): void {
    const { rows } = this;
    if (rows.capture.rows) rows.capture.flushed(index);
    const databaseId = rows.header.databaseId(index);
    rows.eachKey(DIRECTORY_HI, databaseId, (low, tail) => {
      this.#hash = low;
      this.#tail = tail;
      this.#search(databaseId);
      this.#remove(databaseId);
    });
    assert(rows.header.keys(databaseId) === 0, "directory: the count agrees with the rows");
  }
}
