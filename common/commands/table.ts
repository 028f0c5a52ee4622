/**
 * The table of all commands, built from what the groups' index.ts files export.
 */
import { assert } from "../assert.ts";
import type { Bytes } from "../bytes.ts";
import type { Command } from "../command/define.ts";
import { unknownSubcommandError } from "../command/errors.ts";
import * as connectionCommands from "./connection/index.ts";
import * as genericCommands from "./generic/index.ts";
import * as hashCommands from "./hash/index.ts";
import * as serverCommands from "./server/index.ts";
import * as stringCommands from "./string/index.ts";
import * as transactionCommands from "./transaction/index.ts";

/** All commands, subcommands not counted, by lower-case name. */
export const COMMANDS: ReadonlyMap<string, Command> = collect([
  stringCommands,
  hashCommands,
  genericCommands,
  transactionCommands,
  connectionCommands,
  serverCommands,
]);

/** The usual spellings, "get" and "GET", found without folding. */
const SPELLINGS: ReadonlyMap<string, Command> = new Map(
  [...COMMANDS].flatMap(([name, command]) => [
    [name, command],
    [name.toUpperCase(), command],
  ]),
);

/** The command of that name in any spelling. */
export function lookup(name: Bytes): Command | undefined {
  return SPELLINGS.get(name) ?? COMMANDS.get(name.toLowerCase());
}

/**
 * The command that a line runs: of a container its subcommand, whose flags, arity and keys are those that count. Throws
 * the error of an unknown subcommand; undefined for an unknown command.
 */
export function resolve(args: readonly Bytes[]): Command | undefined {
  const command = lookup(args[0]!);
  if (command?.subcommands === undefined || args.length < 2) return command;
  const subcommand = command.subcommands.get(args[1]!.toLowerCase());
  if (subcommand === undefined) throw unknownSubcommandError(command.name, args[1]!);
  return subcommand;
}

function collect(groups: readonly Readonly<Record<string, unknown>>[]): Map<string, Command> {
  const commands = new Map<string, Command>();
  for (const exported of groups.flatMap((group) => Object.values(group))) {
    if (!isCommand(exported) || exported.fullName.includes("|")) continue;
    assert(!commands.has(exported.name), `command ${exported.name} is declared once`);
    commands.set(exported.name, exported);
  }
  return commands;
}

function isCommand(value: unknown): value is Command {
  return typeof value === "object" && value !== null && "fullName" in value && "exec" in value;
}
