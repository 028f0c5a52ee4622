/**
 * Reads the snapshot with which a real Redis begins its append-only file: strings and hashes, the types there are.
 * Anything else is refused by name; nothing is skipped silently.
 *
 *     "REDIS" version (4 digits)
 *     0xfa aux field: key value            0xfe SELECTDB: number           0xfb RESIZEDB: keys, expiring keys
 *     [0xfd seconds | 0xfc milliseconds]   [0xf8 idle | 0xf9 frequency]    type key value
 *     0xff  CRC-64 of everything before (8 bytes, 0: not computed)
 *
 * A length is 00LLLLLL, 01LLLLLL LLLLLLLL, 0x80 + 4 bytes or 0x81 + 8 bytes, big endian; 11EEEEEE instead of a string's
 * length says that it is an 8-, 16- or 32-bit integer, or LZF-compressed.
 */
import { BYTES_LENGTH_MAX, type Bytes, sliceBytes } from "../../common/bytes.ts";
import type { DiskFile } from "../../common/disk/disk.ts";
import { CorruptFile } from "../../common/errors.ts";
import { EXPIRY_MAX, NO_EXPIRY } from "../../common/keyspace/keyspace.ts";
import { lzfDecompress } from "./lzf.ts";
import { readListpack, readZiplist, readZipmap } from "./packed-list.ts";
import { OPCODE, TYPE_HASH, TYPE_STRING } from "./rdb-format.ts";
import { RdbInput } from "./rdb-input.ts";

/** The newest format of Redis 7.2. */
const VERSION_MAX = 11;
const HEADER_BYTES = 9;

const TYPE_HASH_ZIPMAP = 9;
const TYPE_HASH_ZIPLIST = 13;
const TYPE_HASH_LISTPACK = 16;

const PACKED_READERS: Readonly<Record<number, (bytes: Buffer) => Bytes[] | undefined>> = {
  [TYPE_HASH_ZIPMAP]: readZipmap,
  [TYPE_HASH_ZIPLIST]: readZiplist,
  [TYPE_HASH_LISTPACK]: readListpack,
};

/** What cannot be loaded, by the number in the file. */
const REFUSED: Readonly<Record<number, string>> = {
  1: "a list",
  2: "a set",
  3: "a sorted set",
  5: "a sorted set",
  6: "a module's value",
  7: "a module's value",
  10: "a list",
  11: "a set",
  12: "a sorted set",
  14: "a list",
  15: "a stream",
  17: "a sorted set",
  18: "a list",
  19: "a stream",
  20: "a set",
  21: "a stream",
  [OPCODE.SLOT_INFO]: "cluster slot information",
  [OPCODE.FUNCTION]: "a function library",
  [OPCODE.FUNCTION_PRE_GA]: "a function library",
  [OPCODE.MODULE_AUX]: "a module's data",
};

/** Receives what is in a snapshot. Expiry: absolute ms, or NO_EXPIRY. */
export interface RdbSink {
  readonly databases: number;
  string(db: number, key: Bytes, value: Bytes, expiry: number): void;
  /** `pairs`: field, value, field, value … */
  hash(db: number, key: Bytes, pairs: readonly Bytes[], expiry: number): void;
}

/** Whether the file begins with a snapshot. */
export function isRdb(file: DiskFile): boolean {
  const start = Buffer.alloc(5);
  return file.read(0, start) === 5 && start.toString("latin1") === "REDIS";
}

/** Reads the snapshot at the beginning of `file`; returns the offset behind it. Throws CorruptFile. */
export function readRdb(file: DiskFile, sink: RdbSink): number {
  return new RdbReader(file, sink).read();
}

class RdbReader {
  readonly #input: RdbInput;
  readonly #sink: RdbSink;
  #db = 0;
  #expiry = NO_EXPIRY;

  constructor(file: DiskFile, sink: RdbSink) {
    this.#input = new RdbInput(file);
    this.#sink = sink;
  }

  read(): number {
    const input = this.#input;
    const version = Number(sliceBytes(input.take(HEADER_BYTES), 5, HEADER_BYTES));
    if (!(version >= 1 && version <= VERSION_MAX)) throw input.corrupt(`RDB version ${version} cannot be read`);
    while (this.#readItem());
    const computed = input.checksum;
    if (version >= 5) {
      const stored = input.take(8).readBigUInt64LE(0);
      if (stored !== 0n && stored !== computed) throw input.corrupt("the checksum of the snapshot does not fit");
    }
    return input.position;
  }

  /** One opcode or key; false behind the end mark. */
  #readItem(): boolean {
    const input = this.#input;
    const code = input.byte();
    switch (code) {
      case OPCODE.END:
        return false;
      case OPCODE.AUX:
        this.#string();
        this.#string();
        return true;
      case OPCODE.SELECT_DB:
        this.#db = this.#length();
        if (this.#db >= this.#sink.databases) throw input.corrupt(`there is no database ${this.#db}`);
        return true;
      case OPCODE.RESIZE_DB:
        this.#length();
        this.#length();
        return true;
      case OPCODE.EXPIRE_S:
        this.#expiry = input.take(4).readInt32LE(0) * 1000;
        return true;
      case OPCODE.EXPIRE_MS:
        this.#expiry = this.#milliseconds();
        return true;
      case OPCODE.IDLE:
        this.#length();
        return true;
      case OPCODE.FREQUENCY:
        input.byte();
        return true;
      default:
        this.#readKey(code);
        this.#expiry = NO_EXPIRY;
        return true;
    }
  }

  /** An expiry. Redis keeps any of 64 bits; what is beyond ours no command of ours could say again in a log. */
  #milliseconds(): number {
    const at = this.#input.position - 1;
    const expiry = this.#input.take(8).readBigInt64LE(0);
    if (expiry >= 0 && expiry <= EXPIRY_MAX) return Number(expiry);
    throw new CorruptFile(this.#input.path, at, `an expiry of ${expiry} ms, which this server cannot keep,`);
  }

  #readKey(type: number): void {
    const input = this.#input;
    const typeAt = input.position - 1;
    const refused = REFUSED[type];
    if (refused !== undefined) {
      throw new CorruptFile(input.path, typeAt, `${refused} (RDB type ${type}), which this server cannot load,`);
    }
    if (type !== TYPE_STRING && type !== TYPE_HASH && PACKED_READERS[type] === undefined) {
      throw new CorruptFile(input.path, typeAt, `an unknown RDB type ${type}`);
    }
    const key = this.#string();
    if (type === TYPE_STRING) this.#sink.string(this.#db, key, this.#string(), this.#expiry);
    else this.#sink.hash(this.#db, key, this.#pairs(type), this.#expiry);
  }

  #pairs(type: number): Bytes[] {
    if (type === TYPE_HASH) {
      const pairs: Bytes[] = [];
      for (let count = this.#length() * 2; count > 0; count--) pairs.push(this.#string());
      return pairs;
    }
    const packed = Buffer.from(this.#string(), "latin1");
    const pairs = PACKED_READERS[type]!(packed);
    if (pairs === undefined || pairs.length % 2 !== 0) throw this.#input.corrupt("a damaged packed hash");
    return pairs;
  }

  #length(): number {
    const first = this.#input.byte();
    if (first >> 6 === 3) throw this.#input.corrupt("a string where a length was expected");
    return this.#lengthFrom(first);
  }

  #lengthFrom(first: number): number {
    const input = this.#input;
    if (first >> 6 === 0) return first & 0x3f;
    if (first >> 6 === 1) return ((first & 0x3f) << 8) | input.byte();
    if (first === 0x80) return input.take(4).readUInt32BE(0);
    if (first !== 0x81) throw input.corrupt("an unknown length");
    const length = input.take(8).readBigUInt64BE(0);
    if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw input.corrupt("a length that cannot be");
    return Number(length);
  }

  #string(): Bytes {
    const input = this.#input;
    const first = input.byte();
    switch (first) {
      case 0xc0:
        return String(input.take(1).readInt8(0));
      case 0xc1:
        return String(input.take(2).readInt16LE(0));
      case 0xc2:
        return String(input.take(4).readInt32LE(0));
      case 0xc3: {
        const compressed = this.#checked(this.#length());
        const length = this.#checked(this.#length());
        const bytes = lzfDecompress(input.take(compressed), length);
        if (bytes === undefined) throw input.corrupt("a damaged compressed string");
        return sliceBytes(bytes, 0, length);
      }
      default: {
        if (first >> 6 === 3) throw input.corrupt("an unknown string encoding");
        const length = this.#checked(this.#lengthFrom(first));
        return sliceBytes(input.take(length), 0, length);
      }
    }
  }

  #checked(length: number): number {
    if (length > BYTES_LENGTH_MAX) throw this.#input.corrupt("a string longer than one can be");
    return length;
  }
}
