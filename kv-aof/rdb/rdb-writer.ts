/**
 * Writes a snapshot as Redis 7.0 does, so that any Redis from 7.0 on loads it (RDB version 10).
 *
 *     bytes                                          what
 *     "REDIS0010"                                    magic, version
 *     fa  string string                              auxiliary field: redis-ver, redis-bits, ctime, aof-base
 *     fe  length                                     SELECTDB: the keys that follow are in this database
 *     fb  length length                              RESIZEDB: a hint, keys and keys with expiry
 *     [fc  ms (8 bytes, little endian)]              expiry of the key that follows
 *     00  string string                              a string: key, value
 *     04  string length  count × (string string)     a hash: key, number of fields, field, value …
 *     ff                                             end
 *     crc (8 bytes, little endian)                   CRC-64 of everything before
 *
 *     length   00LLLLLL │ 01LLLLLL LLLLLLLL │ 80 + 4 bytes │ 81 + 8 bytes, big endian
 *     string   length bytes │ c0 + 1 byte │ c1 + 2 │ c2 + 4: an integer, little endian, whose decimal text the string is
 *
 * Rules:
 * 1. SELECTDB comes whenever the database changes, as often as it does: keys that changed early are out of order.
 * 2. A string is written as an integer only if the integer's decimal text is that string, byte for byte.
 * 3. Nothing is compressed: it would cost the thread that serves.
 */
import { type Bytes, writeBytes } from "../../common/bytes.ts";
import { NO_EXPIRY } from "../../common/keyspace/keyspace.ts";
import type { Log } from "../../common/log/log.ts";
import type { BaseWriter } from "../base-file.ts";
import { OPCODE, TYPE_HASH, TYPE_STRING } from "./rdb-format.ts";

const VERSION = "0010";
const LENGTH_BYTES_MAX = 9;
const CHECKSUM_BYTES = 8;
/** Code and time of an expiry, type. */
const KEY_HEADER_BYTES = 10;
/** The longest text of a 32-bit integer. */
const INTEGER_TEXT_MAX = 11;

export interface RdbAbout {
  readonly redisVersion: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
}

export class RdbWriter implements BaseWriter {
  readonly #log: Log;
  readonly #checksum: () => bigint;
  #db = -1;

  /** `checksum`: CRC-64 of all that `log` has written. */
  constructor(log: Log, about: RdbAbout, checksum: () => bigint) {
    this.#log = log;
    this.#checksum = checksum;
    log.appendBytes(`REDIS${VERSION}`);
    this.#auxiliary("redis-ver", about.redisVersion);
    this.#auxiliary("redis-bits", "64");
    this.#auxiliary("ctime", String(about.createdAt));
    this.#auxiliary("aof-base", "1");
  }

  database(db: number, keys: number, expiring: number): void {
    this.#select(db);
    this.#code(OPCODE.RESIZE_DB);
    this.#length(keys);
    this.#length(expiring);
  }

  string(db: number, key: Bytes, value: Bytes, expiry: number): void {
    this.#key(db, TYPE_STRING, key, expiry);
    this.#text(value);
  }

  hash(db: number, key: Bytes, count: number, expiry: number): void {
    this.#key(db, TYPE_HASH, key, expiry);
    this.#length(count);
  }

  field(field: Bytes, value: Bytes): void {
    this.#text(field);
    this.#text(value);
  }

  hashEnd(): void {}

  end(): void {
    this.#code(OPCODE.END);
    this.#log.write(); // the sum is of what was written
    const buffer = this.#log.reserve(CHECKSUM_BYTES);
    this.#log.advance(buffer.writeBigUInt64LE(this.#checksum(), this.#log.bufferedBytes));
  }

  #auxiliary(name: Bytes, value: Bytes): void {
    this.#code(OPCODE.AUX);
    this.#text(name);
    this.#text(value);
  }

  #key(db: number, type: number, key: Bytes, expiry: number): void {
    this.#select(db);
    const buffer = this.#log.reserve(KEY_HEADER_BYTES);
    let at = this.#log.bufferedBytes;
    if (expiry !== NO_EXPIRY) {
      buffer[at++] = OPCODE.EXPIRE_MS;
      at = buffer.writeBigInt64LE(BigInt(expiry), at);
    }
    buffer[at++] = type;
    this.#log.advance(at);
    this.#text(key);
  }

  #select(db: number): void {
    if (db === this.#db) return;
    this.#db = db;
    this.#code(OPCODE.SELECT_DB);
    this.#length(db);
  }

  #length(length: number): void {
    const buffer = this.#log.reserve(LENGTH_BYTES_MAX);
    this.#log.advance(writeLength(buffer, length, this.#log.bufferedBytes));
  }

  #code(code: number): void {
    const buffer = this.#log.reserve(1);
    buffer[this.#log.bufferedBytes] = code;
    this.#log.advance(this.#log.bufferedBytes + 1);
  }

  #text(text: Bytes): void {
    const buffer = this.#log.reserve(LENGTH_BYTES_MAX + text.length);
    const at = this.#log.bufferedBytes;
    const behindInteger = text.length <= INTEGER_TEXT_MAX ? writeInteger(buffer, text, at) : at;
    if (behindInteger > at) this.#log.advance(behindInteger);
    else this.#log.advance(writeBytes(buffer, text, writeLength(buffer, text.length, at)));
  }
}

/** Writes a length; returns the offset behind it. */
function writeLength(buffer: Buffer, length: number, at: number): number {
  if (length < 1 << 6) {
    buffer[at] = length;
    return at + 1;
  }
  if (length < 1 << 14) return buffer.writeUInt16BE(0x4000 | length, at);
  if (length <= 0xffffffff) {
    buffer[at] = 0x80;
    return buffer.writeUInt32BE(length, at + 1);
  }
  buffer[at] = 0x81;
  return buffer.writeBigUInt64BE(BigInt(length), at + 1);
}

/** Writes the text as an integer if it is the canonical text of a 32-bit one; returns the offset behind, else `at`. */
function writeInteger(buffer: Buffer, text: Bytes, at: number): number {
  const first = text.charCodeAt(text.charCodeAt(0) === 45 ? 1 : 0);
  // Most texts are no numbers; NaN, of an empty text, is neither.
  if (!(first >= 48 && first <= 57)) return at;
  const value = Number(text);
  if (!Number.isInteger(value) || value < -(2 ** 31) || value >= 2 ** 31 || String(value) !== text) return at;
  if (value >= -128 && value <= 127) {
    buffer[at] = 0xc0;
    return buffer.writeInt8(value, at + 1);
  }
  if (value >= -32768 && value <= 32767) {
    buffer[at] = 0xc1;
    return buffer.writeInt16LE(value, at + 1);
  }
  buffer[at] = 0xc2;
  return buffer.writeInt32LE(value, at + 1);
}
