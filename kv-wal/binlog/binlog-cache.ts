/**
 * The events of the transactions that were executed and not yet written: the binlog cache. One is filled while the other
 * belongs to the group that is being committed. Because binlog order is execution order, the file position of every event
 * is known when it is made.
 */
import type { Effects } from "../../common/command/call.ts";
import { BeginEvent } from "./begin-event.ts";
import { queryBytesMax, writeQuery, writeXid, XID_EVENT_BYTES } from "./events.ts";

const BYTES_INITIAL = 64 * 1024;
/** A cache that one large transaction has grown beyond this is given back. */
const BYTES_KEPT = 4 * 1024 * 1024;
/** It grows by doubling, but leaves no more room than this: a Buffer has at most 4 GiB. */
const BYTES_SPARE = 64 * 1024 * 1024;

export class BinlogCache {
  readonly #begin = new BeginEvent();
  #buffer = Buffer.allocUnsafeSlow(BYTES_INITIAL);
  #length = 0;
  #base = 0;

  /** Starts anew, at the file position behind everything that is in the file or in the other cache. */
  reset(base: number): void {
    this.#base = base;
    this.#length = 0;
    if (this.#buffer.length > BYTES_KEPT) this.#buffer = Buffer.allocUnsafeSlow(BYTES_INITIAL);
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
  get length(): number {
    return this.#length;
  }
  /** The file position behind the last event. */
  get end(): number {
    return this.#base + this.#length;
  }

  /** Adds a transaction: BEGIN, its effects (none if it undid what it did), XID. */
  add(effects: Effects, xid: number, seconds: number): void {
    let at = this.#length;
    let buffer = this.#reserve(at, this.#begin.size);
    at = this.#begin.write(buffer, at, this.#base, seconds);
    for (let i = 0; i < effects.args.length; i++) {
      const args = effects.args[i]!;
      buffer = this.#reserve(at, queryBytesMax(args));
      at = writeQuery(buffer, at, this.#base, seconds, effects.db[i]!, args);
    }
    buffer = this.#reserve(at, XID_EVENT_BYTES);
    this.#length = writeXid(buffer, at, this.#base, seconds, xid);
  }

  #reserve(used: number, bytes: number): Buffer {
    if (used + bytes > this.#buffer.length) {
      const doubled = Math.min(this.#buffer.length * 2, used + bytes + BYTES_SPARE);
      const grown = Buffer.allocUnsafeSlow(Math.max(used + bytes, doubled));
      this.#buffer.copy(grown, 0, 0, used);
      this.#buffer = grown;
    }
    return this.#buffer;
  }
}
