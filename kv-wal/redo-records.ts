/**
 * Redo records: changes of single pages, physical to a page and logical inside it, as in InnoDB. The forward path and
 * recovery apply a record through the same function, from the same bytes: what replay does is what execution did.
 *
 *     record    page | type ≪ 28 (4) · slot, offset or other small number (2) · length (2) · content · zeros
 *
 *     INIT      1   page type | level ≪ 8           the page is new and empty
 *     INSERT    2   slot      length, bytes         a record of a tree page
 *     REPLACE   3   slot      length, bytes
 *     REMOVE    4   slot
 *     TRUNCATE  5   slot                            removes the records from slot on
 *     FILL      6   0         length, bytes         appends records, which follow one another (splits)
 *     PATCH     7   offset    length, bytes         overwrites bytes of the page
 *     APPEND    8   records   length, bytes         appends so many records to an undo page, at its heap top
 *     END       9                                   ends a mini-transaction; the first four bytes only
 *
 * Everything starts at multiples of four, in the log as in the pages, so that it can be copied by words; hence the zeros.
 *
 * Invariants: R1 the records between two ENDs are replayed together or not at all. R2 a record is applied only to a page
 * whose LSN is smaller than the end of its mini-transaction, which then becomes the page's LSN.
 */
import { assert } from "../common/assert.ts";
import { copyBytes, copyWords, readU16, readU32 } from "./bytes-view.ts";
import { type Arena, PAGE_BODY_AT, PAGE_COUNT_AT, PAGE_SIZE, PAGE_TOP_AT } from "./page.ts";

export const Redo = {
  INIT: 1,
  INSERT: 2,
  REPLACE: 3,
  REMOVE: 4,
  TRUNCATE: 5,
  FILL: 6,
  PATCH: 7,
  APPEND: 8,
  END: 9,
} as const;
export type Redo = (typeof Redo)[keyof typeof Redo];
export const REDO_NAMES = ["", "init", "insert", "replace", "remove", "truncate", "fill", "patch", "append", "end"];

export const REDO_HEADER_BYTES = 8;
export const REDO_END_BYTES = 4;
const TYPE_SHIFT = 28;
/** Pages that a record can name: 4 TiB. */
export const REDO_PAGES_MAX = 2 ** TYPE_SHIFT;

/** Writes a record's header as two words; `at` counts bytes. */
export function writeRedoHeader(
  words: Uint32Array,
  at: number,
  type: number,
  page: number,
  where: number,
  length: number,
): void {
  words[at >> 2] = (type << TYPE_SHIFT) | page;
  words[(at >> 2) + 1] = where | (length << 16);
}

export function writeRedoEnd(words: Uint32Array, at: number): void {
  words[at >> 2] = Redo.END << TYPE_SHIFT;
}

export function redoType(bytes: Uint8Array, at: number): number {
  return bytes[at + 3]! >>> 4;
}
export function redoPage(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) & (REDO_PAGES_MAX - 1);
}
export function redoWhere(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + 4);
}

/** The length of the record at `at`, or −1 when it does not end before `end`, or 0 when there is no such record type. */
export function redoLength(bytes: Uint8Array, at: number, end: number): number {
  if (at + REDO_END_BYTES > end) return -1;
  const type = redoType(bytes, at);
  if (type === Redo.END) return REDO_END_BYTES;
  if (type < Redo.INIT || type > Redo.APPEND) return 0;
  if (at + REDO_HEADER_BYTES > end) return -1;
  const length = REDO_HEADER_BYTES + ((readU16(bytes, at + 6) + 3) & ~3);
  return at + length > end ? -1 : length;
}

/** Applies the record at `at` in `log` (`words` are its words) to its page, which is in the arena at `base`. */
export function applyRedo(arena: Arena, base: number, log: Buffer, words: Uint32Array, at: number): void {
  const from = at + REDO_HEADER_BYTES;
  applyContent(arena, base, redoType(log, at), redoWhere(log, at), log, words, from, readU16(log, at + 6));
}

/** The same, for one who has just written the header; the content starts at `from`. */
export function applyContent(
  arena: Arena,
  base: number,
  type: number,
  where: number,
  log: Buffer,
  words: Uint32Array,
  from: number,
  length: number,
): void {
  switch (type) {
    case Redo.PATCH:
      assert(where + length <= PAGE_SIZE, "redo: a patch stays in its page");
      if (((where | length) & 3) === 0) copyWords(words, from >> 2, arena.words, (base + where) >> 2, length >> 2);
      else copyBytes(log, from, arena.bytes, base + where, length);
      break;
    case Redo.APPEND:
      appendToUndo(arena, base, where, words, from, length);
      break;
    case Redo.INSERT:
      arena.insert(base, where, log, from, length);
      break;
    case Redo.REPLACE:
      arena.replace(base, where, log, from, length);
      break;
    case Redo.REMOVE:
      arena.remove(base, where);
      break;
    case Redo.TRUNCATE:
      arena.truncate(base, where);
      break;
    case Redo.FILL:
      fill(arena, base, log, from, length);
      break;
    case Redo.INIT:
      arena.init(base, redoPage(log, from - REDO_HEADER_BYTES), where & 0xff, where >>> 8);
      break;
    default:
      assert(false, `redo: no record type ${type}`);
  }
}

function appendToUndo(
  arena: Arena,
  base: number,
  records: number,
  words: Uint32Array,
  from: number,
  length: number,
): void {
  const topAt = (base + PAGE_TOP_AT) >> 1;
  const top = arena.halves[topAt]!;
  assert(top >= PAGE_BODY_AT && top + length <= PAGE_SIZE, "redo: an undo page has room");
  assert(((top | length) & 3) === 0, "redo: undo records are whole words");
  copyWords(words, from >> 2, arena.words, (base + top) >> 2, length >> 2);
  arena.halves[topAt] = top + length;
  const countAt = (base + PAGE_COUNT_AT) >> 1;
  arena.halves[countAt] = arena.halves[countAt]! + records;
}

/** Appends records that follow one another; each says itself how long it is. */
function fill(arena: Arena, base: number, log: Buffer, from: number, length: number): void {
  const level = arena.levelOf(base);
  let at = from;
  while (at < from + length) {
    const size = recordSizeIn(log, at, level);
    arena.insert(base, arena.countOf(base), log, at, size);
    at += size;
  }
  assert(at === from + length, "redo: records of a fill end together");
}

function recordSizeIn(log: Buffer, at: number, level: number): number {
  const payload = level === 0 ? 12 + (readU16(log, at + 14) & 0x1fff) : 4;
  return (16 + readU16(log, at + 12) + payload + 3) & ~3;
}
