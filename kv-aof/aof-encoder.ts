/**
 * Writes effects into the log's buffer as Redis writes its append-only file: each command as an array of bulk strings,
 * SELECT before it when the database changes and at the start of every file (pitfall 49), MULTI … EXEC around the
 * effects of one command or transaction when there are several. No intermediate string is made.
 */
import { type Bytes, writeBytes } from "../common/bytes.ts";
import type { Log } from "../common/log/log.ts";

const NO_DATABASE = -1;
const MULTI: readonly Bytes[] = ["MULTI"];
const EXEC: readonly Bytes[] = ["EXEC"];

/** "$" or "*", up to ten digits, CR LF. */
const HEADER_BYTES_MAX = 13;
/** Below this a loop over characters beats the native call. */
const SHORT_TEXT = 20;

const STAR = 42;
const DOLLAR = 36;
const CR = 13;
const LF = 10;

export class AofEncoder {
  readonly #log: Log;
  /** The database that the file's reader has selected at its end. */
  #selected = NO_DATABASE;

  constructor(log: Log) {
    this.#log = log;
  }

  /** What comes next goes into a new file, whose reader has no database selected. */
  beginFile(): void {
    this.#selected = NO_DATABASE;
  }

  /** Appends what one command or transaction did: `args[i]` happened in database `db[i]`. */
  append(db: readonly number[], args: readonly (readonly Bytes[])[]): void {
    const count = args.length;
    if (count === 1) {
      this.appendOne(db[0]!, args[0]!);
      return;
    }
    this.#select(db[0]!);
    this.#encode(MULTI);
    for (let i = 0; i < count; i++) this.appendOne(db[i]!, args[i]!);
    this.#encode(EXEC);
  }

  appendOne(db: number, args: readonly Bytes[]): void {
    if (db !== this.#selected) this.#select(db);
    this.#encode(args);
  }

  #select(db: number): void {
    if (db === this.#selected) return;
    this.#encode(["SELECT", String(db)]);
    this.#selected = db;
  }

  #encode(args: readonly Bytes[]): void {
    const count = args.length;
    let sizeMax = HEADER_BYTES_MAX;
    for (let i = 0; i < count; i++) sizeMax += args[i]!.length + HEADER_BYTES_MAX + 2;
    const buffer = this.#log.reserve(sizeMax);
    let at = writeHeader(buffer, STAR, count, this.#log.bufferedBytes);
    for (let i = 0; i < count; i++) {
      const text = args[i]!;
      const length = text.length;
      at = writeHeader(buffer, DOLLAR, length, at);
      if (length > SHORT_TEXT) writeBytes(buffer, text, at);
      else for (let c = 0; c < length; c++) buffer[at + c] = text.charCodeAt(c);
      at += length;
      buffer[at++] = CR;
      buffer[at++] = LF;
    }
    this.#log.advance(at);
  }
}

/** Writes mark, number and CR LF; returns the offset behind. */
function writeHeader(buffer: Buffer, mark: number, value: number, start: number): number {
  buffer[start] = mark;
  let digits = 1;
  for (let rest = value; rest >= 10; rest = (rest / 10) | 0) digits++;
  let rest = value;
  for (let at = start + digits; at > start; at--) {
    const tenth = (rest / 10) | 0;
    buffer[at] = 48 + rest - tenth * 10;
    rest = tenth;
  }
  const end = start + digits + 1;
  buffer[end] = CR;
  buffer[end + 1] = LF;
  return end + 2;
}
