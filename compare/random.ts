/** Seeded randomness: the same seed gives the same run, byte for byte. */
import { assert } from "../common/assert.ts";
import type { Random } from "../common/host.ts";

/** Four words of state, passed on by sfc32 (Chris Doty-Humphrey's PractRand): small, fast and without known weakness here. */
export class SeededRandom implements Random {
  readonly #state = new Uint32Array(4);

  constructor(seed: number) {
    assert(Number.isSafeInteger(seed) && seed >= 0, "a seed is a whole number, 0 or more");
    this.#state.set([seed, Math.floor(seed / 2 ** 32), 0x9e3779b9, 1]);
    // The first outputs still show the seed's bits.
    for (let round = 0; round < 12; round++) this.#next();
  }

  below(bound: number): number {
    return Math.floor((this.#next() / 2 ** 32) * bound);
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + (this.#next() / 2 ** 32) * (high - low);
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    assert(choices.length > 0, "there is something to pick");
    return choices[this.below(choices.length)] as T;
  }

  #next(): number {
    const state = this.#state;
    const [a, b, c, d] = [state[0]!, state[1]!, state[2]!, state[3]!];
    const sum = (a + b + d) >>> 0;
    state[3] = d + 1;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + sum;
    return sum;
  }
}
