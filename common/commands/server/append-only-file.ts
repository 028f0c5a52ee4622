/**
 * BGREWRITEAOF.
 */
import { clientOf, servicesOf } from "../../command/context.ts";
import { command } from "../../command/define.ts";
import { ADMIN, NO_ASYNC_LOADING, NOSCRIPT } from "../../command/flags.ts";
import { CommandError } from "../../errors.ts";

export const bgrewriteaof = command("bgrewriteaof", {
  summary: "Asynchronously rewrites the append-only file to disk.",
  since: "1.0.0",
  group: "server",
  complexity: "O(1)",
  flags: ADMIN | NOSCRIPT | NO_ASYNC_LOADING,
  args: [],
  run(call) {
    const rewrite = servicesOf(call).logRewrite;
    if (rewrite === undefined) {
      throw new CommandError("ERR You are not using an append-only file: only the engine kv-aof has one to rewrite");
    }
    const { executing } = clientOf(call).transaction;
    if (executing) rewrite.beginLater();
    else rewrite.begin();
    call.reply.simple(`Background append only file rewriting ${executing ? "scheduled" : "started"}`);
  },
});
