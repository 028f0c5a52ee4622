/**
 * Hashes in memory: small ones packed into one value (packed-hash.ts), large ones with a dictionary of their own. A hash
 * becomes large when it has more fields, or a longer field or value, than the limits allow; it never becomes small again.
 */
import type { Bytes } from "../../common/bytes.ts";
import { type Hashes, Type } from "../../common/keyspace/keyspace.ts";
import { DICTIONARY, FIELD, KIND_HASH, WORD_OBJECT } from "./cell.ts";
import type { Dictionary } from "./dictionary.ts";
import type { Keys } from "./keys.ts";
import {
  PACKED_HEADER_BYTES,
  PackedCursor,
  packedBytes,
  packedCount,
  setPackedCount,
  writePacked,
} from "./packed-hash.ts";
import { copyText, type Store } from "./store.ts";

/** Number of fields of the hash that is this entry of `store`. */
export function fieldCount(store: Store, hash: number): number {
  if ((store.kind(hash) & DICTIONARY) !== 0) return store.dictionary(hash).size;
  store.view(hash);
  return packedCount(store.viewBytes, store.viewAt);
}

/** Visits the fields of the hash that is this entry of `store`; a packed one with the caller's cursor. */
export function eachField(
  store: Store,
  packed: PackedCursor,
  hash: number,
  visit: (field: Bytes, value: Bytes) => void,
): void {
  if ((store.kind(hash) & DICTIONARY) !== 0) {
    store.dictionary(hash).each((entry) => visit(store.key(entry), store.value(entry)));
    return;
  }
  store.view(hash);
  packed.open(store.viewBytes, store.viewAt, store.viewLength);
  while (packed.advance()) visit(packed.field, packed.value);
}

export class MemoryHashes implements Hashes {
  readonly #keys: Keys;
  readonly #packed = new PackedCursor();

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  get(key: Bytes, field: Bytes): Bytes | undefined {
    const hash = this.#keys.find(key, Type.HASH);
    if (hash === 0) return undefined;
    if (!this.#isLarge(hash)) return this.#findPacked(hash, field) ? this.#packed.value : undefined;
    const entry = this.#findField(hash, field);
    return entry === 0 ? undefined : this.#keys.store.value(entry);
  }

  set(key: Bytes, field: Bytes, value: Bytes): boolean {
    const keys = this.#keys;
    let hash = keys.find(key, Type.HASH);
    if (hash === 0) {
      hash = keys.create(key, KIND_HASH, PACKED_HEADER_BYTES);
      keys.store.view(hash);
      setPackedCount(keys.store.viewBytes, keys.store.viewAt, 0);
    } else keys.changing(hash);
    if (!this.#isLarge(hash) && !this.#fits(hash, field, value)) hash = this.#enlarge(hash);
    const isNew = this.#isLarge(hash) ? this.#setField(hash, field, value) : this.#setPacked(hash, field, value);
    keys.modified(key);
    return isNew;
  }

  delete(key: Bytes, field: Bytes): boolean {
    const keys = this.#keys;
    const hash = keys.find(key, Type.HASH);
    if (hash === 0) return false;
    keys.changing(hash);
    const deleted = this.#isLarge(hash) ? this.#deleteField(hash, field) : this.#deletePacked(hash, field);
    if (deleted === undefined) return false;
    if (deleted.left === 0) keys.remove(deleted.hash);
    keys.modified(key);
    return true;
  }

  has(key: Bytes, field: Bytes): boolean {
    const hash = this.#keys.find(key, Type.HASH);
    if (hash === 0) return false;
    return this.#isLarge(hash) ? this.#findField(hash, field) !== 0 : this.#findPacked(hash, field);
  }

  length(key: Bytes): number {
    const hash = this.#keys.find(key, Type.HASH);
    return hash === 0 ? 0 : this.#count(hash);
  }

  valueLength(key: Bytes, field: Bytes): number {
    const hash = this.#keys.find(key, Type.HASH);
    if (hash === 0) return 0;
    if (!this.#isLarge(hash)) return this.#findPacked(hash, field) ? this.#packed.valueLength : 0;
    const entry = this.#findField(hash, field);
    return entry === 0 ? 0 : this.#keys.store.valueLength(entry);
  }

  each(key: Bytes, visit: (field: Bytes, value: Bytes) => void): void {
    const hash = this.#keys.find(key, Type.HASH);
    if (hash !== 0) this.eachOf(hash, visit);
  }

  scan(key: Bytes, cursor: number, count: number, visit: (field: Bytes, value: Bytes) => void): number {
    const hash = this.#keys.find(key, Type.HASH);
    if (hash === 0) return 0;
    if (!this.#isLarge(hash)) {
      this.eachOf(hash, visit);
      return 0;
    }
    const store = this.#keys.store;
    const fields = store.dictionary(hash);
    let visited = 0;
    let at = cursor;
    // As Redis: a sparse table ends a call after ten empty buckets per element asked for.
    for (let buckets = count * 10; buckets > 0; buckets--) {
      at = fields.scanBucket(at, (entry) => {
        visited++;
        visit(store.key(entry), store.value(entry));
      });
      if (at === 0 || visited >= count) break;
    }
    return at;
  }

  randomField(key: Bytes, pick: (bound: number) => number): Bytes | undefined {
    const hash = this.#keys.find(key, Type.HASH);
    if (hash === 0) return undefined;
    if (this.#isLarge(hash)) return this.#keys.store.key(this.#keys.store.dictionary(hash).random(pick));
    let steps = pick(this.#count(hash)) + 1;
    this.#open(hash);
    while (steps-- > 0) this.#packed.advance();
    return this.#packed.field;
  }

  /** Visits the fields of the hash that is this entry. */
  eachOf(hash: number, visit: (field: Bytes, value: Bytes) => void): void {
    eachField(this.#keys.store, this.#packed, hash, visit);
  }

  /** Copies the fields of a large hash into an empty large hash, which may be in another keys. */
  copyFields(hash: number, target: MemoryHashes, to: number): void {
    this.eachOf(hash, (field, value) => target.#setField(to, field, value));
  }

  #isLarge(hash: number): boolean {
    return (this.#keys.store.kind(hash) & DICTIONARY) !== 0;
  }

  #count(hash: number): number {
    return fieldCount(this.#keys.store, hash);
  }

  // Packed hashes.

  #open(hash: number): void {
    const store = this.#keys.store;
    store.view(hash);
    this.#packed.open(store.viewBytes, store.viewAt, store.viewLength);
  }

  #findPacked(hash: number, field: Bytes): boolean {
    this.#open(hash);
    return this.#packed.find(field);
  }

  /** May this pair be packed? A hash that is full may still get a new value for a field it has. */
  #fits(hash: number, field: Bytes, value: Bytes): boolean {
    const { listpackEntries, listpackValue } = this.#keys.limits;
    if (field.length > listpackValue || value.length > listpackValue) return false;
    return this.#count(hash) < listpackEntries || this.#findPacked(hash, field);
  }

  #setPacked(hash: number, field: Bytes, value: Bytes): boolean {
    const store = this.#keys.store;
    const isNew = !this.#findPacked(hash, field);
    const base = store.viewAt;
    const length = store.viewLength;
    const start = (isNew ? base + length : this.#packed.start) - base;
    const next = (isNew ? base + length : this.#packed.next) - base;
    const added = packedBytes(field, value) - (next - start);
    // The bytes behind the pair move by `added`: before the value shrinks, after it has grown.
    if (added < 0) store.viewBytes.copyWithin(base + next + added, base + next, base + length);
    const placed = added === 0 ? hash : store.resizeValue(store.keys, hash, length + added);
    store.view(placed);
    const { viewBytes, viewAt } = store;
    if (added > 0) viewBytes.copyWithin(viewAt + next + added, viewAt + next, viewAt + length);
    writePacked(viewBytes, field, value, viewAt + start);
    if (isNew) setPackedCount(viewBytes, viewAt, packedCount(viewBytes, viewAt) + 1);
    return isNew;
  }

  #deletePacked(hash: number, field: Bytes): { hash: number; left: number } | undefined {
    if (!this.#findPacked(hash, field)) return undefined;
    const store = this.#keys.store;
    const { viewBytes, viewAt, viewLength } = store;
    const { start, next } = this.#packed;
    const left = packedCount(viewBytes, viewAt) - 1;
    setPackedCount(viewBytes, viewAt, left);
    viewBytes.copyWithin(start, next, viewAt + viewLength);
    return { hash: store.resizeValue(store.keys, hash, viewLength - (next - start)), left };
  }

  /** Gives a packed hash a dictionary; returns where its entry is now. */
  #enlarge(hash: number): number {
    const pairs: Bytes[] = [];
    this.eachOf(hash, (field, value) => pairs.push(field, value));
    const placed = this.#keys.store.makeDictionary(hash, KIND_HASH);
    for (let i = 0; i < pairs.length; i += 2) this.#setField(placed, pairs[i]!, pairs[i + 1]!);
    return placed;
  }

  // Large hashes.

  #findField(hash: number, field: Bytes): number {
    return this.#keys.store.dictionary(hash).find(field, this.#keys.hashOf(field));
  }

  #setField(hash: number, field: Bytes, value: Bytes): boolean {
    const store = this.#keys.store;
    const fields: Dictionary = store.dictionary(hash);
    const fieldHash = this.#keys.hashOf(field);
    const entry = fields.find(field, fieldHash);
    if (entry !== 0) {
      store.setValue(fields, entry, value);
      return false;
    }
    const created = store.create(fields, store.word(hash, WORD_OBJECT), field, fieldHash, FIELD, value.length);
    store.view(created);
    copyText(store.viewBytes, value, store.viewAt);
    return true;
  }

  #deleteField(hash: number, field: Bytes): { hash: number; left: number } | undefined {
    const store = this.#keys.store;
    const fields = store.dictionary(hash);
    const entry = this.#findField(hash, field);
    if (entry === 0) return undefined;
    store.remove(fields, entry);
    return { hash, left: fields.size };
  }
}
