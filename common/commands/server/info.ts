/**
 * The server about itself: INFO TIME LOLWUT.
 */
import { bytes, integer } from "../../command/args.ts";
import { servicesOf } from "../../command/context.ts";
import { command } from "../../command/define.ts";
import { DANGEROUS, FAST, LOADING, READONLY, STALE } from "../../command/flags.ts";
import { option, options } from "../../command/options.ts";
import { any } from "../../command/phrases.ts";
import { REDIS_VERSION, TWOLOG_VERSION } from "../../command/version.ts";

export const info = command("info", {
  summary: "Returns information and statistics about the server.",
  since: "1.0.0",
  group: "server",
  complexity: "O(1)",
  tips: ["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
  flags: LOADING | STALE | DANGEROUS,
  args: [any(bytes("section"))],
  run(call, sections) {
    call.reply.verbatim("txt", servicesOf(call).info(sections.map((section) => section.toLowerCase())));
  },
});

export const time = command("time", {
  summary: "Returns the server time.",
  since: "2.6.0",
  group: "server",
  complexity: "O(1)",
  tips: ["nondeterministic_output"],
  flags: LOADING | STALE | FAST,
  args: [],
  run(call) {
    call.reply.array(2);
    call.reply.bulk(String(Math.floor(call.now / 1000)));
    call.reply.bulk(String((call.now % 1000) * 1000));
  },
});

/** A wall of two logs, one upside down. */
const PICTURE = [
  "   ________________      ________________   ",
  "  (@)______________)    (______________(@)  ",
  "   memory, then log      log, then memory   ",
];

export const lolwut = command("lolwut", {
  summary: "Displays computer art and the Redis version",
  since: "5.0.0",
  group: "server",
  complexity: "O(1)",
  flags: READONLY | FAST,
  args: [options({ version: option("VERSION", integer("version")) })],
  run(call) {
    const lines = [...PICTURE, "", `Redis ver. ${REDIS_VERSION} (twolog ${TWOLOG_VERSION})`, ""];
    call.reply.verbatim("txt", lines.join("\n"));
  },
});
