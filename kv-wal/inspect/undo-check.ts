/** Whether an undo page is well formed: its records follow one another to the heap top, and are counted (undo-log.ts). */
import { readU16 } from "../bytes-view.ts";
import { type Arena, PAGE_BODY_AT, PAGE_COUNT_AT, PAGE_SIZE, PAGE_TOP_AT, PageType } from "../page.ts";
import { TRANSACTION_BYTES, UNDO_NAMES, UNDO_SIZE_AT } from "../undo-log.ts";

/** What is wrong with the undo page at `base`, and where in it; undefined when nothing is. */
export function undoPageProblem(arena: Arena, base: number): { reason: string; at: number } | undefined {
  const { bytes, halves } = arena;
  if (arena.typeOf(base) !== PageType.UNDO) return { reason: "is in the undo log, but not an undo page", at: 0 };
  const top = halves[(base + PAGE_TOP_AT) >> 1]!;
  if (top > PAGE_SIZE) return { reason: `the heap ends at ${top}`, at: PAGE_TOP_AT };
  let records = 0;
  let at = PAGE_BODY_AT;
  for (; at < top; records++) {
    const size = readU16(bytes, base + at + UNDO_SIZE_AT);
    if (size < TRANSACTION_BYTES || size % 4 !== 0 || at + size > top)
      return { reason: `an undo record of ${size} bytes`, at };
    const type = bytes[base + at]!;
    if (type === 0 || UNDO_NAMES[type] === undefined) return { reason: `an undo record of unknown type ${type}`, at };
    at += size;
  }
  const counted = halves[(base + PAGE_COUNT_AT) >> 1]!;
  if (records !== counted) return { reason: `counts ${counted} undo records, but has ${records}`, at: PAGE_COUNT_AT };
  return undefined;
}
