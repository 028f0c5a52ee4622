/**
 * What commands may see of their client and of the server around them. Implemented in common/server/.
 *
 * A `Session` without a `client` belongs to no connection: an engine that replays its log, or a test of commands.
 */
import type { Bytes } from "../bytes.ts";
import type { Config } from "../config.ts";
import type { Watcher, WatchRegistry } from "../keyspace/watch.ts";
import type { Command } from "./define.ts";
import type { TransactionControl } from "./transactions.ts";

/** Who runs commands. */
export interface Session {
  readonly id: number;
  /** CLIENT SETNAME; "" when unset. */
  name: Bytes;
  /** Selects a database (0 <= index < databases). */
  select(index: number): void;
  /** The connection's state; present whenever the call came from a connection. */
  readonly client?: Client;
}

/** A command waiting for EXEC. */
interface QueuedCommand {
  readonly command: Command;
  readonly args: readonly Bytes[];
}

/** MULTI … EXEC of one client. */
export interface Transaction {
  /** Between MULTI and EXEC or DISCARD. */
  open: boolean;
  /** A command was refused while queueing: EXEC answers EXECABORT. */
  failed: boolean;
  readonly queue: QueuedCommand[];
  /** EXEC is running the queue. */
  executing: boolean;
  readonly watcher: Watcher;
}

/** What CLIENT REPLY leaves of the replies: all; none; none for the next command, and, while that one runs, "skipping". */
export type ReplyMode = "on" | "off" | "skip-next" | "skipping";

/** The state of a connection, for the commands that are about connections. */
export interface Client {
  readonly id: number;
  name: Bytes;
  libraryName: Bytes;
  libraryVersion: Bytes;
  /** Shown, and without effect: nothing is evicted, and there is no LRU to touch. */
  noEvict: boolean;
  noTouch: boolean;
  replyMode: ReplyMode;
  readonly transaction: Transaction;
  /** "127.0.0.1:50188". */
  readonly address: string;
  readonly localAddress: string;
  /** The line of CLIENT INFO and CLIENT LIST. */
  describe(): Bytes;
  /** A queued command was run by EXEC; for statistics. */
  ranQueued(command: Command): void;
  /** Ends MULTI and forgets its queue and what is watched. */
  endTransaction(): void;
  /** As a new connection: RESP2, database 0, no name, no transaction (RESET). */
  reset(): void;
  /** No further command is run; the connection closes when the replies so far were sent. */
  closeAfterReply(): void;
  /** Closes the connection at once, without its outstanding replies. */
  kill(): void;
  /**
   * The engine has refused to run the client's command now (`Engine.execute`), and there is a reason to run it again. May be
   * called at any time; it is run in a later turn.
   */
  unblock(): void;
}

/** Which clients CLIENT PAUSE holds back: those that write, or all. */
export type PauseMode = "write" | "all";

/** The binary log, of an engine that has one. Errors are `CommandError`. */
export interface BinaryLogs {
  /** Names and sizes of the files, oldest first; the last one is in use. */
  list(): readonly { readonly name: string; readonly size: number }[];
  /** Removes the files before the one of this name. */
  purgeTo(name: string): void;
  /** Removes the files that have nothing younger than this time (ms since 1970). */
  purgeBefore(time: number): void;
  /** Begins a new file, as soon as no transaction is half way. */
  rotate(): void;
  /** Begins a backup, in the background, into a folder that is empty or not there. */
  backUp(folder: string): void;
}

/** The rewrite of the append-only file, of an engine that has one. Errors are `CommandError`. */
export interface LogRewrite {
  /** Begins a rewrite, in the background. Throws CommandError when one is in progress. */
  begin(): void;
  /** As `begin`, behind the EXEC that is running; to ask for that twice is to ask for it once. */
  beginLater(): void;
}

/** The server. */
export interface ServerView {
  readonly config: Config;
  /** Interactive transactions, if the engine has them. */
  readonly transactions?: TransactionControl | undefined;
  /** Present in a server with connections. */
  readonly services?: ServerServices;
}

/** The server, for the commands that are about servers. */
export interface ServerServices {
  readonly watches: WatchRegistry;
  /** Connected clients, oldest first. */
  clients(): Iterable<Client>;
  /** PURGE, SHOW, FLUSH: the engine's binary log. */
  readonly binaryLogs: BinaryLogs | undefined;
  /** BGREWRITEAOF. */
  readonly logRewrite: LogRewrite | undefined;
  /** INFO's text: the named sections (lower case), in order. */
  info(sections: readonly string[]): Bytes;
  /** CONFIG RESETSTAT. */
  resetStatistics(): void;
  /** CONFIG REWRITE; throws `CommandError`. */
  rewriteConfig(): void;
  /** CLIENT PAUSE: holds commands back until `until` (ms since 1970). */
  pause(until: number, mode: PauseMode): void;
  unpause(): void;
  /** Stops the whole process for a while (DEBUG SLEEP). */
  sleep(delayMs: number): void;
  /** Ends the program in order, when this turn has ended. */
  shutdown(): void;
}
