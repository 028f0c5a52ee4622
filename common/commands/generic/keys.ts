/**
 * Whole keys: existence, type, deleting.
 */
import type { Bytes } from "../../bytes.ts";
import { key } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { FAST, READONLY, WRITE } from "../../command/flags.ts";
import { many } from "../../command/phrases.ts";
import { TYPE_NAMES, Type } from "../../keyspace/keyspace.ts";

const counting = { group: "generic", tips: ["request_policy:multi_shard", "response_policy:agg_sum"] } as const;

export const del = command("del", {
  ...counting,
  summary: "Deletes one or more keys.",
  since: "1.0.0",
  complexity:
    "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
  flags: WRITE,
  args: [many(key("key", "RM DELETE"))],
  run: deleteKeys,
});

export const unlink = command("unlink", {
  ...counting,
  summary: "Asynchronously deletes one or more keys.",
  since: "4.0.0",
  complexity:
    "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.",
  flags: WRITE | FAST,
  args: [many(key("key", "RM DELETE"))],
  run: deleteKeys,
});

function deleteKeys(call: Call, keys: readonly Bytes[]): void {
  let deleted = 0;
  for (const key of keys) {
    if (call.db.delete(key)) deleted++;
  }
  call.reply.integer(deleted);
}

export const exists = command("exists", {
  ...counting,
  summary: "Determines whether one or more keys exist.",
  since: "1.0.0",
  complexity: "O(N) where N is the number of keys to check.",
  flags: READONLY | FAST,
  args: [many(key("key", "RO"))],
  run: countExisting,
});

export const touch = command("touch", {
  ...counting,
  summary:
    "Returns the number of existing keys out of those specified after updating the time they were last accessed.",
  since: "3.2.1",
  complexity: "O(N) where N is the number of keys that will be touched.",
  flags: READONLY | FAST,
  args: [many(key("key", "RO"))],
  run: countExisting,
});

function countExisting(call: Call, keys: readonly Bytes[]): void {
  let existing = 0;
  for (const key of keys) {
    if (call.db.typeOf(key) !== Type.NONE) existing++;
  }
  call.reply.integer(existing);
}

export const type = command("type", {
  summary: "Determines the type of value stored at a key.",
  since: "1.0.0",
  group: "generic",
  complexity: "O(1)",
  flags: READONLY | FAST,
  args: [key("key", "RO")],
  run(call, key) {
    call.reply.simple(TYPE_NAMES[call.db.typeOf(key)]);
  },
});
