/**
 * Writes rows byte by byte, as pages and undo records hold them (page.ts).
 */
import { type Bytes, writeBytes } from "../common/bytes.ts";
import { writeU16, writeU32 } from "./bytes-view.ts";
import {
  RECORD_BYTES_MAX,
  RECORD_SYSTEM_BYTES,
  RECORD_TAIL_AT,
  RECORD_TAIL_LENGTH_AT,
  RECORD_VALUE_LENGTH_AT,
} from "./page.ts";

/** Writes a row's head, a few bytes: a call into native code would cost more. Returns the end. */
export function writeHead(buffer: Buffer, head: Bytes, at: number): number {
  for (let i = 0; i < head.length; i++) buffer[at + i] = head.charCodeAt(i);
  return at + head.length;
}

/** Writes key words, tail length and tail as they are in a row, with value length 0. Returns the end. */
export function writeKey(buffer: Buffer, at: number, hi: number, mid: number, low: number, tail: Bytes): number {
  writeU32(buffer, at, hi);
  writeU32(buffer, at + 4, mid);
  writeU32(buffer, at + 8, low);
  writeU16(buffer, at + RECORD_TAIL_LENGTH_AT, tail.length);
  writeU16(buffer, at + RECORD_VALUE_LENGTH_AT, 0);
  return writeBytes(buffer, tail, at + RECORD_TAIL_AT);
}

/** Whether a value of this length must go into a chain, for a row whose tail has this length. */
export function needsChain(tailLength: number, valueLength: number): boolean {
  return RECORD_TAIL_AT + tailLength + RECORD_SYSTEM_BYTES + valueLength > RECORD_BYTES_MAX;
}
