/**
 * LCS: the longest common subsequence of two strings, by the usual table of lengths:
 * table[i][j] is the length for the first i bytes of a and the first j bytes of b.
 */
import type { Bytes } from "../../bytes.ts";
import { integer, key, type Word } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { READONLY } from "../../command/flags.ts";
import { flag, option, options } from "../../command/options.ts";
import { CommandError } from "../../errors.ts";
import { Type } from "../../keyspace/keyspace.ts";
import { stringLengthMax } from "./limits.ts";

export const lcs = command("lcs", {
  summary: "Finds the longest common substring.",
  since: "7.0.0",
  group: "string",
  complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
  flags: READONLY,
  args: [
    stringAt("key1"),
    stringAt("key2"),
    options({
      len: flag("LEN"),
      idx: flag("IDX"),
      minMatchLen: option("MINMATCHLEN", integer("min-match-len")),
      withMatchLen: flag("WITHMATCHLEN"),
    }),
  ],
  run(call, a, b, { len, idx, minMatchLen = 0, withMatchLen = false }) {
    if (len === true && idx === true) {
      throw new CommandError("ERR If you want both the length and indexes, please just use IDX.");
    }
    const table = lengthTable(call, a, b);
    if (len === true) return call.reply.integer(table.at(-1)!);
    const { text, ranges } = walkBack(table, a, b);
    if (idx === undefined) return call.reply.bulk(text);
    const shown = ranges.filter((range) => range.length >= minMatchLen);
    call.reply.map(2);
    call.reply.bulk("matches");
    call.reply.array(shown.length);
    for (const range of shown) replyRange(call, range, withMatchLen);
    call.reply.bulk("len");
    call.reply.integer(text.length);
  },
});

/** A run of bytes that both strings have, at `a` in the first and at `b` in the second. */
interface CommonRange {
  a: number;
  b: number;
  length: number;
}

/** A key, and as its value what it holds: Redis looks at the strings before the options. */
function stringAt(name: string): Word<Bytes> {
  return { ...key(name, "RO ACCESS"), convert: (text, call) => stringOf(call, text) };
}

function stringOf(call: Call, key: Bytes): Bytes {
  const type = call.db.typeOf(key);
  if (type !== Type.STRING && type !== Type.NONE) {
    throw new CommandError("ERR The specified keys must contain string values");
  }
  return call.db.strings.get(key) ?? "";
}

function replyRange(call: Call, { a, b, length }: CommonRange, withLength: boolean): void {
  const { reply } = call;
  reply.array(withLength ? 3 : 2);
  for (const start of [a, b]) {
    reply.array(2);
    reply.integer(start);
    reply.integer(start + length - 1);
  }
  if (withLength) reply.integer(length);
}

function lengthTable(call: Call, a: Bytes, b: Bytes): Uint32Array {
  const width = b.length + 1;
  const cells = (a.length + 1) * width;
  if (cells * Uint32Array.BYTES_PER_ELEMENT > stringLengthMax(call)) {
    throw new CommandError("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  }
  const table = new Uint32Array(cells);
  for (let i = 1; i <= a.length; i++) {
    const byte = a.charCodeAt(i - 1);
    const row = i * width;
    for (let j = 1; j <= b.length; j++) {
      const above = row - width + j;
      table[row + j] =
        byte === b.charCodeAt(j - 1) ? table[above - 1]! + 1 : Math.max(table[above]!, table[row + j - 1]!);
    }
  }
  return table;
}

/** Follows the table from its end to its beginning: the subsequence, and its runs, last one first. */
function walkBack(table: Uint32Array, a: Bytes, b: Bytes): { text: Bytes; ranges: CommonRange[] } {
  const width = b.length + 1;
  const ranges: CommonRange[] = [];
  const bytes: string[] = [];
  let open: CommonRange | undefined;
  let i = a.length;
  let j = b.length;
  while (i > 0 && j > 0) {
    if (a[i - 1] === b[j - 1]) {
      bytes.push(a[--i]!);
      j--;
      if (open === undefined) {
        open = { a: i, b: j, length: 0 };
        ranges.push(open);
      }
      open.a = i;
      open.b = j;
      open.length++;
    } else {
      open = undefined;
      if (table[(i - 1) * width + j]! > table[i * width + j - 1]!) i--;
      else j--;
    }
  }
  return { text: bytes.reverse().join(""), ranges };
}
