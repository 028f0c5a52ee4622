/**
 * The connection and the server behind a call, for the commands that are about them. Such commands are never replayed from
 * a log, so both are there.
 */
import { present } from "../assert.ts";
import type { Call } from "./call.ts";
import type { Client, ServerServices } from "./session.ts";

/** The connection that sent the command. */
export function clientOf(call: Call): Client {
  return present(call.session.client, `${call.command.fullName} comes from a connection`);
}

/** The server that runs the command. */
export function servicesOf(call: Call): ServerServices {
  return present(call.server.services, `${call.command.fullName} runs in a server`);
}
