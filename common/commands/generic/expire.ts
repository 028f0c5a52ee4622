/**
 * Setting and removing the expiry of a key: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST.
 *
 * Effects: every one of the four is recorded as PEXPIREAT, and as DEL when the time has passed already; the conditions are
 * dropped, because the decision has been made.
 */
import type { Bytes } from "../../bytes.ts";
import { bytes, described, key } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { expireTimeError, NOT_AN_INTEGER } from "../../command/errors.ts";
import { FAST, WRITE } from "../../command/flags.ts";
import { choices, options } from "../../command/options.ts";
import { CommandError } from "../../errors.ts";
import { INT64_MIN, parseInteger } from "../../keyspace/integer.ts";
import { EXPIRY_MAX, MISSING, NO_EXPIRY } from "../../keyspace/keyspace.ts";

type Condition = "NX" | "XX" | "GT" | "LT";

interface Unit {
  readonly summary: string;
  readonly since: string;
  readonly argument: string;
  /** Of the unit, in ms. */
  readonly factor: number;
  /** Counts from now; otherwise from 1970. */
  readonly relative: boolean;
}

function expiryCommand(name: string, { summary, since, argument, factor, relative }: Unit) {
  return command(name, {
    summary,
    since,
    group: "generic",
    complexity: "O(1)",
    flags: WRITE | FAST,
    args: [
      key("key", "RW UPDATE"),
      described(relative ? "integer" : "unix-time", bytes(argument)),
      options(
        { condition: choices("NX", "XX", "GT", "LT") },
        (text) => new CommandError(`ERR Unsupported option ${text}`),
      ),
    ],
    run(call, key, time, { condition = [] }) {
      checkCompatible(condition);
      const at = absoluteTime(time, factor, relative ? call.now : 0, name);
      const before = call.db.expiryOf(key);
      const applies = before !== MISSING && condition.every((one) => holds(one, at, before));
      if (applies) expireAt(call, key, at);
      call.reply.integer(applies ? 1 : 0);
    },
  });
}

export const expire = expiryCommand("expire", {
  summary: "Sets the expiration time of a key in seconds.",
  since: "1.0.0",
  argument: "seconds",
  factor: 1000,
  relative: true,
});

export const pexpire = expiryCommand("pexpire", {
  summary: "Sets the expiration time of a key in milliseconds.",
  since: "2.6.0",
  argument: "milliseconds",
  factor: 1,
  relative: true,
});

export const expireat = expiryCommand("expireat", {
  summary: "Sets the expiration time of a key to a Unix timestamp.",
  since: "1.2.0",
  argument: "unix-time-seconds",
  factor: 1000,
  relative: false,
});

export const pexpireat = expiryCommand("pexpireat", {
  summary: "Sets the expiration time of a key to a Unix milliseconds timestamp.",
  since: "2.6.0",
  argument: "unix-time-milliseconds",
  factor: 1,
  relative: false,
});

export const persist = command("persist", {
  summary: "Removes the expiration time of a key.",
  since: "2.2.0",
  group: "generic",
  complexity: "O(1)",
  flags: WRITE | FAST,
  args: [key("key", "RW UPDATE")],
  run(call, key) {
    const expires = call.db.expiryOf(key) >= 0;
    if (expires) call.db.setExpiry(key, NO_EXPIRY);
    call.reply.integer(expires ? 1 : 0);
  },
});

function checkCompatible(conditions: readonly Condition[]): void {
  const given = new Set(conditions);
  if (given.has("NX") && given.size > 1) {
    throw new CommandError("ERR NX and XX, GT or LT options at the same time are not compatible");
  }
  if (given.has("GT") && given.has("LT")) {
    throw new CommandError("ERR GT and LT options at the same time are not compatible");
  }
}

/** Absolute ms; may lie in the past, as far as 64 bits reach. Times beyond EXPIRY_MAX are invalid. */
function absoluteTime(text: Bytes, factor: number, base: number, command: string): number {
  const value = parseInteger(text);
  if (value === undefined) throw new CommandError(NOT_AN_INTEGER);
  const at = Number(value) * factor + base;
  if (at > EXPIRY_MAX || (at < -EXPIRY_MAX && BigInt(value) * BigInt(factor) < INT64_MIN))
    throw expireTimeError(command);
  return at;
}

/** Whether the condition lets `at` replace `before`. No expiry counts as never, later than any time. */
function holds(condition: Condition, at: number, before: number): boolean {
  switch (condition) {
    case "NX":
      return before === NO_EXPIRY;
    case "XX":
      return before !== NO_EXPIRY;
    case "GT":
      return before !== NO_EXPIRY && at > before;
    case "LT":
      return before === NO_EXPIRY || at < before;
  }
}

function expireAt(call: Call, key: Bytes, at: number): void {
  if (at <= call.keyspace.events.now) {
    call.db.delete(key);
    call.effect("DEL", key);
  } else {
    // A replayed log judges no times (events.now is −1); a time before 1970 must still be no NO_EXPIRY.
    const time = Math.max(at, 0);
    call.db.setExpiry(key, time);
    call.effect("PEXPIREAT", key, String(time));
  }
}
