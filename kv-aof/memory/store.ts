/**
 * The contents of one database: entries in slabs, their values, the dictionary of keys, the expiry index. SWAPDB exchanges
 * two of these, FLUSHDB drops one.
 *
 * Where a value lives:
 * - in the entry's cell behind the key, while both fit into the largest cell: overwriting it touches one place in memory;
 * - else in a buffer of its own ("LARGE"), an object of the store, which grows by half so that APPEND is cheap;
 * - a large hash has a dictionary, also an object of the store, whose fields are entries in the same slabs.
 *
 * An entry may move to another cell whenever its value changes size: methods that may move it return where it is now.
 */
import { assert, present } from "../../common/assert.ts";
import { BYTES_LENGTH_MAX, type Bytes, sliceBytes, writeBytes } from "../../common/bytes.ts";
import {
  CELL_HEADER_BYTES,
  DICTIONARY,
  FIELD,
  KIND_MASK,
  LARGE,
  TYPE_MASK,
  WORD_EXPIRY,
  WORD_HASH,
  WORD_KEY_LENGTH,
  WORD_KIND,
  WORD_OBJECT,
  WORD_OWNER,
  WORD_VALUE_LENGTH,
} from "./cell.ts";
import { Dictionary } from "./dictionary.ts";
import { ExpiryIndex } from "./expiry-index.ts";
import { CELL_BYTES_MAX, SLAB_SHIFT, Slabs, UNIT_MASK } from "./slabs.ts";

/** A value outside its cell. `bytes` may be longer than the value. */
export class LargeValue {
  bytes: Buffer;
  length: number;
  constructor(length: number, capacity: number) {
    this.bytes = Buffer.allocUnsafeSlow(capacity);
    this.length = length;
  }
}

/** Somebody who must see the entry of a key as it is before it changes or goes. */
export interface ChangeObserver {
  beforeChange(entry: number): void;
}

/** Below this a loop over characters beats the native call. */
const SHORT_TEXT = 20;

/** Copies `text` to `at`. */
export function copyText(bytes: Buffer, text: Bytes, at: number): void {
  const length = text.length;
  if (length > SHORT_TEXT) writeBytes(bytes, text, at);
  else for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
}

export class Store {
  readonly slabs = new Slabs();
  readonly keys = new Dictionary(this.slabs);
  readonly expiry = new ExpiryIndex(this.slabs);
  readonly #objects: (LargeValue | Dictionary | undefined)[] = [undefined];
  readonly #freeObjects: number[] = [];

  /** The snapshot that is being made of this store (snapshot.ts). */
  observer: ChangeObserver | undefined;
  /** What SAVED is in entries that the last snapshot has, or that are younger. */
  savedBit = 0;

  /** Where `view` found a value. */
  viewBytes: Buffer = Buffer.alloc(0);
  viewAt = 0;
  viewLength = 0;

  word(entry: number, word: number): number {
    return this.slabs.words[entry >>> SLAB_SHIFT]![((entry & UNIT_MASK) << 1) + word]!;
  }

  setWord(entry: number, word: number, value: number): void {
    this.slabs.words[entry >>> SLAB_SHIFT]![((entry & UNIT_MASK) << 1) + word] = value;
  }

  kind(entry: number): number {
    return this.word(entry, WORD_KIND) & KIND_MASK;
  }

  setKind(entry: number, kind: number): void {
    this.setWord(entry, WORD_KIND, (this.word(entry, WORD_KIND) & ~KIND_MASK) | kind);
  }

  key(entry: number): Bytes {
    const at = ((entry & UNIT_MASK) << 3) + CELL_HEADER_BYTES;
    return sliceBytes(this.slabs.bytes[entry >>> SLAB_SHIFT]!, at, at + this.word(entry, WORD_KEY_LENGTH));
  }

  /**
   * Makes an entry with a value of `valueLength` bytes, to be filled by the caller, and links it into `dictionary`.
   * `owner` is the object number of the dictionary of a large hash, 0 for a key.
   */
  create(dictionary: Dictionary, owner: number, key: Bytes, hash: number, kind: number, valueLength: number): number {
    const inline = CELL_HEADER_BYTES + key.length + valueLength <= CELL_BYTES_MAX;
    const cell = this.slabs.allocate(CELL_HEADER_BYTES + key.length + (inline ? valueLength : 0));
    const slab = cell >>> SLAB_SHIFT;
    const words = this.slabs.words[slab]!;
    const word = (cell & UNIT_MASK) << 1;
    words[word + WORD_HASH] = hash;
    words[word + WORD_OWNER] = owner;
    words[word + WORD_KIND] = inline ? kind : kind | LARGE;
    words[word + WORD_KEY_LENGTH] = key.length;
    words[word + WORD_VALUE_LENGTH] = inline ? valueLength : this.#addLarge(valueLength, valueLength);
    copyText(this.slabs.bytes[slab]!, key, (word << 2) + CELL_HEADER_BYTES);
    dictionary.insert(cell, hash);
    return cell;
  }

  /** Unlinks an entry and frees everything it has. */
  remove(dictionary: Dictionary, entry: number): void {
    dictionary.unlink(entry, this.word(entry, WORD_HASH));
    this.#destroy(entry);
  }

  /** Frees the value of an entry and makes it an empty string in the cell, of another kind. */
  dropValue(entry: number, kind: number): void {
    this.#freeObjectOf(entry);
    this.setKind(entry, kind);
    this.setWord(entry, WORD_VALUE_LENGTH, 0);
  }

  /** Finds the bytes of a value: see viewBytes, viewAt, viewLength. Valid until the next change. */
  view(entry: number): void {
    const slab = entry >>> SLAB_SHIFT;
    const words = this.slabs.words[slab]!;
    const word = (entry & UNIT_MASK) << 1;
    if ((words[word + WORD_KIND]! & LARGE) === 0) {
      this.viewBytes = this.slabs.bytes[slab]!;
      this.viewAt = (word << 2) + CELL_HEADER_BYTES + words[word + WORD_KEY_LENGTH]!;
      this.viewLength = words[word + WORD_VALUE_LENGTH]!;
    } else {
      const large = this.large(entry);
      this.viewBytes = large.bytes;
      this.viewAt = 0;
      this.viewLength = large.length;
    }
  }

  valueLength(entry: number): number {
    return (this.word(entry, WORD_KIND) & LARGE) === 0 ? this.word(entry, WORD_VALUE_LENGTH) : this.large(entry).length;
  }

  value(entry: number): Bytes {
    this.view(entry);
    return sliceBytes(this.viewBytes, this.viewAt, this.viewAt + this.viewLength);
  }

  /** Replaces the value; returns where the entry is now. */
  setValue(dictionary: Dictionary, entry: number, value: Bytes): number {
    const slab = entry >>> SLAB_SHIFT;
    const words = this.slabs.words[slab]!;
    const word = (entry & UNIT_MASK) << 1;
    const at = CELL_HEADER_BYTES + words[word + WORD_KEY_LENGTH]!;
    if ((words[word + WORD_KIND]! & LARGE) === 0 && this.#suits(entry, at + value.length)) {
      words[word + WORD_VALUE_LENGTH] = value.length;
      copyText(this.slabs.bytes[slab]!, value, (word << 2) + at);
      return entry;
    }
    if ((words[word + WORD_KIND]! & LARGE) !== 0 && at + value.length > CELL_BYTES_MAX) {
      this.#overwriteLarge(entry, value);
      return entry;
    }
    const placed = this.resizeValue(dictionary, entry, value.length);
    this.view(placed);
    copyText(this.viewBytes, value, this.viewAt);
    return placed;
  }

  /** Makes the value `length` bytes long: its beginning stays, what is new is unset. Returns where the entry is now. */
  resizeValue(dictionary: Dictionary, entry: number, length: number): number {
    assert(length <= BYTES_LENGTH_MAX, "store: a value is no longer than a byte string can be");
    const kind = this.kind(entry);
    const keyBytes = CELL_HEADER_BYTES + this.word(entry, WORD_KEY_LENGTH);
    if (keyBytes + length <= CELL_BYTES_MAX) {
      if ((kind & LARGE) === 0) {
        const placed = this.#suits(entry, keyBytes + length)
          ? entry
          : this.#move(dictionary, entry, keyBytes + length, keyBytes + Math.min(length, this.valueLength(entry)));
        this.setWord(placed, WORD_VALUE_LENGTH, length);
        return placed;
      }
      const large = this.large(entry);
      this.#freeObjectOf(entry);
      const placed = this.#move(dictionary, entry, keyBytes + length, keyBytes);
      this.setKind(placed, kind & ~LARGE);
      this.setWord(placed, WORD_VALUE_LENGTH, length);
      this.view(placed);
      large.bytes.copy(this.viewBytes, this.viewAt, 0, Math.min(length, large.length));
      return placed;
    }
    if ((kind & LARGE) !== 0) {
      const large = this.large(entry);
      if (length > large.bytes.length || length * 4 < large.bytes.length) {
        const growing = length > large.length;
        const grown = new LargeValue(length, growing ? Math.min(length + (length >> 1), BYTES_LENGTH_MAX) : length);
        large.bytes.copy(grown.bytes, 0, 0, Math.min(length, large.length));
        this.#objects[this.word(entry, WORD_OBJECT)] = grown;
      }
      this.large(entry).length = length;
      return entry;
    }
    this.view(entry);
    const number = this.#addLarge(length, length);
    const large = this.#objects[number] as LargeValue;
    this.viewBytes.copy(large.bytes, 0, this.viewAt, this.viewAt + this.viewLength);
    return this.#placeObject(dictionary, entry, kind | LARGE, number);
  }

  /** The value of a key becomes an empty dictionary; returns where the entry is now. */
  makeDictionary(entry: number, kind: number): number {
    this.#freeObjectOf(entry);
    return this.#placeObject(
      this.keys,
      entry,
      (kind & ~LARGE) | DICTIONARY,
      this.#addObject(new Dictionary(this.slabs)),
    );
  }

  /** The dictionary of a large hash. */
  dictionary(entry: number): Dictionary {
    return this.#objects[this.word(entry, WORD_OBJECT)] as Dictionary;
  }

  large(entry: number): LargeValue {
    return this.#objects[this.word(entry, WORD_OBJECT)] as LargeValue;
  }

  /** Gives the value of one key to another key, whose own value is dropped; `from` is left an empty string. */
  giveValue(from: number, to: number): number {
    const kind = this.kind(from);
    this.#freeObjectOf(to);
    if ((kind & (LARGE | DICTIONARY)) !== 0) {
      const placed = this.#placeObject(this.keys, to, kind, this.word(from, WORD_OBJECT));
      this.setKind(from, kind & TYPE_MASK);
      this.setWord(from, WORD_VALUE_LENGTH, 0);
      return placed;
    }
    this.setKind(to, kind);
    this.setWord(to, WORD_VALUE_LENGTH, 0);
    return this.copyValue(this, from, to, kind);
  }

  /** Copies a value that is plain bytes from an entry of `source`. */
  copyValue(source: Store, from: number, to: number, kind: number): number {
    const placed = this.resizeValue(this.keys, to, source.valueLength(from));
    source.view(from);
    const { viewBytes, viewAt, viewLength } = source;
    this.view(placed);
    viewBytes.copy(this.viewBytes, this.viewAt, viewAt, viewAt + viewLength);
    this.setKind(placed, (kind & ~LARGE) | (this.kind(placed) & LARGE));
    return placed;
  }

  /** Compaction: moves up to `cells` entries out of sparsely used slabs; false when there is nothing to do. */
  compact(cells: number): boolean {
    if (!this.slabs.beginEvacuation()) return false;
    let entry = 0;
    for (let moved = 0; moved < cells; moved++) {
      entry = this.slabs.nextToEvacuate(entry);
      if (entry === 0) return true;
      const isField = (this.kind(entry) & TYPE_MASK) === FIELD;
      const dictionary = isField ? (this.#objects[this.word(entry, WORD_OWNER)] as Dictionary) : this.keys;
      const sizeBytes = this.slabs.capacity(entry);
      this.#move(dictionary, entry, sizeBytes, sizeBytes);
    }
    return true;
  }

  /** A large value replaced by another large one, without room to spare: only APPEND and SETRANGE get some. */
  #overwriteLarge(entry: number, value: Bytes): void {
    let large = this.large(entry);
    if (value.length > large.bytes.length || value.length * 2 < large.bytes.length) {
      large = new LargeValue(value.length, value.length);
      this.#objects[this.word(entry, WORD_OBJECT)] = large;
    }
    large.length = value.length;
    copyText(large.bytes, value, 0);
  }

  /** True when a cell for `sizeBytes` would not be much smaller than the one there is. */
  #suits(entry: number, sizeBytes: number): boolean {
    const capacity = this.slabs.capacity(entry);
    return sizeBytes <= capacity && (sizeBytes * 4 >= capacity * 3 || capacity <= 32);
  }

  /** Moves an entry to a cell for `sizeBytes`, with its first `keptBytes`. */
  #move(dictionary: Dictionary, entry: number, sizeBytes: number, keptBytes: number): number {
    const cell = this.slabs.allocate(sizeBytes);
    const from = (entry & UNIT_MASK) << 3;
    this.slabs.bytes[entry >>> SLAB_SHIFT]!.copy(
      this.slabs.bytes[cell >>> SLAB_SHIFT]!,
      (cell & UNIT_MASK) << 3,
      from,
      from + keptBytes,
    );
    dictionary.replace(entry, cell, this.word(entry, WORD_HASH));
    const isField = (this.kind(cell) & TYPE_MASK) === FIELD;
    const place = isField ? 0 : this.word(cell, WORD_EXPIRY);
    if (place !== 0) this.expiry.moved(place, cell);
    this.slabs.free(entry);
    return cell;
  }

  /** The value of an entry becomes the object `number`; the cell shrinks to the key. */
  #placeObject(dictionary: Dictionary, entry: number, kind: number, number: number): number {
    const keyBytes = CELL_HEADER_BYTES + this.word(entry, WORD_KEY_LENGTH);
    const placed = this.#suits(entry, keyBytes) ? entry : this.#move(dictionary, entry, keyBytes, keyBytes);
    this.setKind(placed, kind);
    this.setWord(placed, WORD_OBJECT, number);
    return placed;
  }

  #addLarge(length: number, capacity: number): number {
    return this.#addObject(new LargeValue(length, capacity));
  }

  #addObject(object: LargeValue | Dictionary): number {
    const number = this.#freeObjects.pop() ?? this.#objects.length;
    this.#objects[number] = object;
    return number;
  }

  #destroy(entry: number): void {
    this.#freeObjectOf(entry);
    const isField = (this.kind(entry) & TYPE_MASK) === FIELD;
    const place = isField ? 0 : this.word(entry, WORD_EXPIRY);
    if (place !== 0) this.expiry.remove(place);
    this.slabs.free(entry);
  }

  #freeObjectOf(entry: number): void {
    const kind = this.kind(entry);
    if ((kind & (LARGE | DICTIONARY)) === 0) return;
    const number = this.word(entry, WORD_OBJECT);
    const object = present(this.#objects[number], "store: an entry's object is there");
    if (object instanceof Dictionary) object.each((field) => this.#destroy(field));
    this.#objects[number] = undefined;
    this.#freeObjects.push(number);
  }
}
