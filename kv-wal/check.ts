/**
 * Checks a recovered tablespace as a whole, and goes on behind what is damaged. Every page must be exactly one of: header,
 * tree, chain of a row, undo, free. The tree must be in order (b-tree.ts T1–T3, page.ts P1–P3), the pages of each level linked
 * in that order, and what is counted must agree with the rows (rows-check.ts).
 *
 * Where a page of the tree is lost, what it leads to cannot be told from garbage: then orphans and counts are not judged.
 */

import { bitmapPageOf, GROUP_PAGES } from "./free-space.ts";
import { attempt, describeProblem, type Problem, pageProblem } from "./inspect/problem.ts";
import { RowsCheck } from "./inspect/rows-check.ts";
import { undoPageProblem } from "./inspect/undo-check.ts";
import { type Chain, chainPages, OVERFLOW_OWNER_AT, REFERENCE_BYTES, readReference } from "./overflow.ts";
import {
  type Arena,
  PAGE_BODY_AT,
  PAGE_GARBAGE_AT,
  PAGE_SIZE,
  PAGE_TOP_AT,
  PAGE_TYPE_NAMES,
  PageType,
} from "./page.ts";
import { ROOT_PAGE } from "./space-header.ts";
import type { Storage } from "./storage.ts";
import { compareKeys, type Key, keyAt, showKey } from "./tree-key.ts";

interface Child {
  readonly page: number;
  readonly key: Key;
}

/** What a page is, as `#use` says it. */
const USES = [
  "nothing",
  "the space header",
  "in the tree",
  "in a chain",
  "in the free list",
  "marked as free",
  "a bitmap of free pages",
  "in the undo log",
] as const;
type Use = (typeof USES)[number];

/** Nothing is known of the page to the left. */
const UNKNOWN = -1;

export class SpaceCheck {
  readonly found: Problem[] = [];
  readonly #storage: Storage;
  readonly #arena: Arena;
  /** What each page was found to be: an index of USES. */
  readonly #uses: Uint8Array;
  readonly #rows: RowsCheck;
  /** By level: the page that the walk has passed last, and which page it names as the next. */
  readonly #passed: { page: number; next: number }[] = [];
  /** Something that leads to other pages could not be read. */
  #lost = false;

  constructor(storage: Storage) {
    this.#storage = storage;
    this.#arena = storage.pool.arena;
    this.#uses = new Uint8Array(storage.header.pages);
    this.#rows = new RowsCheck(storage, (page, reason) => this.#problem(page, reason));
  }

  /** What is wrong, as text. */
  get problems(): string[] {
    return this.found.map(describeProblem);
  }

  run(): void {
    const { header } = this.#storage;
    this.#use(0, "the space header");
    const rootLevel = this.#in(ROOT_PAGE, (base) => this.#arena.levelOf(base));
    if (rootLevel === undefined) this.#lost = true;
    else this.#walk(ROOT_PAGE, rootLevel, undefined, undefined);
    for (const { page, next } of this.#passed) {
      if (page > 0 && next !== 0) this.#problem(page, `the last page of its level names page ${next} as the next one`);
    }
    this.#freeList();
    this.#undoList();
    if (this.#lost) return;
    for (let page = 0; page < header.pages; page++) {
      if (this.#uses[page] === 0) this.#problem(page, "belongs to nothing");
    }
    this.#rows.finish();
  }

  #problem(page: number, reason: string, at = 0): void {
    this.found.push(pageProblem(page, reason, at));
  }

  /** Runs `look` on the page, which stays where it is meanwhile; undefined when the page is damaged. */
  #in<T>(page: number, look: (base: number) => T): T | undefined {
    const { pool } = this.#storage;
    pool.beginOperation();
    const frame = attempt(
      (problem) => this.found.push(problem),
      () => pool.fetch(page),
    );
    if (frame === undefined) {
      this.#lost = true;
      return undefined;
    }
    pool.pin(frame);
    const result = look(frame * PAGE_SIZE);
    pool.unpin(frame);
    return result;
  }

  /** False when the page is something else already, or none at all. */
  #use(page: number, use: Use): boolean {
    if (page >= this.#uses.length) {
      this.#problem(page, `is ${use}, but lies behind the end of the space (${this.#uses.length} pages)`);
      return false;
    }
    const before = this.#uses[page]!;
    if (before !== 0) this.#problem(page, `is ${USES[before]} and ${use}`);
    this.#uses[page] = USES.indexOf(use);
    return before === 0;
  }

  #walk(page: number, level: number, from: Key | undefined, to: Key | undefined): void {
    if (!this.#use(page, "in the tree")) return;
    const children = this.#in(page, (base) => this.#treePage(page, base, level, from, to));
    if (children === undefined) this.#passed[level] = { page: UNKNOWN, next: UNKNOWN };
    for (const [i, child] of (children ?? []).entries()) {
      this.#walk(child.page, level - 1, i === 0 ? from : child.key, children![i + 1]?.key ?? to);
    }
  }

  /** A page of the tree, by itself and beside its neighbours. Returns its children. */
  #treePage(
    page: number,
    base: number,
    level: number,
    from: Key | undefined,
    to: Key | undefined,
  ): Child[] | undefined {
    const arena = this.#arena;
    const type = level === 0 ? PageType.LEAF : PageType.NODE;
    if (arena.typeOf(base) !== type || arena.levelOf(base) !== level) {
      const name = PAGE_TYPE_NAMES[arena.typeOf(base)] ?? `page of type ${arena.typeOf(base)}`;
      this.#problem(page, `is a ${name} of level ${arena.levelOf(base)}, expected level ${level}`);
      this.#lost = true;
      return undefined;
    }
    this.#links(page, base, level);
    if (!this.#heap(page, base, level)) {
      this.#lost = true;
      return undefined;
    }
    return this.#records(page, base, level, from, to);
  }

  #links(page: number, base: number, level: number): void {
    const left = this.#passed[level] ?? { page: 0, next: page };
    const previous = this.#arena.previousOf(base);
    if (left.page !== UNKNOWN && previous !== left.page) {
      this.#problem(page, `names page ${previous} as the one before, which is page ${left.page}`);
    }
    if (left.next !== UNKNOWN && left.next !== page) {
      this.#problem(left.page, `names page ${left.next} as the next one, which is page ${page}`);
    }
    this.#passed[level] = { page, next: this.#arena.nextOf(base) };
  }

  /** Whether slots and records are where they may be (P2, P3). */
  #heap(page: number, base: number, level: number): boolean {
    const arena = this.#arena;
    const count = arena.countOf(base);
    const top = arena.halves[(base + PAGE_TOP_AT) >> 1]!;
    if (top < PAGE_BODY_AT || top + 2 * count > PAGE_SIZE) {
      this.#problem(page, `heap (to ${top}) and ${count} slots overlap`);
      return false;
    }
    let used = arena.halves[(base + PAGE_GARBAGE_AT) >> 1]!;
    for (let slot = 0; slot < count; slot++) {
      const at = arena.recordAt(base, slot) - base;
      const size = at >= PAGE_BODY_AT && at < top && at % 4 === 0 ? arena.sizeAt(base + at, level) : PAGE_SIZE;
      if (at + size > top) {
        this.#problem(page, `slot ${slot} names a record outside the heap`, at);
        return false;
      }
      used += size;
    }
    if (used !== top - PAGE_BODY_AT) this.#problem(page, `heap of ${top - PAGE_BODY_AT} bytes, but ${used} in use`);
    return true;
  }

  /** The records of a page: in order, inside [from, to). */
  #records(page: number, base: number, level: number, from: Key | undefined, to: Key | undefined): Child[] {
    const arena = this.#arena;
    const children: Child[] = [];
    let previous: Key | undefined;
    const count = arena.countOf(base);
    if (count === 0 && page !== ROOT_PAGE) this.#problem(page, "is empty");
    for (let slot = 0; slot < count; slot++) {
      const record = arena.recordAt(base, slot);
      const key = keyAt(arena, record);
      const at = record - base;
      if (previous !== undefined && compareKeys(previous, key) >= 0) {
        this.#problem(page, `slot ${slot}: ${showKey(previous)} is not before ${showKey(key)}`, at);
      }
      const counts = level === 0 || slot > 0;
      const isOutside = (from && compareKeys(key, from) < 0) || (to && compareKeys(key, to) >= 0);
      if (counts && isOutside)
        this.#problem(page, `slot ${slot}: ${showKey(key)} is outside the range of its page`, at);
      // The key of a node's first record says nothing: it counts as smaller than every key.
      if (counts) previous = key;
      if (level > 0) children.push({ page: arena.childOf(record), key });
      else this.#leafRecord(page, record, key);
    }
    return children;
  }

  #leafRecord(page: number, record: number, key: Key): void {
    const arena = this.#arena;
    if (arena.isExternal(record)) {
      const end = arena.valueAt(record) + arena.valueLength(record);
      this.#chain(readReference(arena.bytes, end - REFERENCE_BYTES), key);
    }
    this.#rows.row(page, record, key);
  }

  /** The chain of the row with this key. */
  #chain({ first, last, keyBytes, bodyBytes }: Chain, key: Key): void {
    const pages = chainPages(keyBytes + bodyBytes);
    let previous = 0;
    let page = first;
    for (let n = 1; n <= pages; n++) {
      if (!this.#use(page, "in a chain")) return;
      const next = this.#in(page, (base) => this.#chainPage(page, base, previous, key));
      if (next === undefined) return;
      if (n === pages && page !== last) this.#problem(page, `ends the chain of page ${first} instead of page ${last}`);
      if (n === pages && next !== 0) this.#problem(page, `ends a chain, but names page ${next} as the next one`);
      previous = page;
      page = next;
    }
  }

  /** A page of a chain, and what it says of the page before and of the row. Returns the next one. */
  #chainPage(page: number, base: number, previous: number, key: Key): number {
    const arena = this.#arena;
    if (arena.typeOf(base) !== PageType.OVERFLOW) this.#problem(page, "is in a chain, but not an overflow page");
    else {
      const said = arena.previousOf(base);
      if (said !== previous) this.#problem(page, `names page ${said} as the one before, which is page ${previous}`);
      const owner = (base + OVERFLOW_OWNER_AT) >> 2;
      if (key.words.some((word, i) => arena.words[owner + i] !== word)) {
        this.#problem(page, `is in the chain of ${showKey(key)}, but names another row`);
      }
    }
    return arena.nextOf(base);
  }

  #freeList(): void {
    const { header } = this.#storage;
    const { firstListed, listed, marked } = header.freeSpace;
    const pages = this.#list("in the free list", firstListed, () => {});
    if (pages !== undefined && pages !== listed) {
      this.#problem(0, `counts ${listed} pages in the free list, which has ${pages}`);
    }
    let found = 0;
    for (let first = 0; first < header.pages; first += GROUP_PAGES) found += this.#marked(first);
    if (!this.#lost && found !== marked) this.#problem(0, `counts ${marked} pages marked as free, which are ${found}`);
  }

  /** The free pages of the group that starts with page `first`, as its bitmap says. */
  #marked(first: number): number {
    const page = bitmapPageOf(first);
    if (!this.#use(page, "a bitmap of free pages")) return 0;
    return (
      this.#in(page, (base) => {
        const { bytes } = this.#arena;
        if (this.#arena.typeOf(base) !== PageType.BITMAP) this.#problem(page, "is not a bitmap of free pages");
        let found = 0;
        for (let i = 0; i < GROUP_PAGES; i += 8) {
          for (let bits = bytes[base + PAGE_BODY_AT + (i >> 3)]!, bit = 0; bits >> bit !== 0; bit++) {
            if (((bits >> bit) & 1) === 0) continue;
            found++;
            this.#use(first + i + bit, "marked as free");
          }
        }
        return found;
      }) ?? 0
    );
  }

  #undoList(): void {
    const { header } = this.#storage;
    let last = 0;
    const pages = this.#list("in the undo log", header.oldestUndo, (page, base) => {
      last = page;
      const problem = undoPageProblem(this.#arena, base);
      if (problem !== undefined) this.#problem(page, problem.reason, problem.at);
    });
    if (pages !== undefined && last !== header.newestUndo) {
      this.#problem(0, `names page ${header.newestUndo} as the newest of the undo log, which is page ${last}`);
    }
  }

  /** Follows a list by `next`; returns its length, undefined when it cannot be followed to its end. */
  #list(use: Use, first: number, look: (page: number, base: number) => void): number | undefined {
    let pages = 0;
    for (let page = first; page !== 0; pages++) {
      if (!this.#use(page, use)) return undefined;
      const next = this.#in(page, (base) => {
        look(page, base);
        return this.#arena.nextOf(base);
      });
      if (next === undefined) return undefined;
      page = next;
    }
    return pages;
  }
}
