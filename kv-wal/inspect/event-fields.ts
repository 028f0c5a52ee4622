/**
 * The fields of binlog events, byte by byte: formats in binlog/events.ts, row-events.ts and schema.ts. The fields of an event
 * cover all its bytes. What is not as this server writes it is shown as it is, in one field.
 */
import { toText } from "../../common/bytes.ts";
import { CHECKSUM_BYTES, EVENT_HEADER_BYTES, EVENT_NAMES, EventType, readQuery } from "../binlog/events.ts";
import { readRows, STATEMENT_END } from "../binlog/row-events.ts";
import { type Column, SCHEMA, type TableSchema, tableOf } from "../binlog/schema.ts";
import { readU32 } from "../bytes-view.ts";
import { type FieldReader, textOf } from "./listing.ts";

const SERVER_VERSION_BYTES = 50;

/** All fields of the event [at, end), whose checksum is right. */
export function showEventFields(reader: FieldReader, type: number, at: number, end: number): void {
  const body = at + EVENT_HEADER_BYTES;
  const bodyEnd = end - CHECKSUM_BYTES;
  reader.number(at, 4, "timestamp");
  reader.number(at + 4, 1, "type", (n) => EVENT_NAMES[n]);
  reader.number(at + 5, 4, "server-id");
  reader.number(at + 9, 4, "size");
  reader.number(at + 13, 4, "end-position");
  reader.hex(at + 17, 2, "flags");
  showBody(reader, type, body, bodyEnd);
  reader.hex(bodyEnd, 4, "checksum", ", holds");
}

function showBody(reader: FieldReader, type: number, at: number, end: number): void {
  switch (type) {
    case EventType.FORMAT_DESCRIPTION:
      showFormat(reader, at, end);
      break;
    case EventType.PREVIOUS_GTIDS:
      reader.number(at, 8, "sources");
      break;
    case EventType.QUERY:
      showQuery(reader, at, end);
      break;
    case EventType.XID:
      reader.number(at, 8, "xid");
      break;
    case EventType.ROTATE:
      reader.number(at, 8, "position");
      reader.text(at + 8, end - at - 8, "next-file");
      break;
    case EventType.TABLE_MAP:
      showTableMap(reader, at, end);
      break;
    case EventType.WRITE_ROWS:
    case EventType.UPDATE_ROWS:
    case EventType.DELETE_ROWS:
      showRows(reader, type, at, end);
      break;
    default:
      reader.add(at, end - at, "body", `${end - at} bytes`);
  }
}

function showFormat(reader: FieldReader, at: number, end: number): void {
  const versionAt = at + 2;
  const text = reader.bytes.toString("latin1", versionAt, versionAt + SERVER_VERSION_BYTES).replace(/\0+$/, "");
  reader.number(at, 2, "binlog-version");
  reader.add(versionAt, SERVER_VERSION_BYTES, "server-version", toText(text));
  const createdAt = versionAt + SERVER_VERSION_BYTES;
  reader.number(createdAt, 4, "created");
  reader.number(createdAt + 4, 1, "header-length");
  const lengths = reader.bytes.subarray(createdAt + 5, end - 1);
  reader.add(createdAt + 5, lengths.length, "post-headers", lengths.join(" "));
  reader.number(end - 1, 1, "checksums", (kind) => (kind === 1 ? "CRC32" : undefined));
}

function showQuery(reader: FieldReader, at: number, end: number): void {
  const { database, text } = readQuery(reader.bytes, at - EVENT_HEADER_BYTES, end + CHECKSUM_BYTES);
  const textAt = end - text.length;
  const nameAt = textAt - database.length - 1;
  reader.number(at, 4, "thread-id");
  reader.number(at + 4, 4, "execution-time");
  reader.number(at + 8, 1, "database-length");
  reader.number(at + 9, 2, "error");
  reader.number(at + 11, 2, "status-length");
  if (nameAt > at + 13) reader.raw(at + 13, nameAt - at - 13, "status");
  reader.add(nameAt, database.length + 1, "database", database === "" ? "-" : database);
  reader.add(textAt, text.length, "text", toText(text));
}

/** A length of one byte, as many bytes of text, and a zero; returns where that ends. */
function showCounted(reader: FieldReader, at: number, name: string): number {
  const length = reader.number(at, 1, `${name}-length`);
  reader.add(at + 1, length + 1, name, textOf(reader.bytes, at + 1, length));
  return at + 1 + length + 1;
}

/** Tables are known by their numbers, in the row events that follow too. */
function showTableHead(reader: FieldReader, at: number): TableSchema | undefined {
  const table = tableOf(readU32(reader.bytes, at));
  reader.number(at, 6, "table-id", () => table && `${SCHEMA}.${table.name}`);
  return table;
}

function showTableMap(reader: FieldReader, at: number, end: number): void {
  showTableHead(reader, at);
  reader.hex(at + 6, 2, "flags");
  const columnsAt = showCounted(reader, showCounted(reader, at + 8, "database"), "table");
  const columns = reader.number(columnsAt, 1, "columns");
  reader.raw(columnsAt + 1, columns, "column-types");
  const metadataAt = columnsAt + 1 + columns;
  const length = reader.number(metadataAt, 1, "metadata-length");
  reader.raw(metadataAt + 1, length, "metadata");
  reader.raw(metadataAt + 1 + length, end - metadataAt - 1 - length, "nullable");
}

function showRows(reader: FieldReader, type: number, at: number, end: number): void {
  const table = showTableHead(reader, at);
  reader.number(at + 6, 2, "flags", (flags) => (flags === STATEMENT_END ? "last of the statement" : undefined));
  reader.number(at + 8, 2, "extra-length");
  if (table === undefined || readRows(reader.bytes, at - EVENT_HEADER_BYTES, end + CHECKSUM_BYTES) === undefined) {
    reader.add(at + 10, end - at - 10, "rows", `${end - at - 10} bytes`);
    return;
  }
  reader.number(at + 10, 1, "columns");
  const before = type !== EventType.WRITE_ROWS;
  const after = type !== EventType.DELETE_ROWS;
  const bitmapsAt = at + 11;
  const images = [before ? "before" : "", after ? "after" : ""].filter((name) => name !== "");
  for (const [i, name] of images.entries()) reader.hex(bitmapsAt + i, 1, `columns-${name}`);
  for (let row = bitmapsAt + images.length; row < end; ) {
    for (const [i, name] of images.entries()) row = showImage(reader, row, table, reader.bytes[bitmapsAt + i]!, name);
  }
}

/** One image of a row; returns where it ends. */
function showImage(reader: FieldReader, at: number, { columns }: TableSchema, has: number, name: string): number {
  reader.hex(at, 1, `nulls-${name}`);
  let nulls = reader.bytes[at]!;
  let end = at + 1;
  for (const [i, column] of columns.entries()) {
    if (((has >> i) & 1) === 0) continue;
    if ((nulls & 1) === 0) end = showValue(reader, end, column);
    nulls >>= 1;
  }
  return end;
}

function showValue(reader: FieldReader, at: number, { name, kind }: Column): number {
  switch (kind) {
    case "smallint":
      reader.number(at, 2, name);
      return at + 2;
    case "enum":
      reader.number(at, 1, name);
      return at + 1;
    case "bigint":
      reader.number(at, 8, name);
      return at + 8;
    case "double":
      reader.add(at, 8, name, reader.bytes.readDoubleLE(at));
      return at + 8;
    case "blob": {
      const length = reader.number(at, 4, `${name}-length`);
      reader.text(at + 4, length, name);
      return at + 4 + length;
    }
  }
}
