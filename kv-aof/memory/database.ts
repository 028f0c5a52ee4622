/**
 * One database in memory: lookups with lazy expiry, metadata of keys, and the two containers. Its contents are a Store,
 * made by the first key and dropped by FLUSHDB; SWAPDB exchanges the stores of two databases.
 */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { CommandError } from "../../common/errors.ts";
import { type Database, MISSING, NO_EXPIRY, Type } from "../../common/keyspace/keyspace.ts";
import { DICTIONARY, TYPE_MASK, WORD_EXPIRY, WORD_KIND } from "./cell.ts";
import { MemoryHashes } from "./hash.ts";
import type { HashLimits, MemoryKeyspace } from "./keyspace.ts";
import { SLAB_SHIFT, UNIT_MASK } from "./slabs.ts";
import { Store } from "./store.ts";
import { MemoryStrings, stringEncoding } from "./string.ts";

const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
const ACCESS_MASK = 0xffffff;

export class MemoryDatabase implements Database {
  readonly index: number;
  readonly strings: MemoryStrings = new MemoryStrings(this);
  readonly hashes: MemoryHashes = new MemoryHashes(this);
  readonly #keyspace: MemoryKeyspace;
  #store: Store | undefined;

  constructor(keyspace: MemoryKeyspace, index: number) {
    this.#keyspace = keyspace;
    this.index = index;
  }

  get size(): number {
    return this.#store === undefined ? 0 : this.#store.keys.size;
  }

  get expiringCount(): number {
    return this.#store === undefined ? 0 : this.#store.expiry.count;
  }

  typeOf(key: Bytes): Type {
    const entry = this.#peek(key);
    return entry === 0 ? Type.NONE : ((this.store.kind(entry) & TYPE_MASK) as Type);
  }

  expiryOf(key: Bytes): number {
    const entry = this.#peek(key);
    return entry === 0 ? MISSING : this.#expiryOf(entry);
  }

  setExpiry(key: Bytes, at: number): void {
    const entry = this.#peek(key);
    assert(entry !== 0, "setExpiry: the key exists");
    this.setExpiryOf(entry, at);
    this.modified(key);
  }

  delete(key: Bytes): boolean {
    const entry = this.#peek(key);
    if (entry === 0) return false;
    this.remove(entry);
    this.modified(key);
    return true;
  }

  rename(from: Bytes, target: Database, to: Bytes): void {
    assert(target instanceof MemoryDatabase, "rename: both databases are of this engine");
    if (target === this && from === to) return;
    if (target === this) this.#renameHere(from, to);
    else {
      this.#copyTo(from, target, to);
      this.remove(this.#peek(from));
    }
    this.modified(from);
    target.modified(to);
  }

  copy(from: Bytes, target: Database, to: Bytes): void {
    assert(target instanceof MemoryDatabase, "copy: both databases are of this engine");
    assert(target !== this || from !== to, "copy: to another key");
    this.#copyTo(from, target, to);
    target.modified(to);
  }

  randomKey(pick: (bound: number) => number): Bytes | undefined {
    while (this.size > 0) {
      const entry = this.store.keys.random(pick);
      const key = this.store.key(entry);
      if (!this.#removeIfExpired(key, entry)) return key;
    }
    return undefined;
  }

  scan(cursor: number, count: number, visit: (key: Bytes, type: Type) => void): number {
    if (this.size === 0) return 0;
    const store = this.store;
    let visited = 0;
    let at = cursor;
    // As Redis: a sparse table ends a call after ten empty buckets per key asked for.
    for (let buckets = count * 10; buckets > 0; buckets--) {
      at = store.keys.scanBucket(at, (entry) => {
        visited++;
        if (!this.#isExpired(entry)) visit(store.key(entry), (store.kind(entry) & TYPE_MASK) as Type);
      });
      if (at === 0 || visited >= count) break;
    }
    return at;
  }

  findExpired(count: number): Bytes[] {
    if (this.expiringCount === 0) return [];
    return this.store.expiry.findExpired(this.#keyspace.events.now, count).map((entry) => this.store.key(entry));
  }

  encodingOf(key: Bytes): Bytes {
    const entry = this.#peek(key);
    assert(entry !== 0, "encodingOf: the key exists");
    const store = this.store;
    const kind = store.kind(entry);
    if ((kind & TYPE_MASK) === Type.HASH) return (kind & DICTIONARY) !== 0 ? "hashtable" : "listpack";
    return stringEncoding(kind, store.valueLength(entry), () => store.value(entry));
  }

  idleSecondsOf(key: Bytes): number {
    const entry = this.#peek(key);
    assert(entry !== 0, "idleSecondsOf: the key exists");
    // The clock has 24 bits, as Redis's: after 194 days without access the idle time starts again at 0.
    return (this.#keyspace.accessClock - (this.store.word(entry, WORD_KIND) >>> 8)) & ACCESS_MASK;
  }

  clear(): void {
    this.#store = undefined;
    this.#keyspace.events.flushed(this.index);
  }

  // For the containers of this database, and for the keyspace.

  /** The contents; made when they are first needed. */
  get store(): Store {
    this.#store ??= new Store();
    return this.#store;
  }

  get limits(): HashLimits {
    return this.#keyspace.limits;
  }

  hashOf(bytes: Bytes): number {
    return this.#keyspace.hash.of(bytes);
  }

  /** The entry of a key for reading or changing its value: 0 when missing, WRONGTYPE unless of `type` (NONE: any). */
  find(key: Bytes, type: Type): number {
    const entry = this.#peek(key);
    if (entry === 0) return 0;
    const words = this.store.slabs.words[entry >>> SLAB_SHIFT]!;
    const word = ((entry & UNIT_MASK) << 1) + WORD_KIND;
    const kind = words[word]! & 0xff;
    if (type !== Type.NONE && (kind & TYPE_MASK) !== type) throw new CommandError(WRONG_TYPE);
    words[word] = (this.#keyspace.accessClock << 8) | kind;
    return entry;
  }

  /** Makes a key that is not there, with a value to be filled. */
  create(key: Bytes, kind: number, valueLength: number): number {
    const store = this.store;
    return store.create(store.keys, 0, key, this.hashOf(key), (this.#keyspace.accessClock << 8) | kind, valueLength);
  }

  remove(entry: number): void {
    this.store.remove(this.store.keys, entry);
  }

  setExpiryOf(entry: number, at: number): void {
    const { expiry } = this.store;
    const place = this.store.word(entry, WORD_EXPIRY);
    if (at === NO_EXPIRY) {
      if (place !== 0) expiry.remove(place);
    } else if (place === 0) expiry.add(entry, at);
    else expiry.setTimeAt(place, at);
  }

  modified(key: Bytes): void {
    this.#keyspace.events.modified(this.index, key);
  }

  /** Exchanges the contents with another database. */
  exchange(other: MemoryDatabase): void {
    const own = this.#store;
    this.#store = other.#store;
    other.#store = own;
  }

  /** Background work: goes on with a resize and with compaction; false when there is nothing to do. */
  maintain(): boolean {
    if (this.#store === undefined) return false;
    const resizing = this.#store.keys.resizing;
    if (resizing) this.#store.keys.drain(1000);
    return this.#store.compact(500) || resizing;
  }

  get reservedBytes(): number {
    return this.#store === undefined ? 0 : this.#store.slabs.reservedBytes;
  }

  /** The entry of a key without counting as an access; an expired key is removed. */
  #peek(key: Bytes): number {
    const store = this.#store;
    if (store === undefined || store.keys.size === 0) return 0;
    const entry = store.keys.find(key, this.#keyspace.hash.of(key));
    return entry !== 0 && this.#removeIfExpired(key, entry) ? 0 : entry;
  }

  #expiryOf(entry: number): number {
    const place = this.store.word(entry, WORD_EXPIRY);
    return place === 0 ? NO_EXPIRY : this.store.expiry.timeAt(place);
  }

  #isExpired(entry: number): boolean {
    const place = this.store.word(entry, WORD_EXPIRY);
    return place !== 0 && this.store.expiry.timeAt(place) <= this.#keyspace.events.now;
  }

  #removeIfExpired(key: Bytes, entry: number): boolean {
    if (!this.#isExpired(entry)) return false;
    this.remove(entry);
    this.#keyspace.events.expired(this.index, key);
    return true;
  }

  /** Within one database the value changes hands; a large one is not copied. */
  #renameHere(from: Bytes, to: Bytes): void {
    const source = this.#peek(from);
    assert(source !== 0, "rename: the key exists");
    const expiry = this.#expiryOf(source);
    let entry = this.#peek(to);
    if (entry === 0) entry = this.create(to, Type.STRING, 0);
    entry = this.store.giveValue(source, entry);
    this.setExpiryOf(entry, expiry);
    this.remove(source);
  }

  #copyTo(from: Bytes, target: MemoryDatabase, to: Bytes): void {
    const source = this.#peek(from);
    assert(source !== 0, "copy: the key exists");
    const expiry = this.#expiryOf(source);
    const old = target.#peek(to);
    if (old !== 0) target.remove(old);
    const kind = this.store.kind(source);
    let entry = target.create(to, Type.STRING, 0);
    if ((kind & DICTIONARY) === 0) entry = target.store.copyValue(this.store, source, entry, kind);
    else {
      entry = target.store.makeDictionary(entry, kind);
      this.hashes.copyFields(source, target.hashes, entry);
    }
    target.setExpiryOf(entry, expiry);
  }
}
