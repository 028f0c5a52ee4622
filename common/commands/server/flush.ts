/**
 * Whole databases: FLUSHDB FLUSHALL SWAPDB DBSIZE.
 *
 * ASYNC and SYNC are the same here: both have removed everything, in the log too, when they answer.
 */
import type { Bytes } from "../../bytes.ts";
import { bytes } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { DANGEROUS, FAST, KEYSPACE, READONLY, WRITE } from "../../command/flags.ts";
import { choice, options } from "../../command/options.ts";
import { CommandError } from "../../errors.ts";
import { parseInteger } from "../../keyspace/integer.ts";
import type { Database } from "../../keyspace/keyspace.ts";

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

function databaseOf(call: Call, text: Bytes, which: string): Database {
  const value = parseInteger(text);
  if (value === undefined) throw new CommandError(`ERR invalid ${which} DB index`);
  const database = call.keyspace.databases[Number(value)];
  if (database === undefined) throw new CommandError("ERR DB index is out of range");
  return database;
}

export const swapdb = command("swapdb", {
  summary: "Swaps two Redis databases.",
  since: "4.0.0",
  group: "server",
  complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.",
  flags: WRITE | FAST | DANGEROUS | KEYSPACE,
  args: [bytes("index1"), bytes("index2")],
  run(call, first, second) {
    const a = databaseOf(call, first, "first");
    const b = databaseOf(call, second, "second");
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
