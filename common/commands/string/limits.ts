/**
 * The longest string that a command may make.
 */
import { BYTES_LENGTH_MAX } from "../../bytes.ts";
import type { Call } from "../../command/call.ts";
import { CommandError } from "../../errors.ts";

/** proto-max-bulk-len cannot be less, so shorter strings need no look at the configuration. */
const ALWAYS_ALLOWED = 1024 * 1024;

/** proto-max-bulk-len, which may have been lowered since a logged command ran, or what the JavaScript engine can hold. */
export function stringLengthMax(call: Call): number {
  if (call.keyspace.events.replaying) return BYTES_LENGTH_MAX;
  return Math.min(call.server.config.number("proto-max-bulk-len"), BYTES_LENGTH_MAX);
}

/** Throws unless a string of that length may be made. */
export function checkStringLength(call: Call, length: number): void {
  if (length > ALWAYS_ALLOWED && length > stringLengthMax(call)) {
    throw new CommandError("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
  }
}
