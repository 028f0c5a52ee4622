/**
 * Splits a line into arguments by Redis's rules (sdssplitargs): blanks separate; "double quotes" know \n \r \t \b \a,
 * \xHH and \ before any other character; 'single quotes' know only \'. A closing quote must end its argument.
 * Used for inline commands and for lines of the config file.
 */
import type { Bytes } from "../bytes.ts";

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };

function isBlank(char: string | undefined): boolean {
  return char === " " || (char !== undefined && char >= "\t" && char <= "\r");
}

/** Reads the quoted part that starts behind the quote at `at - 1`. Returns its text and the offset behind its closing quote. */
function readQuoted(line: Bytes, at: number, quote: string): { text: Bytes; next: number } | undefined {
  let text = "";
  for (let i = at; i < line.length; i++) {
    const char = line[i]!;
    if (char === quote) {
      const next = i + 1;
      return next === line.length || isBlank(line[next]) ? { text, next } : undefined;
    }
    if (char !== "\\" || i + 1 === line.length) {
      text += char;
      continue;
    }
    const escaped = line[i + 1]!;
    if (quote === "'") {
      if (escaped === "'") i++;
      text += escaped === "'" ? "'" : char;
      continue;
    }
    const hex = escaped === "x" ? /^[0-9a-f]{2}/i.exec(line.slice(i + 2, i + 4)) : null;
    text += hex === null ? (ESCAPES[escaped] ?? escaped) : String.fromCharCode(Number.parseInt(hex[0], 16));
    i += hex === null ? 1 : 3;
  }
  return undefined;
}

/** The arguments of a line; undefined when its quotes are unbalanced. */
export function splitArguments(line: Bytes): Bytes[] | undefined {
  const args: Bytes[] = [];
  let at = 0;
  for (;;) {
    while (isBlank(line[at])) at++;
    // As in sdssplitargs, which works on C strings, a NUL ends the line.
    if (at >= line.length || line[at] === "\0") return args;
    let arg = "";
    while (at < line.length && !isBlank(line[at]) && line[at] !== "\0") {
      const char = line[at]!;
      if (char === '"' || char === "'") {
        const quoted = readQuoted(line, at + 1, char);
        if (quoted === undefined) return undefined;
        arg += quoted.text;
        at = quoted.next;
        break;
      }
      arg += char;
      at++;
    }
    args.push(arg);
  }
}
