/**
 * The `Call` of a connection: one object for all its commands.
 */
import type { Bytes } from "../bytes.ts";
import { type Call, Effects } from "../command/call.ts";
import type { Command } from "../command/define.ts";
import type { ServerView, Session } from "../command/session.ts";
import type { Random } from "../host.ts";
import type { Database, Keyspace } from "../keyspace/keyspace.ts";
import { ReplyWriter } from "../resp/reply-writer.ts";
import type { Turn } from "./turn.ts";

export class ClientCall implements Call {
  command!: Command;
  args: readonly Bytes[] = [];
  db: Database;
  effectGiven = false;
  readonly keyspace: Keyspace;
  readonly reply = new ReplyWriter();
  readonly session: Session;
  readonly server: ServerView;
  readonly effects = new Effects();
  readonly #turn: Turn;
  readonly #random: Random;

  constructor(session: Session, server: ServerView, keyspace: Keyspace, turn: Turn, random: Random) {
    this.session = session;
    this.server = server;
    this.keyspace = keyspace;
    this.db = keyspace.databases[0]!;
    this.#turn = turn;
    this.#random = random;
  }

  get now(): number {
    return this.#turn.now;
  }

  pick(bound: number): number {
    return this.#random.below(bound);
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
