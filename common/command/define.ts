/**
 * Declares commands. One grammar per command yields its arity, its key specs, what COMMAND tells about it, the reader of
 * its arguments, and the TypeScript types of `run`:
 *
 *     export const strlen = command("strlen", {
 *       summary: "Returns the length of a string value.", since: "2.2.0", group: "string", complexity: "O(1)",
 *       flags: READONLY | FAST,
 *       args: [key("key", "RO")],
 *       run(call, key) { call.reply.integer(call.db.strings.length(key)); },
 *     });
 *
 * A subcommand is a command with a bar in its name ("object|encoding"); `container` gathers them.
 */
import { assert } from "../assert.ts";
import type { Bytes } from "../bytes.ts";
import type { Arg, ArgumentDoc } from "./args.ts";
import type { Call } from "./call.ts";
import { compile } from "./compile.ts";
import { arityError, unknownSubcommandError } from "./errors.ts";
import { LOADING, STALE } from "./flags.ts";
import { findKeys, type KeySpec, keySpecsOf } from "./keys.ts";
import { docsOf, type Values } from "./phrases.ts";

/** Redis's group words. */
export type Group =
  | "string"
  | "hash"
  | "list"
  | "set"
  | "sorted-set"
  | "stream"
  | "bitmap"
  | "hyperloglog"
  | "geo"
  | "generic"
  | "pubsub"
  | "transactions"
  | "scripting"
  | "connection"
  | "server";

/** What is written about a command, for people. */
export interface About {
  readonly summary: string;
  /** The Redis version that has it first. */
  readonly since: string;
  readonly group: Group;
  readonly complexity: string;
  /** Hints to clients and proxies: "nondeterministic_output", "request_policy:multi_shard". */
  readonly tips?: readonly string[];
  /** Deprecated: since when, and by what it is replaced. */
  readonly deprecated?: { readonly since: string; readonly replacedBy: string };
  /** Of a subcommand: its lines in the container's HELP, syntax first. */
  readonly help?: readonly string[];
}

interface Declaration<A extends readonly Arg<unknown>[]> extends About {
  readonly flags: number;
  readonly args: A;
  run(call: Call, ...values: Values<A>): void;
}

export interface Command {
  /** Lower case; of a subcommand only its own part. */
  readonly name: string;
  /** "set", "config|get". */
  readonly fullName: string;
  /** The number of arguments, the name included; negative: at least that many. Checked by dispatch. */
  readonly arity: number;
  /** Bits of flags.ts. */
  readonly flags: number;
  readonly keySpecs: readonly KeySpec[];
  readonly about: About;
  readonly arguments: readonly ArgumentDoc[];
  /** By lower-case name; undefined for what is no container. */
  readonly subcommands: ReadonlyMap<string, Command> | undefined;
  /** Reads the arguments of `call` and runs. Throws `CommandError`. */
  exec(call: Call): void;
  /** The keys among the arguments of a command line. */
  keysOf(args: readonly Bytes[]): Bytes[];
}

/** Declares a command, or with "container|name" a subcommand. */
export function command<const A extends readonly Arg<unknown>[]>(
  fullName: string,
  declaration: Declaration<A>,
): Command {
  const { args, flags, run, ...about } = declaration;
  const bar = fullName.indexOf("|");
  const base = bar < 0 ? 1 : 2;
  const { keySpecs, indexes } = keySpecsOf(args, base);
  return {
    name: fullName.slice(bar + 1),
    fullName,
    arity: arityOf(args, base),
    flags,
    keySpecs,
    about,
    arguments: withKeySpecIndexes(args.flatMap(docsOf), [...indexes]),
    subcommands: undefined,
    exec: compile(args, run as (call: Call, ...values: unknown[]) => void, base),
    keysOf: (line) => findKeys(keySpecs, line).map((found) => found.key),
  };
}

interface ContainerDeclaration extends About {
  readonly flags?: number;
  readonly subcommands: readonly Command[];
  /** When HELP came. */
  readonly helpSince: string;
  /** Flags of HELP, if not those of all other containers. */
  readonly helpFlags?: number;
  /** Lines that HELP shows before those of the subcommands. */
  readonly helpIntro?: readonly string[];
  /** Runs without a subcommand; otherwise one is required. */
  run?(call: Call): void;
}

/** Declares a command whose first argument names a subcommand. HELP comes by itself. */
export function container(name: string, declaration: ContainerDeclaration): Command {
  const {
    flags = 0,
    subcommands: declared,
    helpSince,
    helpFlags = LOADING | STALE,
    helpIntro = [],
    run,
    ...about
  } = declaration;
  const lines = [
    `${name.toUpperCase()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`,
    ...helpIntro,
    ...declared.flatMap((subcommand) => subcommand.about.help ?? []),
    "HELP",
    "    Prints this help.",
  ];
  const help = command(`${name}|help`, {
    summary: "Returns helpful text about the different subcommands.",
    since: helpSince,
    group: about.group,
    complexity: "O(1)",
    flags: helpFlags,
    args: [],
    run(call) {
      call.reply.array(lines.length);
      for (const line of lines) call.reply.simple(line);
    },
  });
  const subcommands = new Map([...declared, help].map((subcommand) => [subcommand.name, subcommand]));
  for (const subcommand of declared) {
    assert(subcommand.fullName === `${name}|${subcommand.name}`, `${subcommand.fullName} belongs to ${name}`);
  }
  return {
    name,
    fullName: name,
    arity: run === undefined ? -2 : -1,
    flags,
    keySpecs: [],
    about,
    arguments: [],
    subcommands,
    exec(call) {
      const given = call.args[1];
      if (given === undefined && run !== undefined) return run(call);
      const subcommand = subcommands.get((given ?? "").toLowerCase());
      if (subcommand === undefined) throw unknownSubcommandError(name, given ?? "");
      checkArity(subcommand, call.args.length);
      call.command = subcommand;
      subcommand.exec(call);
    },
    keysOf: (line) => subcommands.get((line[1] ?? "").toLowerCase())?.keysOf(line) ?? [],
  };
}

/** Whether a command may have so many arguments, its name included. */
export function acceptsCount(command: Command, count: number): boolean {
  return command.arity >= 0 ? count === command.arity : count >= -command.arity;
}

/** Throws the error of Redis for a wrong number of arguments. */
function checkArity(command: Command, count: number): void {
  if (!acceptsCount(command, count)) throw arityError(command.fullName);
}

function arityOf(args: readonly Arg<unknown>[], base: number): number {
  let least = base;
  let exact = true;
  for (const arg of args) {
    least += arg.kind === "word" ? 1 : arg.min;
    exact &&= arg.kind === "word";
  }
  return exact ? least : -least;
}

/** COMMAND DOCS tells of every argument that is a key which key spec finds it. `indexes` are used up in order. */
function withKeySpecIndexes(docs: readonly ArgumentDoc[], indexes: number[]): readonly ArgumentDoc[] {
  return docs.map((doc) => {
    if (doc.type === "key") return { ...doc, keySpecIndex: indexes.shift()! };
    if (doc.arguments === undefined) return doc;
    return { ...doc, arguments: withKeySpecIndexes(doc.arguments, indexes) };
  });
}
