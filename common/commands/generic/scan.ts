/**
 * Walking over the keys: SCAN, KEYS, RANDOMKEY.
 */
import type { Bytes } from "../../bytes.ts";
import { bytes, pattern } from "../../command/args.ts";
import { command } from "../../command/define.ts";
import { DANGEROUS, READONLY } from "../../command/flags.ts";
import { option, options } from "../../command/options.ts";
import { matcherOf, SCAN_COUNT_DEFAULT, scanCursor, scanRules } from "../../command/scan.ts";
import { TYPE_NAMES } from "../../keyspace/keyspace.ts";

export const scan = command("scan", {
  summary: "Iterates over the key names in the database.",
  since: "2.8.0",
  group: "generic",
  complexity:
    "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
  tips: ["nondeterministic_output", "request_policy:special"],
  flags: READONLY,
  args: [scanCursor(), options({ ...scanRules, type: option("TYPE", bytes("type")) })],
  run(call, cursor, { match, count = SCAN_COUNT_DEFAULT, type }) {
    const matches = matcherOf(match);
    const wanted = type?.toLowerCase();
    const found: Bytes[] = [];
    const next = call.db.scan(cursor, count, (key, keyType) => {
      if (wanted !== undefined && TYPE_NAMES[keyType] !== wanted) return;
      if (matches === undefined || matches(key)) found.push(key);
    });
    call.reply.array(2);
    call.reply.bulk(String(next));
    call.reply.array(found.length);
    for (const key of found) call.reply.bulk(key);
  },
});

/** Keys per step of KEYS. */
const KEYS_COUNT = 1000;

export const keys = command("keys", {
  summary: "Returns all key names that match a pattern.",
  since: "1.0.0",
  group: "generic",
  complexity:
    "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
  tips: ["request_policy:all_shards", "nondeterministic_output_order"],
  flags: READONLY | DANGEROUS,
  args: [pattern("pattern")],
  run(call, pattern) {
    const matches = matcherOf(pattern);
    const found: Bytes[] = [];
    let cursor = 0;
    do {
      cursor = call.db.scan(cursor, KEYS_COUNT, (key) => {
        if (matches === undefined || matches(key)) found.push(key);
      });
    } while (cursor !== 0);
    call.reply.array(found.length);
    for (const key of found) call.reply.bulk(key);
  },
});

export const randomkey = command("randomkey", {
  summary: "Returns a random key name from the database.",
  since: "1.0.0",
  group: "generic",
  complexity: "O(1)",
  tips: ["request_policy:all_shards", "nondeterministic_output"],
  flags: READONLY,
  args: [],
  run(call) {
    call.reply.bulkOrNull(call.db.randomKey((bound) => call.pick(bound)));
  },
});
