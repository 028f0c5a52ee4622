/**
 * The contract between the server and a storage engine.
 *
 * A turn of the event loop: the server reads the sockets and calls `execute` for every command (one call per command or
 * per EXEC); at the end of the turn it calls `settle` once, and sends the replies of the turn when `settle` answers (I1).
 */
import type { Call } from "./command/call.ts";
import type { BinaryLogs, LogRewrite } from "./command/session.ts";
import type { TransactionControl } from "./command/transactions.ts";
import type { Keyspace } from "./keyspace/keyspace.ts";

/** What recovery found and did, in the order it happened, for the log and for people. */
export interface Recovery {
  /** One line each: "replayed 1204 commands from appendonly.aof.1.incr.aof", "cut 17 bytes of a torn tail at offset 5120". */
  readonly lines: readonly string[];
  readonly durationMs: number;
}

/** A section of INFO: lower-case name ("persistence") and its `key:value` lines in order. */
export interface InfoSection {
  readonly name: string;
  readonly entries: readonly (readonly [key: string, value: string | number])[];
}

export interface Engine {
  readonly name: "aof" | "wal";
  /** Looking is free; every change goes through `execute` (expiry too). */
  readonly keyspace: Keyspace;

  /**
   * Before listening. Throws `CorruptFile` when it must not start. Running it again gives the same result (I7). `tell` is
   * given the lines as they come, and now and then how far a long recovery is; afterwards, what background work has to say.
   */
  recover(tell?: (line: string) => void): Recovery;

  /** BEGIN … COMMIT, if the engine can undo what it has answered. */
  readonly transactions?: TransactionControl | undefined;

  /**
   * Runs one command or one EXEC: changes state, stages log records. Errors of the command are in its reply. False: it has to
   * wait, for somebody's lock or for room in a log; nothing was done. It is run again when the engine calls `unblock` of the client.
   */
  execute(call: Call): boolean;

  /**
   * End of turn. Makes what is staged as durable as the policy promises, in order, then calls `done` once: during this
   * call, or in a later turn. Calls of `done` come in the order of the `settle` calls. With a failure the replies of the
   * batch must not be sent (I6); a disk that cannot be trusted any more throws `DiskFailure` instead, and the process stops.
   */
  settle(done: (failure: Error | undefined) => void): void;

  /** Whether `settle` would begin a sync now, for which the replies wait: whoever comes before shares it. */
  readonly settleSyncs: boolean;

  /** Present when the engine has one. */
  readonly binaryLogs?: BinaryLogs;

  /** Present when the engine has a log that it can rewrite. */
  readonly logRewrite?: LogRewrite;

  /** Undefined, or the error text that answers write commands now ("MISCONF Errors writing to the AOF file: …"). */
  readonly writeRefusal: string | undefined;

  /** Called about ten times a second and when the server is idle: background work, for at most about `budgetMs`. */
  idle(budgetMs: number): void;

  /** Sections this engine adds to INFO; entries of a section that the server has too are appended to it. */
  info(): InfoSection[];

  /** Orderly end: everything accepted is made durable. After it nothing may be called. */
  close(): Promise<void>;
}
