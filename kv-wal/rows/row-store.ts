/**
 * What all containers of the keyspace stand on: finding, iterating and removing rows of the tree.
 */
import { type Bytes, sliceBytes, toBuffer } from "../../common/bytes.ts";
import type { BTree } from "../b-tree.ts";
import { BinlogCapture } from "../binlog/row-capture.ts";
import type { BufferPool } from "../buffer-pool.ts";
import { type Chain, REFERENCE_BYTES, readChain, readReference, referenceOf } from "../overflow.ts";
import { type Arena, FLAG_EXTERNAL, PAGE_SIZE, RECORD_TAIL_AT } from "../page.ts";
import type { SpaceHeader } from "../space-header.ts";
import { needsChain, type Transactions } from "../transaction.ts";
import { hash32, TAIL_MAX, tailOf } from "./layout.ts";

/** A value made ready to be stored: in the row, or as a reference to a chain. */
export interface Stored {
  readonly flags: number;
  readonly rest: Bytes;
}

/** A value where it lies: bytes [at, at + size). */
export interface OldBody {
  readonly bytes: Buffer;
  at: number;
  size: number;
}

/** A visitor answers false to stop. The record's place in the arena stays good until it returns. */
export type VisitRecord = (record: number) => boolean;

export class RowStore {
  readonly pool: BufferPool;
  readonly arena: Arena;
  readonly tree: BTree;
  readonly header: SpaceHeader;
  readonly transactions: Transactions;
  /** Told of every change, before the tree is. */
  readonly capture = new BinlogCapture();
  #seed = 0;
  readonly #old: OldBody;

  constructor(pool: BufferPool, tree: BTree, header: SpaceHeader, transactions: Transactions) {
    this.pool = pool;
    this.arena = pool.arena;
    this.#old = { bytes: pool.arena.bytes, at: 0, size: 0 };
    this.tree = tree;
    this.header = header;
    this.transactions = transactions;
  }

  open(): void {
    this.#seed = this.header.hashSeed;
  }

  hashOf(bytes: Bytes): number {
    return hash32(this.#seed, bytes);
  }

  /** True when key and body do not fit into a row: `store` will build a chain, so positions of before are lost. */
  needsChain(key: Bytes, headLength: number, body: Bytes): boolean {
    return key.length > TAIL_MAX || needsChain(key.length, headLength + body.length);
  }

  /** Makes a body ready: as it is, or in a chain (with the key, if that is long). Before the search for its row. */
  store(key: Bytes, headLength: number, body: Bytes): Stored {
    if (!this.needsChain(key, headLength, body)) return { flags: 0, rest: body };
    const chain = this.transactions.buildChain(key.length > TAIL_MAX ? key : "", body);
    return { flags: FLAG_EXTERNAL, rest: referenceOf(chain) };
  }

  /** The chain of the record, which is external. */
  chainOf(record: number): Chain {
    const end = this.arena.valueAt(record) + this.arena.valueLength(record);
    return readReference(this.arena.bytes, end - REFERENCE_BYTES);
  }

  /** Length of the body behind `headLength` bytes of the value. */
  bodyLength(record: number, headLength: number): number {
    if (this.arena.isExternal(record)) return this.chainOf(record).bodyBytes;
    return this.arena.valueLength(record) - headLength;
  }

  /** Bytes [start, end) of the body. Reading a chain ends the tree's position. */
  bodySlice(record: number, headLength: number, start: number, end: number): Bytes {
    if (!this.arena.isExternal(record)) {
      const at = this.arena.valueAt(record) + headLength;
      return sliceBytes(this.arena.bytes, at + start, at + end);
    }
    const chain = this.chainOf(record);
    return readChain(this.pool, chain, chain.keyBytes + start, chain.keyBytes + end);
  }

  body(record: number, headLength: number): Bytes {
    return this.bodySlice(record, headLength, 0, this.bodyLength(record, headLength));
  }

  /** The body as bytes to be copied at once: those of the page, or of the chain. Reading a chain ends the tree's position. */
  oldBody(record: number, headLength: number): OldBody {
    if (this.arena.isExternal(record)) {
      const bytes = toBuffer(this.body(record, headLength));
      return { bytes, at: 0, size: bytes.length };
    }
    this.#old.at = this.arena.valueAt(record) + headLength;
    this.#old.size = this.arena.valueLength(record) - headLength;
    return this.#old;
  }

  /** What follows the head, as stored: the body or the reference. */
  rest(record: number, headLength: number): Bytes {
    const at = this.arena.valueAt(record);
    return sliceBytes(this.arena.bytes, at + headLength, at + this.arena.valueLength(record));
  }

  tail(record: number): Bytes {
    const at = record + RECORD_TAIL_AT;
    return sliceBytes(this.arena.bytes, at, at + this.arena.tailLength(record));
  }

  /** The key or field of a row, however long. */
  keyOf(record: number): Bytes {
    if (this.arena.tailLength(record) <= TAIL_MAX) return this.tail(record);
    const chain = this.chainOf(record);
    return readChain(this.pool, chain, 0, chain.keyBytes);
  }

  hi(record: number): number {
    return this.arena.words[record >> 2]!;
  }
  mid(record: number): number {
    return this.arena.words[(record >> 2) + 1]!;
  }
  low(record: number): number {
    return this.arena.words[(record >> 2) + 2]!;
  }

  /** Visits the rows with these two words, from `low` on, in order, until the visitor stops. It must not change rows. */
  each(hi: number, mid: number, low: number, visit: VisitRecord): void {
    this.#walk(hi, mid, low, (record) => this.hi(record) === hi && this.mid(record) === mid && visit(record));
  }

  /** As `each`, over every `mid`. */
  eachHi(hi: number, visit: VisitRecord): void {
    this.#walk(hi, 0, 0, (record) => this.hi(record) === hi && visit(record));
  }

  #walk(hi: number, mid: number, low: number, visit: VisitRecord): void {
    const { tree, pool, arena } = this;
    tree.search(hi, mid, low, "");
    if (!tree.settle()) return;
    let { frame, slot } = tree;
    pool.pin(frame);
    for (;;) {
      if (!visit(arena.recordAt(frame * PAGE_SIZE, slot))) break;
      slot++;
      if (slot < arena.countOf(frame * PAGE_SIZE)) continue;
      const next = arena.nextOf(frame * PAGE_SIZE);
      if (next === 0) break;
      pool.unpin(frame);
      pool.beginOperation();
      frame = pool.fetch(next);
      pool.pin(frame);
      slot = 0;
    }
    pool.unpin(frame);
  }

  /** Some row with these two words, roughly uniform: a random place in hash order, then any row of the leaf there. */
  random(hi: number, mid: number, pick: (bound: number) => number): number | undefined {
    const { tree, arena } = this;
    tree.search(hi, mid, pick(0x100000000), "");
    let base = tree.frame * PAGE_SIZE;
    let from = arena.lowerBound(base, hi, mid, 0, "");
    let to = arena.lowerBound(base, hi, mid + 1, 0, "");
    if (from === to) {
      // The place lies behind the last row, at the border of two leaves: the nearest rows are at the start or behind.
      if (!this.#seek(hi, mid, tree)) return undefined;
      base = tree.frame * PAGE_SIZE;
      from = tree.slot;
      to = arena.lowerBound(base, hi, mid + 1, 0, "");
    }
    return arena.recordAt(base, from + pick(to - from));
  }

  #seek(hi: number, mid: number, tree: BTree): boolean {
    if (tree.settle() && this.hi(tree.record) === hi && this.mid(tree.record) === mid) return true;
    tree.search(hi, mid, 0, "");
    return tree.settle() && this.hi(tree.record) === hi && this.mid(tree.record) === mid;
  }

  /** The first row at or behind the key; undefined when there is none. */
  first(hi: number, mid: number): number | undefined {
    this.tree.search(hi, mid, 0, "");
    return this.tree.settle() ? this.tree.record : undefined;
  }

  /** Deletes every row with these two words. */
  deleteRange(hi: number, mid: number): void {
    for (;;) {
      const record = this.first(hi, mid);
      if (record === undefined || this.hi(record) !== hi || this.mid(record) !== mid) return;
      // Stepping to the next leaf has left the search's path behind, so the row is searched by its whole key.
      this.tree.search(hi, mid, this.low(record), this.tail(record));
      this.transactions.delete();
    }
  }

  /** Finds a row by its key or field. */
  search(hi: number, mid: number, key: Bytes): boolean {
    return this.tree.search(hi, mid, this.hashOf(key), tailOf(key));
  }
}
