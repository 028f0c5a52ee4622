/** One command that does what several did: SET and SET become MSET, HSETs of a hash one HSET, APPENDs of a string one APPEND. */
import type { Bytes } from "../../common/bytes.ts";
import type { Planned } from "../workload.ts";

type Command = readonly Bytes[];

/** Steps with their neighbours in them, where that can be and nobody `keepsApart` the one of that index from the one before. */
export function mergeSteps(steps: readonly Planned[], keepsApart: (index: number) => boolean): Planned[] {
  const merged: Planned[] = [];
  for (const [index, step] of steps.entries()) {
    const last = merged.at(-1);
    const both = last !== undefined && !keepsApart(index) ? mergedStep(last, step) : undefined;
    if (both === undefined) merged.push(step);
    else merged[merged.length - 1] = both;
  }
  return merged;
}

/** The same for commands, wherever it can be. */
export function mergeCommands(commands: readonly Command[]): Command[] {
  const merged: Command[] = [];
  for (const command of commands) {
    const last = merged.at(-1);
    const both = last && mergedCommand(last, command);
    if (both === undefined) merged.push(command);
    else merged[merged.length - 1] = both;
  }
  return merged;
}

function mergedStep(first: Planned, second: Planned): Planned | undefined {
  const [one, ...more] = first.commands;
  const [other, ...others] = second.commands;
  if (first.kind !== "write" || second.kind !== "write" || more.length + others.length > 0) return undefined;
  const both = one && other && mergedCommand(one, other);
  return both && { ...first, commands: [both] };
}

/** The two as one; undefined: there is no such command. */
function mergedCommand(first: Command, second: Command): Command | undefined {
  const [name = "", key = "", ...args] = first;
  const [other, sameKey, ...more] = second;
  if (isSet(first) && isSet(second)) return ["MSET", key, ...args, ...second.slice(1)];
  if (name !== other) return undefined;
  if (name === "DEL") return [...first, ...second.slice(1)];
  if (key !== sameKey) return undefined;
  if (name === "HSET" || name === "HDEL") return [...first, ...more];
  if (name === "APPEND") return [name, key, args.join("") + more.join("")];
  return undefined;
}

function isSet([name = "", ...args]: Command): boolean {
  return name === "MSET" || (name === "SET" && args.length === 2);
}
