/**
 * `inspect space`, `tree`, `undo` and `doublewrite`: pages of the tablespace as they are in the file, and of the last batch in the
 * doublewrite file. Redo is not applied: what only the log has is not there yet. Damage is shown, and what lies behind it as far
 * as it can be reached.
 */
import type { Disk } from "../../common/disk/disk.ts";
import { readU16, readU32, readU48, wordsOf } from "../bytes-view.ts";
import { BATCH_PAGES, DOUBLEWRITE_HEADER_BYTES, DOUBLEWRITE_PAGES_AT, DOUBLEWRITE_PATH } from "../doublewrite.ts";
import { PAGE_SIZE, PageType } from "../page.ts";
import { checksumHolds } from "../redo-block.ts";
import { ROOT_PAGE } from "../space-header.ts";
import { pageState, SPACE_PATH } from "../tablespace.ts";
import { FieldReader, type Show } from "./listing.ts";
import { damageOf, type RawPage, RawSpace, showUndoRecords, typeName } from "./page-view.ts";
import { damageUnless } from "./redo-view.ts";
import { keyInShort } from "./row-view.ts";
import { showSpaceFields } from "./space-fields.ts";

/** Page 0, and a line for every page. */
export function showSpace(disk: Disk, show: Show): void {
  const space = new RawSpace(disk);
  const header = space.read(0);
  const reader = new FieldReader(header.arena.bytes, 0);
  showSpaceFields(reader);
  show({ path: SPACE_PATH, offset: 0, title: "space header", fields: reader.fields, ...damageOf(header) });
  for (let page = 1; page < space.pages; page++) {
    const raw = space.read(page);
    show({ path: SPACE_PATH, offset: page * PAGE_SIZE, title: summary(raw), fields: [], ...damageOf(raw) });
  }
  space.close();
}

function summary({ page, arena, state }: RawPage): string {
  if (state === "absent") return `page ${page}: never written`;
  const type = arena.typeOf(0);
  const isTree = type === PageType.LEAF || type === PageType.NODE;
  const level = isTree
    ? ` of level ${arena.levelOf(0)}, ${arena.countOf(0)} records, ${arena.freeBytes(0)} bytes free`
    : "";
  const links = `previous ${arena.previousOf(0)}, next ${arena.nextOf(0)}`;
  return `page ${page}: ${typeName(arena)}${level}, LSN ${arena.lsnOf(0)}, ${links}`;
}

/** The tree, a line for every page, children below their parent. */
export function showTree(disk: Disk, show: Show): void {
  const space = new RawSpace(disk);
  const seen = new Set<number>();
  const walk = (page: number, depth: number, key: string) => {
    const raw = space.read(page);
    const again = seen.has(page);
    seen.add(page);
    const title = `${"  ".repeat(depth)}${summary(raw)}${key === "" ? "" : `, from ${key}`}`;
    const damage = again ? { damage: "the tree leads here twice" } : damageOf(raw);
    show({ path: SPACE_PATH, offset: page * PAGE_SIZE, title, fields: [], ...damage });
    if (again || raw.state !== "whole" || raw.arena.typeOf(0) !== PageType.NODE) return;
    for (const child of childrenOf(raw)) walk(child.page, depth + 1, child.key);
  };
  walk(ROOT_PAGE, 0, "");
  space.close();
}

function childrenOf({ arena }: RawPage): { page: number; key: string }[] {
  return Array.from({ length: arena.countOf(0) }, (_, slot) => {
    const record = arena.recordAt(0, slot);
    return { page: arena.childOf(record), key: slot === 0 ? "" : keyInShort(arena, record) };
  });
}

/** Every record of the undo log, oldest first. */
export function showUndo(disk: Disk, show: Show): void {
  const space = new RawSpace(disk);
  const header = new FieldReader(space.read(0).arena.bytes, 0);
  showSpaceFields(header);
  const oldest = header.fields.find(({ name }) => name === "oldest-undo")!;
  const seen = new Set<number>();
  let page = Number(oldest.value);
  if (page === 0) show({ path: SPACE_PATH, offset: oldest.offset, title: "there is no undo page", fields: [] });
  while (page !== 0 && !seen.has(page)) {
    seen.add(page);
    const raw = space.read(page);
    const isUndo = raw.arena.typeOf(0) === PageType.UNDO;
    const damage = isUndo ? damageOf(raw) : { damage: "not an undo page" };
    show({ path: SPACE_PATH, offset: page * PAGE_SIZE, title: summary(raw), fields: [], ...damage });
    if (!isUndo) break;
    showUndoRecords(raw, show);
    page = raw.arena.nextOf(0);
  }
  space.close();
}

/** The batch in the doublewrite file, and for each page whether recovery would need it. */
export function showDoublewrite(disk: Disk, show: Show): void {
  const file = disk.open(DOUBLEWRITE_PATH, "read");
  const bytes = Buffer.alloc(DOUBLEWRITE_HEADER_BYTES + BATCH_PAGES * PAGE_SIZE);
  const length = file.read(0, bytes);
  file.close();
  if (length < DOUBLEWRITE_HEADER_BYTES) {
    show({ path: DOUBLEWRITE_PATH, offset: 0, title: "no batch was written yet", fields: [] });
    return;
  }
  const words = wordsOf(bytes);
  const holds = checksumHolds(bytes, words, 0, DOUBLEWRITE_HEADER_BYTES);
  const reader = new FieldReader(bytes, 0);
  reader.hex(0, 4, "checksum", holds ? ", holds" : "");
  reader.text(4, 4, "magic");
  reader.number(8, 6, "batch");
  const count = Math.min(reader.number(14, 2, "pages"), BATCH_PAGES);
  for (let i = 0; i < count; i++) reader.number(DOUBLEWRITE_PAGES_AT + 4 * i, 4, `page-of-copy-${i}`);
  show({
    path: DOUBLEWRITE_PATH,
    offset: 0,
    title: "batch",
    fields: reader.fields,
    ...damageUnless(holds, "the checksum does not hold"),
  });
  const space = new RawSpace(disk);
  for (let i = 0; i < count; i++) {
    const page = readU32(bytes, DOUBLEWRITE_PAGES_AT + 4 * i);
    const at = DOUBLEWRITE_HEADER_BYTES + i * PAGE_SIZE;
    const state = at + PAGE_SIZE <= length ? pageState(page, bytes, words, at) : "absent";
    const inPlace = space.read(page);
    const title = `copy of page ${page}, LSN ${readU48(bytes, at + 8)}, ${readU16(bytes, at + 16)} records; in place: ${inPlace.state}, LSN ${inPlace.arena.lsnOf(0)}`;
    show({
      path: DOUBLEWRITE_PATH,
      offset: at,
      title,
      fields: [],
      ...damageUnless(state === "whole", "the checksum or the page number is wrong"),
    });
  }
  space.close();
}
