/**
 * HSCAN: a hash in portions, with SCAN's guarantee.
 */
import type { Bytes } from "../../bytes.ts";
import { key } from "../../command/args.ts";
import { command } from "../../command/define.ts";
import { READONLY } from "../../command/flags.ts";
import { options } from "../../command/options.ts";
import { matcherOf, SCAN_COUNT_DEFAULT, scanCursor, scanRules } from "../../command/scan.ts";

export const hscan = command("hscan", {
  summary: "Iterates over fields and values of a hash.",
  since: "2.8.0",
  group: "hash",
  complexity:
    "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
  tips: ["nondeterministic_output"],
  flags: READONLY,
  args: [key("key", "RO ACCESS"), scanCursor(), options(scanRules)],
  run(call, key, cursor, { match, count = SCAN_COUNT_DEFAULT }) {
    const matches = matcherOf(match);
    const found: Bytes[] = [];
    const next = call.db.hashes.scan(key, cursor, count, (field, value) => {
      if (matches === undefined || matches(field)) found.push(field, value);
    });
    call.reply.array(2);
    call.reply.bulk(String(next));
    call.reply.array(found.length);
    for (const item of found) call.reply.bulk(item);
  },
});
