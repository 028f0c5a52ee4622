/**
 * From a request to its command: the checks of Redis's processCommand, in its order.
 *
 *     1 the command exists         5 CLIENT PAUSE does not hold it back
 *     2 its subcommand exists      6 inside MULTI it is queued
 *     3 its number of arguments    7 it runs: through the engine when it looks at data, else at once
 *     4 the engine takes writes
 *
 * A request refused by 1–4 inside MULTI makes EXEC fail (EXECABORT).
 */
import type { Bytes } from "../bytes.ts";
import { acceptsCount, type Command } from "../command/define.ts";
import { arityError, unknownSubcommandError } from "../command/errors.ts";
import { NO_MULTI, WRITE } from "../command/flags.ts";
import { invoke } from "../command/invoke.ts";
import type { Client, PauseMode } from "../command/session.ts";
import type { Engine } from "../engine.ts";
import type { Clock } from "../host.ts";
import type { ClientCall } from "./client-call.ts";
import type { CommandStatistics, Statistics } from "./statistics.ts";
import type { Turn } from "./turn.ts";

/** Groups whose commands look at no data, but for those in `DATA_COMMANDS`. */
const DIRECT_GROUPS: ReadonlySet<string> = new Set(["connection", "server", "transactions", "pubsub"]);
/** Commands of those groups that meet keys: they may find an expired one, whose removal the engine logs. */
const DATA_COMMANDS: ReadonlySet<string> = new Set(["exec", "watch", "dbsize", "swapdb", "flushdb", "flushall"]);
/** Commands of those groups that are the engine's own business. */
const ENGINE_COMMANDS: ReadonlySet<string> = new Set(["begin", "commit", "rollback", "savepoint", "release"]);
/** Commands that do not write, but make durable what others wrote. */
const COMMITTING: ReadonlySet<string> = new Set(["exec", "commit", "begin"]);
/** Commands that run inside MULTI instead of being queued. */
const NEVER_QUEUED: ReadonlySet<string> = new Set(["exec", "discard", "multi", "watch", "quit", "reset"]);
/** Spellings ("Get", "gEt") that are found without folding; more than that is somebody playing. */
const SPELLINGS_MAX = 4096;
/** The preview of arguments in the error for an unknown command. */
const PREVIEW_LENGTH_MAX = 128;

/** Why a request cannot run now: CLIENT PAUSE holds it back, or somebody else has locked what it needs. */
export type Hindrance = "pause" | "lock";

/** A connection as dispatch sees it. */
export interface Caller extends Client {
  readonly call: ClientCall;
  /** Puts a command into the queue of MULTI; `args` is its own copy. */
  enqueue(command: Command, args: readonly Bytes[]): void;
}

/** A command as dispatch sees it. */
interface Entry {
  readonly command: Command;
  readonly direct: boolean;
  readonly queued: boolean;
  readonly writes: boolean;
  readonly isExec: boolean;
  readonly commits: boolean;
  readonly statistics: CommandStatistics;
  readonly subcommands: ReadonlyMap<string, Entry> | undefined;
}

export class Dispatcher {
  readonly #engine: Engine;
  readonly #turn: Turn;
  readonly #clock: Clock;
  readonly #statistics: Statistics;
  readonly #entries = new Map<string, Entry>();
  /** Spellings met so far. */
  readonly #spellings = new Map<Bytes, Entry>();
  /** What CLIENT PAUSE holds back. */
  paused: PauseMode | undefined = undefined;
  /** The command whose run is being timed, and since when. */
  #timed: CommandStatistics | undefined = undefined;
  #timedSince = 0;

  constructor(
    commands: ReadonlyMap<string, Command>,
    engine: Engine,
    turn: Turn,
    clock: Clock,
    statistics: Statistics,
  ) {
    this.#engine = engine;
    this.#turn = turn;
    this.#clock = clock;
    this.#statistics = statistics;
    for (const [name, command] of commands) this.#entries.set(name, this.#entryOf(command));
  }

  /** Runs, queues or refuses a request. When it answers a hindrance, nothing was done, and the request is to be kept. */
  run(caller: Caller, args: readonly Bytes[]): Hindrance | undefined {
    const name = args[0]!;
    let entry = this.#spellings.get(name) ?? this.#find(name);
    if (entry === undefined) {
      this.#refuseUnknown(caller, args);
      return undefined;
    }
    if (entry.subcommands !== undefined && args.length > 1) {
      const subcommand = entry.subcommands.get(args[1]!.toLowerCase());
      if (subcommand === undefined) {
        this.#refuse(caller, entry, unknownSubcommandError(entry.command.name, args[1]!).message);
        return undefined;
      }
      entry = subcommand;
    }
    if (!acceptsCount(entry.command, args.length)) {
      this.#refuse(caller, entry, arityError(entry.command.fullName).message);
      return undefined;
    }
    const refusal = this.#engine.writeRefusal;
    if (refusal !== undefined && this.#writes(caller, entry)) {
      this.#refuse(caller, entry, refusal);
      return undefined;
    }
    if (this.paused !== undefined && (this.paused === "all" || this.#writes(caller, entry))) return "pause";
    if (caller.transaction.open && entry.queued) this.#queue(caller, entry, args);
    else if (
      caller.replyMode === "on" ? !this.#execute(caller, entry, args) : !this.#executeSilently(caller, entry, args)
    ) {
      return "lock";
    }
    this.#statistics.commands++;
    return undefined;
  }

  /** The requests at hand have been run: ends the timing of the last one. */
  endRun(): void {
    if (this.#timed === undefined) return;
    this.#timed.timeMs += this.#clock.monotonic() - this.#timedSince;
    this.#timed = undefined;
  }

  /** False: the engine refuses to run it now. */
  #execute(caller: Caller, entry: Entry, args: readonly Bytes[]): boolean {
    const { call } = caller;
    const { statistics } = entry;
    if (statistics !== this.#timed) this.#time(statistics);
    statistics.calls++;
    const errors = this.#statistics.errorReplies;
    if (entry.direct) {
      invoke(call, entry.command, args);
    } else {
      call.command = entry.command;
      call.args = args;
      if (!this.#engine.execute(call)) {
        statistics.calls--;
        return false;
      }
      if (entry.writes || entry.commits) this.#turn.wrote();
    }
    if (call.effects.count !== 0) call.effects.clear();
    if (errors !== this.#statistics.errorReplies) statistics.failed++;
    return true;
  }

  /** Under CLIENT REPLY OFF or SKIP. CLIENT REPLY ON answers even then. */
  #executeSilently(caller: Caller, entry: Entry, args: readonly Bytes[]): boolean {
    const { reply } = caller.call;
    const mark = reply.mark;
    if (caller.replyMode === "skip-next") caller.replyMode = "skipping";
    if (!this.#execute(caller, entry, args)) return false;
    const mode = caller.replyMode as Caller["replyMode"];
    if (mode === "on") return true;
    reply.rewind(mark);
    if (mode === "skipping") caller.replyMode = "on";
    return true;
  }

  #queue(caller: Caller, entry: Entry, args: readonly Bytes[]): void {
    if ((entry.command.flags & NO_MULTI) !== 0) {
      this.#refuse(caller, entry, "ERR Command not allowed inside a transaction");
      return;
    }
    caller.enqueue(entry.command, args.slice());
    if (caller.replyMode === "on") caller.call.reply.simple("QUEUED");
  }

  /** A browser made to POST here by a hostile page sends HTTP: closed without a word, before its body is taken for commands. */
  #refuseUnknown(caller: Caller, args: readonly Bytes[]): void {
    if (/^(post|host:)$/i.test(args[0]!)) caller.kill();
    else this.#refuse(caller, undefined, unknownCommand(args));
  }

  #refuse(caller: Caller, entry: Entry | undefined, message: Bytes): void {
    const { transaction, call } = caller;
    if (entry !== undefined) entry.statistics.rejected++;
    // An EXEC that is refused ends the transaction, and every WATCH, even if no MULTI is open.
    if (entry?.isExec === true) {
      caller.endTransaction();
      message = `EXECABORT Transaction discarded because of: ${message.replace(/^-?ERR /, "")}`;
    } else if (transaction.open) transaction.failed = true;
    if (caller.replyMode === "on") call.reply.error(message);
    else if (caller.replyMode === "skip-next") caller.replyMode = "on";
  }

  #writes(caller: Caller, entry: Entry): boolean {
    return (
      entry.writes || (entry.isExec && caller.transaction.queue.some(({ command }) => (command.flags & WRITE) !== 0))
    );
  }

  #time(statistics: CommandStatistics): void {
    const now = this.#clock.monotonic();
    if (this.#timed !== undefined) this.#timed.timeMs += now - this.#timedSince;
    this.#timed = statistics;
    this.#timedSince = now;
  }

  #find(name: Bytes): Entry | undefined {
    const entry = this.#entries.get(name.toLowerCase());
    if (entry !== undefined && this.#spellings.size < SPELLINGS_MAX) this.#spellings.set(name, entry);
    return entry;
  }

  #entryOf(command: Command): Entry {
    const { fullName, flags, about } = command;
    const isData = DATA_COMMANDS.has(fullName) || ENGINE_COMMANDS.has(fullName) || command.keySpecs.length > 0;
    return {
      command,
      direct: DIRECT_GROUPS.has(about.group) && !isData && (flags & WRITE) === 0,
      queued: !NEVER_QUEUED.has(fullName),
      writes: (flags & WRITE) !== 0,
      isExec: fullName === "exec",
      commits: COMMITTING.has(fullName),
      statistics: this.#statistics.of(fullName),
      subcommands:
        command.subcommands &&
        new Map([...command.subcommands].map(([name, subcommand]) => [name, this.#entryOf(subcommand)])),
    };
  }
}

function unknownCommand(args: readonly Bytes[]): Bytes {
  let preview = "";
  for (let i = 1; i < args.length && preview.length < PREVIEW_LENGTH_MAX; i++) {
    preview += `'${args[i]!.slice(0, PREVIEW_LENGTH_MAX - preview.length)}' `;
  }
  return `ERR unknown command '${args[0]!.slice(0, PREVIEW_LENGTH_MAX)}', with args beginning with: ${preview}`;
}
