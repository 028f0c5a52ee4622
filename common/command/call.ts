/**
 * One running command: its arguments, the client that sent it, where its reply goes, and the effects it leaves.
 *
 * A Call object lives as long as its client and is reused for every command: nothing may keep it.
 */
import type { Bytes } from "../bytes.ts";
import type { Database, Keyspace } from "../keyspace/keyspace.ts";
import type { ReplyWriter } from "../resp/reply-writer.ts";
import type { Command } from "./define.ts";
import type { ServerView, Session } from "./session.ts";

/**
 * Canonical, deterministic commands that reproduce what happened (`SET k v PXAT ms`, never `SET k v EX s`), in order.
 * kv-aof appends them to the AOF; kv-wal's binlog carries them in STATEMENT format. `db[i]` is the database of `args[i]`.
 */
export class Effects {
  readonly db: number[] = [];
  readonly args: (readonly Bytes[])[] = [];
  get count(): number {
    return this.args.length;
  }
  push(db: number, args: readonly Bytes[]): void {
    this.db.push(db);
    this.args.push(args);
  }
  /** Taking elements off keeps the arrays' memory; setting the length to 0 would make every command allocate it anew. */
  clear(): void {
    while (this.args.length > 0) {
      this.db.pop();
      this.args.pop();
    }
  }
}

export interface Call {
  /** The command being run. */
  command: Command;
  /** Its arguments, the command's name first. Valid until `execute` returns. */
  args: readonly Bytes[];
  readonly keyspace: Keyspace;
  /** The selected database. */
  readonly db: Database;
  readonly reply: ReplyWriter;
  /** Wall clock, ms, the same for all commands of a turn: for relative → absolute expiry. */
  readonly now: number;
  /** The client and its state (name, database, MULTI queue, WATCH …). */
  readonly session: Session;
  /** The server around it (config, clients, INFO, shutdown). */
  readonly server: ServerView;
  /** A random integer in [0, bound). */
  pick(bound: number): number;
  /** What was changed so far, and by `invoke` (invoke.ts) at the end of each command. */
  readonly effects: Effects;
  /**
   * The command's effect is these arguments, not the command as sent; may be called several times. A command that changed
   * something and calls neither this nor `noEffect` is its own effect.
   */
  effect(...args: Bytes[]): void;
  /** As `effect`, in another database (MOVE, COPY … DB). */
  effectIn(db: number, ...args: Bytes[]): void;
  /** The command's effects are those already given, even if there are none. */
  noEffect(): void;
  /** Set by `effect` and `noEffect`; read and reset by `invoke`. */
  effectGiven: boolean;
}
