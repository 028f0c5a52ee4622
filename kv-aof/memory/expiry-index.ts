/**
 * Which keys expire, and when: two dense arrays, so that looking for expired ones is a walk over numbers that touches no
 * entry. An entry knows its place (cell.ts word 2); removing one moves the last into the gap.
 *
 * Redis samples 20 keys at random and repeats while a quarter had expired. The walk goes round instead: every key is
 * looked at once per lap, so an expired key is found within one lap, not with a probability.
 */
import { WORD_EXPIRY } from "./cell.ts";
import { SLAB_SHIFT, type Slabs, UNIT_MASK } from "./slabs.ts";

/** Places looked at in one call: 65536 take about 0.1 ms. */
const PLACES_PER_CALL = 65536;

export class ExpiryIndex {
  readonly #slabs: Slabs;
  #times = new Float64Array(16);
  #entries = new Int32Array(16);
  #count = 0;
  #hand = 0;

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
  }

  get count(): number {
    return this.#count;
  }

  /** The time at a place (word 2 of an entry, not 0). */
  timeAt(place: number): number {
    return this.#times[place - 1]!;
  }

  setTimeAt(place: number, at: number): void {
    this.#times[place - 1] = at;
  }

  add(entry: number, at: number): void {
    if (this.#count === this.#times.length) this.#grow();
    this.#times[this.#count] = at;
    this.#entries[this.#count] = entry;
    this.#count++;
    this.#setPlace(entry, this.#count);
  }

  remove(place: number): void {
    this.#setPlace(this.#entries[place - 1]!, 0);
    this.#count--;
    if (place - 1 !== this.#count) {
      const last = this.#entries[this.#count]!;
      this.#times[place - 1] = this.#times[this.#count]!;
      this.#entries[place - 1] = last;
      this.#setPlace(last, place);
    }
    if (this.#times.length > 1024 && this.#count * 4 < this.#times.length) this.#resize(this.#times.length >> 1);
  }

  /** The entry of this place has moved to another cell. */
  moved(place: number, entry: number): void {
    this.#entries[place - 1] = entry;
  }

  /** Goes on round the index; up to `count` entries whose time is <= `now`, each at most once. */
  findExpired(now: number, count: number): number[] {
    const found: number[] = [];
    const steps = Math.min(this.#count, PLACES_PER_CALL);
    let hand = this.#hand;
    for (let step = 0; step < steps && found.length < count; step++) {
      if (hand >= this.#count) hand = 0;
      if (this.#times[hand]! <= now) found.push(this.#entries[hand]!);
      hand++;
    }
    this.#hand = hand;
    return found;
  }

  #setPlace(entry: number, place: number): void {
    this.#slabs.words[entry >>> SLAB_SHIFT]![((entry & UNIT_MASK) << 1) + WORD_EXPIRY] = place;
  }

  #grow(): void {
    this.#resize(this.#times.length * 2);
  }

  #resize(places: number): void {
    const times = new Float64Array(places);
    times.set(this.#times.subarray(0, this.#count));
    const entries = new Int32Array(places);
    entries.set(this.#entries.subarray(0, this.#count));
    this.#times = times;
    this.#entries = entries;
  }
}
