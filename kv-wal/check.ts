/**
 * Checks a recovered tablespace as a whole. Every page must be exactly one of: header, tree, chain of a row, undo, free. The
 * tree must be in order (b-tree.ts T1–T3, page.ts P1–P3), and every count must agree with the rows that it counts.
 */
import { type Bytes, sliceBytes, toText } from "../common/bytes.ts";
import { Type } from "../common/keyspace/keyspace.ts";
import { readU48 } from "./bytes-view.ts";
import { chainPages, REFERENCE_BYTES, readReference } from "./overflow.ts";
import {
  PAGE_BODY_AT,
  PAGE_GARBAGE_AT,
  PAGE_SIZE,
  PAGE_TOP_AT,
  PAGE_TYPE_NAMES,
  PageType,
  RECORD_TAIL_AT,
} from "./page.ts";
import { HAS_EXPIRY, Kind, TYPE_MASK } from "./rows/layout.ts";
import { DATABASES_MAX, ROOT_PAGE } from "./space-header.ts";
import type { Storage } from "./storage.ts";

interface Key {
  readonly words: readonly [number, number, number];
  readonly tail: Bytes;
}

function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < 3; i++) if (a.words[i] !== b.words[i]) return a.words[i]! - b.words[i]!;
  return a.tail < b.tail ? -1 : a.tail > b.tail ? 1 : 0;
}

function show(key: Key): string {
  return `(${key.words.map((word) => word.toString(16)).join(" ")} ${toText(key.tail.slice(0, 40))})`;
}

export class SpaceCheck {
  readonly problems: string[] = [];
  readonly #storage: Storage;
  /** What each page was found to be. */
  readonly #uses = new Map<number, string>();
  readonly #leaves: number[] = [];
  /** By kind and database or container: rows seen, and how many there should be. */
  readonly #rows = new Map<string, number>();
  readonly #expected = new Map<string, number>();
  rows = 0;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  run(): void {
    const { pool, header } = this.#storage;
    this.#use(0, "space header");
    const rootLevel = this.#in(ROOT_PAGE, (base) => pool.arena.levelOf(base));
    this.#walk(ROOT_PAGE, rootLevel, undefined, undefined);
    this.#leafLinks();
    this.#list("free", header.firstFree, header.freePages);
    this.#list("undo", header.oldestUndo, undefined);
    for (let page = 0; page < header.pages; page++) {
      if (!this.#uses.has(page)) this.problems.push(`page ${page} belongs to nothing`);
    }
    this.#counts();
  }

  /** Runs `look` on the page, which stays where it is meanwhile. */
  #in<T>(page: number, look: (base: number) => T): T {
    const { pool } = this.#storage;
    pool.beginOperation();
    const frame = pool.fetch(page);
    pool.pin(frame);
    const result = look(frame * PAGE_SIZE);
    pool.unpin(frame);
    return result;
  }

  #use(page: number, use: string): boolean {
    const before = this.#uses.get(page);
    if (before !== undefined) this.problems.push(`page ${page} is ${before} and ${use}`);
    if (page >= this.#storage.header.pages) this.problems.push(`page ${page} (${use}) lies behind the end`);
    this.#uses.set(page, use);
    return before === undefined;
  }

  #keyAt(record: number): Key {
    const { arena } = this.#storage.pool;
    const at = record >> 2;
    const from = record + RECORD_TAIL_AT;
    return {
      words: [arena.words[at]!, arena.words[at + 1]!, arena.words[at + 2]!],
      tail: sliceBytes(arena.bytes, from, from + arena.tailLength(record)),
    };
  }

  #walk(page: number, level: number, from: Key | undefined, to: Key | undefined): void {
    if (!this.#use(page, level === 0 ? "a leaf" : "a node")) return;
    const { arena } = this.#storage.pool;
    const children = this.#in(page, (base) => {
      const type = level === 0 ? PageType.LEAF : PageType.NODE;
      if (arena.typeOf(base) !== type || arena.levelOf(base) !== level) {
        const name = PAGE_TYPE_NAMES[arena.typeOf(base)];
        this.problems.push(`page ${page} is a ${name} of level ${arena.levelOf(base)}, expected level ${level}`);
        return [];
      }
      this.#heap(page, base, level);
      if (level === 0) this.#leaves.push(page);
      return this.#records(page, base, level, from, to);
    });
    for (const [i, { child, key }] of children.entries()) {
      this.#walk(child, level - 1, i === 0 ? from : key, children[i + 1]?.key ?? to);
    }
  }

  /** The records of a page: in order, inside [from, to). Returns the children of a node. */
  #records(page: number, base: number, level: number, from: Key | undefined, to: Key | undefined) {
    const { arena } = this.#storage.pool;
    const children: { child: number; key: Key }[] = [];
    let previous: Key | undefined;
    const count = arena.countOf(base);
    if (count === 0 && page !== ROOT_PAGE) this.problems.push(`page ${page} is empty`);
    for (let slot = 0; slot < count; slot++) {
      const record = arena.recordAt(base, slot);
      const key = this.#keyAt(record);
      if (previous !== undefined && compareKeys(previous, key) >= 0) {
        this.problems.push(`page ${page}: ${show(previous)} is not before ${show(key)}`);
      }
      const counts = level === 0 || slot > 0;
      const below = from !== undefined && compareKeys(key, from) < 0;
      const above = to !== undefined && compareKeys(key, to) >= 0;
      if (counts && (below || above)) {
        this.problems.push(`page ${page}: ${show(key)} is outside the range of its page`);
      }
      // The key of a node's first record says nothing: it counts as smaller than every key.
      if (counts) previous = key;
      if (level > 0) children.push({ child: arena.childOf(record), key });
      else this.#row(record, key);
    }
    return children;
  }

  #heap(page: number, base: number, level: number): void {
    const { arena } = this.#storage.pool;
    let used = arena.halves[(base + PAGE_GARBAGE_AT) >> 1]!;
    for (let slot = 0; slot < arena.countOf(base); slot++) used += arena.sizeAt(arena.recordAt(base, slot), level);
    const top = arena.halves[(base + PAGE_TOP_AT) >> 1]!;
    if (used !== top - PAGE_BODY_AT) this.problems.push(`page ${page}: heap of ${top - PAGE_BODY_AT}, used ${used}`);
    if (top + 2 * arena.countOf(base) > PAGE_SIZE) this.problems.push(`page ${page}: heap and slots overlap`);
  }

  #add(name: string, difference = 1): void {
    this.#rows.set(name, (this.#rows.get(name) ?? 0) + difference);
  }

  #row(record: number, key: Key): void {
    const { arena } = this.#storage.pool;
    const [hi, mid] = key.words;
    const value = arena.valueAt(record);
    this.rows++;
    if (arena.isExternal(record)) {
      const chain = readReference(arena.bytes, value + arena.valueLength(record) - REFERENCE_BYTES);
      this.#chain(chain.first, chain.last, chainPages(chain.keyBytes + chain.bodyBytes));
    }
    const kind = hi >>> 24;
    if (kind === Kind.FIELD) this.#add(`container ${(hi & 0xffffff) * 0x100000000 + mid}`);
    else if (kind === Kind.EXPIRY) this.#add(`expiring keys of database ${hi & 0xffffff}`);
    else if (kind === Kind.DIRECTORY) {
      this.#add(`keys of database ${mid}`);
      const first = arena.bytes[value]!;
      if ((first & TYPE_MASK) === Type.STRING) return;
      const at = value + ((first & HAS_EXPIRY) !== 0 ? 7 : 1);
      this.#expected.set(`container ${readU48(arena.bytes, at)}`, readU48(arena.bytes, at + 6));
    } else this.problems.push(`row of unknown kind ${kind}: ${show(key)}`);
  }

  #chain(first: number, last: number, pages: number): void {
    const { arena } = this.#storage.pool;
    let page = first;
    for (let n = 1; n <= pages; n++) {
      if (!this.#use(page, "in a chain")) return;
      if (n === pages && page !== last) this.problems.push(`chain ${first}: ends at page ${page} instead of ${last}`);
      page = this.#in(page, (base) => arena.nextOf(base));
    }
  }

  #leafLinks(): void {
    const { arena } = this.#storage.pool;
    for (const [i, page] of this.#leaves.entries()) {
      const [previous, next] = this.#in(page, (base) => [arena.previousOf(base), arena.nextOf(base)]);
      if (previous !== (this.#leaves[i - 1] ?? 0) || next !== (this.#leaves[i + 1] ?? 0)) {
        this.problems.push(`leaf ${page}: its neighbours are not ${previous} and ${next}`);
      }
    }
  }

  #list(use: string, first: number, count: number | undefined): void {
    const { arena } = this.#storage.pool;
    let pages = 0;
    for (let page = first; page !== 0; pages++) {
      if (!this.#use(page, use)) return;
      page = this.#in(page, (base) => arena.nextOf(base));
    }
    if (count !== undefined && pages !== count) this.problems.push(`${pages} ${use} pages instead of ${count}`);
  }

  #counts(): void {
    const { header } = this.#storage;
    for (let id = 0; id < DATABASES_MAX; id++) {
      this.#expected.set(`keys of database ${id}`, header.keys(id));
      this.#expected.set(`expiring keys of database ${id}`, header.expiringKeys(id));
    }
    for (const name of new Set([...this.#rows.keys(), ...this.#expected.keys()])) {
      const found = this.#rows.get(name) ?? 0;
      const expected = this.#expected.get(name) ?? 0;
      if (found !== expected) this.problems.push(`${name}: ${found} rows, counted ${expected}`);
    }
  }
}
