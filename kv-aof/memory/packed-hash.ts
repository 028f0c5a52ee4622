/**
 * A small hash packed into one value, as Redis's listpack: no pointer, one place in memory, searched from the front.
 *
 *     count (4 bytes, little endian) │ length field length value │ length field length value │ …
 *
 * A length is 7 bits per byte, low bits first, the high bit set in all but the last. Fields keep the order in which they
 * came.
 */
import { type Bytes, sliceBytes } from "../../common/bytes.ts";
import { copyText } from "./store.ts";

export const PACKED_HEADER_BYTES = 4;

function lengthBytes(length: number): number {
  let bytes = 1;
  for (let rest = length >>> 7; rest !== 0; rest >>>= 7) bytes++;
  return bytes;
}

/** What a field and its value take. */
export function packedBytes(field: Bytes, value: Bytes): number {
  return lengthBytes(field.length) + field.length + lengthBytes(value.length) + value.length;
}

export function packedCount(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at);
}

export function setPackedCount(bytes: Buffer, at: number, count: number): void {
  bytes.writeUInt32LE(count, at);
}

function writeLength(bytes: Buffer, length: number, at: number): number {
  let rest = length;
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** Writes a pair at `at`; returns the offset behind it. */
export function writePacked(bytes: Buffer, field: Bytes, value: Bytes, at: number): number {
  let end = writeLength(bytes, field.length, at);
  copyText(bytes, field, end);
  end = writeLength(bytes, value.length, end + field.length);
  copyText(bytes, value, end);
  return end + value.length;
}

/** Walks over the pairs of one packed hash. One object is reused; it is valid until the hash changes. */
export class PackedCursor {
  #bytes: Buffer = Buffer.alloc(0);
  #end = 0;
  #next = 0;
  #fieldAt = 0;
  #fieldLength = 0;
  #valueAt = 0;
  #valueLength = 0;
  #start = 0;

  /** Before the first pair of the hash that is `length` bytes at `at`. */
  open(bytes: Buffer, at: number, length: number): void {
    this.#bytes = bytes;
    this.#next = at + PACKED_HEADER_BYTES;
    this.#end = at + length;
  }

  /** Goes to the next pair; false at the end. */
  advance(): boolean {
    if (this.#next >= this.#end) return false;
    this.#start = this.#next;
    this.#fieldLength = this.#readLength();
    this.#fieldAt = this.#next;
    this.#next += this.#fieldLength;
    this.#valueLength = this.#readLength();
    this.#valueAt = this.#next;
    this.#next += this.#valueLength;
    return true;
  }

  /** Goes to the pair of `field`; false when there is none. */
  find(field: Bytes): boolean {
    while (this.advance()) {
      if (this.#fieldLength === field.length && this.#fieldEquals(field)) return true;
    }
    return false;
  }

  /** Where the pair begins, and where the next does. */
  get start(): number {
    return this.#start;
  }
  get next(): number {
    return this.#next;
  }
  get field(): Bytes {
    return sliceBytes(this.#bytes, this.#fieldAt, this.#fieldAt + this.#fieldLength);
  }
  get value(): Bytes {
    return sliceBytes(this.#bytes, this.#valueAt, this.#valueAt + this.#valueLength);
  }
  get valueLength(): number {
    return this.#valueLength;
  }

  #fieldEquals(field: Bytes): boolean {
    for (let i = 0; i < field.length; i++) {
      if (this.#bytes[this.#fieldAt + i] !== field.charCodeAt(i)) return false;
    }
    return true;
  }

  #readLength(): number {
    let byte = this.#bytes[this.#next++]!;
    if (byte < 0x80) return byte;
    let length = byte & 0x7f;
    for (let shift = 7; byte >= 0x80; shift += 7) {
      byte = this.#bytes[this.#next++]!;
      length |= (byte & 0x7f) << shift;
    }
    return length;
  }
}
