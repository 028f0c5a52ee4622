/**
 * Runs logged commands on memory. Time stands still while it does (`events.now` is −1): nothing expires, because the log
 * has a DEL for every key that did (pitfall 47, crash point A9).
 */
import { present } from "../common/assert.ts";
import { type Bytes, toText } from "../common/bytes.ts";
import { acceptsCount } from "../common/command/define.ts";
import { DetachedCall } from "../common/command/detached-call.ts";
import { invoke } from "../common/command/invoke.ts";
import { lookup } from "../common/commands/table.ts";
import type { Config } from "../common/config.ts";
import type { Host } from "../common/host.ts";
import type { Keyspace } from "../common/keyspace/keyspace.ts";

/** What is wrong with a logged command; undefined when it was run, or kept for its EXEC. */
export type ReplayProblem = string | undefined;

/** What is wrong with a command line as such: its name, or the number of its arguments. */
export function commandProblem(args: readonly Bytes[]): ReplayProblem {
  const command = lookup(args[0]!);
  if (command === undefined) return `unknown command '${toText(args[0]!.slice(0, 128))}'`;
  if (!acceptsCount(command, args.length)) return `wrong number of arguments for '${command.name}'`;
  return undefined;
}

export class Replay {
  readonly #call: DetachedCall;
  /** The commands since MULTI, which run at EXEC: a transaction is whole or absent (pitfall 48). */
  #queue: Bytes[][] | undefined;
  /** Commands run, those of transactions included, MULTI, EXEC and SELECT not. */
  commands = 0;

  constructor(keyspace: Keyspace, host: Host, config: Config) {
    const pick = (bound: number) => host.random.below(bound);
    this.#call = new DetachedCall(keyspace, { config, now: host.clock.now(), pick });
  }

  /** A MULTI has come and its EXEC not yet. */
  get inTransaction(): boolean {
    return this.#queue !== undefined;
  }

  /** A new file begins: its reader has database 0 selected, and no transaction is open. */
  beginFile(): void {
    this.#call.select(0);
    this.#queue = undefined;
  }

  /** One command of the log. */
  run(args: Bytes[]): ReplayProblem {
    switch (args[0]!.toUpperCase()) {
      case "MULTI":
        if (this.#queue !== undefined) return "MULTI inside MULTI";
        this.#queue = [];
        return undefined;
      case "EXEC": {
        const queue = this.#queue;
        if (queue === undefined) return "EXEC without MULTI";
        this.#queue = undefined;
        for (const queued of queue) {
          const problem = this.#runOne(queued);
          if (problem !== undefined) return problem;
        }
        return undefined;
      }
      default:
        if (this.#queue === undefined) return this.#runOne(args);
        this.#queue.push(args);
        return commandProblem(args);
    }
  }

  #runOne(args: Bytes[]): ReplayProblem {
    if (args[0]!.toUpperCase() === "SELECT") return this.#select(args);
    const unfit = commandProblem(args);
    if (unfit !== undefined) return unfit;
    const call = this.#call;
    const command = present(lookup(args[0]!), "a command without problem exists");
    const succeeded = invoke(call, command, args);
    const reply = call.reply.take();
    call.effects.clear();
    this.commands++;
    return succeeded ? undefined : `'${command.name}' failed: ${reply.slice(1).trimEnd()}`;
  }

  #select(args: Bytes[]): ReplayProblem {
    const index = /^[0-9]{1,5}$/.test(args[1] ?? "") ? Number(args[1]) : -1;
    if (args.length !== 2 || this.#call.keyspace.databases[index] === undefined) {
      return `there is no database ${(args[1] ?? "").slice(0, 32)} to select`;
    }
    this.#call.select(index);
    return undefined;
  }
}
