/**
 * The typed containers that commands work on. kv-aof implements them in memory (kv-aof/memory/), kv-wal as rows in a
 * B+tree (kv-wal/rows/); one abstract test suite runs on both.
 *
 * Rules for both implementations:
 * - A lookup that meets an expired key removes it first and calls `events.expired` (lazy expiry), reading or writing.
 * - A primitive of the wrong type throws `CommandError` WRONGTYPE before it changes anything.
 * - A container that becomes empty is removed with its key.
 * - Strings returned are copies; nothing stays pinned.
 * - Numbers are checked by commands; primitives assert their preconditions.
 */
import type { Bytes } from "../bytes.ts";
import type { KeyspaceEvents } from "./events.ts";

/** What lives under a key; the number is stored, so it never changes. */
export const Type = { NONE: 0, STRING: 1, LIST: 2, SET: 3, ZSET: 4, HASH: 5, STREAM: 6 } as const;
export type Type = (typeof Type)[keyof typeof Type];

/** The latest expiry, in the year 10889: engines store it in 48 bits. Commands refuse later ones. */
export const EXPIRY_MAX = 2 ** 48 - 1;
/** The key has no expiry. */
export const NO_EXPIRY = -1;
/** `Strings.set`: keep the expiry the key has (KEEPTTL). */
export const KEEP_EXPIRY = -2;
/** `expiryOf`: there is no such key. */
export const MISSING = -3;

export interface Keyspace {
  readonly events: KeyspaceEvents;
  /** 16 unless configured otherwise. Index = database number; `swap` exchanges contents, not these objects. */
  readonly databases: readonly Database[];
  /** Exchanges the contents of two databases (SWAPDB). */
  swap(a: number, b: number): void;
}

export interface Database {
  readonly index: number;
  readonly strings: Strings;
  readonly hashes: Hashes;
  /** Number of keys, expired but not yet removed ones included (as DBSIZE). */
  readonly size: number;
  /** Number of keys that have an expiry. */
  readonly expiringCount: number;
  typeOf(key: Bytes): Type;
  /** Absolute ms, NO_EXPIRY or MISSING. */
  expiryOf(key: Bytes): number;
  /** Sets (absolute ms) or, with NO_EXPIRY, removes the expiry of a key that exists. */
  setExpiry(key: Bytes, at: number): void;
  delete(key: Bytes): boolean;
  /** Moves value and expiry, replacing what `to` had; `from` exists. `target` may be another database (MOVE). */
  rename(from: Bytes, target: Database, to: Bytes): void;
  /** Copies value and expiry, replacing what `to` had; `from` exists and is another key. */
  copy(from: Bytes, target: Database, to: Bytes): void;
  /** Some key, roughly uniform; undefined when empty. Never an expired one. `pick(bound)` is an integer in [0, bound). */
  randomKey(pick: (bound: number) => number): Bytes | undefined;
  /**
   * Visits the keys at `cursor` (0 starts) and returns the next cursor (0: all visited). Guarantee (Redis): a key that is
   * there during the whole scan is visited at least once, whatever happens in between. Visits about `count` keys a call.
   * Expired keys are not visited. The visitor must not change the database.
   */
  scan(cursor: number, count: number, visit: (key: Bytes, type: Type) => void): number;
  /**
   * Active expiry: up to `count` keys whose expiry is <= events.now, found cheaply (sampling or an index); fewer does not
   * mean that there are no others, none twice in a row means there are few.
   */
  findExpired(count: number): Bytes[];
  /** Redis's name for how the value is stored: int, embstr, raw, listpack, hashtable. The key exists. */
  encodingOf(key: Bytes): Bytes;
  /** Seconds since the key was last read or written, or undefined when the engine does not track it. The key exists. */
  idleSecondsOf(key: Bytes): number | undefined;
  /** Removes everything. */
  clear(): void;
}

/** Strings: six primitives. */
export interface Strings {
  get(key: Bytes): Bytes | undefined;
  /** Replaces whatever the key had, of any type. `expiry`: absolute ms, NO_EXPIRY or KEEP_EXPIRY. */
  set(key: Bytes, value: Bytes, expiry: number): void;
  /** Length in bytes; 0 when missing. */
  length(key: Bytes): number;
  /** Bytes [start, end) with 0 <= start <= end <= length; "" when missing. */
  getRange(key: Bytes, start: number, end: number): Bytes;
  /** Overwrites at `offset`, zero-filling a gap, creating the key; keeps the expiry. Returns the new length. `value` is not empty. */
  setRange(key: Bytes, offset: number, value: Bytes): number;
  /** Appends, creating the key; keeps the expiry. Returns the new length. */
  append(key: Bytes, value: Bytes): number;
}

/** Hashes: nine primitives. A missing key is an empty hash. */
export interface Hashes {
  get(key: Bytes, field: Bytes): Bytes | undefined;
  /** True when the field is new. Creates the hash. */
  set(key: Bytes, field: Bytes, value: Bytes): boolean;
  delete(key: Bytes, field: Bytes): boolean;
  has(key: Bytes, field: Bytes): boolean;
  /** Number of fields; O(1). */
  length(key: Bytes): number;
  /** Length of a value in bytes; 0 when missing. */
  valueLength(key: Bytes, field: Bytes): number;
  /** Every field once, in the engine's order. The visitor must not change the hash. */
  each(key: Bytes, visit: (field: Bytes, value: Bytes) => void): void;
  /** As `Database.scan`, over the fields of one hash. A small hash (listpack) is visited whole, returning 0. */
  scan(key: Bytes, cursor: number, count: number, visit: (field: Bytes, value: Bytes) => void): number;
  /** A field, roughly uniform; undefined when the key is missing. */
  randomField(key: Bytes, pick: (bound: number) => number): Bytes | undefined;
}

/** TYPE's words. */
export const TYPE_NAMES: Readonly<Record<Type, string>> = {
  [Type.NONE]: "none",
  [Type.STRING]: "string",
  [Type.LIST]: "list",
  [Type.SET]: "set",
  [Type.ZSET]: "zset",
  [Type.HASH]: "hash",
  [Type.STREAM]: "stream",
};
