/**
 * SHUTDOWN and DEBUG.
 */
import { clientOf, servicesOf } from "../../command/context.ts";
import { command } from "../../command/define.ts";
import { syntaxError } from "../../command/errors.ts";
import { ADMIN, ALLOW_BUSY, LOADING, NO_MULTI, NOSCRIPT, STALE } from "../../command/flags.ts";
import { choice, flag, options } from "../../command/options.ts";
import { raw } from "../../command/raw.ts";
import { CommandError } from "../../errors.ts";

/**
 * SAVE, NOSAVE, NOW and FORCE change nothing: everything accepted is in the log and is made durable, nobody replicates,
 * and a log that cannot be made durable stops the program anyway. No reply comes: the connection closes.
 */
export const shutdown = command("shutdown", {
  summary: "Synchronously saves the database(s) to disk and shuts down the Redis server.",
  since: "1.0.0",
  group: "server",
  complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
  flags: ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY,
  args: [
    options({ saveSelector: choice("NOSAVE", "SAVE"), now: flag("NOW"), force: flag("FORCE"), abort: flag("ABORT") }),
  ],
  run(call, { abort, saveSelector, now, force }) {
    if (abort === true) {
      if (saveSelector !== undefined || now === true || force === true) throw syntaxError();
      // A shutdown is never waiting for anything, so none can be aborted.
      throw new CommandError("ERR No shutdown in progress.");
    }
    clientOf(call).closeAfterReply();
    servicesOf(call).shutdown();
  },
});

const DEBUG_HELP = [
  "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "SLEEP <seconds>",
  "    Stop the server for <seconds>. Decimals allowed.",
  "HELP",
  "    Prints this help.",
];

export const debug = command("debug", {
  summary: "A container for debugging commands.",
  since: "1.0.0",
  group: "server",
  complexity: "Depends on subcommand.",
  flags: ADMIN | NOSCRIPT | LOADING | STALE,
  args: [raw(1)],
  run(call, given) {
    const subcommand = given[0]!.toLowerCase();
    if (subcommand === "help" && given.length === 1) {
      call.reply.array(DEBUG_HELP.length);
      for (const line of DEBUG_HELP) call.reply.simple(line);
    } else if (subcommand === "sleep" && given.length === 2) {
      const seconds = Number.parseFloat(given[1]!);
      if (seconds > 0) servicesOf(call).sleep(seconds * 1000);
      call.reply.ok();
    } else {
      throw new CommandError(
        `ERR unknown subcommand or wrong number of arguments for '${given[0]!.slice(0, 128)}'. Try DEBUG HELP.`,
      );
    }
  },
});
