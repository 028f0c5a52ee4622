/**
 * Interactive transactions, as an engine offers them to commands: BEGIN … COMMIT, each command answered as it runs. An engine
 * that cannot undo what it has answered has none; there, MULTI … EXEC is the transaction.
 *
 * A session has at most one open. All of these throw `CommandError`.
 */
import type { Bytes } from "../bytes.ts";
import type { Call } from "./call.ts";
import type { Session } from "./session.ts";

/** What a transaction sees of others; the names are SQL's. */
export const ISOLATION_LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] as const;
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number];

export interface BeginOptions {
  readonly readOnly: boolean;
  /** Undefined: the server's default. */
  readonly isolation: IsolationLevel | undefined;
}

export interface TransactionControl {
  /** Whether the session is between BEGIN and the end of its transaction. */
  isOpen(session: Session): boolean;
  /** Commits the transaction that is open, if one is. */
  begin(call: Call, options: BeginOptions): void;
  commit(call: Call): void;
  rollback(call: Call): void;
  /** Remembers the place under a name, which it takes from an earlier savepoint. */
  savepoint(call: Call, name: Bytes): void;
  /** Undoes what was done since; the savepoint stays, later ones are forgotten. */
  rollbackTo(call: Call, name: Bytes): void;
  /** Forgets the savepoint and later ones. */
  release(call: Call, name: Bytes): void;
  /** Whether the engine remembers anything of the session: a transaction, or a command that waits for a lock. */
  knows(session: Session): boolean;
  /** The session is over, or starts anew: rolls back what is open. Not while a command runs. */
  forget(session: Session): void;
}
