/**
 * Reads requests from the bytes of one client: RESP arrays of bulk strings and inline commands, with the limits and the
 * protocol errors of Redis (networking.c, processMultibulkBuffer and processInlineBuffer).
 *
 *     feed(chunk) ─┬─ nothing kept:   parse in the chunk itself, copy only the arguments
 *                  └─ something kept: append the chunk to it and parse there
 *     next() → COMMAND   the request is in `args`, valid until the next call
 *            → NEED_MORE all is read but an unfinished rest, which was copied: the chunk may be reused
 *            → BROKEN    the client broke the protocol; `problem` says how; nothing can be read any more
 *
 * Rules:
 * 1. Nothing of a chunk stays referenced: arguments are latin1 copies and the rest is copied when the caller lets go.
 * 2. Memory follows what has arrived, never what was announced; a value in many chunks costs O(n) by doubling.
 * 3. What was parsed is not parsed again: an unfinished request keeps its arguments and the length being read.
 */
import { BYTES_LENGTH_MAX, type Bytes, sliceBytes } from "../bytes.ts";
import { splitArguments } from "./split-arguments.ts";

export const NEED_MORE = 0;
export const COMMAND = 1;
export const BROKEN = 2;
export type Outcome = typeof NEED_MORE | typeof COMMAND | typeof BROKEN;

/** Longest header line and longest inline request (PROTO_INLINE_MAX_SIZE). */
const LINE_LENGTH_MAX = 64 * 1024;
/** Most arguments of one request (INT_MAX). */
const ARGUMENTS_MAX = 0x7fffffff;
/** What an argument costs besides its bytes, so that a million empty ones count against the query buffer limit. */
const ARGUMENT_OVERHEAD_BYTES = 24;
/** A rest buffer that has grown beyond this is given back when it is empty. */
const REST_BYTES_KEPT = 64 * 1024;
const REST_BYTES_INITIAL = 1024;

/** Longest command name that is worth comparing. */
const NAME_LENGTH_KEPT = 32;

const CR = 13;
const LF = 10;
const ZERO = 48;
const NINE = 57;
const MINUS = 45;
const STAR = 42;
const DOLLAR = 36;

const EMPTY = Buffer.alloc(0);
/** `#line` found no whole line. */
const INCOMPLETE = -1;
/** `#number`: the line is not a decimal number. */
const NOT_A_NUMBER = Number.NaN;

/** The limits of the configuration; one object for all clients, changed by CONFIG SET. */
export interface RequestLimits {
  /** proto-max-bulk-len. */
  bulkLengthMax: number;
  /** client-query-buffer-limit: most bytes of one unfinished request. */
  queryBufferMax: number;
}

export class RequestReader {
  /** The arguments of the request that `next` found. Reused. */
  readonly args: Bytes[] = [];
  /** What was wrong, when `next` answered BROKEN: the text behind "ERR "; empty: close without a word. */
  problem: Bytes = "";

  readonly #limits: RequestLimits;
  #buffer: Buffer = EMPTY;
  #at = 0;
  #end = 0;
  /** Own memory for what is unfinished; `#buffer` is this one or a chunk of the caller. */
  #rest: Buffer = EMPTY;

  /** The first argument of the request before. */
  #lastName: Bytes = "";
  /** Arguments still to come; 0: a new request begins. */
  #missing = 0;
  /** Arguments already there. */
  #count = 0;
  /** Bytes of those arguments. */
  #countBytes = 0;
  /** Length of the argument being read; −1: its header is still to come. */
  #bulkLength = -1;

  constructor(limits: RequestLimits) {
    this.#limits = limits;
  }

  /** Bytes that arrived and are not yet part of a request. */
  get bufferedBytes(): number {
    return this.#end - this.#at;
  }

  /** Bytes of the unfinished request, its arguments included. */
  get unfinishedBytes(): number {
    return this.#end - this.#at + this.#countBytes;
  }

  /** Takes the first `length` bytes of a chunk, which must stay as they are until `next` answered NEED_MORE or `keep` was called. */
  feed(chunk: Buffer, length: number = chunk.length): void {
    if (this.#at === this.#end) {
      this.#buffer = chunk;
      this.#at = 0;
      this.#end = length;
    } else {
      this.#append(chunk, length);
    }
  }

  /** Lets go of the chunk before everything in it was read. */
  keep(): void {
    const length = this.#end - this.#at;
    if (this.#buffer !== this.#rest) {
      if (this.#rest.length < length) this.#rest = Buffer.allocUnsafeSlow(Math.max(length, REST_BYTES_INITIAL));
      this.#buffer.copy(this.#rest, 0, this.#at, this.#end);
      this.#buffer = this.#rest;
      this.#at = 0;
      this.#end = length;
    } else if (length === 0) {
      if (this.#rest.length > REST_BYTES_KEPT) this.#rest = EMPTY;
      this.#buffer = this.#rest;
      this.#at = 0;
      this.#end = 0;
    }
  }

  /** The next request, if it is there. */
  next(): Outcome {
    for (;;) {
      if (this.#missing === 0) {
        if (this.#at === this.#end) return this.#needMore();
        const outcome = this.#buffer[this.#at] === STAR ? this.#readHeader() : this.#readInline();
        if (outcome !== undefined) return outcome;
        if (this.#missing === 0) continue;
      }
      const outcome = this.#readArguments();
      if (outcome !== undefined) return outcome;
    }
  }

  #append(chunk: Buffer, length: number): void {
    const unread = this.#end - this.#at;
    if (this.#end + length > this.#rest.length) {
      const needed = unread + length;
      const target = needed > this.#rest.length ? Buffer.allocUnsafeSlow(this.#capacityFor(needed)) : this.#rest;
      this.#rest.copy(target, 0, this.#at, this.#end);
      this.#rest = target;
      this.#buffer = target;
      this.#at = 0;
      this.#end = unread;
    }
    chunk.copy(this.#rest, this.#end, 0, length);
    this.#end += length;
  }

  /** Doubling, but not far beyond the end of the value that is being read. */
  #capacityFor(needed: number): number {
    const end = this.#bulkLength + REST_BYTES_KEPT;
    return Math.max(needed, Math.min(needed * 2, this.#bulkLength === -1 ? needed * 2 : end));
  }

  #needMore(): Outcome {
    if (this.unfinishedBytes > this.#limits.queryBufferMax) return this.#break("");
    this.keep();
    return NEED_MORE;
  }

  #break(problem: Bytes): Outcome {
    this.problem = problem;
    this.#rest = EMPTY;
    this.#buffer = EMPTY;
    this.#at = 0;
    this.#end = 0;
    this.args.length = 0;
    return BROKEN;
  }

  /** Offset of the CR of the line that starts at `from`, or INCOMPLETE. The LF behind it is there, too. */
  #line(from: number): number {
    const buffer = this.#buffer;
    const end = this.#end - 1;
    // Headers are a few digits long: a loop over them is faster than a call of indexOf.
    for (let i = from; i < end && i < from + 24; i++) if (buffer[i] === CR) return i;
    if (end - from < 24) return INCOMPLETE;
    const found = buffer.indexOf(CR, from);
    return found === -1 || found >= end ? INCOMPLETE : found;
  }

  /** The decimal number in [from, to), as strict as string2ll: no sign but "-", no leading zeros. */
  #number(from: number, to: number): number {
    const buffer = this.#buffer;
    const negative = buffer[from] === MINUS;
    const first = negative ? from + 1 : from;
    const digits = to - first;
    if (digits < 1 || digits > 15) return NOT_A_NUMBER;
    if (buffer[first] === ZERO && (digits > 1 || negative)) return NOT_A_NUMBER;
    let value = 0;
    for (let i = first; i < to; i++) {
      const char = buffer[i]!;
      if (char < ZERO || char > NINE) return NOT_A_NUMBER;
      value = value * 10 + (char - ZERO);
    }
    return negative ? -value : value;
  }

  /** `*count`. Answers undefined when reading can go on. */
  #readHeader(): Outcome | undefined {
    const cr = this.#line(this.#at + 1);
    if (cr === INCOMPLETE) {
      if (this.#end - this.#at > LINE_LENGTH_MAX) return this.#break("Protocol error: too big mbulk count string");
      return this.#needMore();
    }
    const count = this.#number(this.#at + 1, cr);
    if (!(count <= ARGUMENTS_MAX)) return this.#break("Protocol error: invalid multibulk length");
    this.#at = cr + 2;
    if (count > 0) this.#missing = count;
    return undefined;
  }

  #readArguments(): Outcome | undefined {
    const limits = this.#limits;
    while (this.#missing > 0) {
      if (this.#bulkLength === -1) {
        const cr = this.#line(this.#at);
        if (cr === INCOMPLETE) {
          if (this.#end - this.#at > LINE_LENGTH_MAX) return this.#break("Protocol error: too big bulk count string");
          return this.#needMore();
        }
        const sign = this.#buffer[this.#at]!;
        if (sign !== DOLLAR) return this.#break(`Protocol error: expected '$', got '${String.fromCharCode(sign)}'`);
        const length = this.#number(this.#at + 1, cr);
        if (!(length >= 0 && length <= limits.bulkLengthMax && length <= BYTES_LENGTH_MAX)) {
          return this.#break("Protocol error: invalid bulk length");
        }
        this.#bulkLength = length;
        this.#at = cr + 2;
      }
      const end = this.#at + this.#bulkLength;
      if (end + 2 > this.#end) return this.#needMore();
      this.args[this.#count] = this.#count === 0 ? this.#nameAt(end) : sliceBytes(this.#buffer, this.#at, end);
      this.#count++;
      this.#countBytes += this.#bulkLength + ARGUMENT_OVERHEAD_BYTES;
      this.#at = end + 2;
      this.#bulkLength = -1;
      this.#missing--;
    }
    if (this.args.length !== this.#count) this.args.length = this.#count;
    this.#count = 0;
    this.#countBytes = 0;
    return COMMAND;
  }

  /** The first argument. Clients repeat their commands: the same name is the same string, with no new copy to hash. */
  #nameAt(end: number): Bytes {
    const last = this.#lastName;
    const length = end - this.#at;
    if (length === last.length) {
      let i = 0;
      while (i < length && this.#buffer[this.#at + i] === last.charCodeAt(i)) i++;
      if (i === length) return last;
    }
    const name = sliceBytes(this.#buffer, this.#at, end);
    if (length <= NAME_LENGTH_KEPT) this.#lastName = name;
    return name;
  }

  /** A line of text. An empty one is no request. */
  #readInline(): Outcome | undefined {
    const found = this.#buffer.indexOf(LF, this.#at);
    if (found === -1 || found >= this.#end) {
      if (this.#end - this.#at > LINE_LENGTH_MAX) return this.#break("Protocol error: too big inline request");
      return this.#needMore();
    }
    const end = found > this.#at && this.#buffer[found - 1] === CR ? found - 1 : found;
    const args = splitArguments(sliceBytes(this.#buffer, this.#at, end));
    if (args === undefined) return this.#break("Protocol error: unbalanced quotes in request");
    this.#at = found + 1;
    if (args.length === 0) return undefined;
    for (let i = 0; i < args.length; i++) this.args[i] = args[i]!;
    this.args.length = args.length;
    return COMMAND;
  }
}
