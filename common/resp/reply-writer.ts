/**
 * Writes replies in RESP2 or RESP3 (https://redis.io/docs/reference/protocol-spec), as Redis's addReply* family does.
 *
 * Output is one growing byte string per client: V8 ropes make appending cheap, and a latin1 string is the fastest thing
 * that Node can hand to a socket. Callers write headers (`array(3)`) and then exactly that many elements.
 *
 * A string of V8 ends at 512 MiB, so output beyond `PART_LENGTH_MAX` is cut into parts: `parts`, then `out`.
 */
import type { Bytes } from "../bytes.ts";

const INTEGERS: readonly Bytes[] = Array.from({ length: 1024 }, (_, n) => `:${n}\r\n`);
const BULK_HEADERS: readonly Bytes[] = Array.from({ length: 1024 }, (_, n) => `$${n}\r\n`);

/** Pipelines of writes are answered with runs of "+OK": made once, instead of a rope of so many pieces for each. */
const OKS: readonly Bytes[] = Array.from({ length: 257 }, (_, n) => "+OK\r\n".repeat(n));

const PART_LENGTH_MAX = 64 * 1024 * 1024;

export class ReplyWriter {
  /** What was written and not yet taken, behind `parts`. */
  out: Bytes = "";
  /** Full parts, before `out`. */
  #parts: Bytes[] = [];
  #partsLength = 0;
  /** The entry of OKS that was written last; `out` may be something else by now. */
  #oks = 0;
  /** 2 or 3 (HELLO). */
  version: 2 | 3 = 2;
  /** Told about every error reply, for statistics. */
  onError: ((message: Bytes) => void) | undefined = undefined;

  /** Takes what was written; when there are full parts, call `takeParts` first. */
  take(): Bytes {
    const taken = this.out;
    this.out = "";
    return taken;
  }

  /** Whether there is more than `take` gives. */
  get hasParts(): boolean {
    return this.#parts.length > 0;
  }

  /** Takes the full parts, which come before what `take` gives. */
  takeParts(): Bytes[] {
    const taken = this.#parts;
    this.#parts = [];
    this.#partsLength = 0;
    return taken;
  }

  /** Bytes written and not yet taken; also the place to which `rewind` goes back, when a command fails half way. */
  get mark(): number {
    return this.#partsLength + this.out.length;
  }

  rewind(mark: number): void {
    while (mark < this.#partsLength) {
      this.out = this.#parts.pop()!;
      this.#partsLength -= this.out.length;
    }
    const length = mark - this.#partsLength;
    if (this.out.length !== length) this.out = this.out.slice(0, length);
  }

  ok(): void {
    if (this.out === "") this.#oks = 0;
    // Usually the very same string, or one of another length: the comparison looks at no characters.
    if (this.out === OKS[this.#oks] && this.#oks + 1 < OKS.length) this.out = OKS[++this.#oks]!;
    else this.out += "+OK\r\n";
  }

  /** A status line: no CR or LF in it. */
  simple(text: Bytes): void {
    this.out += `+${text}\r\n`;
  }

  /** `message` starts with the code word ("ERR …"); line breaks become blanks, as in Redis. */
  error(message: Bytes): void {
    this.onError?.(message);
    this.out += `-${/[\r\n]/.test(message) ? message.replace(/[\r\n]/g, " ") : message}\r\n`;
  }

  integer(value: number | bigint): void {
    if (typeof value === "number" && value >= 0 && value < 1024) this.out += INTEGERS[value];
    else this.out += `:${value}\r\n`;
  }

  bulk(value: Bytes): void {
    const length = value.length;
    if (this.out.length + length > PART_LENGTH_MAX) this.#bulkInParts(value);
    else if (length < 1024) this.out += BULK_HEADERS[length] + value + "\r\n";
    else this.out += `$${length}\r\n${value}\r\n`;
  }

  #bulkInParts(value: Bytes): void {
    this.out += `$${value.length}\r\n`;
    this.#endPart();
    this.out = value;
    this.#endPart();
    this.out = "\r\n";
  }

  #endPart(): void {
    this.#parts.push(this.out);
    this.#partsLength += this.out.length;
    this.out = "";
  }

  /** A bulk string, or null when undefined. */
  bulkOrNull(value: Bytes | undefined): void {
    if (value === undefined) this.null();
    else this.bulk(value);
  }

  null(): void {
    this.out += this.version === 2 ? "$-1\r\n" : "_\r\n";
  }

  /** The absent array (EXEC aborted by WATCH, a blocking command timed out). */
  nullArray(): void {
    this.out += this.version === 2 ? "*-1\r\n" : "_\r\n";
  }

  array(count: number): void {
    this.out += `*${count}\r\n`;
  }

  /** `pairs` keys and values follow, alternating; RESP2 sees a flat array. */
  map(pairs: number): void {
    this.out += this.version === 2 ? `*${pairs * 2}\r\n` : `%${pairs}\r\n`;
  }

  set(count: number): void {
    this.out += this.version === 2 ? `*${count}\r\n` : `~${count}\r\n`;
  }

  push(count: number): void {
    this.out += this.version === 2 ? `*${count}\r\n` : `>${count}\r\n`;
  }

  boolean(value: boolean): void {
    if (this.version === 2) this.integer(value ? 1 : 0);
    else this.out += value ? "#t\r\n" : "#f\r\n";
  }

  /** `text` is the number as Redis prints it. */
  double(text: Bytes): void {
    if (this.version === 2) this.bulk(text);
    else this.out += `,${text}\r\n`;
  }

  /** `format` is "txt" or "mkd". */
  verbatim(format: string, text: Bytes): void {
    if (this.version === 2) this.bulk(text);
    else this.out += `=${text.length + 4}\r\n${format}:${text}\r\n`;
  }
}
