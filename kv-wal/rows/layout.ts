/**
 * Which rows there are. One tree holds all of them; a row's key is three 32-bit words and a tail of bytes:
 *
 *     kind       hi                        mid           low            tail   value
 *     DIRECTORY  1 << 24                   database id   hash of key    key    head, body
 *     FIELD      2 << 24 | container ≫ 32  container     hash of field  field  value
 *     EXPIRY     3 << 24 | database id     time ≫ 32     time           key    hash of key (4)
 *
 *     directory head   type | 0x40 converted | 0x80 has an expiry (1) · expiry, if any (6)
 *                      and for a container: its id (6) · number of elements (6)
 *     directory body   a string's bytes
 *
 * "Converted" keeps Redis's names for encodings: a string that was appended to is raw, a hash that was once large is a
 * hashtable.
 *
 * So SCAN and HSCAN cursors are positions in hash order: a row that is there all the time is passed exactly once,
 * whatever happens around it; keys with equal hashes are visited in one call. FIELD rows do not contain the key: renaming
 * a hash moves one directory row. Expired keys are found from the start of the EXPIRY range. HLEN is in the directory row.
 *
 * The other containers (lists, sets, sorted sets, streams) are laid out in containers.md; their kinds are 4 to 11.
 *
 * Long keys and fields, more than TAIL_MAX bytes: the tail is their first 993 bytes and their SHA-256, 1,025 bytes, which
 * no short one has; the key itself is the first part of the row's chain (overflow.ts).
 */
import { createHash } from "node:crypto";
import { type Bytes, toBuffer } from "../../common/bytes.ts";
import type { SpaceHeader } from "../space-header.ts";

export const Kind = { DIRECTORY: 1, FIELD: 2, EXPIRY: 3 } as const;
export const KIND_NAMES = ["", "directory", "field", "expiry"];

/** Longer keys are represented by a digest. */
export const TAIL_MAX = 1024;
const LONG_TAIL_PREFIX = 993;
export const LONG_TAIL = LONG_TAIL_PREFIX + 32;

export const TYPE_MASK = 0x0f;
export const CONVERTED = 0x40;
export const HAS_EXPIRY = 0x80;

const TWO_32 = 0x100000000;

export const DIRECTORY_HI = Kind.DIRECTORY << 24;

export function fieldHi(container: number): number {
  return (Kind.FIELD << 24) | Math.floor(container / TWO_32);
}
export function fieldMid(container: number): number {
  return container >>> 0;
}
export function expiryHi(databaseId: number): number {
  return (Kind.EXPIRY << 24) | databaseId;
}
export function timeMid(at: number): number {
  return Math.floor(at / TWO_32);
}
export function timeLow(at: number): number {
  return at >>> 0;
}
export function timeOf(mid: number, low: number): number {
  return mid * TWO_32 + low;
}

/** What stands for a key or a field in the tree. */
export function tailOf(key: Bytes): Bytes {
  if (key.length <= TAIL_MAX) return key;
  const digest = createHash("sha256").update(toBuffer(key)).digest("binary");
  return key.slice(0, LONG_TAIL_PREFIX) + digest;
}

/** The hash by which keys and fields are ordered: FNV-1a with murmur3's finish, seeded per folder. */
export function hash32(seed: number, bytes: Bytes): number {
  let hash = seed;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Six little-endian bytes as a byte string. */
export function u48Bytes(value: number): Bytes {
  const high = Math.floor(value / TWO_32);
  const low = value >>> 0;
  return String.fromCharCode(
    low & 0xff,
    (low >>> 8) & 0xff,
    (low >>> 16) & 0xff,
    low >>> 24,
    high & 0xff,
    (high >>> 8) & 0xff,
  );
}

/** Four little-endian bytes as a byte string. */
export function u32Bytes(value: number): Bytes {
  return String.fromCharCode(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

const FIRST_BYTES: readonly Bytes[] = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));

/** The head of a directory row: `kind` is the type with CONVERTED; `expiry` < 0: none. */
export function headOf(kind: number, expiry: number): Bytes {
  return expiry < 0 ? FIRST_BYTES[kind]! : FIRST_BYTES[kind | HAS_EXPIRY]! + u48Bytes(expiry);
}

/** A row that is counted was inserted (1) or deleted (−1): the count changes in the same mini-transaction. */
export function countRow(header: SpaceHeader, hi: number, mid: number, difference: number): void {
  const kind = hi >>> 24;
  if (kind === Kind.DIRECTORY) header.addKeys(mid, difference);
  else if (kind === Kind.EXPIRY) header.addExpiringKeys(hi & 0xffffff, difference);
}
