/**
 * WATCH and UNWATCH: EXEC runs only if no watched key was changed since (keyspace/watch.ts).
 */
import { key } from "../../command/args.ts";
import { clientOf, servicesOf } from "../../command/context.ts";
import { command } from "../../command/define.ts";
import { ALLOW_BUSY, FAST, LOADING, NOSCRIPT, STALE } from "../../command/flags.ts";
import { many } from "../../command/phrases.ts";
import { CommandError } from "../../errors.ts";
import { refuseInside } from "./interactive.ts";

const FLAGS = NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY;

export const watch = command("watch", {
  summary: "Monitors changes to keys to determine the execution of a transaction.",
  since: "2.2.0",
  group: "transactions",
  complexity: "O(1) for every key.",
  flags: FLAGS,
  args: [many(key("key", "RO"))],
  run(call, keys) {
    const { transaction } = clientOf(call);
    if (transaction.open) throw new CommandError("ERR WATCH inside MULTI is not allowed");
    refuseInside(call);
    // What is broken stays broken: no use in watching more.
    if (!transaction.watcher.broken) {
      for (const watched of keys) servicesOf(call).watches.watch(transaction.watcher, call.db, watched);
    }
    call.reply.ok();
  },
});

export const unwatch = command("unwatch", {
  summary: "Forgets about watched keys of a transaction.",
  since: "2.2.0",
  group: "transactions",
  complexity: "O(1)",
  flags: FLAGS,
  args: [],
  run(call) {
    servicesOf(call).watches.unwatch(clientOf(call).transaction.watcher);
    call.reply.ok();
  },
});
