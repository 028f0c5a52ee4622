/**
 * The table of commands. It is filled once, by common/commands/table.ts; whoever needs commands to be there imports that
 * file. It is here because COMMAND, a command itself, shows it.
 */
import { assert } from "../assert.ts";
import type { Bytes } from "../bytes.ts";
import type { Command } from "./define.ts";

const commands = new Map<string, Command>();
/** The usual spellings, "get" and "GET", are found without folding. */
const spellings = new Map<string, Command>();

/** All commands by lower-case name, containers but not their subcommands. */
export const COMMANDS: ReadonlyMap<string, Command> = commands;

/** Adds a command to the table. */
export function register(command: Command): void {
  assert(!commands.has(command.name), `command ${command.name} is declared once`);
  commands.set(command.name, command);
  spellings.set(command.name, command);
  spellings.set(command.name.toUpperCase(), command);
}

/** The command of that name in any spelling. */
export function lookup(name: Bytes): Command | undefined {
  return spellings.get(name) ?? commands.get(name.toLowerCase());
}

/** The command that a line runs: of a container its subcommand, or the container when there is no such subcommand. */
export function resolve(args: readonly Bytes[]): Command | undefined {
  const command = lookup(args[0]!);
  if (command?.subcommands === undefined || args.length < 2) return command;
  return command.subcommands.get(args[1]!.toLowerCase()) ?? command;
}

/** The command or subcommand of that full name ("config|get"). */
export function lookupFullName(fullName: Bytes): Command | undefined {
  const [name, subcommand, ...more] = fullName.split("|");
  const command = lookup(name!);
  if (subcommand === undefined) return command;
  return more.length > 0 ? undefined : command?.subcommands?.get(subcommand.toLowerCase());
}
