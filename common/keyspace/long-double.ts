/**
 * The x86 "long double" (80 bits: a mantissa of 64), because INCRBYFLOAT and HINCRBYFLOAT show its rounding: 0.1 + 0.2 is
 * 0.3 with 17 digits of a long double, and 0.30000000000000004 with those of a double. Exact, by BigInt.
 *
 * A value is mantissa × 2^exponent with |mantissa| < 2^64. Every operation computes the exact result and rounds it once,
 * half to even, as the processor does.
 */
import type { Bytes } from "../bytes.ts";

export interface LongDouble {
  readonly mantissa: bigint;
  readonly exponent: number;
}

const MANTISSA_BITS = 64;
/** The greatest long double is just below 2^16384; the least one above zero is 2^-16445. */
const MAGNITUDE_BITS_MAX = 16384;
const MAGNITUDE_BITS_MIN = -16445;
/** Redis's buffer for a float's text. */
const TEXT_LENGTH_MAX = 5 * 1024 - 1;
/** Decimal exponents outside ±this are out of range whatever the digits are (TEXT_LENGTH_MAX digits at most). */
const DECIMAL_EXPONENT_MAX = 11_000;
const FRACTION_DIGITS = 17;

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i;
const HEXADECIMAL = /^([+-]?)0x([\da-f]*)(?:\.([\da-f]*))?(?:p([+-]?\d+))?$/i;
const INFINITE = /^([+-]?)inf(?:inity)?$/i;

/** What strtold makes of a text as Redis calls it: undefined when it is no number or out of range. */
export function parseLongDouble(text: Bytes): LongDouble | "infinite" | undefined {
  if (text.length === 0 || text.length > TEXT_LENGTH_MAX) return undefined;
  const decimal = DECIMAL.exec(text);
  if (decimal !== null) return fromDigits(decimal, 10);
  const hexadecimal = HEXADECIMAL.exec(text);
  if (hexadecimal !== null) return fromDigits(hexadecimal, 16);
  return INFINITE.test(text) ? "infinite" : undefined;
}

function fromDigits(match: RegExpExecArray, base: 10 | 16): LongDouble | undefined {
  const [, sign, whole = "", fraction = "", power = "0"] = match;
  if (whole.length + fraction.length === 0) return undefined;
  const magnitude = BigInt(base === 16 ? `0x${whole}${fraction}` : whole + fraction);
  if (magnitude === 0n) return { mantissa: 0n, exponent: 0 };
  const digits = sign === "-" ? -magnitude : magnitude;
  if (base === 16) return inRange(digits, 1n, Number(power) - 4 * fraction.length);
  const exponent = Number(power) - fraction.length;
  if (Math.abs(exponent) > DECIMAL_EXPONENT_MAX) return undefined;
  return exponent >= 0
    ? inRange(digits * 10n ** BigInt(exponent), 1n, 0)
    : inRange(digits, 10n ** BigInt(-exponent), 0);
}

/** numerator ÷ denominator × 2^exponent as a long double; undefined when it overflows or becomes zero. */
function inRange(numerator: bigint, denominator: bigint, exponent: number): LongDouble | undefined {
  const value = round(numerator, denominator, exponent);
  const bits = bitLength(value.mantissa) + value.exponent;
  return bits > MAGNITUDE_BITS_MAX || bits <= MAGNITUDE_BITS_MIN ? undefined : value;
}

/** The sum; undefined when it is infinite. */
export function addLongDoubles(a: LongDouble, b: LongDouble): LongDouble | undefined {
  const exponent = Math.min(a.exponent, b.exponent);
  const sum = (a.mantissa << BigInt(a.exponent - exponent)) + (b.mantissa << BigInt(b.exponent - exponent));
  if (sum === 0n) return { mantissa: 0n, exponent: 0 };
  const value = round(sum, 1n, exponent);
  return bitLength(value.mantissa) + value.exponent > MAGNITUDE_BITS_MAX ? undefined : value;
}

/** As printf's %.17Lf without trailing zeros: how Redis stores and replies floats. */
export function formatLongDouble({ mantissa, exponent }: LongDouble): Bytes {
  const scaled = mantissa * 10n ** BigInt(FRACTION_DIGITS);
  const rounded = exponent >= 0 ? scaled << BigInt(exponent) : divideHalfEven(scaled, 1n << BigInt(-exponent));
  if (rounded === 0n) return "0";
  const digits = magnitudeOf(rounded)
    .toString()
    .padStart(FRACTION_DIGITS + 1, "0");
  const whole = digits.slice(0, -FRACTION_DIGITS);
  const fraction = digits.slice(-FRACTION_DIGITS).replace(/0+$/, "");
  return `${rounded < 0n ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** Rounds numerator ÷ denominator × 2^exponent to 64 bits of mantissa. */
function round(numerator: bigint, denominator: bigint, exponent: number): LongDouble {
  // Scale until the quotient has 64 bits, or 65 when the estimate is one too low; a second pass removes the 65th.
  const shift = MANTISSA_BITS - (bitLength(numerator) - bitLength(denominator));
  const up = shift > 0 ? numerator << BigInt(shift) : numerator;
  const down = shift < 0 ? denominator << BigInt(-shift) : denominator;
  const extra = bitLength(up / down) > MANTISSA_BITS ? 1 : 0;
  const mantissa = divideHalfEven(up, down << BigInt(extra));
  return { mantissa, exponent: exponent - shift + extra };
}

/** The quotient rounded to nearest, ties to even. The denominator is positive. */
function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  const magnitude = magnitudeOf(numerator);
  let quotient = magnitude / denominator;
  const twice = (magnitude % denominator) * 2n;
  if (twice > denominator || (twice === denominator && (quotient & 1n) === 1n)) quotient++;
  return numerator < 0n ? -quotient : quotient;
}

function magnitudeOf(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function bitLength(value: bigint): number {
  const hex = magnitudeOf(value).toString(16);
  return (hex.length - 1) * 4 + (32 - Math.clz32(Number.parseInt(hex[0]!, 16)));
}
