/**
 * Binlog events, MySQL's format v4 (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html),
 * as MySQL 5.7 writes them with binlog_checksum=CRC32; `mariadb-binlog` decodes the file.
 *
 *     file     magic FE 62 69 6E, FORMAT_DESCRIPTION, PREVIOUS_GTIDS (empty: no GTIDs are used), then per transaction
 *              QUERY "BEGIN", its changes (transaction-events.ts), XID; and ROTATE when another file follows
 *
 *     event    timestamp(4) type(1) server id(4) event size(4) end position(4) flags(2)   common header, 19 bytes
 *              … body … CRC32 of everything before it(4)
 *     QUERY    thread id(4) execution time(4) length of database name(1) error(2) length of status variables(2)
 *              database name, 00, text
 *     XID      XID(8)
 *     ROTATE   position in the next file(8) its name
 *
 * The text of an effect is the command, its arguments quoted as redis-cli does ("a\x00b"), so that it can be typed again
 * and holds any bytes. The database is `db0` … `db511`.
 *
 * Invariant: E1 what is not ended by an XID event with a right checksum did not happen.
 */
import type { Bytes } from "../../common/bytes.ts";
import { readU16, readU32, writeU16, writeU32 } from "../bytes-view.ts";
import { crc32 } from "./crc32.ts";

export const BINLOG_MAGIC = Buffer.from([0xfe, 0x62, 0x69, 0x6e]);
export const EventType = {
  QUERY: 2,
  ROTATE: 4,
  FORMAT_DESCRIPTION: 15,
  XID: 16,
  TABLE_MAP: 19,
  WRITE_ROWS: 30,
  UPDATE_ROWS: 31,
  DELETE_ROWS: 32,
  PREVIOUS_GTIDS: 35,
} as const;
export const EVENT_NAMES: Readonly<Record<number, string>> = {
  2: "query",
  4: "rotate",
  15: "format-description",
  16: "xid",
  19: "table-map",
  30: "write-rows",
  31: "update-rows",
  32: "delete-rows",
  35: "previous-gtids",
};

export const EVENT_HEADER_BYTES = 19;
/** Where the header has the end position. */
export const EVENT_POSITION_AT = 13;
export const CHECKSUM_BYTES = 4;
const QUERY_HEADER_BYTES = 13;
const SERVER_ID = 1;
export const NO_DATABASE = -1;
/** Text that may become longer is counted before there is made room for it. */
const COUNTED_BYTES_MIN = 64 * 1024;
const SERVER_VERSION = "5.7.44-twolog";
/** Lengths of the fixed parts of MySQL 5.7's 38 event types: how a decoder knows which events may come. */
const POST_HEADER_LENGTHS = [
  56, 13, 0, 8, 0, 18, 0, 4, 4, 4, 4, 18, 0, 0, 95, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 42, 42, 0,
  18, 52, 0,
];

const XID_EVENT_BYTES = EVENT_HEADER_BYTES + 8 + CHECKSUM_BYTES;

/** Writes the common header; `position` is where the event ends in the file. */
export function writeHeader(
  buffer: Buffer,
  at: number,
  type: number,
  seconds: number,
  size: number,
  position: number,
): number {
  writeU32(buffer, at, seconds);
  buffer[at + 4] = type;
  writeU32(buffer, at + 5, SERVER_ID);
  writeU32(buffer, at + 9, size);
  writeU32(buffer, at + EVENT_POSITION_AT, position >>> 0);
  writeU16(buffer, at + 17, 0);
  return at + EVENT_HEADER_BYTES;
}

/** Puts the checksum of the event that starts at `at` behind it, at `end`. */
export function seal(buffer: Buffer, at: number, end: number): number {
  writeU32(buffer, end, crc32(buffer, at, end));
  return end + CHECKSUM_BYTES;
}

/** The first events of a file: magic, FORMAT_DESCRIPTION, and PREVIOUS_GTIDS with none, as MySQL has them without GTIDs. */
export function fileStart(seconds: number): Buffer {
  const description = EVENT_HEADER_BYTES + 2 + 50 + 4 + 1 + POST_HEADER_LENGTHS.length + 1 + CHECKSUM_BYTES;
  const gtids = EVENT_HEADER_BYTES + 8 + CHECKSUM_BYTES;
  const buffer = Buffer.alloc(BINLOG_MAGIC.length + description + gtids);
  BINLOG_MAGIC.copy(buffer);
  const start = BINLOG_MAGIC.length;
  let at = writeHeader(buffer, start, EventType.FORMAT_DESCRIPTION, seconds, description, start + description);
  writeU16(buffer, at, 4);
  buffer.write(SERVER_VERSION, at + 2, "latin1");
  writeU32(buffer, at + 52, seconds);
  buffer[at + 56] = EVENT_HEADER_BYTES;
  at += 57;
  for (const length of POST_HEADER_LENGTHS) buffer[at++] = length;
  buffer[at++] = 1; // checksums: CRC32
  const next = seal(buffer, start, at);
  at = writeHeader(buffer, next, EventType.PREVIOUS_GTIDS, seconds, gtids, buffer.length);
  seal(buffer, next, at + 8);
  return buffer;
}

/** The last event of a file that was followed by another: the position in the next file, and its name. */
export function rotateEvent(seconds: number, position: number, next: string): Buffer {
  const size = EVENT_HEADER_BYTES + 8 + next.length + CHECKSUM_BYTES;
  const buffer = Buffer.alloc(size);
  const at = writeHeader(buffer, 0, EventType.ROTATE, seconds, size, position + size);
  writeU32(buffer, at, BINLOG_MAGIC.length);
  buffer.write(next, at + 8, "latin1");
  seal(buffer, 0, size - CHECKSUM_BYTES);
  return buffer;
}

/** BEGIN, with position 0: the same bytes each time but for time and position. */
export function beginEvent(): Buffer {
  const buffer = Buffer.alloc(EVENT_HEADER_BYTES + QUERY_HEADER_BYTES + 1 + "BEGIN".length + CHECKSUM_BYTES);
  writeQuery(buffer, 0, -buffer.length, 0, NO_DATABASE, ["BEGIN"]);
  return buffer;
}

/** An XID event with position 0 and XID 0. */
export function xidEvent(): Buffer {
  const buffer = Buffer.alloc(XID_EVENT_BYTES);
  writeHeader(buffer, 0, EventType.XID, 0, XID_EVENT_BYTES, 0);
  return buffer;
}

/** Bytes that `writeQuery` may need for this text: at most four for each, or counted when that would be much. */
export function queryBytesMax(args: readonly Bytes[]): number {
  let bytes = EVENT_HEADER_BYTES + QUERY_HEADER_BYTES + 16 + CHECKSUM_BYTES;
  for (let i = 0; i < args.length; i++) bytes += 4 * args[i]!.length + 3;
  if (bytes <= COUNTED_BYTES_MIN) return bytes;
  bytes = EVENT_HEADER_BYTES + QUERY_HEADER_BYTES + 16 + CHECKSUM_BYTES;
  for (const arg of args) bytes += quotedBytes(arg) + 3;
  return bytes;
}

function quotedBytes(bytes: Bytes): number {
  let count = bytes.length;
  for (let i = 0; i < bytes.length; i++) {
    const code = bytes.charCodeAt(i);
    if (IS_PLAIN[code] === 0) count += ESCAPES[code] === 0 ? 3 : 1;
  }
  return count;
}

/** Writes a QUERY event; `base` is the file position of the buffer's first byte. Returns its end. */
export function writeQuery(
  buffer: Buffer,
  at: number,
  base: number,
  seconds: number,
  database: number,
  args: readonly Bytes[],
): number {
  const body = at + EVENT_HEADER_BYTES;
  writeU32(buffer, body, 1);
  writeU32(buffer, body + 4, 0);
  writeU16(buffer, body + 9, 0);
  writeU16(buffer, body + 11, 0);
  let end = body + QUERY_HEADER_BYTES;
  if (database >= 0) {
    buffer[end++] = 0x64;
    buffer[end++] = 0x62;
    if (database >= 100) buffer[end++] = 48 + Math.floor(database / 100);
    if (database >= 10) buffer[end++] = 48 + (Math.floor(database / 10) % 10);
    buffer[end++] = 48 + (database % 10);
  }
  buffer[body + 8] = end - body - QUERY_HEADER_BYTES;
  buffer[end++] = 0;
  const name = args[0]!;
  for (let i = 0; i < name.length; i++) buffer[end++] = name.charCodeAt(i);
  for (let i = 1; i < args.length; i++) {
    buffer[end++] = 0x20;
    end = writeQuoted(buffer, end, args[i]!);
  }
  const size = end + CHECKSUM_BYTES - at;
  writeHeader(buffer, at, EventType.QUERY, seconds, size, base + at + size);
  return seal(buffer, at, end);
}

const HEX = Buffer.from("0123456789abcdef");
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** The letter after the backslash, for bytes that have one. */
const ESCAPES = new Uint8Array(256);
ESCAPES[QUOTE] = QUOTE;
ESCAPES[BACKSLASH] = BACKSLASH;
for (const [byte, letter] of [
  [7, "a"],
  [8, "b"],
  [9, "t"],
  [10, "n"],
  [13, "r"],
] as const) {
  ESCAPES[byte] = letter.charCodeAt(0);
}

/** Bytes that stand for themselves. */
const IS_PLAIN = new Uint8Array(256).fill(1, 0x20, 0x7f);
IS_PLAIN[QUOTE] = 0;
IS_PLAIN[BACKSLASH] = 0;

/** Writes an argument in double quotes, as redis-cli prints it and `splitArguments` reads it. */
function writeQuoted(buffer: Buffer, at: number, bytes: Bytes): number {
  let end = at;
  buffer[end++] = QUOTE;
  for (let i = 0; i < bytes.length; i++) {
    const code = bytes.charCodeAt(i);
    if (IS_PLAIN[code] === 1) {
      buffer[end++] = code;
      continue;
    }
    buffer[end++] = BACKSLASH;
    if (ESCAPES[code] !== 0) buffer[end++] = ESCAPES[code]!;
    else {
      buffer[end++] = 0x78;
      buffer[end++] = HEX[code >>> 4]!;
      buffer[end++] = HEX[code & 15]!;
    }
  }
  buffer[end++] = QUOTE;
  return end;
}

/** A QUERY event's database name and text; `at` is its start, `end` its end, checksum included. */
export function readQuery(buffer: Buffer, at: number, end: number): { database: string; text: Bytes } {
  const body = at + EVENT_HEADER_BYTES;
  const nameAt = body + QUERY_HEADER_BYTES + readU16(buffer, body + 11);
  const nameEnd = nameAt + buffer[body + 8]!;
  return {
    database: buffer.toString("latin1", nameAt, nameEnd),
    text: buffer.toString("latin1", nameEnd + 1, end - CHECKSUM_BYTES),
  };
}

export function eventSize(buffer: Buffer, at: number): number {
  return readU32(buffer, at + 9);
}

/** Whether the event at `at`, which must end where the file position `position` is, is whole. */
export function eventHolds(buffer: Buffer, at: number, end: number, position: number): boolean {
  if (readU32(buffer, at + EVENT_POSITION_AT) !== position >>> 0) return false;
  return readU32(buffer, end - CHECKSUM_BYTES) === crc32(buffer, at, end - CHECKSUM_BYTES);
}
