/**
 * 64-bit signed integers as Redis writes and reads them (string2ll, ll2string).
 *
 * Only the canonical spelling is a number: "0", "-5", "17"; never "+1", " 1", "01", "-0", "1.0" or "". So a value that
 * parses is exactly the text that `String` gives back. Numbers that a double holds exactly stay `number`; the few
 * beyond 2^53 become `bigint`. `normalize` keeps that rule: a bigint is never one that fits in a number.
 */
import type { Bytes } from "../bytes.ts";

/** An integer of 64 bits: `number` when |value| < 2^53, else `bigint`. */
export type Int64 = number | bigint;

export const INT64_MAX = 9223372036854775807n;
export const INT64_MIN = -9223372036854775808n;

/** Up to this many digits a decimal number fits in a double without loss. */
const DIGITS_EXACT = 15;
/** "-9223372036854775808" */
const LENGTH_MAX = 20;
const ZERO = 48;
const NINE = 57;
const MINUS = 45;

/** The integer that `text` spells canonically, or undefined. */
export function parseInteger(text: Bytes): Int64 | undefined {
  const length = text.length;
  if (length === 0 || length > LENGTH_MAX) return undefined;
  const negative = text.charCodeAt(0) === MINUS;
  let at = negative ? 1 : 0;
  if (at === length) return undefined;
  if (text.charCodeAt(at) === ZERO) return length === 1 ? 0 : undefined;
  let value = 0;
  for (; at < length; at++) {
    const digit = text.charCodeAt(at);
    if (digit < ZERO || digit > NINE) return undefined;
    value = value * 10 + (digit - ZERO);
  }
  if (length <= DIGITS_EXACT) return negative ? -value : value;
  const exact = BigInt(text);
  return exact > INT64_MAX || exact < INT64_MIN ? undefined : normalize(exact);
}

/** The same value, as `number` when that is exact. */
export function normalize(value: bigint): Int64 {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** The sum, or undefined when it does not fit in 64 bits. */
export function addIntegers(a: Int64, b: Int64): Int64 | undefined {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  const sum = BigInt(a) + BigInt(b);
  return sum > INT64_MAX || sum < INT64_MIN ? undefined : normalize(sum);
}
