/** One database as rows: the twin of kv-aof/memory/database.ts. It has no state of its own but its number. */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { type Database, MISSING, NO_EXPIRY, Type } from "../../common/keyspace/keyspace.ts";
import { readU32 } from "../bytes-view.ts";
import type { Directory } from "./directory.ts";
import { type HashLimits, RowHashes } from "./hash.ts";
import { CONVERTED, DIRECTORY_HI, expiryHi, LONG_TAIL, timeOf } from "./layout.ts";
import { RowStrings, stringEncoding } from "./string.ts";

/** How often RANDOMKEY tries to meet a key that has not expired before it looks at all of them. */
const RANDOM_TRIES = 100;

export class RowDatabase implements Database {
  readonly index: number;
  readonly strings: RowStrings;
  readonly hashes: RowHashes;
  readonly #directory: Directory;

  constructor(directory: Directory, index: number, limits: HashLimits) {
    this.#directory = directory;
    this.index = index;
    this.strings = new RowStrings(directory, index);
    this.hashes = new RowHashes(directory, index, limits);
  }

  get #id(): number {
    return this.#directory.rows.header.databaseId(this.index);
  }

  get size(): number {
    const { rows } = this.#directory;
    if (rows.versions.view === undefined) return rows.header.keys(this.#id);
    // The stored count is that of the newest versions; the view's keys are counted, as InnoDB does for COUNT(*).
    let count = 0;
    rows.each(DIRECTORY_HI, this.#id, 0, () => ++count > 0);
    return count;
  }

  get expiringCount(): number {
    return this.#directory.rows.header.expiringKeys(this.#id);
  }

  typeOf(key: Bytes): Type {
    return this.#directory.find(this.index, key);
  }

  expiryOf(key: Bytes): number {
    return this.#directory.find(this.index, key) === Type.NONE ? MISSING : this.#directory.expiry;
  }

  setExpiry(key: Bytes, at: number): void {
    assert(this.#directory.find(this.index, key) !== Type.NONE, "setExpiry: the key exists");
    this.#directory.setExpiry(this.index, key, at);
    this.#directory.events.modified(this.index, key);
  }

  delete(key: Bytes): boolean {
    if (this.#directory.find(this.index, key) === Type.NONE) return false;
    this.#directory.remove(this.index, key);
    this.#directory.events.modified(this.index, key);
    return true;
  }

  rename(from: Bytes, target: Database, to: Bytes): void {
    assert(target instanceof RowDatabase, "rename: both databases are of this engine");
    if (target === this && from === to) return;
    const directory = this.#directory;
    assert(directory.find(this.index, from) !== Type.NONE, "rename: the key exists");
    if (directory.type === Type.STRING) {
      this.#copyString(from, target, to);
      directory.find(this.index, from);
      directory.remove(this.index, from);
    } else {
      const { type, converted, expiry, container, count } = directory;
      target.#removeExisting(to);
      directory.find(this.index, from);
      directory.unlink(this.index, from, target.index, to);
      directory.putContainer(target.index, to, type | (converted ? CONVERTED : 0), expiry, container, count);
    }
    directory.events.modified(this.index, from);
    directory.events.modified(target.index, to);
  }

  copy(from: Bytes, target: Database, to: Bytes): void {
    assert(target instanceof RowDatabase, "copy: both databases are of this engine");
    assert(target !== this || from !== to, "copy: to another key");
    const directory = this.#directory;
    assert(directory.find(this.index, from) !== Type.NONE, "copy: the key exists");
    if (directory.type === Type.STRING) this.#copyString(from, target, to);
    else this.#copyHash(target, to);
    directory.events.modified(target.index, to);
  }

  #copyString(from: Bytes, target: RowDatabase, to: Bytes): void {
    const directory = this.#directory;
    directory.find(this.index, from);
    const { expiry, converted } = directory;
    const body = directory.rows.body(directory.record, directory.headLength);
    directory.find(target.index, to);
    directory.putString(target.index, to, converted ? Type.STRING | CONVERTED : Type.STRING, expiry, body);
  }

  /** Copies the hash of the last `find`. */
  #copyHash(target: RowDatabase, to: Bytes): void {
    const directory = this.#directory;
    const { converted, expiry, container, count } = directory;
    target.#removeExisting(to);
    const copy = directory.rows.header.takeId();
    // The fields are gathered first: rows must not change while they are visited.
    const fields: Bytes[] = [];
    this.hashes.eachOf(container, (field, value) => fields.push(field, value));
    const { capture } = directory.rows;
    if (capture.rows) capture.keyInserted(target.index, to, Type.HASH, expiry);
    for (let i = 0; i < fields.length; i += 2) target.hashes.putField(to, copy, fields[i]!, fields[i + 1]!);
    directory.putContainer(target.index, to, Type.HASH | (converted ? CONVERTED : 0), expiry, copy, count);
  }

  #removeExisting(key: Bytes): void {
    if (this.#directory.find(this.index, key) !== Type.NONE) this.#directory.remove(this.index, key);
  }

  randomKey(pick: (bound: number) => number): Bytes | undefined {
    const { rows } = this.#directory;
    if (rows.versions.inUse === 0 && this.size === 0) return undefined;
    for (let tries = 0; tries < RANDOM_TRIES; tries++) {
      const record = rows.random(DIRECTORY_HI, this.#id, pick);
      if (record === undefined) return undefined;
      if (!this.#isExpired(record)) return rows.keyOf(record);
    }
    let key: Bytes | undefined;
    rows.each(DIRECTORY_HI, this.#id, 0, (record) => {
      if (!this.#isExpired(record)) key = rows.keyOf(record);
      return key === undefined;
    });
    return key;
  }

  #isExpired(record: number): boolean {
    const expiry = this.#directory.expiryAt(record);
    return expiry !== NO_EXPIRY && expiry <= this.#directory.events.now;
  }

  scan(cursor: number, count: number, visit: (key: Bytes, type: Type) => void): number {
    const directory = this.#directory;
    const { rows } = directory;
    let visited = 0;
    let last = -1;
    let next = 0;
    rows.each(DIRECTORY_HI, this.#id, cursor, (record) => {
      const low = rows.low(record);
      // Keys with equal hashes are visited in one call: the cursor has no room to tell them apart.
      if (visited >= count && low !== last) {
        next = low;
        return false;
      }
      last = low;
      visited++;
      if (!this.#isExpired(record)) visit(rows.keyOf(record), directory.typeAt(record));
      return true;
    });
    return next;
  }

  findExpired(count: number): Bytes[] {
    const { rows, events } = this.#directory;
    if (this.expiringCount === 0) return [];
    const keys: Bytes[] = [];
    rows.eachHi(expiryHi(this.#id), (record) => {
      if (keys.length >= count || timeOf(rows.mid(record), rows.low(record)) > events.now) return false;
      const key = this.#keyOfExpiry(record);
      // A key that somebody has locked stays until he has done with it.
      if (rows.versions.inUse === 0 || this.#directory.mayExpire(this.index, key)) keys.push(key);
      return true;
    });
    return keys;
  }

  /** The key of an EXPIRY row; a long one is in its directory row's chain. */
  #keyOfExpiry(record: number): Bytes {
    const { rows } = this.#directory;
    const tail = rows.tail(record);
    if (tail.length < LONG_TAIL) return tail;
    const hash = readU32(rows.arena.bytes, rows.arena.valueAt(record));
    const found = rows.tree.search(DIRECTORY_HI, this.#id, hash, tail);
    assert(found, "directory: an expiry belongs to a key");
    return rows.keyOf(rows.tree.record);
  }

  encodingOf(key: Bytes): Bytes {
    const directory = this.#directory;
    assert(directory.find(this.index, key) !== Type.NONE, "encodingOf: the key exists");
    if (directory.type === Type.STRING) return stringEncoding(directory);
    return directory.converted ? "hashtable" : "listpack";
  }

  /** Not tracked: reading would have to write. */
  idleSecondsOf(): undefined {
    return undefined;
  }

  clear(): void {
    if (this.size > 0) this.#directory.clear(this.index);
    this.#directory.events.flushed(this.index);
  }
}
