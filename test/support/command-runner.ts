/**
 * Runs command lines on a keyspace in this process: no server, no engine, no log. As dispatch does, it looks the command up
 * and checks the number of arguments; what a command changed is read from `effects`.
 */
import type { Bytes } from "../../common/bytes.ts";
import { BaseCall } from "../../common/command/base-call.ts";
import type { Call } from "../../common/command/call.ts";
import { acceptsCount } from "../../common/command/define.ts";
import { arityError, unknownSubcommandError } from "../../common/command/errors.ts";
import { invoke } from "../../common/command/invoke.ts";
import type { ServerView, Session } from "../../common/command/session.ts";
import { resolve } from "../../common/commands/table.ts";
import { DirectiveConfig } from "../../common/config.ts";
import type { Keyspace } from "../../common/keyspace/keyspace.ts";
import { SERVER_DIRECTIVES } from "../../common/server/directives.ts";

/** A small generator of pseudo-random numbers (mulberry32): the same seed, the same numbers. */
export function pseudoRandom(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return (((mixed ^ (mixed >>> 14)) >>> 0) % bound) >>> 0;
  };
}

export class CommandRunner extends BaseCall {
  readonly session: Session;
  readonly server: ServerView = { config: new DirectiveConfig([SERVER_DIRECTIVES]) };
  readonly pick = pseudoRandom(1);
  readonly #execute: (call: Call) => void;

  /** `execute` is that of an engine; without it, only the keyspace changes. */
  constructor(keyspace: Keyspace, execute: (call: Call) => void = invokeAlone) {
    super(keyspace);
    this.#execute = execute;
    this.session = { id: 1, name: "", select: (index) => this.select(index) };
  }

  /** Wall clock: the keyspace's, unless it replays. */
  get now(): number {
    return Math.max(this.keyspace.events.now, 0);
  }

  /** Runs one command and returns its reply as it goes over the wire. Its effects stay in `effects` until the next one. */
  run(...args: Bytes[]): Bytes {
    this.effects.clear();
    const command = resolve(args);
    if (command === undefined) this.reply.error(`ERR unknown command '${args[0]}', with args beginning with: `);
    else if (command.subcommands !== undefined && args.length > 1) {
      this.reply.error(unknownSubcommandError(command.name, args[1]!).message);
    } else if (!acceptsCount(command, args.length)) this.reply.error(arityError(command.fullName).message);
    else {
      this.command = command;
      this.args = args;
      this.#execute(this);
    }
    return this.reply.take();
  }

  /** The effects of the last command: "SET k v PXAT 5", with the database in front when it is not the selected one. */
  get effectLines(): string[] {
    return this.effects.args.map((args, index) => {
      const db = this.effects.db[index]!;
      return (db === this.db.index ? "" : `[${db}] `) + args.join(" ");
    });
  }
}

function invokeAlone(call: Call): void {
  invoke(call, call.command, call.args);
}
