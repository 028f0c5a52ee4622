/**
 * Reads commands from an append-only file, in chunks: the file may be larger than memory.
 *
 *     command  = "*" count CRLF  count × ( "$" length CRLF  bytes CRLF )
 *     annotation = "#" anything LF          between commands; skipped, as Redis does, unless it ends a group (aof-file.ts): then
 *                                           it must fit
 *
 * The reader knows where each command begins, so that recovery can cut exactly behind the last whole one.
 */
import { BYTES_LENGTH_MAX, type Bytes, sliceBytes } from "../common/bytes.ts";
import type { DiskFile } from "../common/disk/disk.ts";
import { groupProblem } from "./seals.ts";

const CHUNK_BYTES = 1024 * 1024;
/** "*" or "$", ten digits, CR LF. */
const LINE_BYTES_MAX = 16;
const GROUP_LINE_BYTES_MAX = 64;
const ARGUMENTS_MAX = 0x7fffffff;

const CR = 13;
const LF = 10;
const HASH = 35;
const DOLLAR = 36;
const STAR = 42;

/** command: `args` is one. end: the file ended behind a whole command. torn: it ended inside one. corrupt: see `problem`. */
export type AofReadResult = "command" | "end" | "torn" | "corrupt";

export class AofReader {
  readonly #file: DiskFile;
  readonly #size: number;
  #buffer: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** File offset of the first byte in the buffer, and what of the buffer is filled and not yet consumed. */
  #bufferAt: number;
  #at = 0;
  #end = 0;

  /** The command that was read, name first; a new array each time. */
  args: Bytes[] = [];
  /** Where the command that was read, or that could not be read, begins. */
  commandAt: number;
  /** What is wrong, after "corrupt", and where. */
  problem = "";
  problemAt = 0;

  /** Reads `file` from offset `start`. */
  constructor(file: DiskFile, start: number) {
    this.#file = file;
    this.#size = file.size();
    this.#bufferAt = start;
    this.commandAt = start;
  }

  /** The offset behind what was consumed. */
  get position(): number {
    return this.#bufferAt + this.#at;
  }

  /** Goes on reading at another offset. */
  seek(offset: number): void {
    this.#bufferAt = offset;
    this.#at = 0;
    this.#end = 0;
  }

  /** Reads the next command. */
  next(): AofReadResult {
    this.commandAt = this.position;
    this.args = [];
    if (this.#left === 0) return "end";
    this.#load(1);
    while (this.#buffer[this.#at] === HASH) {
      if (!this.#skipLine()) return "torn";
      const problem = this.#groupProblem();
      if (problem !== undefined) return this.#corrupt(problem, this.commandAt);
      this.commandAt = this.position;
      if (this.#left === 0) return "end";
      this.#load(1);
    }
    const count = this.#readNumber(STAR, ARGUMENTS_MAX);
    if (count === -1) return "torn";
    if (count === -2) return "corrupt";
    if (count === 0) return this.#corrupt("a command without arguments", this.commandAt);
    for (let i = 0; i < count; i++) {
      const length = this.#readNumber(DOLLAR, BYTES_LENGTH_MAX);
      if (length === -1) return "torn";
      if (length === -2) return "corrupt";
      if (this.#left < length + 2) return this.#tornArgument(length);
      this.#load(length + 2);
      const end = this.#at + length;
      if (this.#buffer[end] !== CR || this.#buffer[end + 1] !== LF) {
        const wrong = this.#buffer[end] === CR ? end + 1 : end;
        return this.#corrupt("an argument is longer than it says", this.#bufferAt + wrong);
      }
      this.args.push(sliceBytes(this.#buffer, this.#at, end));
      this.#at = end + 2;
    }
    return "command";
  }

  /** "*12\r\n" or "$5\r\n": the number; −1 when the file ends in it, −2 when it is something else. */
  #readNumber(mark: number, max: number): number {
    this.#load(LINE_BYTES_MAX);
    const buffer = this.#buffer;
    let at = this.#at;
    if (at === this.#end) return -1;
    if (buffer[at] !== mark) return this.#notANumber(at, `expected '${String.fromCharCode(mark)}'`);
    at++;
    let value = 0;
    const first = at;
    for (; at < this.#end; at++) {
      const digit = buffer[at]! - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      if (value > max) return this.#notANumber(at, "a length that cannot be");
    }
    if (at === this.#end) return -1;
    if (at === first || buffer[at] !== CR) return this.#notANumber(at, "a length that is no number");
    if (at + 1 === this.#end) return -1;
    if (buffer[at + 1] !== LF) return this.#notANumber(at + 1, "a line without its end");
    this.#at = at + 2;
    return value;
  }

  #notANumber(at: number, problem: string): number {
    this.#corrupt(problem, this.#bufferAt + at);
    return -2;
  }

  #corrupt(problem: string, at: number): "corrupt" {
    this.problem = problem;
    this.problemAt = at;
    return "corrupt";
  }

  /** The file ends inside an argument; but if its bytes are all there, what is torn is only the CR LF behind them. */
  #tornArgument(length: number): AofReadResult {
    if (this.#left === length + 1) {
      this.#load(length + 1);
      if (this.#buffer[this.#at + length] === CR) return "torn";
      return this.#corrupt("an argument is longer than it says", this.#bufferAt + this.#at + length);
    }
    return "torn";
  }

  /** Behind the line that begins at `commandAt`: is it the end of a group, and does the sum fit? */
  #groupProblem(): string | undefined {
    const length = this.position - this.commandAt;
    if (length > GROUP_LINE_BYTES_MAX) return undefined;
    const line = Buffer.allocUnsafe(length);
    this.#file.read(this.commandAt, line);
    return groupProblem(this.#file, this.commandAt, sliceBytes(line, 0, length));
  }

  #skipLine(): boolean {
    for (;;) {
      const lineEnd = this.#buffer.subarray(0, this.#end).indexOf(LF, this.#at);
      if (lineEnd >= 0) {
        this.#at = lineEnd + 1;
        return true;
      }
      this.#at = this.#end;
      if (this.#left === 0) return false;
      this.#load(1);
    }
  }

  /** Bytes of the file that were not consumed. */
  get #left(): number {
    return this.#size - this.position;
  }

  /** Gets `count` bytes, or all that are left, into the buffer behind #at. */
  #load(count: number): void {
    const wanted = Math.min(count, this.#left);
    if (this.#end - this.#at < wanted) this.#refill(wanted);
  }

  /** Moves what is left to the front and reads on. The buffer grows for one long argument, and is given back after it. */
  #refill(wanted: number): void {
    const kept = this.#buffer.subarray(this.#at, this.#end);
    const capacity = Math.max(CHUNK_BYTES, wanted);
    if (capacity > this.#buffer.length || this.#buffer.length > CHUNK_BYTES) {
      const other = Buffer.allocUnsafeSlow(capacity);
      kept.copy(other);
      this.#buffer = other;
    } else {
      kept.copy(this.#buffer);
    }
    this.#bufferAt += this.#at;
    this.#end = kept.length;
    this.#at = 0;
    this.#end += this.#file.read(this.#bufferAt + this.#end, this.#buffer.subarray(this.#end));
  }
}
