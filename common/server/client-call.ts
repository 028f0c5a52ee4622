/**
 * The `Call` of a connection: one object for all its commands.
 */
import { BaseCall } from "../command/base-call.ts";
import type { ServerView, Session } from "../command/session.ts";
import type { Random } from "../host.ts";
import type { Keyspace } from "../keyspace/keyspace.ts";
import type { Turn } from "./turn.ts";

export class ClientCall extends BaseCall {
  readonly session: Session;
  readonly server: ServerView;
  readonly #turn: Turn;
  readonly #random: Random;

  constructor(session: Session, server: ServerView, keyspace: Keyspace, turn: Turn, random: Random) {
    super(keyspace);
    this.session = session;
    this.server = server;
    this.#turn = turn;
    this.#random = random;
  }

  get now(): number {
    return this.#turn.now;
  }

  pick(bound: number): number {
    return this.#random.below(bound);
  }
}
