/**
 * `inspect page N`: one page of the tablespace as it is in the file, header, slots and records; a damaged page too, as far as
 * its bytes make sense.
 */
import type { Disk } from "../../common/disk/disk.ts";
import { readU32 } from "../bytes-view.ts";
import { GROUP_PAGES } from "../free-space.ts";
import { OVERFLOW_CONTENT_AT, OVERFLOW_OWNER_AT, OVERFLOW_PAYLOAD } from "../overflow.ts";
import {
  Arena,
  PAGE_BODY_AT,
  PAGE_COUNT_AT,
  PAGE_GARBAGE_AT,
  PAGE_LEVEL_AT,
  PAGE_LSN_AT,
  PAGE_NEXT_AT,
  PAGE_NUMBER_AT,
  PAGE_PREVIOUS_AT,
  PAGE_SIZE,
  PAGE_TOP_AT,
  PAGE_TYPE_AT,
  PAGE_TYPE_NAMES,
  PageType,
} from "../page.ts";
import { type PageState, SPACE_PATH, Tablespace } from "../tablespace.ts";
import { FieldReader, type Show } from "./listing.ts";
import { keyMeaning, showNodeRecord, showRow, showUndoRecord } from "./row-view.ts";
import { showSpaceFields } from "./space-fields.ts";

/** A page read without the pool: its bytes start at 0 of the arena. */
export interface RawPage {
  readonly page: number;
  readonly arena: Arena;
  readonly state: PageState;
}

/** Reads pages of the tablespace as they are, one at a time. */
export class RawSpace {
  readonly #space = new Tablespace();
  readonly #arena = new Arena(1);

  constructor(disk: Disk) {
    this.#space.open(disk);
  }

  get pages(): number {
    return this.#space.pages;
  }

  /** The page is good until the next one is read. */
  read(page: number): RawPage {
    return { page, arena: this.#arena, state: this.#space.read(page, this.#arena, 0) };
  }

  close(): void {
    this.#space.close();
  }
}

export function typeName(arena: Arena): string {
  return PAGE_TYPE_NAMES[arena.typeOf(0)] ?? `type ${arena.typeOf(0)}`;
}

export function damageOf({ state }: RawPage): { damage?: string } {
  return state === "damaged" ? { damage: "the checksum or the page number is wrong" } : {};
}

export function showPage(disk: Disk, page: number, show: Show): void {
  const space = new RawSpace(disk);
  const raw = space.read(page);
  showHeader(raw, show);
  const type = raw.arena.typeOf(0);
  if (type === PageType.LEAF || type === PageType.NODE) showRecords(raw, show);
  else if (type === PageType.UNDO) showUndoRecords(raw, show);
  else if (type === PageType.SPACE) {
    const reader = new FieldReader(raw.arena.bytes, 0);
    showSpaceFields(reader);
    show({ path: SPACE_PATH, offset: PAGE_BODY_AT, title: "space header", fields: reader.fields });
  } else if (type === PageType.BITMAP) showBitmap(raw, show);
  else if (type === PageType.OVERFLOW) showChainPart(raw, show);
  space.close();
}

function showHeader(raw: RawPage, show: Show): void {
  const { page, arena, state } = raw;
  const reader = new FieldReader(arena.bytes, page * PAGE_SIZE);
  reader.hex(0, 4, "checksum", state === "whole" ? ", holds" : "");
  reader.number(PAGE_NUMBER_AT, 4, "page");
  reader.number(PAGE_LSN_AT, 6, "lsn");
  reader.number(PAGE_TYPE_AT, 1, "type", (type) => PAGE_TYPE_NAMES[type] ?? "unknown");
  reader.number(PAGE_LEVEL_AT, 1, "level");
  reader.number(PAGE_COUNT_AT, 2, "records");
  reader.number(PAGE_TOP_AT, 2, "heap-top");
  reader.number(PAGE_GARBAGE_AT, 2, "garbage");
  reader.number(PAGE_PREVIOUS_AT, 4, "previous");
  reader.number(PAGE_NEXT_AT, 4, "next");
  const title = `page ${page}, ${state === "absent" ? "never written" : typeName(arena)}`;
  show({ path: SPACE_PATH, offset: page * PAGE_SIZE, title, fields: reader.fields, ...damageOf(raw) });
}

function showChainPart({ page, arena }: RawPage, show: Show): void {
  const reader = new FieldReader(arena.bytes, page * PAGE_SIZE);
  const [hi, mid, low] = [0, 4, 8].map((offset) => readU32(arena.bytes, OVERFLOW_OWNER_AT + offset));
  reader.add(OVERFLOW_OWNER_AT, 12, "row", keyMeaning(hi!, mid!, low!));
  reader.text(OVERFLOW_CONTENT_AT, OVERFLOW_PAYLOAD, "content");
  const offset = page * PAGE_SIZE + PAGE_BODY_AT;
  show({ path: SPACE_PATH, offset, title: "part of a chain", fields: reader.fields });
}

/** Runs of pages that are marked as free. */
function showBitmap({ page, arena }: RawPage, show: Show): void {
  const first = Math.floor(page / GROUP_PAGES) * GROUP_PAGES;
  const isFree = (bit: number) => ((arena.bytes[PAGE_BODY_AT + (bit >> 3)]! >> (bit & 7)) & 1) === 1;
  const reader = new FieldReader(arena.bytes, page * PAGE_SIZE);
  for (let bit = 0; bit < GROUP_PAGES; bit++) {
    if (!isFree(bit)) continue;
    const from = bit;
    while (bit + 1 < GROUP_PAGES && isFree(bit + 1)) bit++;
    const at = PAGE_BODY_AT + (from >> 3);
    reader.add(at, PAGE_BODY_AT + (bit >> 3) + 1 - at, "free", `pages ${first + from} … ${first + bit}`);
  }
  const offset = page * PAGE_SIZE + PAGE_BODY_AT;
  show({ path: SPACE_PATH, offset, title: `free pages of group ${first / GROUP_PAGES}`, fields: reader.fields });
}

/** In key order; a slot that leads nowhere is damage. */
function showRecords({ page, arena }: RawPage, show: Show): void {
  const level = arena.levelOf(0);
  for (let slot = 0; slot < Math.min(arena.countOf(0), PAGE_SIZE / 4); slot++) {
    const at = arena.recordAt(0, slot);
    const reader = new FieldReader(arena.bytes, page * PAGE_SIZE);
    reader.number(PAGE_SIZE - 2 * (slot + 1), 2, "slot");
    const fits = at >= PAGE_BODY_AT && at + 16 <= PAGE_SIZE && at + arena.sizeAt(at, level) <= PAGE_SIZE;
    if (fits && level > 0) showNodeRecord(reader, arena, at);
    else if (fits) showRow(reader, arena, at);
    show({
      path: SPACE_PATH,
      offset: page * PAGE_SIZE + at,
      title: `slot ${slot}, record at ${at}`,
      fields: reader.fields,
      ...(fits ? {} : { damage: "the slot leads out of the page" }),
    });
  }
}

export function showUndoRecords({ page, arena }: RawPage, show: Show): void {
  const top = Math.min(arena.halves[PAGE_TOP_AT >> 1]!, PAGE_SIZE);
  for (let at = PAGE_BODY_AT; at + 12 <= top; ) {
    const reader = new FieldReader(arena.bytes, page * PAGE_SIZE);
    const size = showUndoRecord(reader, arena, at);
    const isWhole = size >= 12 && at + size <= top;
    show({
      path: SPACE_PATH,
      offset: page * PAGE_SIZE + at,
      title: `undo record at ${at}`,
      fields: reader.fields,
      ...(isWhole ? {} : { damage: `a record of ${size} bytes` }),
    });
    if (!isWhole) return;
    at += size;
  }
}
