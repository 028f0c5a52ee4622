/**
 * The life of a connection: PING ECHO SELECT RESET QUIT.
 */
import { bytes, database } from "../../command/args.ts";
import { clientOf } from "../../command/context.ts";
import { command } from "../../command/define.ts";
import { arityError } from "../../command/errors.ts";
import { ALLOW_BUSY, FAST, LOADING, NO_AUTH, NOSCRIPT, STALE } from "../../command/flags.ts";
import { raw } from "../../command/raw.ts";

export const ping = command("ping", {
  summary: "Returns the server's liveliness response.",
  since: "1.0.0",
  group: "connection",
  complexity: "O(1)",
  tips: ["request_policy:all_shards", "response_policy:all_succeeded"],
  flags: FAST,
  args: [raw(0, { name: "message", type: "string", optional: true })],
  run(call, given) {
    if (given.length > 1) throw arityError("ping");
    if (given.length === 0) call.reply.simple("PONG");
    else call.reply.bulk(given[0]!);
  },
});

export const echo = command("echo", {
  summary: "Returns the given string.",
  since: "1.0.0",
  group: "connection",
  complexity: "O(1)",
  flags: LOADING | STALE | FAST,
  args: [bytes("message")],
  run(call, message) {
    call.reply.bulk(message);
  },
});

export const select = command("select", {
  summary: "Changes the selected database.",
  since: "1.0.0",
  group: "connection",
  complexity: "O(1)",
  flags: LOADING | STALE | FAST,
  args: [database("index")],
  run(call, { index }) {
    call.session.select(index);
    call.reply.ok();
  },
});

export const reset = command("reset", {
  summary: "Resets the connection.",
  since: "6.2.0",
  group: "connection",
  complexity: "O(1)",
  flags: NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
  args: [],
  run(call) {
    clientOf(call).reset();
    call.reply.simple("RESET");
  },
});

export const quit = command("quit", {
  summary: "Closes the connection.",
  since: "1.0.0",
  group: "connection",
  complexity: "O(1)",
  deprecated: { since: "7.2.0", replacedBy: "just closing the connection" },
  flags: NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
  args: [raw(0)],
  run(call) {
    call.reply.ok();
    clientOf(call).closeAfterReply();
  },
});
