/**
 * A call that no client has made: commands of a log, replayed on a keyspace.
 */
import type { Config } from "../config.ts";
import type { Keyspace } from "../keyspace/keyspace.ts";
import { BaseCall } from "./base-call.ts";
import type { ServerView, Session } from "./session.ts";

/** What it needs of the world: config for commands that ask for it, time, and chance. */
export interface Surroundings {
  readonly config: Config;
  readonly now: number;
  pick(bound: number): number;
}

export class DetachedCall extends BaseCall {
  readonly session: Session;
  readonly server: ServerView;
  readonly now: number;
  readonly #surroundings: Surroundings;

  constructor(keyspace: Keyspace, surroundings: Surroundings) {
    super(keyspace);
    this.server = { config: surroundings.config };
    this.session = { id: 0, name: "", select: (index) => this.select(index) };
    this.now = surroundings.now;
    this.#surroundings = surroundings;
  }

  pick(bound: number): number {
    return this.#surroundings.pick(bound);
  }
}
