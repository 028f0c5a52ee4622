/**
 * Strings as numbers: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.
 *
 * Effect: INCRBYFLOAT is recorded as SET … KEEPTTL, so that replay does not depend on how floats are added.
 */
import type { Bytes } from "../../bytes.ts";
import { bytes, described, integer64, key } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { NOT_A_FLOAT, NOT_AN_INTEGER } from "../../command/errors.ts";
import { DENYOOM, FAST, WRITE } from "../../command/flags.ts";
import { CommandError } from "../../errors.ts";
import { addIntegers, INT64_MIN, type Int64, parseInteger } from "../../keyspace/integer.ts";
import { KEEP_EXPIRY } from "../../keyspace/keyspace.ts";
import { addLongDoubles, formatLongDouble, parseLongDouble } from "../../keyspace/long-double.ts";

const counter = { group: "string", complexity: "O(1)", flags: WRITE | DENYOOM | FAST } as const;

export const incr = command("incr", {
  ...counter,
  summary: "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
  since: "1.0.0",
  args: [key("key", "RW ACCESS UPDATE")],
  run(call, key) {
    increment(call, key, 1);
  },
});

export const decr = command("decr", {
  ...counter,
  summary: "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
  since: "1.0.0",
  args: [key("key", "RW ACCESS UPDATE")],
  run(call, key) {
    increment(call, key, -1);
  },
});

export const incrby = command("incrby", {
  ...counter,
  summary: "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
  since: "1.0.0",
  args: [key("key", "RW ACCESS UPDATE"), integer64("increment")],
  run: increment,
});

export const decrby = command("decrby", {
  ...counter,
  summary: "Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
  since: "1.0.0",
  args: [key("key", "RW ACCESS UPDATE"), integer64("decrement")],
  run(call, key, decrement) {
    if (decrement === INT64_MIN) throw new CommandError("ERR decrement would overflow");
    increment(call, key, -decrement);
  },
});

function increment(call: Call, key: Bytes, by: Int64): void {
  const { strings } = call.db;
  const text = strings.get(key);
  const before = text === undefined ? 0 : parseInteger(text);
  if (before === undefined) throw new CommandError(NOT_AN_INTEGER);
  const after = addIntegers(before, by);
  if (after === undefined) throw new CommandError("ERR increment or decrement would overflow");
  strings.set(key, String(after), KEEP_EXPIRY);
  call.reply.integer(after);
}

export const incrbyfloat = command("incrbyfloat", {
  ...counter,
  summary:
    "Increments the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
  since: "2.6.0",
  args: [key("key", "RW ACCESS UPDATE"), described("double", bytes("increment"))],
  run(call, key, increment) {
    const { strings } = call.db;
    const before = parseLongDouble(strings.get(key) ?? "0");
    const by = parseLongDouble(increment);
    if (before === undefined || by === undefined) throw new CommandError(NOT_A_FLOAT);
    const sum = before === "infinite" || by === "infinite" ? undefined : addLongDoubles(before, by);
    if (sum === undefined) throw new CommandError("ERR increment would produce NaN or Infinity");
    const after = formatLongDouble(sum);
    strings.set(key, after, KEEP_EXPIRY);
    call.effect("SET", key, after, "KEEPTTL");
    call.reply.bulk(after);
  },
});
