/**
 * CONFIG: the directives of a running server (common/config.ts).
 */
import { fromText, toBuffer } from "../../bytes.ts";
import { bytes } from "../../command/args.ts";
import { servicesOf } from "../../command/context.ts";
import { command, container } from "../../command/define.ts";
import { syntaxError } from "../../command/errors.ts";
import { ADMIN, LOADING, NOSCRIPT, STALE } from "../../command/flags.ts";
import { many, pairs } from "../../command/phrases.ts";
import type { Directive } from "../../config.ts";
import { globMatches } from "../../keyspace/glob.ts";

const FLAGS = ADMIN | NOSCRIPT | LOADING | STALE;

/** The names under which a directive matches a pattern; the wildcards of `*` are not answered by aliases. */
function matchingNames(directive: Directive, pattern: string): string[] {
  const names = /[*?[]/.test(pattern) ? [directive.name] : [directive.name, ...(directive.aliases ?? [])];
  return names.filter((name) => globMatches(pattern, name));
}

const get = command("config|get", {
  summary: "Returns the effective values of configuration parameters.",
  since: "2.0.0",
  group: "server",
  complexity: "O(N) when N is the number of configuration parameters provided",
  flags: FLAGS,
  args: [many(bytes("parameter"))],
  help: ["GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values."],
  run(call, patterns) {
    const { config } = call.server;
    const found = new Map<string, string>();
    for (const pattern of patterns) {
      for (const directive of config.directives) {
        for (const name of matchingNames(directive, toBuffer(pattern).toString("utf8").toLowerCase())) {
          found.set(name, config.text(name));
        }
      }
    }
    call.reply.map(found.size);
    for (const [name, value] of found) {
      call.reply.bulk(fromText(name));
      call.reply.bulk(fromText(value));
    }
  },
});

const set = command("config|set", {
  summary: "Sets configuration parameters in-flight.",
  since: "2.0.0",
  group: "server",
  complexity: "O(N) when N is the number of configuration parameters provided",
  tips: ["request_policy:all_nodes", "response_policy:all_succeeded"],
  flags: FLAGS,
  args: [pairs("data", bytes("parameter"), bytes("value"), syntaxError)],
  help: ["SET <directive> <value>", "    Set the configuration <directive> to <value>."],
  run(call, given) {
    const settings = Array.from({ length: given.length / 2 }, (_, i) => [given[2 * i]!, given[2 * i + 1]!] as const);
    call.server.config.set(settings);
    call.reply.ok();
  },
});

const resetstat = command("config|resetstat", {
  summary: "Resets the server's statistics.",
  since: "2.0.0",
  group: "server",
  complexity: "O(1)",
  tips: ["request_policy:all_nodes", "response_policy:all_succeeded"],
  flags: FLAGS,
  args: [],
  help: ["RESETSTAT", "    Reset statistics reported by the INFO command."],
  run(call) {
    servicesOf(call).resetStatistics();
    call.reply.ok();
  },
});

const rewrite = command("config|rewrite", {
  summary: "Persists the effective configuration to file.",
  since: "2.8.0",
  group: "server",
  complexity: "O(1)",
  tips: ["request_policy:all_nodes", "response_policy:all_succeeded"],
  flags: FLAGS,
  args: [],
  help: ["REWRITE", "    Rewrite the configuration file."],
  run(call) {
    servicesOf(call).rewriteConfig();
    call.reply.ok();
  },
});

export const config = container("config", {
  summary: "A container for server configuration commands.",
  since: "2.0.0",
  group: "server",
  complexity: "Depends on subcommand.",
  helpSince: "5.0.0",
  subcommands: [get, set, resetstat, rewrite],
});
