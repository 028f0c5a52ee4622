/**
 * Reads what `strace -f -y -xx -ttt -T` writes. A line is one of
 *
 *     9416  1795255432.724100 write(18<\x2f\x61>, "\x68\x69", 2) = 2 <0.000021>      entered and left
 *     9416  1795255432.724100 fsync(18<\x2f\x61> <unfinished ...>                    entered
 *     9416  1795255432.725100 <... fsync resumed>) = 0 <0.001000>                    left
 *     9416  1795255432.730000 +++ exited with 0 +++                                  and other news, skipped
 *
 * A call is told when it is entered and again when it is left, in the order in which strace saw it. A traced thread stands
 * still while strace writes, so that order agrees with cause and effect: what a program does after a call has returned
 * comes later in the file. With -xx every byte of every string is `\x..`, so a quote, comma or bracket is never data.
 */
export interface SystemCall {
  readonly pid: number;
  readonly name: string;
  /** As strace prints them, e.g. `18<\x2f\x61>`, `"\x68\x69"`, `O_WRONLY|O_CREAT`, `{iov_base="\x61", iov_len=1}`. */
  readonly args: readonly string[];
  /** When it was entered, in seconds since 1970. */
  readonly at: number;
  /** When it was left. */
  readonly leftAt: number;
  /** What it returned; -1 when it failed, or when it never returned (`= ?`). */
  readonly result: number;
  /** ENOENT and the like; "" when it succeeded. */
  readonly error: string;
}

/** What the lines tell. When a call is entered, its result is not known yet. */
export type StraceEvent =
  | { readonly kind: "enter"; readonly call: SystemCall }
  | { readonly kind: "leave"; readonly call: SystemCall }
  | { readonly kind: "exit"; readonly pid: number };

const UNFINISHED = " <unfinished ...>";
const HEADER = /^(\d+)\s+(\d+\.\d+) /;
const RESUMED = /^<\.\.\. (\w+) resumed>/;
const RESULT = /^(?:(0x[0-9a-f]+|-?\d+)|\?)(?:<[^>]*>)?(?: (E[A-Z0-9]+))?/;
const DURATION = / <(\d+\.\d+)>$/;
const MICROSECOND = 1e-6;

/** Turns lines into events; holds the calls that were entered and not left. */
export class StraceReader {
  readonly #unfinished = new Map<number, { readonly at: number; readonly text: string }>();
  readonly #tell: (event: StraceEvent) => void;

  constructor(tell: (event: StraceEvent) => void) {
    this.#tell = tell;
  }

  line(line: string): void {
    const header = HEADER.exec(line);
    if (header === null) return;
    const pid = Number(header[1]);
    const at = Number(header[2]);
    const text = line.slice(header[0].length);
    if (text.startsWith("+++")) this.#tell({ kind: "exit", pid });
    if (text.startsWith("+++") || text.startsWith("---")) return;
    const resumed = RESUMED.exec(text);
    if (resumed !== null) {
      const start = this.#unfinished.get(pid);
      // A call that was entered before strace attached has no beginning.
      if (start === undefined) return;
      this.#unfinished.delete(pid);
      this.#leave(pid, start.at, start.text + text.slice(resumed[0].length), at);
    } else if (text.endsWith(UNFINISHED)) {
      const begun = text.slice(0, -UNFINISHED.length);
      this.#unfinished.set(pid, { at, text: begun });
      const open = begun.indexOf("(");
      const args = splitArguments(begun.slice(open + 1));
      this.#tell({
        kind: "enter",
        call: { pid, name: begun.slice(0, open), args, at, leftAt: at, result: -1, error: "" },
      });
    } else {
      this.#leave(pid, at, text, undefined);
    }
  }

  #leave(pid: number, at: number, text: string, resumedAt: number | undefined): void {
    const open = text.indexOf("(");
    const equals = text.lastIndexOf(" = ");
    // The last line of a strace that was killed may be cut: that call was never left.
    if (open < 0 || equals < open) return;
    const close = text.lastIndexOf(")", equals);
    const [, number, error = ""] = RESULT.exec(text.slice(equals + 3)) ?? [];
    const duration = Number(DURATION.exec(text)?.[1] ?? 0);
    const call: SystemCall = {
      pid,
      name: text.slice(0, open),
      args: splitArguments(text.slice(open + 1, close)),
      at,
      // The stamp of a resumed line is that of the leaving; -T alone does not count the time until strace noticed.
      leftAt: resumedAt ?? at + Math.max(duration, MICROSECOND),
      result: number === undefined ? -1 : Number(number),
      error,
    };
    if (resumedAt === undefined) this.#tell({ kind: "enter", call });
    this.#tell({ kind: "leave", call });
  }
}

/** Splits at the commas that are in no bracket and no string. */
export function splitArguments(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index++) {
    const char = text[index];
    if (char === '"') {
      const end = text.indexOf('"', index + 1);
      if (end < 0) break;
      index = end;
    } else if (char === "(" || char === "[" || char === "{") depth++;
    else if (char === ")" || char === "]" || char === "}") depth--;
    else if (char === "," && depth === 0) {
      parts.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  const last = text.slice(start).trim();
  if (last !== "") parts.push(last);
  return parts;
}

/** The bytes of a string as -xx prints it, or undefined where it was cut (`"…"...`) or is an address. */
export function bytesOf(argument: string): Buffer | undefined {
  if (!argument.startsWith('"') || !argument.endsWith('"')) return undefined;
  const count = (argument.length - 2) / 4;
  const bytes = Buffer.allocUnsafe(count);
  for (let index = 0, at = 1; index < count; index++, at += 4) {
    bytes[index] = (hexDigit(argument.charCodeAt(at + 2)) << 4) | hexDigit(argument.charCodeAt(at + 3));
  }
  return bytes;
}

function hexDigit(code: number): number {
  return code <= 57 ? code - 48 : code - 87;
}

/** A path argument. Names that are not UTF-8 would not survive: nobody has seen one in a data folder. */
export function pathOf(argument: string | undefined): string {
  return bytesOf(argument ?? "")?.toString("utf8") ?? "";
}

/** The number and, with -y, the path of a descriptor argument: `18<\x2f\x61>`, `AT_FDCWD<…>`. */
export function descriptorOf(argument: string | undefined): { readonly fd: number; readonly path: string } {
  const match = /^(-?\w+)(?:<((?:\\x[0-9a-f]{2})*)>)?/.exec(argument ?? "");
  const path = match?.[2] === undefined ? "" : pathOf(`"${match[2]}"`);
  return { fd: match?.[1] === "AT_FDCWD" ? -100 : Number(match?.[1] ?? -1), path };
}

/** The buffers of `[{iov_base="…", iov_len=1}, …]`, joined; undefined where strace cut something. */
export function vectorOf(argument: string): Buffer | undefined {
  const buffers: Buffer[] = [];
  for (const item of splitArguments(argument.slice(1, -1))) {
    const [base = ""] = splitArguments(item.slice(1, -1));
    const bytes = bytesOf(base.replace(/^iov_base=/, ""));
    if (bytes === undefined) return undefined;
    buffers.push(bytes);
  }
  return Buffer.concat(buffers);
}
