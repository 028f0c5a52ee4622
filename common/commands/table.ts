/**
 * Fills the table of commands (common/command/table.ts) with what the groups' index.ts files export.
 */
import type { Command } from "../command/define.ts";
import { register } from "../command/table.ts";
import * as connectionCommands from "./connection/index.ts";
import * as genericCommands from "./generic/index.ts";
import * as hashCommands from "./hash/index.ts";
import * as serverCommands from "./server/index.ts";
import * as stringCommands from "./string/index.ts";
import * as transactionCommands from "./transaction/index.ts";

export { COMMANDS, lookup, resolve } from "../command/table.ts";

const groups: readonly Readonly<Record<string, unknown>>[] = [
  stringCommands,
  hashCommands,
  genericCommands,
  transactionCommands,
  connectionCommands,
  serverCommands,
];

for (const exported of groups.flatMap((group) => Object.values(group))) {
  if (isCommand(exported)) register(exported);
}

/** A command of its own; subcommands are reached through their container. */
function isCommand(value: unknown): value is Command {
  return typeof value === "object" && value !== null && "fullName" in value && !String(value.fullName).includes("|");
}
