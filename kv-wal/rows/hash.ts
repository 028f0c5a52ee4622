/** Hashes as rows: the twin of kv-aof/memory/hash.ts. One directory row with id and count, one FIELD row per field. */
import type { Bytes } from "../../common/bytes.ts";
import { type Hashes, NO_EXPIRY, Type } from "../../common/keyspace/keyspace.ts";
import type { Directory } from "./directory.ts";
import { CONVERTED, fieldHi, fieldMid, tailOf } from "./layout.ts";

/** Up to where Redis would pack a hash into a listpack. May change at run time. */
export interface HashLimits {
  listpackEntries: number;
  listpackValue: number;
}

export class RowHashes implements Hashes {
  readonly #directory: Directory;
  readonly #index: number;
  readonly #limits: HashLimits;

  constructor(directory: Directory, index: number, limits: HashLimits) {
    this.#directory = directory;
    this.#index = index;
    this.#limits = limits;
  }

  get(key: Bytes, field: Bytes): Bytes | undefined {
    const { rows } = this.#directory;
    return this.#findField(key, field) ? rows.body(rows.record, 0) : undefined;
  }

  set(key: Bytes, field: Bytes, value: Bytes): boolean {
    const directory = this.#directory;
    const { limits, rows } = { limits: this.#limits, rows: directory.rows };
    const exists = directory.findAs(this.#index, key, Type.HASH);
    const container = exists ? directory.container : rows.header.takeId();
    const count = exists ? directory.count : 0;
    const wasLarge = exists && directory.converted;
    const needsOwn = exists && rows.transactions.isForeign(directory.record);
    if (!exists && rows.capture.rows) rows.capture.keyInserted(this.#index, key, Type.HASH, NO_EXPIRY);
    const isNew = this.putField(key, container, field, value);
    const isLong = field.length > limits.listpackValue || value.length > limits.listpackValue;
    const isLarge = wasLarge || isLong || count + (isNew ? 1 : 0) > limits.listpackEntries;
    if (!exists) {
      const kind = isLarge ? Type.HASH | CONVERTED : Type.HASH;
      directory.putContainer(this.#index, key, kind, NO_EXPIRY, container, 1);
    } else if (isNew || isLarge !== wasLarge || needsOwn) {
      directory.setCount(this.#index, key, count + (isNew ? 1 : 0), isLarge);
    }
    directory.events.modified(this.#index, key);
    return isNew;
  }

  /** Inserts or updates a FIELD row of the hash `key`; true when it is new. */
  putField(key: Bytes, container: number, field: Bytes, value: Bytes): boolean {
    const { rows } = this.#directory;
    const hi = fieldHi(container);
    const mid = fieldMid(container);
    const { flags, rest } = rows.store(hi, mid, field, 0, value);
    let found = rows.search(hi, mid, field);
    if (rows.capture.rows) {
      this.#captureField(key, field, value, found);
      found = rows.search(hi, mid, field);
    }
    if (found) {
      rows.transactions.update(flags, "", rest, rows.arena.isExternal(rows.record));
      return false;
    }
    rows.transactions.insert(hi, mid, rows.hashOf(field), tailOf(field), flags, "", rest);
    return true;
  }

  delete(key: Bytes, field: Bytes): boolean {
    const directory = this.#directory;
    if (!this.#findField(key, field)) return false;
    const { count, converted, rows, container } = directory;
    if (rows.capture.rows) {
      this.#captureDelete(key, field);
      rows.search(fieldHi(container), fieldMid(container), field);
    }
    rows.transactions.delete();
    if (count > 1) directory.setCount(this.#index, key, count - 1, converted);
    else {
      directory.find(this.#index, key);
      directory.remove(this.#index, key);
    }
    directory.events.modified(this.#index, key);
    return true;
  }

  has(key: Bytes, field: Bytes): boolean {
    return this.#findField(key, field);
  }

  length(key: Bytes): number {
    const directory = this.#directory;
    if (!directory.findAs(this.#index, key, Type.HASH)) return 0;
    if (!directory.isOwnVersion) return directory.count;
    // The count includes what others have committed since the view was opened, and the view does not show their fields.
    let count = 0;
    this.eachOf(directory.container, () => count++);
    return count;
  }

  valueLength(key: Bytes, field: Bytes): number {
    const { rows } = this.#directory;
    return this.#findField(key, field) ? rows.bodyLength(rows.record, 0) : 0;
  }

  each(key: Bytes, visit: (field: Bytes, value: Bytes) => void): void {
    const directory = this.#directory;
    if (directory.findAs(this.#index, key, Type.HASH)) this.eachOf(directory.container, visit);
  }

  /** Visits the fields of a container. */
  eachOf(container: number, visit: (field: Bytes, value: Bytes) => void): void {
    const { rows } = this.#directory;
    rows.each(fieldHi(container), fieldMid(container), 0, (record) => {
      visit(rows.keyOf(record), rows.body(record, 0));
      return true;
    });
  }

  scan(key: Bytes, cursor: number, count: number, visit: (field: Bytes, value: Bytes) => void): number {
    const directory = this.#directory;
    const { rows } = directory;
    if (!directory.findAs(this.#index, key, Type.HASH)) return 0;
    if (!directory.converted) {
      this.eachOf(directory.container, visit);
      return 0;
    }
    let visited = 0;
    let last = -1;
    let next = 0;
    rows.each(fieldHi(directory.container), fieldMid(directory.container), cursor, (record) => {
      const low = rows.low(record);
      // Fields with equal hashes are visited in one call: the cursor has no room to tell them apart.
      if (visited >= count && low !== last) {
        next = low;
        return false;
      }
      last = low;
      visited++;
      visit(rows.keyOf(record), rows.body(record, 0));
      return true;
    });
    return next;
  }

  randomField(key: Bytes, pick: (bound: number) => number): Bytes | undefined {
    const directory = this.#directory;
    if (!directory.findAs(this.#index, key, Type.HASH)) return undefined;
    const record = directory.rows.random(fieldHi(directory.container), fieldMid(directory.container), pick);
    return record === undefined ? undefined : directory.rows.keyOf(record);
  }

  /** For the binlog: the field at the tree's position, or its place, gets this value. The position may be lost. */
  #captureField(key: Bytes, field: Bytes, value: Bytes, found: boolean): void {
    const { rows } = this.#directory;
    if (!found) rows.capture.fieldInserted(this.#index, key, field, value);
    else {
      const { bytes, at, size } = rows.oldBody(rows.record, 0);
      rows.capture.fieldChanged(this.#index, key, field, bytes, at, size, value);
    }
  }

  #captureDelete(key: Bytes, field: Bytes): void {
    const { rows } = this.#directory;
    const { bytes, at, size } = rows.oldBody(rows.record, 0);
    rows.capture.fieldDeleted(this.#index, key, field, bytes, at, size);
  }

  #findField(key: Bytes, field: Bytes): boolean {
    const directory = this.#directory;
    if (!directory.findAs(this.#index, key, Type.HASH)) return false;
    const { container } = directory;
    return directory.rows.search(fieldHi(container), fieldMid(container), field);
  }
}
