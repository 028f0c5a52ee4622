/**
 * The three kinds of failure, never mixed:
 *
 * - `CommandError`: the client asked for something that cannot be. It becomes an error reply; the server goes on.
 * - `CorruptFile`: a file is not what was written. Recovery decides: cut the tail, or refuse to start.
 * - `DiskFailure` and `AssertionError` (assert.ts): the disk or the program is broken. The process stops (I6).
 *
 * `UsageError` is for the person at the terminal: a wrong flag, a port in use, a folder that is locked.
 */
import type { Bytes } from "./bytes.ts";

/** An error reply. `message` is the whole RESP error text, code word first: `WRONGTYPE Operation against …`. */
export class CommandError extends Error {
  constructor(message: Bytes) {
    super(message);
    this.name = "CommandError";
  }
}

/** A file whose bytes cannot have been written by a correct program, or whose middle is damaged. */
export class CorruptFile extends Error {
  readonly path: string;
  readonly offset: number;
  constructor(path: string, offset: number, problem: string) {
    super(`${path}: ${problem} at offset ${offset}`);
    this.name = "CorruptFile";
    this.path = path;
    this.offset = offset;
  }
}

/** The operating system refused a disk operation: `code` is its errno name (`ENOSPC`, `EIO`, …). */
export class DiskFailure extends Error {
  readonly operation: string;
  readonly path: string;
  readonly code: string;
  constructor(operation: string, path: string, code: string) {
    super(`${operation} ${path}: ${code}`);
    this.name = "DiskFailure";
    this.operation = operation;
    this.path = path;
    this.code = code;
  }
}

/** A mistake of the person who started the program. Printed on standard error without a stack; exit status 1. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}
