/**
 * SET and its older spellings. All of them replace the value of whatever type, as setGenericCommand does in Redis.
 *
 * Effects: a relative expiry is recorded as PXAT, and NX, XX and GET are dropped, because the decision has been made.
 */

import type { Bytes } from "../../bytes.ts";
import { bytes, described, key } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { DENYOOM, FAST, WRITE } from "../../command/flags.ts";
import { choice, expiry, flag, options, positiveExpiry } from "../../command/options.ts";
import { KEEP_EXPIRY, NO_EXPIRY, Type } from "../../keyspace/keyspace.ts";

export const set = command("set", {
  summary: "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
  since: "1.0.0",
  group: "string",
  complexity: "O(1)",
  flags: WRITE | DENYOOM,
  args: [
    key("key", "RW ACCESS UPDATE VARIABLE_FLAGS", "RW and ACCESS due to the optional `GET` argument"),
    bytes("value"),
    options({
      condition: choice("NX", "XX"),
      get: flag("GET"),
      expiration: expiry("EX", "PX", "EXAT", "PXAT", "KEEPTTL"),
    }),
  ],
  run(call, key, value, { condition, get, expiration = NO_EXPIRY }) {
    const { strings } = call.db;
    if (condition === undefined && get === undefined) {
      strings.set(key, value, expiration);
      call.reply.ok();
    } else {
      const before = get === undefined ? undefined : strings.get(key);
      const exists = get === undefined ? call.db.typeOf(key) !== Type.NONE : before !== undefined;
      const allowed = condition === undefined || exists === (condition === "XX");
      if (allowed) strings.set(key, value, expiration);
      if (get !== undefined) call.reply.bulkOrNull(before);
      else if (allowed) call.reply.ok();
      else call.reply.null();
      if (!allowed) return;
    }
    if (call.args.length > 3) recordSet(call, key, value, expiration);
  },
});

/** The canonical record of a string that was set. */
function recordSet(call: Call, key: Bytes, value: Bytes, expiration: number): void {
  if (expiration === NO_EXPIRY) call.effect("SET", key, value);
  else if (expiration === KEEP_EXPIRY) call.effect("SET", key, value, "KEEPTTL");
  else call.effect("SET", key, value, "PXAT", String(expiration));
}

export const setnx = command("setnx", {
  summary: "Set the string value of a key only when the key doesn't exist.",
  since: "1.0.0",
  group: "string",
  complexity: "O(1)",
  deprecated: { since: "2.6.12", replacedBy: "`SET` with the `NX` argument" },
  flags: WRITE | DENYOOM | FAST,
  args: [key("key", "OW INSERT"), bytes("value")],
  run(call, key, value) {
    const missing = call.db.typeOf(key) === Type.NONE;
    if (missing) call.db.strings.set(key, value, NO_EXPIRY);
    call.reply.integer(missing ? 1 : 0);
  },
});

export const setex = command("setex", {
  summary: "Sets the string value and expiration time of a key. Creates the key if it doesn't exist.",
  since: "2.0.0",
  group: "string",
  complexity: "O(1)",
  deprecated: { since: "2.6.12", replacedBy: "`SET` with the `EX` argument" },
  flags: WRITE | DENYOOM,
  args: [key("key", "OW UPDATE"), described("integer", bytes("seconds")), bytes("value")],
  run(call, key, seconds, value) {
    setWithExpiry(call, key, value, positiveExpiry(seconds, 1000, call.now, "setex"));
  },
});

export const psetex = command("psetex", {
  summary:
    "Sets both string value and expiration time in milliseconds of a key. The key is created if it doesn't exist.",
  since: "2.6.0",
  group: "string",
  complexity: "O(1)",
  deprecated: { since: "2.6.12", replacedBy: "`SET` with the `PX` argument" },
  flags: WRITE | DENYOOM,
  args: [key("key", "OW UPDATE"), described("integer", bytes("milliseconds")), bytes("value")],
  run(call, key, milliseconds, value) {
    setWithExpiry(call, key, value, positiveExpiry(milliseconds, 1, call.now, "psetex"));
  },
});

function setWithExpiry(call: Call, key: Bytes, value: Bytes, at: number): void {
  call.db.strings.set(key, value, at);
  recordSet(call, key, value, at);
  call.reply.ok();
}

export const getset = command("getset", {
  summary: "Returns the previous string value of a key after setting it to a new value.",
  since: "1.0.0",
  group: "string",
  complexity: "O(1)",
  deprecated: { since: "6.2.0", replacedBy: "`SET` with the `GET` argument" },
  flags: WRITE | DENYOOM | FAST,
  args: [key("key", "RW ACCESS UPDATE"), bytes("value")],
  run(call, key, value) {
    const before = call.db.strings.get(key);
    call.db.strings.set(key, value, NO_EXPIRY);
    call.effect("SET", key, value);
    call.reply.bulkOrNull(before);
  },
});
