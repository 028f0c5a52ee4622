/** Strings in memory: the value behind the key in one cell, or in a buffer of its own (store.ts). */
import { assert } from "../../common/assert.ts";
import { type Bytes, sliceBytes } from "../../common/bytes.ts";
import { KEEP_EXPIRY, NO_EXPIRY, type Strings, Type } from "../../common/keyspace/keyspace.ts";
import { KIND_STRING, LARGE, RAW, TYPE_MASK } from "./cell.ts";
import type { Keys } from "./keys.ts";
import { copyText } from "./store.ts";

/** The longest string that Redis keeps in one allocation with its header. */
const EMBEDDED_LENGTH_MAX = 44;

export class MemoryStrings implements Strings {
  readonly #keys: Keys;

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  get(key: Bytes): Bytes | undefined {
    const entry = this.#keys.find(key, Type.STRING);
    return entry === 0 ? undefined : this.#keys.store.value(entry);
  }

  set(key: Bytes, value: Bytes, expiry: number): void {
    const keys = this.#keys;
    const store = keys.store;
    let entry = keys.find(key, Type.NONE);
    if (entry === 0) {
      entry = keys.create(key, KIND_STRING, value.length);
      store.view(entry);
      copyText(store.viewBytes, value, store.viewAt);
    } else {
      keys.changing(entry);
      const kind = store.kind(entry);
      if ((kind & TYPE_MASK) !== KIND_STRING) store.dropValue(entry, KIND_STRING);
      else if ((kind & RAW) !== 0) store.setKind(entry, kind & ~RAW);
      entry = store.setValue(store.keys, entry, value);
    }
    if (expiry !== KEEP_EXPIRY) keys.setExpiry(entry, expiry);
    keys.modified(key);
  }

  length(key: Bytes): number {
    const entry = this.#keys.find(key, Type.STRING);
    return entry === 0 ? 0 : this.#keys.store.valueLength(entry);
  }

  getRange(key: Bytes, start: number, end: number): Bytes {
    const entry = this.#keys.find(key, Type.STRING);
    if (entry === 0) return "";
    const store = this.#keys.store;
    store.view(entry);
    assert(start >= 0 && start <= end && end <= store.viewLength, "getRange: the range is inside the value");
    return sliceBytes(store.viewBytes, store.viewAt + start, store.viewAt + end);
  }

  setRange(key: Bytes, offset: number, value: Bytes): number {
    assert(offset >= 0 && value.length > 0, "setRange: an offset, and something to write there");
    const keys = this.#keys;
    const store = keys.store;
    let entry = keys.find(key, Type.STRING);
    if (entry !== 0) keys.changing(entry);
    const before = entry === 0 ? 0 : store.valueLength(entry);
    const length = Math.max(before, offset + value.length);
    if (entry === 0) entry = keys.create(key, KIND_STRING, length);
    else if (length !== before) entry = store.resizeValue(store.keys, entry, length);
    store.setKind(entry, store.kind(entry) | RAW);
    store.view(entry);
    if (offset > before) store.viewBytes.fill(0, store.viewAt + before, store.viewAt + offset);
    copyText(store.viewBytes, value, store.viewAt + offset);
    keys.modified(key);
    return length;
  }

  append(key: Bytes, value: Bytes): number {
    const keys = this.#keys;
    const store = keys.store;
    let entry = keys.find(key, Type.STRING);
    if (entry === 0) {
      this.set(key, value, NO_EXPIRY);
      return value.length;
    }
    keys.changing(entry);
    const before = store.valueLength(entry);
    entry = store.resizeValue(store.keys, entry, before + value.length);
    store.setKind(entry, store.kind(entry) | RAW);
    store.view(entry);
    copyText(store.viewBytes, value, store.viewAt + before);
    keys.modified(key);
    return before + value.length;
  }
}

/** Redis's name for how a string is stored. */
export function stringEncoding(kind: number, length: number, value: () => Bytes): Bytes {
  if ((kind & RAW) !== 0) return "raw";
  if (length <= 20 && (kind & LARGE) === 0 && isInteger64(value())) return "int";
  return length <= EMBEDDED_LENGTH_MAX ? "embstr" : "raw";
}

/** The canonical decimal text of a signed 64-bit integer. */
function isInteger64(text: Bytes): boolean {
  if (!/^(0|-?[1-9][0-9]{0,18})$/.test(text)) return false;
  return text.length < 19 || BigInt.asIntN(64, BigInt(text)) === BigInt(text);
}
