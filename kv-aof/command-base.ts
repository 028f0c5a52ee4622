/**
 * A base of commands, as Redis writes it with aof-use-rdb-preamble no: SET, HSET with up to 64 fields, PEXPIREAT; SELECT
 * whenever the database changes.
 */
import type { Bytes } from "../common/bytes.ts";
import { NO_EXPIRY } from "../common/keyspace/keyspace.ts";
import type { Log } from "../common/log/log.ts";
import { AofEncoder } from "./aof-encoder.ts";
import type { BaseWriter } from "./base-file.ts";

/** Redis: AOF_REWRITE_ITEMS_PER_CMD. */
const FIELDS_PER_COMMAND = 64;

export class CommandBaseWriter implements BaseWriter {
  readonly #encoder: AofEncoder;
  #db = 0;
  #key: Bytes = "";
  #expiry = NO_EXPIRY;
  /** Field, value, field, value … of the hash that is being written. */
  #pairs: Bytes[] = [];

  constructor(log: Log) {
    this.#encoder = new AofEncoder(log);
  }

  database(): void {}

  string(db: number, key: Bytes, value: Bytes, expiry: number): void {
    this.#encoder.appendOne(db, ["SET", key, value]);
    this.#expire(db, key, expiry);
  }

  hash(db: number, key: Bytes, _count: number, expiry: number): void {
    this.#db = db;
    this.#key = key;
    this.#expiry = expiry;
  }

  field(field: Bytes, value: Bytes): void {
    this.#pairs.push(field, value);
    if (this.#pairs.length === 2 * FIELDS_PER_COMMAND) this.#flush();
  }

  hashEnd(): void {
    this.#flush();
    this.#expire(this.#db, this.#key, this.#expiry);
  }

  end(): void {}

  #flush(): void {
    if (this.#pairs.length === 0) return;
    this.#encoder.appendOne(this.#db, ["HSET", this.#key, ...this.#pairs]);
    this.#pairs = [];
  }

  #expire(db: number, key: Bytes, expiry: number): void {
    if (expiry !== NO_EXPIRY) this.#encoder.appendOne(db, ["PEXPIREAT", key, String(expiry)]);
  }
}
