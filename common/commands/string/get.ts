/**
 * Reading strings: GET and what reads and changes in one step.
 *
 * Effects: GETEX is recorded as PEXPIREAT or PERSIST (or DEL, when the time has passed), GETDEL as DEL.
 */
import { key } from "../../command/args.ts";
import { command } from "../../command/define.ts";
import { FAST, READONLY, WRITE } from "../../command/flags.ts";
import { absoluteExpiry, givenExpiry, options } from "../../command/options.ts";
import { NO_EXPIRY } from "../../keyspace/keyspace.ts";

export const get = command("get", {
  summary: "Returns the string value of a key.",
  since: "1.0.0",
  group: "string",
  complexity: "O(1)",
  flags: READONLY | FAST,
  args: [key("key", "RO ACCESS")],
  run(call, key) {
    call.reply.bulkOrNull(call.db.strings.get(key));
  },
});

export const getdel = command("getdel", {
  summary: "Returns the string value of a key after deleting the key.",
  since: "6.2.0",
  group: "string",
  complexity: "O(1)",
  flags: WRITE | FAST,
  args: [key("key", "RW ACCESS DELETE")],
  run(call, key) {
    const value = call.db.strings.get(key);
    if (value !== undefined) {
      call.db.delete(key);
      call.effect("DEL", key);
    }
    call.reply.bulkOrNull(value);
  },
});

export const getex = command("getex", {
  summary: "Returns the string value of a key after setting its expiration time.",
  since: "6.2.0",
  group: "string",
  complexity: "O(1)",
  flags: WRITE | FAST,
  args: [
    key("key", "RW ACCESS UPDATE", "RW and UPDATE because it changes the TTL"),
    options({ expiration: givenExpiry("EX", "PX", "EXAT", "PXAT", "PERSIST") }),
  ],
  run(call, key, { expiration: given }) {
    const { db, keyspace, reply } = call;
    const value = db.strings.get(key);
    if (value === undefined) return reply.null();
    // Judged only now: of a key that is missing, or of another type, Redis does not look at the time.
    const expiration = given === undefined ? undefined : absoluteExpiry(given, call);
    reply.bulk(value);
    if (expiration === undefined) return;
    if (expiration === NO_EXPIRY) {
      if (db.expiryOf(key) === NO_EXPIRY) return;
      db.setExpiry(key, NO_EXPIRY);
      call.effect("PERSIST", key);
    } else if (expiration <= keyspace.events.now) {
      db.delete(key);
      call.effect("DEL", key);
    } else {
      db.setExpiry(key, expiration);
      call.effect("PEXPIREAT", key, String(expiration));
    }
  },
});
