/**
 * CLIENT: a connection about itself, and the list of all. CLIENT KILL has a file of its own (client-kill.ts).
 */
import type { Bytes } from "../../bytes.ts";
import { bytes } from "../../command/args.ts";
import { clientOf, servicesOf } from "../../command/context.ts";
import { command, container } from "../../command/define.ts";
import { syntaxError } from "../../command/errors.ts";
import { ADMIN, LOADING, NOSCRIPT, STALE } from "../../command/flags.ts";
import { optional } from "../../command/phrases.ts";
import { keyword, raw } from "../../command/raw.ts";
import type { Client } from "../../command/session.ts";
import { CommandError } from "../../errors.ts";
import { parseInteger } from "../../keyspace/integer.ts";
import { clientKill, isNormalType } from "./client-kill.ts";
import { checkClientName, isListable } from "./names.ts";

const FLAGS = NOSCRIPT | LOADING | STALE;
const ABOUT = { group: "connection", complexity: "O(1)" } as const;

const id = command("client|id", {
  ...ABOUT,
  summary: "Returns the unique client ID of the connection.",
  since: "5.0.0",
  flags: FLAGS,
  args: [],
  help: ["ID", "    Return the ID of the current connection."],
  run(call) {
    call.reply.integer(clientOf(call).id);
  },
});

const info = command("client|info", {
  ...ABOUT,
  summary: "Returns information about the connection.",
  since: "6.2.0",
  tips: ["nondeterministic_output"],
  flags: FLAGS,
  args: [],
  help: ["INFO", "    Return information about the current client connection."],
  run(call) {
    call.reply.verbatim("txt", `${clientOf(call).describe()}\n`);
  },
});

const getname = command("client|getname", {
  ...ABOUT,
  summary: "Returns the name of the connection.",
  since: "2.6.9",
  flags: FLAGS,
  args: [],
  help: ["GETNAME", "    Return the name of the current connection."],
  run(call) {
    call.reply.bulkOrNull(clientOf(call).name || undefined);
  },
});

const setname = command("client|setname", {
  ...ABOUT,
  summary: "Sets the connection name.",
  since: "2.6.9",
  flags: FLAGS,
  args: [bytes("connection-name")],
  help: ["SETNAME <name>", "    Assign the name <name> to the current connection."],
  run(call, name) {
    checkClientName(name);
    clientOf(call).name = name;
    call.reply.ok();
  },
});

const setinfo = command("client|setinfo", {
  ...ABOUT,
  summary: "Sets information specific to the client or connection.",
  since: "7.2.0",
  flags: FLAGS,
  args: [bytes("attr"), bytes("value")],
  help: [
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
  ],
  run(call, attribute, value) {
    const name = attribute.toLowerCase();
    if (name !== "lib-name" && name !== "lib-ver") throw new CommandError(`ERR Unrecognized option '${attribute}'`);
    if (!isListable(value)) {
      throw new CommandError(`ERR ${name} cannot contain spaces, newlines or special characters.`);
    }
    if (name === "lib-name") clientOf(call).libraryName = value;
    else clientOf(call).libraryVersion = value;
    call.reply.ok();
  },
});

/** The clients that CLIENT LIST's arguments ask for. */
function listed(clients: Iterable<Client>, given: readonly Bytes[]): Client[] {
  const all = [...clients];
  if (given.length === 0) return all;
  const filter = given[0]!.toUpperCase();
  if (filter === "TYPE" && given.length === 2) return isNormalType(given[1]!) ? all : [];
  if (filter !== "ID" || given.length < 2) throw syntaxError();
  const ids = given.slice(1).map((text) => {
    const value = parseInteger(text);
    if (value === undefined) throw new CommandError("ERR Invalid client ID");
    return Number(value);
  });
  return all.filter((client) => ids.includes(client.id));
}

const list = command("client|list", {
  summary: "Lists open connections.",
  since: "2.4.0",
  group: "connection",
  complexity: "O(N) where N is the number of client connections",
  tips: ["nondeterministic_output"],
  flags: ADMIN | FLAGS,
  args: [
    raw(
      0,
      {
        name: "client-type",
        type: "oneof",
        token: "TYPE",
        optional: true,
        arguments: ["NORMAL", "MASTER", "REPLICA", "PUBSUB"].map((token) => ({
          name: token.toLowerCase(),
          type: "pure-token",
          token,
        })),
      },
      { name: "client-id", type: "integer", token: "ID", optional: true, multiple: true },
    ),
  ],
  help: [
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "    * ID <id> [<id> ...]",
    "      Return clients of specified IDs only.",
  ],
  run(call, given) {
    const lines = listed(servicesOf(call).clients(), given).map((client) => `${client.describe()}\n`);
    call.reply.verbatim("txt", lines.join(""));
  },
});

const reply = command("client|reply", {
  ...ABOUT,
  summary: "Instructs the server whether to reply to commands.",
  since: "3.2.0",
  flags: FLAGS,
  args: [keyword("action", ["ON", "OFF", "SKIP"])],
  help: ["REPLY (ON|OFF|SKIP)", "    Control the replies sent to the current connection."],
  run(call, action) {
    const client = clientOf(call);
    if (action === "ON") {
      client.replyMode = "on";
      call.reply.ok();
    } else if (action === "OFF") {
      client.replyMode = "off";
    } else if (client.replyMode !== "off") {
      client.replyMode = "skip-next";
    }
  },
});

const noEvict = command("client|no-evict", {
  ...ABOUT,
  summary: "Sets the client eviction mode of the connection.",
  since: "7.0.0",
  flags: ADMIN | FLAGS,
  args: [keyword("enabled", ["ON", "OFF"])],
  help: ["NO-EVICT (ON|OFF)", "    Protect current client connection from eviction."],
  run(call, enabled) {
    clientOf(call).noEvict = enabled === "ON";
    call.reply.ok();
  },
});

const noTouch = command("client|no-touch", {
  ...ABOUT,
  summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
  since: "7.2.0",
  flags: FLAGS,
  args: [keyword("enabled", ["ON", "OFF"])],
  help: ["NO-TOUCH (ON|OFF)", "    Will not touch LRU/LFU stats when this mode is on."],
  run(call, enabled) {
    clientOf(call).noTouch = enabled === "ON";
    call.reply.ok();
  },
});

const getredir = command("client|getredir", {
  ...ABOUT,
  summary: "Returns the client ID to which the connection's tracking notifications are redirected.",
  since: "6.0.0",
  flags: FLAGS,
  args: [],
  help: ["GETREDIR", "    Return the client ID we are redirecting to when tracking is enabled."],
  run(call) {
    call.reply.integer(-1);
  },
});

const pause = command("client|pause", {
  ...ABOUT,
  summary: "Suspends commands processing.",
  since: "2.9.50",
  flags: ADMIN | FLAGS,
  args: [bytes("timeout"), optional(keyword("mode", ["WRITE", "ALL"], "ERR CLIENT PAUSE mode must be WRITE or ALL"))],
  help: ["PAUSE <timeout> [WRITE|ALL]", "    Suspend all, or just write, clients for <timeout> milliseconds."],
  run(call, timeout, mode) {
    const delayMs = parseInteger(timeout);
    if (delayMs === undefined) throw new CommandError("ERR timeout is not an integer or out of range");
    if (delayMs < 0) throw new CommandError("ERR timeout is negative");
    servicesOf(call).pause(call.now + Number(delayMs), mode === "WRITE" ? "write" : "all");
    call.reply.ok();
  },
});

const unpause = command("client|unpause", {
  summary: "Resumes processing commands from paused clients.",
  since: "6.2.0",
  group: "connection",
  complexity: "O(N) Where N is the number of paused clients",
  flags: ADMIN | FLAGS,
  args: [],
  help: ["UNPAUSE", "    Stop the current client pause, resuming traffic."],
  run(call) {
    servicesOf(call).unpause();
    call.reply.ok();
  },
});

export const client = container("client", {
  summary: "A container for client connection commands.",
  since: "2.4.0",
  group: "connection",
  complexity: "Depends on subcommand.",
  helpSince: "5.0.0",
  subcommands: [
    getredir,
    getname,
    id,
    info,
    clientKill,
    list,
    unpause,
    pause,
    reply,
    setname,
    setinfo,
    noEvict,
    noTouch,
  ],
});
