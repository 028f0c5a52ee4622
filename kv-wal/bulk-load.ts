/**
 * Loading rows in the order of their keys: leaves are filled to fifteen sixteenths, one behind the other, and each is one
 * mini-transaction: the page, its place in the list, its node record, and the counts of its rows. There is no search, no undo
 * and no transaction for a row; a full leaf costs as much redo as it has bytes.
 *
 * The tree is whole after every leaf: a crash leaves a prefix of the rows. Whoever loads into a folder says himself when it is
 * complete, as restore does. Rows must lie behind everything in the tree. A row is a leaf record (page.ts), its transaction id
 * and roll pointer included: 0, which every read view sees.
 */
import { assert } from "../common/assert.ts";
import type { BTree } from "./b-tree.ts";
import { copyBytes, readU16, readU32 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { PAGE_BODY_AT, PAGE_SIZE, RECORD_TAIL_AT, RECORD_TAIL_LENGTH_AT } from "./page.ts";
import { countRow, Kind } from "./rows/layout.ts";
import type { SpaceHeader } from "./space-header.ts";

/** Bytes of records and slots in a leaf: the last sixteenth is left for what comes between the rows. */
const FILLED_BYTES = ((PAGE_SIZE - PAGE_BODY_AT) * 15) / 16;
const SLOT_BYTES = 2;

export class BulkLoad {
  readonly #mini: MiniTransaction;
  readonly #header: SpaceHeader;
  readonly #tree: BTree;
  /** The leaf being filled: its records, one behind the other. */
  readonly #leaf = Buffer.alloc(PAGE_SIZE);
  readonly #starts: number[] = [];
  #length = 0;
  rows = 0;
  leaves = 0;

  constructor(mini: MiniTransaction, header: SpaceHeader, tree: BTree) {
    this.#mini = mini;
    this.#header = header;
    this.#tree = tree;
  }

  /** The next row: a leaf record of `length` bytes, whose key is larger than all before. */
  add(record: Buffer, length: number): void {
    assert(this.#isBehindLast(record), "bulk load: rows come in the order of their keys");
    const size = (length + 3) & ~3;
    const slots = SLOT_BYTES * (this.#starts.length + 1);
    if (this.#starts.length > 0 && this.#length + size + slots > FILLED_BYTES) this.#writeLeaf();
    copyBytes(record, 0, this.#leaf, this.#length, length);
    this.#leaf.fill(0, this.#length + length, this.#length + size);
    this.#starts.push(this.#length);
    this.#length += size;
    this.rows++;
  }

  /** Writes the last leaf. */
  finish(): void {
    if (this.#starts.length > 0) this.#writeLeaf();
  }

  #writeLeaf(): void {
    this.#tree.seekEnd(this.#leaf);
    this.#mini.begin();
    this.#tree.appendLeaf(this.#leaf, this.#length);
    this.#countRows();
    this.#mini.commit();
    this.#starts.length = 0;
    this.#length = 0;
    this.leaves++;
  }

  /** Rows that are counted in the space header come in runs: of one database, or of expiry times of one. */
  #countRows(): void {
    let first = 0;
    for (let i = 1; i <= this.#starts.length; i++) {
      if (i < this.#starts.length && this.#countedTogether(first, i)) continue;
      const at = this.#starts[first]!;
      countRow(this.#header, readU32(this.#leaf, at), readU32(this.#leaf, at + 4), i - first);
      first = i;
    }
  }

  #countedTogether(a: number, b: number): boolean {
    const [atA, atB] = [this.#starts[a]!, this.#starts[b]!];
    const hi = readU32(this.#leaf, atA);
    if (hi !== readU32(this.#leaf, atB)) return false;
    return hi >>> 24 === Kind.EXPIRY || readU32(this.#leaf, atA + 4) === readU32(this.#leaf, atB + 4);
  }

  #isBehindLast(record: Buffer): boolean {
    const last = this.#starts.at(-1);
    return last === undefined || compareRecords(this.#leaf, last, record, 0) < 0;
  }
}

/** The order of the keys of two leaf records. */
function compareRecords(a: Buffer, atA: number, b: Buffer, atB: number): number {
  for (let word = 0; word < RECORD_TAIL_LENGTH_AT; word += 4) {
    const difference = readU32(a, atA + word) - readU32(b, atB + word);
    if (difference !== 0) return difference;
  }
  const tailOf = (bytes: Buffer, at: number) =>
    bytes.subarray(at + RECORD_TAIL_AT, at + RECORD_TAIL_AT + readU16(bytes, at + RECORD_TAIL_LENGTH_AT));
  return tailOf(a, atA).compare(tailOf(b, atB));
}
