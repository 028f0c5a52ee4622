/**
 * Several strings at once: MGET, MSET, MSETNX.
 */
import type { Bytes } from "../../bytes.ts";
import { bytes, key } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { DENYOOM, FAST, READONLY, WRITE } from "../../command/flags.ts";
import { many, pairs } from "../../command/phrases.ts";
import { NO_EXPIRY, Type } from "../../keyspace/keyspace.ts";

export const mget = command("mget", {
  summary: "Atomically returns the string values of one or more keys.",
  since: "1.0.0",
  group: "string",
  complexity: "O(N) where N is the number of keys to retrieve.",
  tips: ["request_policy:multi_shard"],
  flags: READONLY | FAST,
  args: [many(key("key", "RO ACCESS"))],
  run(call, keys) {
    call.reply.array(keys.length);
    for (const key of keys) {
      call.reply.bulkOrNull(call.db.typeOf(key) === Type.STRING ? call.db.strings.get(key) : undefined);
    }
  },
});

export const mset = command("mset", {
  summary: "Atomically creates or modifies the string values of one or more keys.",
  since: "1.0.1",
  group: "string",
  complexity: "O(N) where N is the number of keys to set.",
  tips: ["request_policy:multi_shard", "response_policy:all_succeeded"],
  flags: WRITE | DENYOOM,
  args: [pairs("key_value", key("key", "OW UPDATE"), bytes("value"))],
  run(call, keysAndValues) {
    setAll(call, keysAndValues);
    call.reply.ok();
  },
});

export const msetnx = command("msetnx", {
  summary: "Atomically modifies the string values of one or more keys only when all keys don't exist.",
  since: "1.0.1",
  group: "string",
  complexity: "O(N) where N is the number of keys to set.",
  tips: ["request_policy:multi_shard", "response_policy:agg_min"],
  flags: WRITE | DENYOOM,
  args: [pairs("key_value", key("key", "OW INSERT"), bytes("value"))],
  run(call, keysAndValues) {
    for (let index = 0; index < keysAndValues.length; index += 2) {
      if (call.db.typeOf(keysAndValues[index]!) !== Type.NONE) return call.reply.integer(0);
    }
    setAll(call, keysAndValues);
    call.reply.integer(1);
  },
});

function setAll(call: Call, keysAndValues: readonly Bytes[]): void {
  for (let index = 0; index < keysAndValues.length; index += 2) {
    call.db.strings.set(keysAndValues[index]!, keysAndValues[index + 1]!, NO_EXPIRY);
  }
}
