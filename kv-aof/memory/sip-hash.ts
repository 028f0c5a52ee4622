/**
 * HalfSipHash-1-2: SipHash's 32-bit sibling (Aumasson, Bernstein), keyed with 8 secret random bytes, so that a client
 * cannot choose keys that all fall into one bucket. Redis uses SipHash-1-2; the half-width rounds are what JavaScript's
 * 32-bit integers do natively.
 */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";

export class SipHash {
  readonly #k0: number;
  readonly #k1: number;

  /** `seed` is 8 random bytes. */
  constructor(seed: Uint8Array) {
    assert(seed.length === 8, "the hash seed is 8 bytes");
    const view = new DataView(seed.buffer, seed.byteOffset, 8);
    this.#k0 = view.getInt32(0, true);
    this.#k1 = view.getInt32(4, true);
  }

  /** The hash of a byte string, a signed 32-bit integer. */
  of(text: Bytes): number {
    const length = text.length;
    const whole = length & ~3;
    let v0 = this.#k0;
    let v1 = this.#k1;
    let v2 = 0x6c796765 ^ v0;
    let v3 = 0x74656462 ^ v1;
    // One round per 4 bytes, then the last word (which carries the length), then two rounds to finish.
    for (let at = 0; at <= whole; at += 4) {
      let word: number;
      if (at < whole) {
        word =
          text.charCodeAt(at) |
          (text.charCodeAt(at + 1) << 8) |
          (text.charCodeAt(at + 2) << 16) |
          (text.charCodeAt(at + 3) << 24);
      } else {
        word = length << 24;
        for (let tail = length - 1; tail >= whole; tail--) word |= text.charCodeAt(tail) << ((tail - whole) << 3);
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    v2 ^= 0xff;
    for (let round = 0; round < 2; round++) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    return v1 ^ v3;
  }
}
