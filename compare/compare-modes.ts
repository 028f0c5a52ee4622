/**
 * Which flags of `twolog compare` belong together. A flag that what was asked for does not look at is refused: somebody who
 * forgot --campaign would wait a minute for a page that is never written.
 */
import type { Command } from "commander";

/** What can be asked for, one at a time; without any, the plain comparison. By the names of their flags. */
const MODES: readonly (readonly string[])[] = [
  ["campaign"],
  ["replay"],
  ["merge"],
  ["claims", "claim"],
  ["originals"],
  ["power-cuts"],
  ["bugs"],
  ["orders"],
];

/** Flags that only some of them look at. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  workers: ["campaign"],
  state: ["campaign"],
  shard: ["campaign"],
  again: ["campaign"],
  deeper: ["campaign"],
  faults: ["campaign"],
  workloads: ["campaign"],
  models: ["campaign", "replay"],
  save: ["campaign", "replay"],
  html: ["campaign", "merge"],
  junit: ["campaign", "merge"],
  simulated: ["claims", "claim"],
  states: ["originals"],
  model: ["originals"],
};

/** Ends the program as any wrong command line does. */
export function refuseIgnoredFlags(command: Command): void {
  const given = new Set(
    command.options
      .filter((option) => command.getOptionValueSource(option.attributeName()) === "cli")
      .map((option) => option.long?.slice(2) ?? ""),
  );
  const modes = MODES.flatMap((names) => names.filter((name) => given.has(name)).slice(0, 1));
  // --claims --originals: the claims about the originals, too.
  const together = modes.length === 2 && modes[1] === "originals" && modes[0]!.startsWith("claim");
  if (modes.length > 1 && !together) command.error(`error: --${modes[0]} and --${modes[1]} do not go together`);
  for (const [name, needed] of Object.entries(NEEDS)) {
    if (!given.has(name) || needed.some((mode) => given.has(mode))) continue;
    command.error(`error: --${name} needs ${needed.map((mode) => `--${mode}`).join(" or ")}`);
  }
}
