/**
 * COMMAND: what the server knows about its commands, all derived from their declarations.
 */
import type { Bytes } from "../../bytes.ts";
import { bytes } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { acceptsCount, type Command, container, command as declare } from "../../command/define.ts";
import { categoriesOf, replyDocs, replyFoundKey, replyInfo } from "../../command/describe.ts";
import { syntaxError } from "../../command/errors.ts";
import { CONNECTION, LOADING, STALE } from "../../command/flags.ts";
import { type FoundKey, findKeys } from "../../command/keys.ts";
import { options, type Rule } from "../../command/options.ts";
import { any, many } from "../../command/phrases.ts";
import { COMMANDS, lookupFullName, resolve } from "../../command/table.ts";
import { CommandError } from "../../errors.ts";
import { globMatches } from "../../keyspace/glob.ts";

const shared = { group: "server", flags: LOADING | STALE | CONNECTION } as const;
const perLookup = "O(N) where N is the number of commands to look up";
const tips = ["nondeterministic_output_order"];
const ALL_HELP = ["    If no command names are given, documentation details for all", "    commands are returned."];

function replyAllInfo(call: Call): void {
  call.reply.array(COMMANDS.size);
  for (const command of COMMANDS.values()) replyInfo(call.reply, command);
}

const count = declare("command|count", {
  ...shared,
  summary: "Returns a count of commands.",
  since: "2.8.13",
  complexity: "O(1)",
  help: ["COUNT", "    Return the total number of commands in this Redis server."],
  args: [],
  run(call) {
    call.reply.integer(COMMANDS.size);
  },
});

/** FILTERBY and its test of a command's full name. */
type Filter = (command: Command) => boolean;

const filterBy: Rule<Filter> = {
  tokens: ["FILTERBY"],
  doc: () => ({
    name: "filterby",
    type: "oneof",
    token: "FILTERBY",
    arguments: [
      { name: "module-name", type: "string", token: "MODULE" },
      { name: "category", type: "string", token: "ACLCAT" },
      { name: "pattern", type: "pattern", token: "PATTERN" },
    ],
  }),
  read(cursor): Filter {
    const kind = cursor.next().toUpperCase();
    const value = cursor.next();
    switch (kind) {
      case "MODULE":
        return () => false;
      case "ACLCAT":
        return (command) => categoriesOf(command).includes(value.toLowerCase());
      case "PATTERN":
        return (command) => globMatches(value, command.fullName);
      default:
        throw syntaxError();
    }
  },
};

const list = declare("command|list", {
  ...shared,
  summary: "Returns a list of command names.",
  since: "7.0.0",
  complexity: "O(N) where N is the total number of Redis commands",
  tips,
  help: ["LIST", "    Return a list of all commands in this Redis server."],
  args: [options({ filter: filterBy })],
  run(call, { filter }) {
    const everything = [...COMMANDS.values()].flatMap((command) => [command, ...(command.subcommands?.values() ?? [])]);
    const wanted = filter === undefined ? everything : everything.filter(filter);
    call.reply.array(wanted.length);
    for (const command of wanted) call.reply.bulk(command.fullName);
  },
});

const info = declare("command|info", {
  ...shared,
  summary: "Returns information about one, multiple or all commands.",
  since: "2.8.13",
  complexity: perLookup,
  tips,
  help: ["INFO [<command-name> ...]", "    Return details about multiple Redis commands.", ...ALL_HELP],
  args: [any(bytes("command-name"))],
  run(call, names) {
    if (names.length === 0) return replyAllInfo(call);
    call.reply.array(names.length);
    for (const name of names) {
      const command = lookupFullName(name);
      if (command === undefined) call.reply.null();
      else replyInfo(call.reply, command);
    }
  },
});

const docs = declare("command|docs", {
  ...shared,
  summary: "Returns documentary information about one, multiple or all commands.",
  since: "7.0.0",
  complexity: perLookup,
  tips,
  help: ["DOCS [<command-name> ...]", "    Return documentation details about multiple Redis commands.", ...ALL_HELP],
  args: [any(bytes("command-name"))],
  run(call, names) {
    const commands =
      names.length === 0
        ? [...COMMANDS.values()]
        : names.map(lookupFullName).filter((command) => command !== undefined);
    call.reply.map(commands.length);
    for (const command of commands) replyDocs(call.reply, command);
  },
});

const getkeys = declare("command|getkeys", {
  ...shared,
  summary: "Extracts the key names from an arbitrary command.",
  since: "2.8.13",
  complexity: "O(N) where N is the number of arguments to the command",
  help: ["GETKEYS <full-command>", "    Return the keys from a full Redis command."],
  args: [many(bytes("command"))],
  run(call, line) {
    const found = keysOfLine(line);
    call.reply.array(found.length);
    for (const { key } of found) call.reply.bulk(key);
  },
});

const getkeysandflags = declare("command|getkeysandflags", {
  ...shared,
  summary: "Extracts the key names and access flags for an arbitrary command.",
  since: "7.0.0",
  complexity: "O(N) where N is the number of arguments to the command",
  help: ["GETKEYSANDFLAGS <full-command>", "    Return the keys and the access flags from a full Redis command."],
  args: [many(bytes("command"))],
  run(call, line) {
    const found = keysOfLine(line);
    call.reply.array(found.length);
    for (const one of found) replyFoundKey(call.reply, one);
  },
});

function keysOfLine(line: readonly Bytes[]): FoundKey[] {
  const command = resolve(line);
  if (command === undefined) throw new CommandError("ERR Invalid command specified");
  if (command.keySpecs.length === 0) throw new CommandError("ERR The command has no key arguments");
  if (!acceptsCount(command, line.length)) {
    throw new CommandError("ERR Invalid number of arguments specified for command");
  }
  const found = findKeys(command.keySpecs, line);
  if (found.length === 0) throw new CommandError("ERR Invalid arguments specified for command");
  return found;
}

export const command = container("command", {
  ...shared,
  summary: "Returns detailed information about all commands.",
  since: "2.8.13",
  complexity: "O(N) where N is the total number of Redis commands",
  tips,
  helpIntro: ["(no subcommand)", "    Return details about all Redis commands."],
  helpSince: "5.0.0",
  helpFlags: LOADING | STALE | CONNECTION,
  subcommands: [count, list, info, docs, getkeys, getkeysandflags],
  run: replyAllInfo,
});
