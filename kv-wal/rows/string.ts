/** Strings as rows: the twin of kv-aof/memory/string.ts. The value is the body of the directory row. */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { parseInteger } from "../../common/keyspace/integer.ts";
import { KEEP_EXPIRY, NO_EXPIRY, type Strings, Type } from "../../common/keyspace/keyspace.ts";
import type { Directory } from "./directory.ts";
import { CONVERTED } from "./layout.ts";

/** Redis keeps strings of up to so many bytes in one allocation. */
const EMBEDDED_MAX = 44;

export class RowStrings implements Strings {
  readonly #directory: Directory;
  readonly #index: number;

  constructor(directory: Directory, index: number) {
    this.#directory = directory;
    this.#index = index;
  }

  get(key: Bytes): Bytes | undefined {
    const directory = this.#directory;
    if (!directory.findAs(this.#index, key, Type.STRING)) return undefined;
    return directory.rows.body(directory.record, directory.headLength);
  }

  set(key: Bytes, value: Bytes, expiry: number): void {
    const directory = this.#directory;
    const found = directory.find(this.#index, key);
    const kept = found === Type.NONE ? NO_EXPIRY : directory.expiry;
    directory.putString(this.#index, key, Type.STRING, expiry === KEEP_EXPIRY ? kept : expiry, value);
    directory.events.modified(this.#index, key);
  }

  length(key: Bytes): number {
    const directory = this.#directory;
    if (!directory.findAs(this.#index, key, Type.STRING)) return 0;
    return directory.rows.bodyLength(directory.record, directory.headLength);
  }

  getRange(key: Bytes, start: number, end: number): Bytes {
    const directory = this.#directory;
    if (!directory.findAs(this.#index, key, Type.STRING)) return "";
    assert(0 <= start && start <= end, "getRange: start <= end");
    return directory.rows.bodySlice(directory.record, directory.headLength, start, end);
  }

  setRange(key: Bytes, offset: number, value: Bytes): number {
    assert(value.length > 0, "setRange: something to write");
    const old = this.get(key) ?? "";
    const gap = offset > old.length ? "\0".repeat(offset - old.length) : "";
    return this.#modify(key, old.slice(0, offset) + gap + value + old.slice(offset + value.length));
  }

  append(key: Bytes, value: Bytes): number {
    const old = this.get(key);
    // Redis keeps the encoding of a string that APPEND creates.
    if (old === undefined) {
      this.set(key, value, NO_EXPIRY);
      return value.length;
    }
    return this.#modify(key, old + value);
  }

  /** A string changed in place is "raw" from then on, as in Redis. */
  #modify(key: Bytes, value: Bytes): number {
    const directory = this.#directory;
    const found = directory.find(this.#index, key);
    const expiry = found === Type.NONE ? NO_EXPIRY : directory.expiry;
    directory.putString(this.#index, key, Type.STRING | CONVERTED, expiry, value);
    directory.events.modified(this.#index, key);
    return value.length;
  }
}

/** OBJECT ENCODING of the string of the last `find`. */
export function stringEncoding(directory: Directory): Bytes {
  if (directory.converted) return "raw";
  const length = directory.rows.bodyLength(directory.record, directory.headLength);
  if (length > EMBEDDED_MAX) return "raw";
  return parseInteger(directory.rows.body(directory.record, directory.headLength)) !== undefined ? "int" : "embstr";
}
