/** Hashes of 53 bits: of pages, of names, and of several hashes together. The same in every process. */

const HASH_HIGH = 2 ** 21;

/** Two sums of 32 bits over the words, mixed and put together to 53 bits. */
export function hashPage(words: Int32Array): number {
  let a = 0x9e3779b9 | 0;
  let b = 0x85ebca6b | 0;
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as number;
    a = Math.imul(a ^ word, 0x01000193) + (a >>> 15);
    b = Math.imul(b + word, 0x5bd1e995) ^ (b >>> 13);
  }
  return mix(a, b);
}

/** A number of 53 bits from two of 32. */
export function mix(a: number, b: number): number {
  a = Math.imul(a ^ (a >>> 16), 0x7feb352d);
  b = Math.imul(b ^ (b >>> 15), 0x846ca68b);
  a ^= b >>> 16;
  return ((a >>> 0) % HASH_HIGH) * 2 ** 32 + (b >>> 0);
}

/** `hash` and `value` (both up to 53 bits) as one hash; order matters. */
export function combine(hash: number, value: number): number {
  const a = Math.imul((hash / 2 ** 32) ^ (value | 0), 0x2c1b3c6d) + ((value / 2 ** 32) | 0);
  const b = Math.imul((hash | 0) ^ Math.imul(value | 0, 0x297a2d39), 0x5bd1e995) ^ (a >>> 7);
  return mix(a, b);
}

export function hashText(text: string): number {
  let a = 0x811c9dc5 | 0;
  let b = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b + code, 0x5bd1e995) ^ (b >>> 13);
  }
  return mix(a, b);
}
