/**
 * Whether the rows agree with each other (rows/layout.ts): stored counts with the rows they count, and every expiry of a
 * directory row with an EXPIRY row of the same time, key and hash.
 *
 * Rows come once, in key order; what they say is added up, so that memory is needed for containers only, not for rows. Expiries are
 * compared by sums of two hashes of each: that others add up to the same is as likely as guessing 64 random bits.
 */
import { Type } from "../../common/keyspace/keyspace.ts";
import { readU32, readU48 } from "../bytes-view.ts";
import { HAS_EXPIRY, hash32, Kind, TYPE_MASK, timeOf } from "../rows/layout.ts";
import { DATABASES_MAX } from "../space-header.ts";
import type { Storage } from "../storage.ts";
import { type Key, showKey } from "../tree-key.ts";

/** What must be equal in the end: rows seen, and what was said about their number. */
interface Tally {
  found: number;
  expected: number;
  /** Of the first row that speaks of it, for the message. */
  readonly page: number;
}

export class RowsCheck {
  readonly #storage: Storage;
  readonly #problem: (page: number, reason: string) => void;
  readonly #tallies = new Map<string, Tally>();
  /** By database: sums over directory rows with an expiry minus sums over EXPIRY rows. */
  readonly #expiries = new Map<number, [number, number]>();

  constructor(storage: Storage, problem: (page: number, reason: string) => void) {
    this.#storage = storage;
    this.#problem = problem;
  }

  /** A row of leaf `page`, whose record starts at `record` in the arena. */
  row(page: number, record: number, key: Key): void {
    const { arena } = this.#storage.pool;
    if (arena.isDeleted(record)) {
      // Purge takes it away; nothing counts it any more.
      if (this.#storage.versions.markedRows === 0)
        this.#problem(page, `a delete mark that purge forgot: ${showKey(key)}`);
      return;
    }
    const [hi, mid, low] = key.words;
    const value = arena.valueAt(record);
    const kind = hi >>> 24;
    if (kind === Kind.FIELD) this.#count(`fields of container ${(hi & 0xffffff) * 0x100000000 + mid}`, page, 1, 0);
    else if (kind === Kind.EXPIRY) {
      this.#count(`expiring keys of database ${hi & 0xffffff}`, page, 1, 0);
      this.#expiry(hi & 0xffffff, timeOf(mid, low), readU32(arena.bytes, value), key, -1);
    } else if (kind === Kind.DIRECTORY) this.#directory(page, value, key);
    else this.#problem(page, `row of unknown kind ${kind}: ${showKey(key)}`);
  }

  #directory(page: number, value: number, key: Key): void {
    const { bytes } = this.#storage.pool.arena;
    const [, database, hash] = key.words;
    this.#count(`keys of database ${database}`, page, 1, 0);
    const first = bytes[value]!;
    const hasExpiry = (first & HAS_EXPIRY) !== 0;
    if (hasExpiry) this.#expiry(database, readU48(bytes, value + 1), hash, key, 1);
    if ((first & TYPE_MASK) === Type.STRING) return;
    const at = value + (hasExpiry ? 7 : 1);
    this.#count(`fields of container ${readU48(bytes, at)}`, page, 0, readU48(bytes, at + 6));
  }

  #count(name: string, page: number, found: number, expected: number): void {
    const tally = this.#tallies.get(name) ?? { found: 0, expected: 0, page };
    tally.found += found;
    tally.expected += expected;
    this.#tallies.set(name, tally);
  }

  #expiry(database: number, at: number, hash: number, key: Key, sign: number): void {
    const what = `${at} ${hash} ${key.tail}`;
    const sums = this.#expiries.get(database) ?? [0, 0];
    sums[0] = (sums[0] + sign * hash32(1, what)) | 0;
    sums[1] = (sums[1] + sign * hash32(2, what)) | 0;
    this.#expiries.set(database, sums);
  }

  /** All rows have been seen. */
  finish(): void {
    const { header } = this.#storage;
    for (let id = 0; id < DATABASES_MAX; id++) {
      const [keys, expiring] = [header.keys(id), header.expiringKeys(id)];
      if (keys !== 0) this.#count(`keys of database ${id}`, 0, 0, keys);
      if (expiring !== 0) this.#count(`expiring keys of database ${id}`, 0, 0, expiring);
    }
    for (const [name, { found, expected, page }] of this.#tallies) {
      if (found !== expected) this.#problem(page, `${name}: ${found} rows, counted ${expected}`);
    }
    for (const [database, [a, b]] of this.#expiries) {
      if (a !== 0 || b !== 0) this.#problem(0, `expiry rows of database ${database} are not those of its keys`);
    }
  }
}
