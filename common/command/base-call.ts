/**
 * What every `Call` is, whoever made it: a client (server/client-call.ts), a log that is replayed (detached-call.ts), a test.
 */
import type { Bytes } from "../bytes.ts";
import type { Database, Keyspace } from "../keyspace/keyspace.ts";
import { ReplyWriter } from "../resp/reply-writer.ts";
import { type Call, Effects } from "./call.ts";
import type { Command } from "./define.ts";
import type { ServerView, Session } from "./session.ts";

export abstract class BaseCall implements Call {
  command!: Command;
  args: readonly Bytes[] = [];
  db: Database;
  effectGiven = false;
  readonly keyspace: Keyspace;
  readonly reply = new ReplyWriter();
  readonly effects = new Effects();
  abstract readonly session: Session;
  abstract readonly server: ServerView;
  abstract readonly now: number;

  constructor(keyspace: Keyspace) {
    this.keyspace = keyspace;
    this.db = keyspace.databases[0]!;
  }

  abstract pick(bound: number): number;

  select(index: number): void {
    this.db = this.keyspace.databases[index]!;
  }

  effect(...args: Bytes[]): void {
    this.effectGiven = true;
    this.effects.push(this.db.index, args);
  }

  effectIn(db: number, ...args: Bytes[]): void {
    this.effectGiven = true;
    this.effects.push(db, args);
  }

  noEffect(): void {
    this.effectGiven = true;
  }
}
