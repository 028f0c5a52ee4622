/**
 * Byte strings.
 *
 * Keys, fields and values travel through the program as JavaScript strings in which every character is one byte
 * (code 0–255, "latin1"). Such a string is binary-safe, compares like memcmp, is a free Map key, and V8 makes and
 * drops it as young garbage. Text for people (file names, messages) is ordinary Unicode and is never typed `Bytes`.
 */

/** A binary-safe string: every character code is one byte. */
export type Bytes = string;

/**
 * Node's fast, untyped latin1 methods. `latin1Slice` always copies, so no socket chunk stays pinned. They are taken off the
 * prototype once, because V8 looks up methods of Buffer's prototype anew with every call.
 */
const { latin1Slice, latin1Write } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
  latin1Write(this: Uint8Array, text: string, at: number, length?: number): number;
};

/** The longest byte string: V8's longest string (2^29 − 24 characters), 24 bytes short of 512 MiB. */
export const BYTES_LENGTH_MAX = 0x1fffffe8;

/** Copies `buffer[start, end)` into a byte string. */
export function sliceBytes(buffer: Uint8Array, start: number, end: number): Bytes {
  return latin1Slice.call(buffer, start, end);
}

/** Writes a byte string at `at`; the caller has made room. Returns the offset just behind it. */
export function writeBytes(buffer: Uint8Array, bytes: Bytes, at: number): number {
  return at + latin1Write.call(buffer, bytes, at);
}

/** A byte string as a new Buffer. */
export function toBuffer(bytes: Bytes): Buffer {
  return Buffer.from(bytes, "latin1");
}

/** Text (Unicode) as its UTF-8 byte string. */
export function fromText(text: string): Bytes {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** A byte string shown to a person: UTF-8 decoded, control bytes escaped as redis-cli does. */
export function toText(bytes: Bytes): string {
  return toBuffer(bytes)
    .toString("utf8")
    .replace(/[\u0000-\u001f\u007f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
