/**
 * Runs one command on a call: the only place where a command's errors become replies and its changes become effects.
 * Engines use it in `execute` and when they replay a log; EXEC uses it for each queued command.
 */
import { CommandError } from "../errors.ts";
import type { Call } from "./call.ts";
import type { Command } from "./define.ts";

/**
 * Runs `command` with `args` (the command's name first) and leaves its effects in `call.effects`. Returns whether it succeeded.
 * A `CommandError` becomes the reply; anything else is a broken assertion or disk and is not caught here.
 */
export function invoke(call: Call, command: Command, args: Call["args"]): boolean {
  const events = call.keyspace.events;
  const changesBefore = events.changes;
  const mark = call.reply.mark;
  call.command = command;
  call.args = args;
  call.effectGiven = false;
  let succeeded = true;
  try {
    command.exec(call);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    call.reply.rewind(mark);
    call.reply.error(error.message);
    succeeded = false;
  }
  if (events.changes !== changesBefore && !call.effectGiven) call.effects.push(call.db.index, args);
  return succeeded;
}
