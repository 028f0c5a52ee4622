/**
 * A snapshot of all databases as they were at one moment, taken while they change: what fork and copy-on-write are to
 * Redis. It is walked in steps; a key that is about to change, or to go, before the walk has come to it is visited first.
 *
 *     the moment        S   every store flips its savedBit: nothing that is there has been visited
 *     the walk          ●   bucket by bucket, a few at a time: entries whose SAVED is not the store's are visited
 *     a change before   ◐   `Keys.changing` visits the entry as it is, and marks it
 *     a new key         ○   is made with the store's bit: it is younger than S
 *
 * Rules:
 * 1. Each entry that existed at S is visited exactly once, with the key, value and expiry it had at S. At least once, as
 *    SCAN's guarantee is: a table that is resized between two steps hides none (dictionary.ts), and compaction keeps an
 *    entry's bucket. At most once, because of the mark, which travels with the entry.
 * 2. A database is what its store holds. FLUSHDB drops the store, and nothing in it changes any more: the snapshot keeps it
 *    until it has walked it. SWAPDB exchanges stores: the snapshot knows by which number each went at S.
 * 3. A key that has expired at S and has not been removed is visited: the log has its DEL afterwards.
 * 4. A snapshot that is given up walks on without visiting, until every mark is set: only then may the next one begin.
 *
 * A large hash is visited at once, because its fields belong together in the file: about a microsecond a field.
 */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { NO_EXPIRY } from "../../common/keyspace/keyspace.ts";
import { KIND_STRING, SAVED, TYPE_MASK, WORD_EXPIRY, WORD_KIND } from "./cell.ts";
import { eachField, fieldCount } from "./hash.ts";
import type { MemoryKeyspace } from "./keyspace.ts";
import { PackedCursor } from "./packed-hash.ts";
import type { ChangeObserver, Store } from "./store.ts";

/** Receives what was there at the moment of the snapshot. Databases come in any order, also more than once. */
export interface SnapshotSink {
  /** Once for each database that is not empty, before everything else. */
  database(db: number, keys: number, expiring: number): void;
  string(db: number, key: Bytes, value: Bytes, expiry: number): void;
  /** A hash begins; `field` is called `count` times, then `hashEnd`. */
  hash(db: number, key: Bytes, count: number, expiry: number): void;
  field(field: Bytes, value: Bytes): void;
  hashEnd(): void;
}

export class KeyspaceSnapshot {
  readonly #parts: StoreSnapshot[] = [];
  #at = 0;

  /** The moment is now. */
  constructor(keyspace: MemoryKeyspace, sink: SnapshotSink) {
    for (const { index, store } of keyspace.databases) {
      if (store === undefined) continue;
      if (store.keys.size > 0) sink.database(index, store.keys.size, store.expiry.count);
      this.#parts.push(new StoreSnapshot(store, index, sink));
    }
  }

  /** Everything has been visited. */
  get finished(): boolean {
    return this.#at === this.#parts.length;
  }

  /** Walks over one bucket; false when it had nothing to visit. */
  step(): boolean {
    assert(!this.finished, "snapshot: there is something left to walk");
    const part = this.#parts[this.#at]!;
    const before = part.visited;
    part.step();
    if (part.finished) this.#at++;
    return part.visited !== before;
  }

  /** Rule 4. */
  giveUp(): void {
    for (const part of this.#parts) part.giveUp();
  }
}

class StoreSnapshot implements ChangeObserver {
  readonly #store: Store;
  readonly #db: number;
  readonly #packed = new PackedCursor();
  #sink: SnapshotSink | undefined;
  #cursor = 0;
  finished = false;
  visited = 0;

  constructor(store: Store, db: number, sink: SnapshotSink) {
    assert(store.observer === undefined, "snapshot: one at a time");
    this.#store = store;
    this.#db = db;
    this.#sink = sink;
    store.savedBit ^= SAVED;
    store.observer = this;
  }

  step(): void {
    this.#cursor = this.#store.keys.scanBucket(this.#cursor, this.#walked);
    if (this.#cursor !== 0) return;
    this.finished = true;
    this.#store.observer = undefined;
  }

  beforeChange(entry: number): void {
    if (!this.#isMarked(entry)) this.#visit(entry);
  }

  giveUp(): void {
    this.#sink = undefined;
  }

  readonly #walked = (entry: number): void => this.beforeChange(entry);

  #isMarked(entry: number): boolean {
    return (this.#store.word(entry, WORD_KIND) & SAVED) === this.#store.savedBit;
  }

  #visit(entry: number): void {
    const store = this.#store;
    store.setWord(entry, WORD_KIND, store.word(entry, WORD_KIND) ^ SAVED);
    this.visited++;
    const sink = this.#sink;
    if (sink === undefined) return;
    const place = store.word(entry, WORD_EXPIRY);
    const expiry = place === 0 ? NO_EXPIRY : store.expiry.timeAt(place);
    if ((store.kind(entry) & TYPE_MASK) === KIND_STRING) {
      sink.string(this.#db, store.key(entry), store.value(entry), expiry);
      return;
    }
    sink.hash(this.#db, store.key(entry), fieldCount(store, entry), expiry);
    eachField(store, this.#packed, entry, (field, value) => sink.field(field, value));
    sink.hashEnd();
  }
}
