/**
 * Redo records: changes of single pages, physical to a page and logical inside it, as in InnoDB. The forward path and
 * recovery apply a record through the same function, from the same bytes: what replay does is what execution did.
 *
 *     INIT      01 page(4) page type(1) level(1)          the page is new and empty
 *     INSERT    02 page(4) slot(2) length(2) bytes        a record of a tree page
 *     REPLACE   03 page(4) slot(2) length(2) bytes
 *     REMOVE    04 page(4) slot(2)
 *     TRUNCATE  05 page(4) slot(2)                        removes the records from slot on
 *     FILL      06 page(4) slot(2) length(2) bytes        appends records, which follow one another (splits)
 *     PATCH     07 page(4) offset(2) length(2) bytes      overwrites bytes of the page
 *     APPEND    08 page(4) records(2) length(2) bytes     appends so many records to an undo page, at its heap top
 *     END       09                                        ends a mini-transaction
 *
 * Invariants: R1 the records between two ENDs are replayed together or not at all. R2 a record is applied only to a page
 * whose LSN is smaller than the end of its mini-transaction, which then becomes the page's LSN.
 */
import { assert } from "../common/assert.ts";
import { copyBytes, readU16, readU32 } from "./bytes-view.ts";
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

/** Type, page, slot or offset. */
export const REDO_SHORT_BYTES = 7;
/** The same and the length of what follows. */
export const REDO_HEADER_BYTES = 9;

export function redoPage(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + 1);
}

/** The length of the record at `at`, or −1 when it does not end before `end`, or 0 when there is no such record type. */
export function redoLength(bytes: Uint8Array, at: number, end: number): number {
  const type = bytes[at]!;
  let length: number;
  if (type === Redo.END) length = 1;
  else if (type === Redo.INIT || type === Redo.REMOVE || type === Redo.TRUNCATE) length = REDO_SHORT_BYTES;
  else if (type >= Redo.INSERT && type <= Redo.APPEND) {
    if (at + REDO_HEADER_BYTES > end) return -1;
    length = REDO_HEADER_BYTES + readU16(bytes, at + 7);
  } else return 0;
  return at + length > end ? -1 : length;
}

/** Applies the record at `at` in `log` to its page, which is in the arena at `base`. */
export function applyRedo(arena: Arena, base: number, log: Buffer, at: number): void {
  const type = log[at]!;
  const where = readU16(log, at + 5);
  switch (type) {
    case Redo.PATCH: {
      const length = readU16(log, at + 7);
      assert(where + length <= PAGE_SIZE, "redo: a patch stays in its page");
      copyBytes(log, at + REDO_HEADER_BYTES, arena.bytes, base + where, length);
      break;
    }
    case Redo.APPEND:
      appendToUndo(arena, base, where, log, at + REDO_HEADER_BYTES, readU16(log, at + 7));
      break;
    case Redo.INSERT:
      arena.insert(base, where, log, at + REDO_HEADER_BYTES, readU16(log, at + 7));
      break;
    case Redo.REPLACE:
      arena.replace(base, where, log, at + REDO_HEADER_BYTES, readU16(log, at + 7));
      break;
    case Redo.REMOVE:
      arena.remove(base, where);
      break;
    case Redo.TRUNCATE:
      arena.truncate(base, where);
      break;
    case Redo.FILL:
      fill(arena, base, log, at + REDO_HEADER_BYTES, readU16(log, at + 7));
      break;
    case Redo.INIT:
      arena.init(base, readU32(log, at + 1), where & 0xff, where >>> 8);
      break;
    default:
      assert(false, `redo: no record type ${type}`);
  }
}

function appendToUndo(arena: Arena, base: number, records: number, log: Buffer, from: number, length: number): void {
  const topAt = (base + PAGE_TOP_AT) >> 1;
  const top = arena.halves[topAt]!;
  assert(top >= PAGE_BODY_AT && top + length <= PAGE_SIZE, "redo: an undo page has room");
  copyBytes(log, from, arena.bytes, base + top, length);
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
