/**
 * Which page leaves the buffer pool next: InnoDB's list with a midpoint.
 *
 *     most recent ── young ────────────── │ ── old, 37 % ──────── least recent → evicted
 *                        made young ↑     ↑ a page that was read from the file comes in here
 *
 * A page that is read once, by a scan or ahead of one, passes through the old part only and pushes out nothing that is
 * used again and again. It becomes young when it is used once more, `oldBlocksMs` or later after its first use: the rows
 * of a page are visited by a scan in one go, which is not being used again.
 *
 * Young pages move to the front only when a quarter of the young part's length has been evicted since they were there, so
 * hot pages cost one comparison. Until the first eviction there is one part only and nothing moves: all data fits.
 */
import type { Clock } from "../common/host.ts";

export const NONE = -1;
/** Old pages are looked at on every use. */
const ALWAYS = Number.NEGATIVE_INFINITY;

export class LruList {
  readonly #clock: Clock;
  readonly #newer: Int32Array;
  readonly #older: Int32Array;
  readonly #isOld: Uint8Array;
  /** Evictions there had been when a young frame was last moved to the front. */
  readonly #frontAt: Float64Array;
  /** When a frame's page was first used; 0: not yet, it was read ahead. */
  readonly #usedAt: Float64Array;
  #mostRecent = NONE;
  #leastRecent = NONE;
  /** The most recent old frame: new pages come in before it. NONE until the list is divided. */
  #firstOld = NONE;
  #length = 0;
  #oldLength = 0;
  #isDivided = false;
  #moveAfter = 0;
  evictions = 0;
  /** Old pages that were used again: late enough, or too soon. */
  madeYoung = 0;
  notMadeYoung = 0;
  /** Pages that were read ahead and evicted without having been used. */
  uselessReads = 0;
  oldPercent = 37;
  oldBlocksMs = 1000;

  constructor(clock: Clock, frames: number) {
    this.#clock = clock;
    this.#newer = new Int32Array(frames).fill(NONE);
    this.#older = new Int32Array(frames).fill(NONE);
    this.#isOld = new Uint8Array(frames);
    this.#frontAt = new Float64Array(frames);
    this.#usedAt = new Float64Array(frames);
  }

  get oldLength(): number {
    return this.#oldLength;
  }
  get youngLength(): number {
    return this.#length - this.#oldLength;
  }
  get coldest(): number {
    return this.#leastRecent;
  }
  get warmest(): number {
    return this.#mostRecent;
  }
  warmer(frame: number): number {
    return this.#newer[frame]!;
  }
  colder(frame: number): number {
    return this.#older[frame]!;
  }
  isOld(frame: number): boolean {
    return this.#isOld[frame] !== 0;
  }

  /** Adds a frame whose page was just made, at the front. */
  addYoung(frame: number): void {
    this.#length++;
    this.#usedAt[frame] = this.#clock.monotonic();
    this.#pushFront(frame);
    this.#balance();
  }

  /** Adds a frame whose page was read from the file, at the midpoint; `ahead`: nobody has asked for it yet. */
  addRead(frame: number, ahead: boolean): void {
    this.#length++;
    this.#usedAt[frame] = ahead ? 0 : this.#clock.monotonic();
    if (!this.#isDivided) {
      this.#pushFront(frame);
      return;
    }
    this.#setOld(frame);
    const before = this.#firstOld;
    const newer = before === NONE ? this.#leastRecent : this.#newer[before]!;
    this.#newer[frame] = newer;
    this.#older[frame] = before;
    if (newer === NONE) this.#mostRecent = frame;
    else this.#older[newer] = frame;
    if (before === NONE) this.#leastRecent = frame;
    else this.#newer[before] = frame;
    this.#firstOld = frame;
    this.#balance();
  }

  /** Whether `touch` has something to decide about a frame that is used. */
  isStale(frame: number): boolean {
    return this.evictions - this.#frontAt[frame]! > this.#moveAfter;
  }

  /** A stale frame is used. */
  touch(frame: number): void {
    if (this.#isOld[frame] !== 0) {
      const now = this.#clock.monotonic();
      if (this.#usedAt[frame] === 0) {
        this.#usedAt[frame] = now;
        return;
      }
      if (now - this.#usedAt[frame]! < this.oldBlocksMs) {
        this.notMadeYoung++;
        return;
      }
      this.madeYoung++;
    }
    this.moveToFront(frame);
  }

  moveToFront(frame: number): void {
    this.#unlink(frame);
    this.#pushFront(frame);
    this.#balance();
  }

  /** Takes out a frame: its page is evicted. */
  evict(frame: number): void {
    if (this.#usedAt[frame] === 0) this.uselessReads++;
    this.evictions++;
    this.remove(frame);
  }

  /** Takes out a frame. */
  remove(frame: number): void {
    this.#unlink(frame);
    this.#length--;
    this.#isDivided ||= this.evictions > 0;
    this.#balance();
  }

  /** Moves the midpoint until the old part has its share. */
  #balance(): void {
    if (!this.#isDivided) return;
    const goal = Math.floor((this.#length * this.oldPercent) / 100);
    while (this.#oldLength < goal) {
      this.#firstOld = this.#firstOld === NONE ? this.#leastRecent : this.#newer[this.#firstOld]!;
      this.#setOld(this.#firstOld);
    }
    while (this.#oldLength > goal) {
      const frame = this.#firstOld;
      this.#firstOld = this.#older[frame]!;
      this.#setYoung(frame);
      this.#oldLength--;
    }
    this.#moveAfter = this.youngLength >> 2;
  }

  #setOld(frame: number): void {
    this.#isOld[frame] = 1;
    this.#frontAt[frame] = ALWAYS;
    this.#oldLength++;
  }

  #setYoung(frame: number): void {
    this.#isOld[frame] = 0;
    this.#frontAt[frame] = this.evictions;
  }

  #pushFront(frame: number): void {
    this.#setYoung(frame);
    this.#newer[frame] = NONE;
    this.#older[frame] = this.#mostRecent;
    if (this.#mostRecent === NONE) this.#leastRecent = frame;
    else this.#newer[this.#mostRecent] = frame;
    this.#mostRecent = frame;
  }

  #unlink(frame: number): void {
    const newer = this.#newer[frame]!;
    const older = this.#older[frame]!;
    if (newer === NONE) this.#mostRecent = older;
    else this.#older[newer] = older;
    if (older === NONE) this.#leastRecent = newer;
    else this.#newer[older] = newer;
    if (this.#isOld[frame] === 0) return;
    if (this.#firstOld === frame) this.#firstOld = older;
    this.#oldLength--;
    this.#isOld[frame] = 0;
  }
}
