/**
 * TABLE_MAP and row events (version 2), as MySQL 5.7 writes them:
 *
 *     TABLE_MAP    table id(6) flags(2) · length and name of database, 00 · length and name of table, 00 · columns(1)
 *                  · type of each column(1 each) · bytes of metadata(1), metadata · bits: which columns may be NULL
 *     WRITE_ROWS,  table id(6) flags(2): 1 = last of the statement · bytes of extra data + 2 (2) · columns(1)
 *     UPDATE_ROWS, · bits: columns of the image before (for UPDATE also: after) · images
 *     DELETE_ROWS
 *     image        bits: which of its columns are NULL (unused bits are 1) · values that are not (schema.ts)
 *
 * Image of an INSERT: all columns. Of a DELETE and before an UPDATE: all, or with `binlog_row_image` MINIMAL the primary key.
 * After an UPDATE: all, or the columns that may change: those behind the key.
 */
import { sliceBytes } from "../../common/bytes.ts";
import { readU16, readU32 } from "../bytes-view.ts";
import { CHECKSUM_BYTES, EVENT_HEADER_BYTES, EventType, writeHeader } from "./events.ts";
import { type ColumnKind, TABLES, type Table, type TableSchema, tableMapBody, tableOf } from "./schema.ts";

/** How a row event changes its rows, and with which images. */
export const RowChange = { INSERT: 0, UPDATE: 1, DELETE: 2, UPDATE_MINIMAL: 3, DELETE_MINIMAL: 4 } as const;
export type RowChange = (typeof RowChange)[keyof typeof RowChange];
const EVENT_TYPES = [
  EventType.WRITE_ROWS,
  EventType.UPDATE_ROWS,
  EventType.DELETE_ROWS,
  EventType.UPDATE_ROWS,
  EventType.DELETE_ROWS,
];

export const STATEMENT_END = 1;
const NO_EXTRA_DATA = 2;
const POST_HEADER_BYTES = 10;
const ALL = 0xff;

function bits(from: number, to: number): number {
  return ((1 << to) - 1) & ~((1 << from) - 1);
}

/** Which columns the images of an event have. */
function bitmaps({ columns, keyColumns }: TableSchema, change: RowChange): number[] {
  if (change === RowChange.UPDATE_MINIMAL) return [bits(0, keyColumns), bits(keyColumns, columns.length)];
  if (change === RowChange.DELETE_MINIMAL) return [bits(0, keyColumns)];
  return change === RowChange.UPDATE ? [ALL, ALL] : [ALL];
}

function makeHead(table: TableSchema, change: RowChange): Buffer {
  const columns = bitmaps(table, change);
  const head = Buffer.alloc(EVENT_HEADER_BYTES + POST_HEADER_BYTES + 1 + columns.length);
  const at = writeHeader(head, 0, EVENT_TYPES[change]!, 0, 0, 0);
  head[at] = table.id;
  head[at + 8] = NO_EXTRA_DATA;
  head[at + POST_HEADER_BYTES] = table.columns.length;
  head.set(columns, at + POST_HEADER_BYTES + 1);
  return head;
}

const HEADS = TABLES.map((table) => Object.values(RowChange).map((change) => makeHead(table, change)));

/** What a row event begins with, up to its first row; time, size, position and flags are still to be set. */
export function rowsHead(table: Table, change: RowChange): Buffer {
  return HEADS[table - 1]![change]!;
}

/** The TABLE_MAP event of a table, with position 0 and without its checksum. */
export function tableMapEvent(table: TableSchema): Buffer {
  const body = tableMapBody(table);
  const event = Buffer.alloc(EVENT_HEADER_BYTES + 8 + body.length + CHECKSUM_BYTES);
  const at = writeHeader(event, 0, EventType.TABLE_MAP, 0, event.length, 0);
  event[at] = table.id;
  event[at + 6] = 1;
  body.copy(event, at + 8);
  return event;
}

/** A value of a row image; undefined: the image does not have the column. */
export type RowValue = number | string | null | undefined;
export type RowImage = readonly RowValue[];

export interface ChangedRow {
  readonly table: TableSchema;
  /** Undefined for INSERT. */
  readonly before: RowImage | undefined;
  /** Undefined for DELETE. */
  readonly after: RowImage | undefined;
}

/** The rows of a row event; `end` includes its checksum. Undefined when it is not of our schema. */
export function readRows(buffer: Buffer, at: number, end: number): ChangedRow[] | undefined {
  const type = buffer[at + 4]!;
  const body = at + EVENT_HEADER_BYTES;
  const table = tableOf(readU32(buffer, body));
  const columns = body + 8 + readU16(buffer, body + 8);
  if (table === undefined || buffer[columns] !== table.columns.length) return undefined;
  const reader = new ImageReader(buffer, columns + 1, table);
  const first = reader.bitmap();
  const second = type === EventType.UPDATE_ROWS ? reader.bitmap() : 0;
  const rows: ChangedRow[] = [];
  while (reader.at < end - CHECKSUM_BYTES) {
    const image = reader.image(first);
    if (type === EventType.WRITE_ROWS) rows.push({ table, before: undefined, after: image });
    else if (type === EventType.DELETE_ROWS) rows.push({ table, before: image, after: undefined });
    else rows.push({ table, before: image, after: reader.image(second) });
  }
  return reader.at === end - CHECKSUM_BYTES ? rows : undefined;
}

class ImageReader {
  readonly #buffer: Buffer;
  readonly #table: TableSchema;
  at: number;

  constructor(buffer: Buffer, at: number, table: TableSchema) {
    this.#buffer = buffer;
    this.at = at;
    this.#table = table;
  }

  bitmap(): number {
    return this.#buffer[this.at++]!;
  }

  image(present: number): RowImage {
    let nulls = this.bitmap();
    return this.#table.columns.map(({ kind }, index) => {
      if ((present & (1 << index)) === 0) return undefined;
      const isNull = (nulls & 1) !== 0;
      nulls >>= 1;
      return isNull ? null : this.#value(kind);
    });
  }

  #value(kind: ColumnKind): number | string {
    const { at } = this;
    const buffer = this.#buffer;
    switch (kind) {
      case "smallint":
        this.at += 2;
        return readU16(buffer, at);
      case "enum":
        this.at += 1;
        return buffer[at]!;
      case "bigint":
        this.at += 8;
        return Number(buffer.readBigUInt64LE(at));
      case "double":
        this.at += 8;
        return buffer.readDoubleLE(at);
      case "blob":
        this.at += 4 + readU32(buffer, at);
        return sliceBytes(buffer, at + 4, this.at);
    }
  }
}
