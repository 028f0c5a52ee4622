/**
 * Memory for what is stored, off the JavaScript heap: slabs of 256 KiB, each cut into cells of one size.
 *
 *     slab (class "104 bytes")   │ cell │ cell │ free ─┐ cell │ free <┘ │ never used …
 *                                                      └─ the slab's own free list
 *
 * A cell is named by a reference: slab number << 15 | offset in units of 8 bytes, as a signed 32-bit integer. 0 is no
 * cell. So one store holds up to 2^17 slabs, 32 GiB of cells.
 *
 * Rules:
 * 1. Cell sizes are multiples of 8 up to 512, then eight steps per doubling: at most an eighth is wasted.
 * 2. A cell larger than 16 KiB is a slab of its own (a very long key; long values live outside, see store.ts).
 * 3. Word 0 of a free cell is the next free cell of its slab; word 3 is 0 in a free cell and never in a used one, which is
 *    how compaction tells them apart.
 * 4. A slab without used cells is given back: to a small pool for any size, then to the operating system.
 */
import { assert } from "../../common/assert.ts";
import { CommandError } from "../../common/errors.ts";

const SLAB_BYTES = 256 * 1024;
export const SLAB_SHIFT = 15;
export const UNIT_MASK = (1 << SLAB_SHIFT) - 1;
const SLAB_COUNT_MAX = 1 << 17;
/** The largest cell that shares a slab with others. */
export const CELL_BYTES_MAX = 16 * 1024;
/** A cell holds at least the header of an entry (store.ts). */
const CELL_BYTES_MIN = 24;
const POOL_SLABS_MAX = 8;

const FINE_CLASSES = 64;
const CLASS_COUNT = FINE_CLASSES + 40;
/** The "class" of a slab that is one cell (rule 2). */
const CLASS_SINGLE = 254;
/** The "class" of a slab number that is not in use. */
const CLASS_NONE = 255;

/** The size class of a cell for `sizeBytes`. */
function classOf(sizeBytes: number): number {
  if (sizeBytes <= 512) return (sizeBytes + 7) >> 3;
  const exponent = 31 - Math.clz32(sizeBytes - 1);
  return FINE_CLASSES + 1 + ((exponent - 9) << 3) + (((sizeBytes - 1) >> (exponent - 3)) & 7);
}

const CELL_BYTES: Int32Array = (() => {
  const sizes = new Int32Array(CLASS_COUNT + 1);
  for (let i = 1; i <= FINE_CLASSES; i++) sizes[i] = i * 8;
  for (let i = FINE_CLASSES + 1; i <= CLASS_COUNT; i++) {
    const step = i - FINE_CLASSES - 1;
    sizes[i] = (9 + (step & 7)) << (6 + (step >> 3));
  }
  return sizes;
})();
const CELLS_PER_SLAB: Int32Array = CELL_BYTES.map((size) => (size === 0 ? 0 : SLAB_BYTES / size));

export class Slabs {
  /** By slab number; both are views of the same memory. */
  readonly bytes: Buffer[] = [Buffer.alloc(0)];
  readonly words: Int32Array[] = [new Int32Array(0)];

  // What is known of each slab. Slabs of a class that have room form a doubly linked list.
  #classes = new Uint8Array(64).fill(CLASS_NONE);
  #used = new Int32Array(64);
  #touched = new Int32Array(64);
  #freeCell = new Int32Array(64);
  #next = new Int32Array(64);
  #previous = new Int32Array(64);
  readonly #withRoom = new Int32Array(CLASS_COUNT + 1);
  readonly #slabsOf = new Int32Array(CLASS_COUNT + 1);
  readonly #usedOf = new Int32Array(CLASS_COUNT + 1);

  readonly #freeNumbers: number[] = [];
  readonly #pool: Buffer[] = [];
  /** The slab that compaction empties: nothing is allocated in it. 0: none. */
  #evacuating = 0;

  /** Bytes of all slabs. */
  reservedBytes = 0;

  /** A cell of at least `sizeBytes`. Its contents are whatever was there, except that word 3 is the caller's to set. */
  allocate(sizeBytes: number): number {
    if (sizeBytes > CELL_BYTES_MAX) return this.#addSlab(CLASS_SINGLE, (sizeBytes + 7) & ~7) << SLAB_SHIFT;
    const sizeClass = classOf(Math.max(sizeBytes, CELL_BYTES_MIN));
    let slab = this.#withRoom[sizeClass]!;
    if (slab === 0) {
      slab = this.#addSlab(sizeClass, SLAB_BYTES);
      this.#link(slab, sizeClass);
    }
    this.#usedOf[sizeClass]!++;
    this.#used[slab]!++;
    let cell = this.#freeCell[slab]!;
    if (cell !== 0) {
      this.#freeCell[slab] = this.words[slab]![(cell & UNIT_MASK) << 1]!;
    } else {
      const units = CELL_BYTES[sizeClass]! >> 3;
      cell = (slab << SLAB_SHIFT) | (this.#touched[slab]! * units);
      this.#touched[slab]!++;
    }
    if (this.#freeCell[slab] === 0 && this.#touched[slab] === CELLS_PER_SLAB[sizeClass]!) this.#unlink(slab, sizeClass);
    return cell;
  }

  free(cell: number): void {
    const slab = cell >>> SLAB_SHIFT;
    const sizeClass = this.#classes[slab]!;
    if (sizeClass === CLASS_SINGLE) {
      this.#dropSlab(slab);
      return;
    }
    const words = this.words[slab]!;
    const word = (cell & UNIT_MASK) << 1;
    assert(words[word + 3] !== 0, "slabs: a cell is freed once");
    const wasFull = this.#freeCell[slab] === 0 && this.#touched[slab] === CELLS_PER_SLAB[sizeClass]!;
    words[word] = this.#freeCell[slab]!;
    words[word + 3] = 0;
    this.#freeCell[slab] = cell;
    this.#usedOf[sizeClass]!--;
    const left = --this.#used[slab]!;
    if (slab === this.#evacuating) {
      if (left === 0) this.#release(slab, sizeClass);
      return;
    }
    if (wasFull) this.#link(slab, sizeClass);
    // One empty slab of a class stays, so that a single key written and deleted in turn costs no slab each time.
    if (left === 0 && (this.#next[slab] !== 0 || this.#previous[slab] !== 0)) {
      this.#unlink(slab, sizeClass);
      this.#release(slab, sizeClass);
    }
  }

  /** Bytes of a cell. */
  capacity(cell: number): number {
    const slab = cell >>> SLAB_SHIFT;
    const sizeClass = this.#classes[slab]!;
    return sizeClass === CLASS_SINGLE ? this.bytes[slab]!.length : CELL_BYTES[sizeClass]!;
  }

  /** Starts to empty the emptiest slab of a class that wastes more than a quarter; false when there is none. */
  beginEvacuation(): boolean {
    if (this.#evacuating !== 0) return true;
    for (let sizeClass = 1; sizeClass <= CLASS_COUNT; sizeClass++) {
      const cells = this.#slabsOf[sizeClass]! * CELLS_PER_SLAB[sizeClass]!;
      const room = cells - this.#usedOf[sizeClass]!;
      // Two slabs' worth of room: after the evacuation there is still room, so it never needs, nor causes, a new slab.
      if (room < 2 * CELLS_PER_SLAB[sizeClass]! || room * 4 < cells) continue;
      let emptiest = 0;
      for (let slab = this.#withRoom[sizeClass]!; slab !== 0; slab = this.#next[slab]!) {
        if (emptiest === 0 || this.#used[slab]! < this.#used[emptiest]!) emptiest = slab;
      }
      this.#unlink(emptiest, sizeClass);
      if (this.#used[emptiest] === 0) {
        this.#release(emptiest, sizeClass);
        continue;
      }
      this.#evacuating = emptiest;
      return true;
    }
    return false;
  }

  /** A used cell of the slab that is being emptied, or 0 when it is empty and gone. */
  nextToEvacuate(from: number): number {
    const slab = this.#evacuating;
    if (slab === 0) return 0;
    const units = CELL_BYTES[this.#classes[slab]!]! >> 3;
    const words = this.words[slab]!;
    const start = from >>> SLAB_SHIFT === slab ? (from & UNIT_MASK) / units : 0;
    for (let index = start; index < this.#touched[slab]!; index++) {
      if (words[((index * units) << 1) + 3] !== 0) return (slab << SLAB_SHIFT) | (index * units);
    }
    assert(start > 0, "slabs: a slab being emptied has used cells until it is gone");
    return this.nextToEvacuate(0);
  }

  #addSlab(sizeClass: number, sizeBytes: number): number {
    let number = this.#freeNumbers.pop();
    if (number === undefined) {
      number = this.bytes.length;
      if (number === SLAB_COUNT_MAX) throw new CommandError("OOM one database holds at most 32 GiB");
      if (number === this.#classes.length) this.#growTables();
    }
    const memory = (sizeBytes === SLAB_BYTES ? this.#pool.pop() : undefined) ?? Buffer.allocUnsafeSlow(sizeBytes);
    this.bytes[number] = memory;
    this.words[number] = new Int32Array(memory.buffer, memory.byteOffset, memory.length >> 2);
    this.#classes[number] = sizeClass;
    this.#used[number] = 0;
    this.#touched[number] = 0;
    this.#freeCell[number] = 0;
    if (sizeClass !== CLASS_SINGLE) this.#slabsOf[sizeClass]!++;
    this.reservedBytes += sizeBytes;
    return number;
  }

  #growTables(): void {
    const grow = (old: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const grown = new Int32Array(old.length * 2);
      grown.set(old);
      return grown;
    };
    const classes = new Uint8Array(this.#classes.length * 2).fill(CLASS_NONE);
    classes.set(this.#classes);
    this.#classes = classes;
    this.#used = grow(this.#used);
    this.#touched = grow(this.#touched);
    this.#freeCell = grow(this.#freeCell);
    this.#next = grow(this.#next);
    this.#previous = grow(this.#previous);
  }

  #release(slab: number, sizeClass: number): void {
    assert(this.#used[slab] === 0, "slabs: only an empty slab is given back");
    this.#slabsOf[sizeClass]!--;
    if (slab === this.#evacuating) this.#evacuating = 0;
    if (this.#pool.length < POOL_SLABS_MAX) this.#pool.push(this.bytes[slab]!);
    this.#dropSlab(slab);
  }

  #dropSlab(slab: number): void {
    this.reservedBytes -= this.bytes[slab]!.length;
    this.bytes[slab] = this.bytes[0]!;
    this.words[slab] = this.words[0]!;
    this.#classes[slab] = CLASS_NONE;
    this.#freeNumbers.push(slab);
  }

  #link(slab: number, sizeClass: number): void {
    const first = this.#withRoom[sizeClass]!;
    this.#next[slab] = first;
    this.#previous[slab] = 0;
    if (first !== 0) this.#previous[first] = slab;
    this.#withRoom[sizeClass] = slab;
  }

  #unlink(slab: number, sizeClass: number): void {
    const next = this.#next[slab]!;
    const previous = this.#previous[slab]!;
    if (next !== 0) this.#previous[next] = previous;
    if (previous !== 0) this.#next[previous] = next;
    else this.#withRoom[sizeClass] = next;
    this.#next[slab] = 0;
    this.#previous[slab] = 0;
  }
}
