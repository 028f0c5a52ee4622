/**
 * Numbers in bytes: little-endian, 16, 32 and 48 bits, without DataView and without allocation; and words over a Buffer.
 * Pages, redo blocks and the binlog all use it. 48 bits hold every LSN (256 TB of redo), transaction id and expiry time.
 */
import { assert } from "../common/assert.ts";

// Pages are read through 32-bit typed arrays, which have the machine's byte order.
assert(new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, "kv-wal needs a little-endian machine");

const TWO_32 = 0x100000000;

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export function writeU48(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, value >>> 0);
  writeU16(bytes, at + 4, (value / TWO_32) >>> 0);
}

export function readU48(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) + readU16(bytes, at + 4) * TWO_32;
}

/** Short runs are copied faster by a loop than by a call into native code. */
const LOOP_BYTES_MAX = 40;

/** Copies `length` bytes; the ranges may overlap only when `from` and `to` are different buffers or `to` lies before. */
export function copyBytes(from: Buffer, at: number, to: Buffer, toAt: number, length: number): void {
  if (length > LOOP_BYTES_MAX) {
    from.copy(to, toAt, at, at + length);
    return;
  }
  for (let i = 0; i < length; i++) to[toAt + i] = from[at + i]!;
}

/** From this length on a call into native code pays. */
const VIEW_BYTES_MAX = 100;

/** As `copyBytes`, four bytes a step, wherever they lie: takes less than half the time of a loop over bytes. */
export function copyView(from: DataView, at: number, to: DataView, toAt: number, length: number): void {
  if (length > VIEW_BYTES_MAX) {
    bytesIn(to, toAt, length).set(bytesIn(from, at, length));
    return;
  }
  let i = 0;
  for (; i + 4 <= length; i += 4) to.setUint32(toAt + i, from.getUint32(at + i, true), true);
  for (; i < length; i++) to.setUint8(toAt + i, from.getUint8(at + i));
}

function bytesIn(view: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, length);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Copies `count` words; the ranges do not overlap. */
export function copyWords(from: Uint32Array, at: number, to: Uint32Array, toAt: number, count: number): void {
  for (let i = 0; i < count; i++) to[toAt + i] = from[at + i]!;
}

/** The words of a buffer whose memory starts at a multiple of four. */
export function wordsOf(bytes: Buffer): Uint32Array {
  assert(bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0, "words: aligned buffer");
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
