/**
 * Asking for the expiry of a key: TTL, PTTL, EXPIRETIME, PEXPIRETIME. −2: no such key; −1: no expiry.
 */
import type { Bytes } from "../../bytes.ts";
import { key } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { FAST, READONLY } from "../../command/flags.ts";
import { MISSING, NO_EXPIRY } from "../../keyspace/keyspace.ts";

const asking = { group: "generic", complexity: "O(1)", flags: READONLY | FAST } as const;
const tips = ["nondeterministic_output"];

export const ttl = command("ttl", {
  ...asking,
  summary: "Returns the expiration time in seconds of a key.",
  since: "1.0.0",
  tips,
  args: [key("key", "RO ACCESS")],
  run(call, key) {
    replyTime(call, key, call.now, 1000);
  },
});

export const pttl = command("pttl", {
  ...asking,
  summary: "Returns the expiration time in milliseconds of a key.",
  since: "2.6.0",
  tips,
  args: [key("key", "RO ACCESS")],
  run(call, key) {
    replyTime(call, key, call.now, 1);
  },
});

export const expiretime = command("expiretime", {
  ...asking,
  summary: "Returns the expiration time of a key as a Unix timestamp.",
  since: "7.0.0",
  args: [key("key", "RO ACCESS")],
  run(call, key) {
    replyTime(call, key, 0, 1000);
  },
});

export const pexpiretime = command("pexpiretime", {
  ...asking,
  summary: "Returns the expiration time of a key as a Unix milliseconds timestamp.",
  since: "7.0.0",
  args: [key("key", "RO ACCESS")],
  run(call, key) {
    replyTime(call, key, 0, 1);
  },
});

/** The expiry counted from `base`, in units of `factor` ms, rounded as Redis does. */
function replyTime(call: Call, key: Bytes, base: number, factor: number): void {
  const at = call.db.expiryOf(key);
  if (at === MISSING) call.reply.integer(-2);
  else if (at === NO_EXPIRY) call.reply.integer(-1);
  else call.reply.integer(Math.floor((Math.max(at - base, 0) + Math.floor(factor / 2)) / factor));
}
