/**
 * CLIENT KILL, in its old form (`CLIENT KILL ip:port`) and its new one (filters, all of which must hold).
 */
import type { Bytes } from "../../bytes.ts";
import type { Call } from "../../command/call.ts";
import { clientOf, servicesOf } from "../../command/context.ts";
import { command } from "../../command/define.ts";
import { syntaxError } from "../../command/errors.ts";
import { ADMIN, LOADING, NOSCRIPT, STALE } from "../../command/flags.ts";
import { raw } from "../../command/raw.ts";
import type { Client } from "../../command/session.ts";
import { CommandError } from "../../errors.ts";
import { parseInteger } from "../../keyspace/integer.ts";

type Filter = (client: Client) => boolean;

/** Whether a word of TYPE means ordinary clients, the only ones there are. */
export function isNormalType(word: Bytes): boolean {
  const type = word.toLowerCase();
  if (!["normal", "master", "slave", "replica", "pubsub"].includes(type)) {
    throw new CommandError(`ERR Unknown client type '${word}'`);
  }
  return type === "normal";
}

function filterOf(name: Bytes, value: Bytes | undefined, self: Client): Filter {
  if (value === undefined) throw syntaxError();
  switch (name.toUpperCase()) {
    case "ID": {
      const id = Number(parseInteger(value) ?? 0);
      if (id < 1) throw new CommandError("ERR client-id should be greater than 0");
      return (client) => client.id === id;
    }
    case "ADDR":
      return (client) => client.address === value;
    case "LADDR":
      return (client) => client.localAddress === value;
    case "TYPE": {
      const normal = isNormalType(value);
      return () => normal;
    }
    case "USER":
      if (value !== "default") throw new CommandError(`ERR No such user '${value}'`);
      return () => true;
    case "SKIPME": {
      const answer = value.toLowerCase();
      if (answer !== "yes" && answer !== "no") throw syntaxError();
      return (client) => answer === "no" || client !== self;
    }
    default:
      throw syntaxError();
  }
}

/** Ends `client`; the one that asked still gets its reply. */
function end(client: Client, self: Client): void {
  if (client === self) client.closeAfterReply();
  else client.kill();
}

function killByAddress(call: Call, address: Bytes): void {
  const self = clientOf(call);
  const victim = [...servicesOf(call).clients()].find((client) => client.address === address);
  if (victim === undefined) throw new CommandError("ERR No such client");
  end(victim, self);
  call.reply.ok();
}

export const clientKill = command("client|kill", {
  summary: "Terminates open connections.",
  since: "2.4.0",
  group: "connection",
  complexity: "O(N) where N is the number of client connections",
  flags: ADMIN | NOSCRIPT | LOADING | STALE,
  args: [raw(1, { name: "filter", type: "string", multiple: true })],
  help: [
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
  ],
  run(call, given) {
    if (given.length === 1) return killByAddress(call, given[0]!);
    const self = clientOf(call);
    const filters: Filter[] = [];
    let skipMe: Filter = (client) => client !== self;
    for (let at = 0; at < given.length; at += 2) {
      const filter = filterOf(given[at]!, given[at + 1], self);
      if (given[at]!.toUpperCase() === "SKIPME") skipMe = filter;
      else filters.push(filter);
    }
    const victims = [...servicesOf(call).clients()].filter(
      (client) => skipMe(client) && filters.every((filter) => filter(client)),
    );
    for (const victim of victims) end(victim, self);
    call.reply.integer(victims.length);
  },
});
