/** One database in memory: metadata of keys, and the two containers. */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { type Database, MISSING, Type } from "../../common/keyspace/keyspace.ts";
import { DICTIONARY, TYPE_MASK } from "./cell.ts";
import type { MemoryContext } from "./context.ts";
import { MemoryHashes } from "./hash.ts";
import { Keys } from "./keys.ts";
import type { Store } from "./store.ts";
import { MemoryStrings, stringEncoding } from "./string.ts";

export class MemoryDatabase implements Database {
  readonly index: number;
  readonly strings: MemoryStrings;
  readonly hashes: MemoryHashes;
  readonly #context: MemoryContext;
  readonly #keys: Keys;

  constructor(context: MemoryContext, index: number) {
    this.index = index;
    this.#context = context;
    this.#keys = new Keys(context, index);
    this.strings = new MemoryStrings(this.#keys);
    this.hashes = new MemoryHashes(this.#keys);
  }

  get size(): number {
    return this.#keys.existingStore?.keys.size ?? 0;
  }

  get expiringCount(): number {
    return this.#keys.existingStore?.expiry.count ?? 0;
  }

  typeOf(key: Bytes): Type {
    const entry = this.#keys.peek(key);
    return entry === 0 ? Type.NONE : this.#typeOf(entry);
  }

  expiryOf(key: Bytes): number {
    const entry = this.#keys.peek(key);
    return entry === 0 ? MISSING : this.#keys.expiryOf(entry);
  }

  setExpiry(key: Bytes, at: number): void {
    const entry = this.#keys.peek(key);
    assert(entry !== 0, "setExpiry: the key exists");
    this.#keys.setExpiry(entry, at);
    this.#keys.modified(key);
  }

  delete(key: Bytes): boolean {
    const entry = this.#keys.peek(key);
    if (entry === 0) return false;
    this.#keys.remove(entry);
    this.#keys.modified(key);
    return true;
  }

  rename(from: Bytes, target: Database, to: Bytes): void {
    assert(target instanceof MemoryDatabase, "rename: both databases are of this engine");
    if (target === this && from === to) return;
    if (target === this) this.#renameHere(from, to);
    else {
      this.#copyTo(from, target, to);
      this.#keys.remove(this.#keys.peek(from));
    }
    this.#keys.modified(from);
    target.#keys.modified(to);
  }

  copy(from: Bytes, target: Database, to: Bytes): void {
    assert(target instanceof MemoryDatabase, "copy: both databases are of this engine");
    assert(target !== this || from !== to, "copy: to another key");
    this.#copyTo(from, target, to);
    target.#keys.modified(to);
  }

  randomKey(pick: (bound: number) => number): Bytes | undefined {
    while (this.size > 0) {
      const { store } = this.#keys;
      const entry = store.keys.random(pick);
      const key = store.key(entry);
      if (!this.#keys.removeIfExpired(key, entry)) return key;
    }
    return undefined;
  }

  scan(cursor: number, count: number, visit: (key: Bytes, type: Type) => void): number {
    if (this.size === 0) return 0;
    const { store } = this.#keys;
    let visited = 0;
    let at = cursor;
    // As Redis: a sparse table ends a call after ten empty buckets per key asked for.
    for (let buckets = count * 10; buckets > 0; buckets--) {
      at = store.keys.scanBucket(at, (entry) => {
        visited++;
        if (!this.#keys.isExpired(entry)) visit(store.key(entry), this.#typeOf(entry));
      });
      if (at === 0 || visited >= count) break;
    }
    return at;
  }

  findExpired(count: number): Bytes[] {
    if (this.expiringCount === 0) return [];
    const { store } = this.#keys;
    return store.expiry.findExpired(this.#context.events.now, count).map((entry) => store.key(entry));
  }

  encodingOf(key: Bytes): Bytes {
    const entry = this.#keys.peek(key);
    assert(entry !== 0, "encodingOf: the key exists");
    const { store } = this.#keys;
    const kind = store.kind(entry);
    if ((kind & TYPE_MASK) === Type.HASH) return (kind & DICTIONARY) !== 0 ? "hashtable" : "listpack";
    return stringEncoding(kind, store.valueLength(entry), () => store.value(entry));
  }

  idleSecondsOf(key: Bytes): number {
    const entry = this.#keys.peek(key);
    assert(entry !== 0, "idleSecondsOf: the key exists");
    return this.#keys.idleSeconds(entry);
  }

  clear(): void {
    this.#keys.clear();
    this.#context.events.flushed(this.index);
  }

  // For the keyspace.

  exchange(other: MemoryDatabase): void {
    this.#keys.exchange(other.#keys);
  }

  /** The contents, if there ever were any. */
  get store(): Store | undefined {
    return this.#keys.existingStore;
  }

  /** Background work: goes on with a resize and with compaction; false when there is nothing to do. */
  maintain(): boolean {
    const store = this.#keys.existingStore;
    if (store === undefined) return false;
    const resizing = store.keys.resizing;
    if (resizing) store.keys.drain(1000);
    return store.compact(500) || resizing;
  }

  get reservedBytes(): number {
    return this.#keys.existingStore?.slabs.reservedBytes ?? 0;
  }

  #typeOf(entry: number): Type {
    return (this.#keys.store.kind(entry) & TYPE_MASK) as Type;
  }

  /** Within one database the value changes hands; a large one is not copied. */
  #renameHere(from: Bytes, to: Bytes): void {
    const keys = this.#keys;
    const source = keys.peek(from);
    assert(source !== 0, "rename: the key exists");
    keys.changing(source);
    const expiry = keys.expiryOf(source);
    let entry = keys.peek(to);
    if (entry !== 0) keys.changing(entry);
    else entry = keys.create(to, Type.STRING, 0);
    entry = keys.store.giveValue(source, entry);
    keys.setExpiry(entry, expiry);
    keys.remove(source);
  }

  #copyTo(from: Bytes, target: MemoryDatabase, to: Bytes): void {
    const source = this.#keys.peek(from);
    assert(source !== 0, "copy: the key exists");
    const { store } = this.#keys;
    const expiry = this.#keys.expiryOf(source);
    const old = target.#keys.peek(to);
    if (old !== 0) target.#keys.remove(old);
    const kind = store.kind(source);
    let entry = target.#keys.create(to, Type.STRING, 0);
    if ((kind & DICTIONARY) === 0) entry = target.#keys.store.copyValue(store, source, entry, kind);
    else {
      entry = target.#keys.store.makeDictionary(entry, kind);
      this.hashes.copyFields(source, target.hashes, entry);
    }
    target.#keys.setExpiry(entry, expiry);
  }
}
