/**
 * The handshake: HELLO chooses RESP2 or RESP3; AUTH knows one user, `default`, who needs no password.
 */
import type { Bytes } from "../../bytes.ts";
import type { Call } from "../../command/call.ts";
import { clientOf } from "../../command/context.ts";
import { command } from "../../command/define.ts";
import { syntaxError } from "../../command/errors.ts";
import { ALLOW_BUSY, FAST, LOADING, NO_AUTH, NOSCRIPT, STALE } from "../../command/flags.ts";
import { raw } from "../../command/raw.ts";
import { REDIS_VERSION } from "../../command/version.ts";
import { CommandError } from "../../errors.ts";
import { parseInteger } from "../../keyspace/integer.ts";
import { checkClientName } from "./names.ts";

const FLAGS = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;

function checkUser(user: Bytes): void {
  if (user !== "default") throw new CommandError("WRONGPASS invalid username-password pair or user is disabled.");
}

/** The protocol and the name that HELLO's arguments ask for; throws before anything is changed. */
function readHello(given: readonly Bytes[]): { version: 2 | 3 | undefined; name: Bytes | undefined } {
  if (given.length === 0) return { version: undefined, name: undefined };
  const version = parseInteger(given[0]!);
  if (version === undefined) throw new CommandError("ERR Protocol version is not an integer or out of range");
  const number = Number(version);
  if (number !== 2 && number !== 3) throw new CommandError("NOPROTO unsupported protocol version");
  let name: Bytes | undefined;
  for (let at = 1; at < given.length; ) {
    const option = given[at]!;
    if (option.toUpperCase() === "AUTH" && at + 2 < given.length) {
      checkUser(given[at + 1]!);
      at += 3;
    } else if (option.toUpperCase() === "SETNAME" && at + 1 < given.length) {
      name = given[at + 1]!;
      checkClientName(name);
      at += 2;
    } else {
      throw new CommandError(`ERR Syntax error in HELLO option '${option.slice(0, 128)}'`);
    }
  }
  return { version: number, name };
}

function greet(call: Call): void {
  const { reply } = call;
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(REDIS_VERSION);
  reply.bulk("proto");
  reply.integer(reply.version);
  reply.bulk("id");
  reply.integer(clientOf(call).id);
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

export const hello = command("hello", {
  summary: "Handshakes with the Redis server.",
  since: "6.0.0",
  group: "connection",
  complexity: "O(1)",
  flags: FLAGS,
  args: [
    raw(0, {
      name: "arguments",
      type: "block",
      optional: true,
      arguments: [
        { name: "protover", type: "integer" },
        {
          name: "auth",
          type: "block",
          token: "AUTH",
          optional: true,
          arguments: [
            { name: "username", type: "string" },
            { name: "password", type: "string" },
          ],
        },
        { name: "clientname", type: "string", token: "SETNAME", optional: true },
      ],
    }),
  ],
  run(call, given) {
    const { version, name } = readHello(given);
    if (version !== undefined) call.reply.version = version;
    if (name !== undefined) clientOf(call).name = name;
    greet(call);
  },
});

export const auth = command("auth", {
  summary: "Authenticates the connection.",
  since: "1.0.0",
  group: "connection",
  complexity: "O(N) where N is the number of passwords defined for the user",
  flags: FLAGS,
  args: [raw(1, { name: "username", type: "string", optional: true }, { name: "password", type: "string" })],
  run(call, given) {
    if (given.length > 2) throw syntaxError();
    if (given.length === 1) {
      throw new CommandError(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
      );
    }
    checkUser(given[0]!);
    call.reply.ok();
  },
});
