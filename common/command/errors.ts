/**
 * The error texts that many commands share, as Redis words them.
 */
import type { Bytes } from "../bytes.ts";
import { CommandError } from "../errors.ts";

export const SYNTAX = "ERR syntax error";
export const NOT_AN_INTEGER = "ERR value is not an integer or out of range";
export const NOT_A_FLOAT = "ERR value is not a valid float";
export const OUT_OF_RANGE = "ERR value is out of range";
export const NO_SUCH_KEY = "ERR no such key";

export function syntaxError(): CommandError {
  return new CommandError(SYNTAX);
}

/** `name` is the command's full name ("set", "config|get"). */
export function arityError(name: string): CommandError {
  return new CommandError(`ERR wrong number of arguments for '${name}' command`);
}

export function expireTimeError(name: string): CommandError {
  return new CommandError(`ERR invalid expire time in '${name}' command`);
}

export function unknownSubcommandError(container: string, given: Bytes): CommandError {
  return new CommandError(`ERR unknown subcommand '${given.slice(0, 128)}'. Try ${container.toUpperCase()} HELP.`);
}
