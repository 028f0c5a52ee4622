/**
 * Changing hashes: HSET, HSETNX, HMSET, HDEL and the counters.
 *
 * Effect: HINCRBYFLOAT is recorded as HSET, so that replay does not depend on how floats are added.
 */
import type { Bytes } from "../../bytes.ts";
import { bytes, described, integer64, key } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { NOT_A_FLOAT } from "../../command/errors.ts";
import { DENYOOM, FAST, WRITE } from "../../command/flags.ts";
import { many, pairs } from "../../command/phrases.ts";
import { CommandError } from "../../errors.ts";
import { addIntegers, parseInteger } from "../../keyspace/integer.ts";
import { addLongDoubles, formatLongDouble, parseLongDouble } from "../../keyspace/long-double.ts";

export const hset = command("hset", {
  summary: "Creates or modifies the value of a field in a hash.",
  since: "2.0.0",
  group: "hash",
  complexity:
    "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
  flags: WRITE | DENYOOM | FAST,
  args: [key("key", "RW UPDATE"), pairs("field_value", bytes("field"), bytes("value"))],
  run(call, key, fieldsAndValues) {
    call.reply.integer(setFields(call, key, fieldsAndValues));
  },
});

export const hmset = command("hmset", {
  summary: "Sets the values of multiple fields.",
  since: "2.0.0",
  group: "hash",
  complexity: "O(N) where N is the number of fields being set.",
  deprecated: { since: "4.0.0", replacedBy: "`HSET` with multiple field-value pairs" },
  flags: WRITE | DENYOOM | FAST,
  args: [key("key", "RW UPDATE"), pairs("field_value", bytes("field"), bytes("value"))],
  run(call, key, fieldsAndValues) {
    setFields(call, key, fieldsAndValues);
    call.reply.ok();
  },
});

/** Returns how many of the fields are new. */
function setFields(call: Call, key: Bytes, fieldsAndValues: readonly Bytes[]): number {
  let added = 0;
  for (let index = 0; index < fieldsAndValues.length; index += 2) {
    if (call.db.hashes.set(key, fieldsAndValues[index]!, fieldsAndValues[index + 1]!)) added++;
  }
  return added;
}

export const hsetnx = command("hsetnx", {
  summary: "Sets the value of a field in a hash only when the field doesn't exist.",
  since: "2.0.0",
  group: "hash",
  complexity: "O(1)",
  flags: WRITE | DENYOOM | FAST,
  args: [key("key", "RW INSERT"), bytes("field"), bytes("value")],
  run(call, key, field, value) {
    const missing = !call.db.hashes.has(key, field);
    if (missing) call.db.hashes.set(key, field, value);
    call.reply.integer(missing ? 1 : 0);
  },
});

export const hdel = command("hdel", {
  summary: "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
  since: "2.0.0",
  group: "hash",
  complexity: "O(N) where N is the number of fields to be removed.",
  flags: WRITE | FAST,
  args: [key("key", "RW DELETE"), many(bytes("field"))],
  run(call, key, fields) {
    let deleted = 0;
    for (const field of fields) {
      if (call.db.hashes.delete(key, field)) deleted++;
    }
    call.reply.integer(deleted);
  },
});

export const hincrby = command("hincrby", {
  summary:
    "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
  since: "2.0.0",
  group: "hash",
  complexity: "O(1)",
  flags: WRITE | DENYOOM | FAST,
  args: [key("key", "RW ACCESS UPDATE"), bytes("field"), integer64("increment")],
  run(call, key, field, increment) {
    const { hashes } = call.db;
    const text = hashes.get(key, field);
    const before = text === undefined ? 0 : parseInteger(text);
    if (before === undefined) throw new CommandError("ERR hash value is not an integer");
    const after = addIntegers(before, increment);
    if (after === undefined) throw new CommandError("ERR increment or decrement would overflow");
    hashes.set(key, field, String(after));
    call.reply.integer(after);
  },
});

export const hincrbyfloat = command("hincrbyfloat", {
  summary:
    "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
  since: "2.6.0",
  group: "hash",
  complexity: "O(1)",
  flags: WRITE | DENYOOM | FAST,
  args: [key("key", "RW ACCESS UPDATE"), bytes("field"), described("double", bytes("increment"))],
  run(call, key, field, increment) {
    const by = parseLongDouble(increment);
    if (by === undefined) throw new CommandError(NOT_A_FLOAT);
    if (by === "infinite") throw new CommandError("ERR value is NaN or Infinity");
    const { hashes } = call.db;
    const before = parseLongDouble(hashes.get(key, field) ?? "0");
    if (before === undefined) throw new CommandError("ERR hash value is not a float");
    const sum = before === "infinite" ? undefined : addLongDoubles(before, by);
    if (sum === undefined) throw new CommandError("ERR increment would produce NaN or Infinity");
    const after = formatLongDouble(sum);
    hashes.set(key, field, after);
    call.effect("HSET", key, field, after);
    call.reply.bulk(after);
  },
});
