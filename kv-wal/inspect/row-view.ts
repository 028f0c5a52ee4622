/** Records of tree pages and undo pages, field by field, with what a row means (rows/layout.ts). */
import { toText } from "../../common/bytes.ts";
import { Type } from "../../common/keyspace/keyspace.ts";
import { readU32 } from "../bytes-view.ts";
import { REFERENCE_BYTES, readReference } from "../overflow.ts";
import {
  type Arena,
  FLAG_DELETED,
  FLAG_EXTERNAL,
  RECORD_SYSTEM_BYTES,
  RECORD_TAIL_AT,
  RECORD_TAIL_LENGTH_AT,
  RECORD_VALUE_LENGTH_AT,
  VALUE_LENGTH_MASK,
} from "../page.ts";
import { CONVERTED, HAS_EXPIRY, KIND_NAMES, Kind, TYPE_MASK, timeOf } from "../rows/layout.ts";
import {
  DONE,
  FREES_CHAIN,
  INTERACTIVE_BYTES,
  offsetPart,
  pagePart,
  UNDO_BODY_AT,
  UNDO_ID_AT,
  UNDO_MARK_AT,
  UNDO_NAMES,
  UNDO_PREVIOUS_AT,
  UNDO_SIZE_AT,
  UNDO_STATE_NAMES,
  UNDO_TAIL_AT,
  UNDO_TAIL_LENGTH_AT,
  UNDO_XID_AT,
  Undo,
} from "../undo-log.ts";
import type { FieldReader } from "./listing.ts";

const TYPE_NAMES = new Map(Object.entries(Type).map(([name, type]) => [type as number, name.toLowerCase()]));

/** What the words of a key mean: "directory, database 0, hash 1f3c…". */
export function keyMeaning(hi: number, mid: number, low: number): string {
  const kind = hi >>> 24;
  const name = KIND_NAMES[kind] ?? `kind ${kind}`;
  if (kind === Kind.DIRECTORY) return `${name}, database ${mid}, hash ${low.toString(16)}`;
  if (kind === Kind.FIELD) return `${name}, container ${(hi & 0xffffff) * 0x100000000 + mid}, hash ${low.toString(16)}`;
  if (kind === Kind.EXPIRY) return `${name}, database ${hi & 0xffffff}, time ${timeOf(mid, low)}`;
  return name;
}

/** Key words, lengths and tail: what a row and its undo records begin with. Returns where the tail ends. */
function showKeyPart(reader: FieldReader, at: number): number {
  const { bytes } = reader;
  const words = [0, 4, 8].map((offset) => readU32(bytes, at + offset));
  reader.add(at, 12, "key", keyMeaning(words[0]!, words[1]!, words[2]!));
  const tail = reader.number(at + RECORD_TAIL_LENGTH_AT, 2, "tail-length");
  reader.number(at + RECORD_VALUE_LENGTH_AT, 2, "value-length", flagsOf);
  if (tail > 0) reader.text(at + RECORD_TAIL_AT, tail, "tail");
  return at + RECORD_TAIL_AT + tail;
}

function flagsOf(lengthAndFlags: number): string | undefined {
  const length = lengthAndFlags & VALUE_LENGTH_MASK;
  const names: string[] = [];
  if ((lengthAndFlags & FLAG_EXTERNAL) !== 0) names.push("the rest is in a chain");
  if ((lengthAndFlags & FLAG_DELETED) !== 0) names.push("delete mark");
  return names.length === 0 ? undefined : `${length} bytes, ${names.join(", ")}`;
}

/** A record of a node, whose first byte is `at` in the reader's buffer. */
export function showNodeRecord(reader: FieldReader, arena: Arena, at: number): void {
  const tailEnd = showKeyPart(reader, at);
  reader.add(tailEnd, 4, "child", `page ${arena.childOf(at)}`);
}

/** A row. */
export function showRow(reader: FieldReader, arena: Arena, at: number): void {
  const tailEnd = showKeyPart(reader, at);
  reader.number(tailEnd, 6, "transaction");
  reader.number(tailEnd + 6, 6, "roll-pointer", rollPointer);
  showValue(reader, at, tailEnd + RECORD_SYSTEM_BYTES, arena.valueLength(at), arena.isExternal(at));
}

function rollPointer(pointer: number): string {
  return `page ${pagePart(pointer)} offset ${offsetPart(pointer)}`;
}

function showValue(reader: FieldReader, row: number, valueAt: number, length: number, isExternal: boolean): void {
  const { bytes } = reader;
  const kind = bytes[row + 3]!;
  const end = valueAt + length - (isExternal ? REFERENCE_BYTES : 0);
  let at = valueAt;
  if (kind === Kind.DIRECTORY) at = showHead(reader, at);
  if (kind === Kind.EXPIRY && length === 4) reader.hex(at, 4, "hash-of-key");
  else if (at < end) reader.text(at, end - at, kind === Kind.FIELD ? "value" : "body");
  if (!isExternal) return;
  const { first, last, keyBytes, bodyBytes } = readReference(bytes, end);
  reader.add(end, REFERENCE_BYTES, "chain", `pages ${first} … ${last}, key ${keyBytes} bytes, body ${bodyBytes} bytes`);
}

/** The head of a directory row; returns its end. */
function showHead(reader: FieldReader, at: number): number {
  const first = reader.bytes[at]!;
  const parts = [TYPE_NAMES.get(first & TYPE_MASK) ?? `type ${first & TYPE_MASK}`];
  if ((first & CONVERTED) !== 0) parts.push("converted");
  reader.add(at, 1, "type", parts.join(", "));
  let end = at + 1;
  if ((first & HAS_EXPIRY) !== 0) {
    reader.number(end, 6, "expiry");
    end += 6;
  }
  if ((first & TYPE_MASK) === Type.STRING) return end;
  reader.number(end, 6, "container");
  reader.number(end + 6, 6, "elements");
  return end + 12;
}

/** An undo record; returns its size as it says. */
export function showUndoRecord(reader: FieldReader, arena: Arena, at: number): number {
  const { bytes } = reader;
  const type = bytes[at]!;
  reader.number(at, 1, "type", (n) => UNDO_NAMES[n] ?? "unknown");
  reader.number(at + UNDO_MARK_AT, 1, type === Undo.TRANSACTION ? "state" : "mark", (n) => stateOrMark(type, n));
  const size = reader.number(at + UNDO_SIZE_AT, 2, "size");
  reader.number(at + UNDO_ID_AT, 6, "transaction");
  if (type === Undo.TRANSACTION) {
    if (size === INTERACTIVE_BYTES) reader.number(at + UNDO_XID_AT, 6, "xid");
    return size;
  }
  reader.number(at + UNDO_PREVIOUS_AT, 6, "previous", rollPointer);
  const body = at + UNDO_BODY_AT;
  if (type === Undo.INSERT) showInsert(reader, at);
  else if (type === Undo.NEW_CHAIN) {
    reader.number(body, 4, "first-page");
    reader.number(body + 4, 4, "last-page");
    reader.number(body + 8, 4, "pages");
  } else if (type === Undo.SWAP) {
    reader.number(body, 2, "database");
    reader.number(body + 2, 2, "database");
  } else showRow(reader, arena, body);
  return size;
}

function stateOrMark(type: number, value: number): string | undefined {
  if (type === Undo.TRANSACTION) return UNDO_STATE_NAMES[value];
  if (value === DONE) return "done";
  return value === FREES_CHAIN ? "its chain goes with it" : undefined;
}

function showInsert(reader: FieldReader, at: number): void {
  const { bytes } = reader;
  const words = [0, 4, 8].map((offset) => readU32(bytes, at + UNDO_BODY_AT + offset));
  reader.add(at + UNDO_BODY_AT, 12, "key", keyMeaning(words[0]!, words[1]!, words[2]!));
  const tail = reader.number(at + UNDO_TAIL_LENGTH_AT, 2, "tail-length");
  if (tail > 0) reader.text(at + UNDO_TAIL_AT, tail, "tail");
}

/** The first bytes of a key, for the tree. */
export function keyInShort(arena: Arena, record: number): string {
  const words = [0, 1, 2].map((i) => arena.words[(record >> 2) + i]!.toString(16).padStart(8, "0")).join(" ");
  const length = Math.min(arena.tailLength(record), 24);
  const tail = toText(arena.bytes.toString("latin1", record + RECORD_TAIL_AT, record + RECORD_TAIL_AT + length));
  return `${words} ${tail}`;
}
