/**
 * Whole databases: FLUSHDB FLUSHALL SWAPDB DBSIZE.
 *
 * ASYNC and SYNC are the same here: both have removed everything, in the log too, when they answer.
 */
import { databaseAt, integer32 } from "../../command/args.ts";
import { command } from "../../command/define.ts";
import { DANGEROUS, FAST, KEYSPACE, READONLY, WRITE } from "../../command/flags.ts";
import { choice, options } from "../../command/options.ts";

const TIPS = ["request_policy:all_shards", "response_policy:all_succeeded"];

export const flushdb = command("flushdb", {
  summary: "Remove all keys from the current database.",
  since: "1.0.0",
  group: "server",
  complexity: "O(N) where N is the number of keys in the selected database",
  tips: TIPS,
  flags: WRITE | DANGEROUS | KEYSPACE,
  args: [options({ flushType: choice("ASYNC", "SYNC") })],
  run(call) {
    call.db.clear();
    call.effect("FLUSHDB");
    call.reply.ok();
  },
});

export const flushall = command("flushall", {
  summary: "Removes all keys from all databases.",
  since: "1.0.0",
  group: "server",
  complexity: "O(N) where N is the total number of keys in all databases",
  tips: TIPS,
  flags: WRITE | DANGEROUS | KEYSPACE,
  args: [options({ flushType: choice("ASYNC", "SYNC") })],
  run(call) {
    for (const database of call.keyspace.databases) database.clear();
    call.effect("FLUSHALL");
    call.reply.ok();
  },
});

export const swapdb = command("swapdb", {
  summary: "Swaps two Redis databases.",
  since: "4.0.0",
  group: "server",
  complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.",
  flags: WRITE | FAST | DANGEROUS | KEYSPACE,
  args: [integer32("index1", "ERR invalid first DB index"), integer32("index2", "ERR invalid second DB index")],
  run(call, first, second) {
    const a = databaseAt(call, first);
    const b = databaseAt(call, second);
    if (a !== b) {
      // A replayed log has no watchers.
      call.server.services?.watches.swapping(a, b);
      call.keyspace.swap(a.index, b.index);
    }
    call.reply.ok();
  },
});

export const dbsize = command("dbsize", {
  summary: "Returns the number of keys in the database.",
  since: "1.0.0",
  group: "server",
  complexity: "O(1)",
  tips: ["request_policy:all_shards", "response_policy:agg_sum"],
  flags: READONLY | FAST | KEYSPACE,
  args: [],
  run(call) {
    call.reply.integer(call.db.size);
  },
});
