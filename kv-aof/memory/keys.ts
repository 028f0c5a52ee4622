/**
 * The keys of one database, as its containers (string.ts, hash.ts) need them: finding with lazy expiry, making, removing.
 * The contents are a Store, made by the first key and dropped by FLUSHDB; SWAPDB exchanges the stores of two databases.
 *
 * An entry is a reference into the store (cell.ts), 0 for none; it is valid until the next change.
 */
import type { Bytes } from "../../common/bytes.ts";
import { CommandError } from "../../common/errors.ts";
import { NO_EXPIRY, Type } from "../../common/keyspace/keyspace.ts";
import { TYPE_MASK, WORD_EXPIRY, WORD_KIND } from "./cell.ts";
import type { HashLimits, MemoryContext } from "./context.ts";
import { SLAB_SHIFT, UNIT_MASK } from "./slabs.ts";
import { Store } from "./store.ts";

const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
const ACCESS_MASK = 0xffffff;

export class Keys {
  readonly context: MemoryContext;
  readonly #index: number;
  #store: Store | undefined;

  constructor(context: MemoryContext, index: number) {
    this.context = context;
    this.#index = index;
  }

  /** The contents; made when they are first needed. */
  get store(): Store {
    this.#store ??= new Store();
    return this.#store;
  }

  /** The contents, if there ever were any. */
  get existingStore(): Store | undefined {
    return this.#store;
  }

  get limits(): HashLimits {
    return this.context.limits;
  }

  hashOf(bytes: Bytes): number {
    return this.context.hash.of(bytes);
  }

  /** The entry of a key, without counting as an access; an expired key is removed. */
  peek(key: Bytes): number {
    const store = this.#store;
    if (store === undefined || store.keys.size === 0) return 0;
    const entry = store.keys.find(key, this.context.hash.of(key));
    return entry !== 0 && this.removeIfExpired(key, entry) ? 0 : entry;
  }

  /** The entry of a key for reading or changing its value: 0 when missing, WRONGTYPE unless of `type` (NONE: any). */
  find(key: Bytes, type: Type): number {
    const entry = this.peek(key);
    if (entry === 0) return 0;
    const words = this.store.slabs.words[entry >>> SLAB_SHIFT]!;
    const word = ((entry & UNIT_MASK) << 1) + WORD_KIND;
    const kind = words[word]! & 0xff;
    if (type !== Type.NONE && (kind & TYPE_MASK) !== type) throw new CommandError(WRONG_TYPE);
    words[word] = (this.context.accessClock << 8) | kind;
    return entry;
  }

  /** Makes a key that is not there, with a value to be filled. */
  create(key: Bytes, kind: number, valueLength: number): number {
    const store = this.store;
    const word = (this.context.accessClock << 8) | store.savedBit | kind;
    return store.create(store.keys, 0, key, this.hashOf(key), word, valueLength);
  }

  /** An entry that was found, not made, is about to change or to go: every primitive says so before it begins. */
  changing(entry: number): void {
    const { observer } = this.store;
    if (observer !== undefined) observer.beforeChange(entry);
  }

  remove(entry: number): void {
    this.changing(entry);
    this.store.remove(this.store.keys, entry);
  }

  /** Removes everything. */
  clear(): void {
    this.#store = undefined;
  }

  /** Exchanges the contents with another database. */
  exchange(other: Keys): void {
    const own = this.#store;
    this.#store = other.#store;
    other.#store = own;
  }

  modified(key: Bytes): void {
    this.context.events.modified(this.#index, key);
  }

  /** Seconds since the last access. The clock has 24 bits, as Redis's: after 194 days it starts again at 0. */
  idleSeconds(entry: number): number {
    return (this.context.accessClock - (this.store.word(entry, WORD_KIND) >>> 8)) & ACCESS_MASK;
  }

  expiryOf(entry: number): number {
    const place = this.store.word(entry, WORD_EXPIRY);
    return place === 0 ? NO_EXPIRY : this.store.expiry.timeAt(place);
  }

  setExpiry(entry: number, at: number): void {
    this.changing(entry);
    const { expiry } = this.store;
    const place = this.store.word(entry, WORD_EXPIRY);
    if (at === NO_EXPIRY) {
      if (place !== 0) expiry.remove(place);
    } else if (place === 0) expiry.add(entry, at);
    else expiry.setTimeAt(place, at);
  }

  isExpired(entry: number): boolean {
    const place = this.store.word(entry, WORD_EXPIRY);
    return place !== 0 && this.store.expiry.timeAt(place) <= this.context.events.now;
  }

  removeIfExpired(key: Bytes, entry: number): boolean {
    if (!this.isExpired(entry)) return false;
    this.remove(entry);
    this.context.events.expired(this.#index, key);
    return true;
  }
}
