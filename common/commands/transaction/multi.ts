/**
 * MULTI, EXEC and DISCARD. Commands between MULTI and EXEC are queued by dispatch; EXEC runs them as one `execute` of the
 * engine, so that they are one transaction of its log. A command that fails inside does not undo the others (as in Redis).
 */
import { clientOf, servicesOf } from "../../command/context.ts";
import { command } from "../../command/define.ts";
import { ALLOW_BUSY, FAST, LOADING, NOSCRIPT, SKIP_SLOWLOG, STALE } from "../../command/flags.ts";
import { invoke } from "../../command/invoke.ts";
import { CommandError } from "../../errors.ts";
import { refuseInside } from "./interactive.ts";

const FLAGS = NOSCRIPT | LOADING | STALE;

export const multi = command("multi", {
  summary: "Starts a transaction.",
  since: "1.2.0",
  group: "transactions",
  complexity: "O(1)",
  flags: FLAGS | FAST | ALLOW_BUSY,
  args: [],
  run(call) {
    const { transaction } = clientOf(call);
    if (transaction.open) throw new CommandError("ERR MULTI calls can not be nested");
    refuseInside(call);
    transaction.open = true;
    call.reply.ok();
  },
});

export const exec = command("exec", {
  summary: "Executes all commands in a transaction.",
  since: "1.2.0",
  group: "transactions",
  complexity: "Depends on commands in the transaction",
  flags: FLAGS | SKIP_SLOWLOG,
  args: [],
  run(call) {
    const client = clientOf(call);
    const { transaction } = client;
    if (!transaction.open) throw new CommandError("ERR EXEC without MULTI");
    servicesOf(call).watches.expireWatched(transaction.watcher, call.keyspace.databases);
    const { failed } = transaction;
    const { broken } = transaction.watcher;
    const queue = transaction.queue.slice();
    // Ended first: its own commands must not break a watch, and to them no MULTI is open.
    client.endTransaction();
    if (failed) throw new CommandError("EXECABORT Transaction discarded because of previous errors.");
    if (broken) {
      call.reply.nullArray();
      return;
    }
    call.reply.array(queue.length);
    transaction.executing = true;
    for (const queued of queue) {
      invoke(call, queued.command, queued.args);
      client.ranQueued(queued.command);
    }
    transaction.executing = false;
    // The effects are those of the commands inside.
    call.noEffect();
  },
});

export const discard = command("discard", {
  summary: "Discards a transaction.",
  since: "2.0.0",
  group: "transactions",
  complexity: "O(N), when N is the number of queued commands",
  flags: FLAGS | FAST | ALLOW_BUSY,
  args: [],
  run(call) {
    const client = clientOf(call);
    if (!client.transaction.open) throw new CommandError("ERR DISCARD without MULTI");
    client.endTransaction();
    call.reply.ok();
  },
});
