/**
 * Length and parts of a string: STRLEN, APPEND, GETRANGE (SUBSTR), SETRANGE.
 */
import type { Bytes } from "../../bytes.ts";
import { bytes, integer, key } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { DENYOOM, FAST, READONLY, WRITE } from "../../command/flags.ts";
import { CommandError } from "../../errors.ts";
import { checkStringLength } from "./limits.ts";

export const strlen = command("strlen", {
  summary: "Returns the length of a string value.",
  since: "2.2.0",
  group: "string",
  complexity: "O(1)",
  flags: READONLY | FAST,
  args: [key("key", "RO")],
  run(call, key) {
    call.reply.integer(call.db.strings.length(key));
  },
});

export const append = command("append", {
  summary: "Appends a string to the value of a key. Creates the key if it doesn't exist.",
  since: "2.0.0",
  group: "string",
  complexity:
    "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.",
  flags: WRITE | DENYOOM | FAST,
  args: [key("key", "RW INSERT"), bytes("value")],
  run(call, key, value) {
    const { strings } = call.db;
    checkStringLength(call, strings.length(key) + value.length);
    call.reply.integer(strings.append(key, value));
  },
});

const GETRANGE_COMPLEXITY =
  "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.";

export const getrange = command("getrange", {
  summary: "Returns a substring of the string stored at a key.",
  since: "2.4.0",
  group: "string",
  complexity: GETRANGE_COMPLEXITY,
  flags: READONLY,
  args: [key("key", "RO ACCESS"), integer("start"), integer("end")],
  run: replyRange,
});

export const substr = command("substr", {
  summary: "Returns a substring from a string value.",
  since: "1.0.0",
  group: "string",
  complexity: GETRANGE_COMPLEXITY,
  deprecated: { since: "2.0.0", replacedBy: "`GETRANGE`" },
  flags: READONLY,
  args: [key("key", "RO ACCESS"), integer("start"), integer("end")],
  run: replyRange,
});

/** Offsets are inclusive; negative ones count from the end. */
function replyRange(call: Call, key: Bytes, start: number, end: number): void {
  const length = call.db.strings.length(key);
  const first = Math.max(start < 0 ? length + start : start, 0);
  const last = Math.min(Math.max(end < 0 ? length + end : end, 0), length - 1);
  const reversed = start < 0 && end < 0 && start > end;
  call.reply.bulk(reversed || first > last ? "" : call.db.strings.getRange(key, first, last + 1));
}

export const setrange = command("setrange", {
  summary: "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
  since: "2.2.0",
  group: "string",
  complexity:
    "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.",
  flags: WRITE | DENYOOM,
  args: [key("key", "RW UPDATE"), integer("offset"), bytes("value")],
  run(call, key, offset, value) {
    if (offset < 0) throw new CommandError("ERR offset is out of range");
    const { strings } = call.db;
    const length = strings.length(key);
    if (value.length === 0) return call.reply.integer(length);
    checkStringLength(call, offset + value.length);
    call.reply.integer(strings.setRange(key, offset, value));
  },
});
