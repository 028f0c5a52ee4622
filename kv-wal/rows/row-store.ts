/**
 * What all containers of the keyspace stand on: finding, iterating and removing rows of the tree.
 */
import { type Bytes, sliceBytes, toBuffer } from "../../common/bytes.ts";
import type { BTree } from "../b-tree.ts";
import { BinlogCapture } from "../binlog/row-capture.ts";
import type { BufferPool } from "../buffer-pool.ts";
import { viewOf } from "../bytes-view.ts";
import { type Chain, REFERENCE_BYTES, readChain, readReference, referenceOf } from "../overflow.ts";
import { type Arena, FLAG_EXTERNAL, PAGE_SIZE, RECORD_TAIL_AT } from "../page.ts";
import { needsChain } from "../row-format.ts";
import { NO_VERSION, type RowVersions } from "../row-versions.ts";
import type { SpaceHeader } from "../space-header.ts";
import type { Transactions } from "../transaction.ts";
import { walkPastDamage } from "./damaged-walk.ts";
import { hash32, TAIL_MAX, tailOf } from "./layout.ts";

/** How often a random row is looked for where rows are dense, before all are counted. */
const RANDOM_TRIES = 16;
/** Keys gathered before rows are changed. */
const GATHERED = 256;

/** A value made ready to be stored: in the row, or as a reference to a chain. */
export interface Stored {
  readonly flags: number;
  readonly rest: Bytes;
}

/** A value where it lies: bytes [at, at + size). */
export interface OldBody {
  readonly bytes: DataView;
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
  readonly versions: RowVersions;
  /** Force-recovery: walks pass over damaged pages. */
  passesDamage = false;
  #seed = 0;
  /** The row of the last `search`, as the running command sees it. */
  record = 0;
  readonly #old: OldBody;

  constructor(pool: BufferPool, tree: BTree, header: SpaceHeader, transactions: Transactions, versions: RowVersions) {
    this.pool = pool;
    this.arena = pool.arena;
    this.#old = { bytes: pool.arena.view, at: 0, size: 0 };
    this.tree = tree;
    this.header = header;
    this.transactions = transactions;
    this.versions = versions;
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

  /**
   * Makes a body ready for the row with these words and this key: as it is, or in a chain (with the key, if that is long).
   * Before the search for the row.
   */
  store(hi: number, mid: number, key: Bytes, headLength: number, body: Bytes): Stored {
    if (!this.needsChain(key, headLength, body)) return { flags: 0, rest: body };
    const owner = { hi, mid, low: this.hashOf(key) };
    const chain = this.transactions.buildChain(owner, key.length > TAIL_MAX ? key : "", body);
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
      return { bytes: viewOf(bytes), at: 0, size: bytes.length };
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

  /**
   * Visits the rows with these two words, from `low` on, in order, as the running command sees them, until the visitor stops.
   * It must not change rows.
   */
  each(hi: number, mid: number, low: number, visit: VisitRecord): void {
    this.#walk(
      hi,
      mid,
      low,
      (record) => this.hi(record) === hi && this.mid(record) === mid && this.#visitVersion(record, visit),
    );
  }

  /** As `each`, over every `mid`. */
  eachHi(hi: number, visit: VisitRecord): void {
    this.#walk(hi, 0, 0, (record) => this.hi(record) === hi && this.#visitVersion(record, visit));
  }

  /** Visits the version of the row that the running command sees. */
  #visitVersion(newest: number, visit: VisitRecord): boolean {
    if (this.versions.inUse === 0) return visit(newest);
    const record = this.versions.visible(newest);
    if (record === NO_VERSION) return true;
    // An older version lies in an undo page; the visitor may read chains, which ends the operation that holds it.
    const frame = Math.floor(record / PAGE_SIZE);
    this.pool.pin(frame);
    const goesOn = visit(record);
    this.pool.unpin(frame);
    return goesOn;
  }

  /** Visits every row, or version of one, in the tree. */
  #walk(hi: number, mid: number, low: number, visit: VisitRecord): void {
    const { tree, pool, arena } = this;
    if (this.passesDamage) {
      walkPastDamage(pool, { words: [hi, mid, low], tail: "" }, visit);
      return;
    }
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
    if (this.versions.inUse === 0) return this.#randomNewest(hi, mid, pick);
    for (let tries = 0; tries < RANDOM_TRIES; tries++) {
      const newest = this.#randomNewest(hi, mid, pick);
      if (newest === undefined) return undefined;
      const record = this.versions.visible(newest);
      if (record !== NO_VERSION) return record;
    }
    // Nearly all of them are rows that others have deleted or not committed: takes one of those that are left.
    let left = 0;
    this.each(hi, mid, 0, () => ++left > 0);
    if (left === 0) return undefined;
    let skip = pick(left);
    let found: number | undefined;
    this.each(hi, mid, 0, (record) => {
      found = record;
      return skip-- > 0;
    });
    return found;
  }

  #randomNewest(hi: number, mid: number, pick: (bound: number) => number): number | undefined {
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

  /**
   * Calls `change` for the last part of the key of every row with these two words; it may delete that row. The keys are
   * gathered some at a time, because rows must not change while they are visited.
   */
  eachKey(hi: number, mid: number, change: (low: number, tail: Bytes) => void): void {
    const lows: number[] = [];
    const tails: Bytes[] = [];
    for (let from = 0; ; from = lows.at(-1)!) {
      lows.length = 0;
      tails.length = 0;
      this.each(hi, mid, from, (record) => {
        // Rows with equal hashes come together: the next part begins behind a hash.
        if (lows.length >= GATHERED && this.low(record) !== lows.at(-1)) return false;
        lows.push(this.low(record));
        tails.push(this.tail(record));
        return true;
      });
      for (let i = 0; i < lows.length; i++) change(lows[i]!, tails[i]!);
      if (lows.length < GATHERED) return;
    }
  }

  /** Deletes every row with these two words. */
  deleteRange(hi: number, mid: number): void {
    this.eachKey(hi, mid, (low, tail) => {
      this.tree.search(hi, mid, low, tail);
      this.transactions.delete();
    });
  }

  /**
   * Finds a row by its key or field; it is in `record` then. When there is none, the tree's position may still be on one
   * with a delete mark: `transactions.insert` takes care of that.
   */
  search(hi: number, mid: number, key: Bytes): boolean {
    if (!this.tree.search(hi, mid, this.hashOf(key), tailOf(key))) return false;
    this.record = this.tree.record;
    if (this.versions.inUse === 0) return true;
    this.record = this.versions.visible(this.record);
    return this.record !== NO_VERSION;
  }
}
