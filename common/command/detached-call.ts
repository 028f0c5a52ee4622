/**
 * A call that no client has made: commands of a log, replayed on a keyspace.
 */
import type { Bytes } from "../bytes.ts";
import type { Config } from "../config.ts";
import type { Database, Keyspace } from "../keyspace/keyspace.ts";
import { ReplyWriter } from "../resp/reply-writer.ts";
import { type Call, Effects } from "./call.ts";
import type { Command } from "./define.ts";
import type { ServerView, Session } from "./session.ts";

/** What it needs of the world: config for commands that ask for it, time, and chance. */
export interface Surroundings {
  readonly config: Config;
  readonly now: number;
  pick(bound: number): number;
}

export class DetachedCall implements Call {
  command!: Command;
  args: readonly Bytes[] = [];
  db: Database;
  effectGiven = false;
  readonly keyspace: Keyspace;
  readonly reply = new ReplyWriter();
  readonly effects = new Effects();
  readonly session: Session;
  readonly server: ServerView;
  readonly now: number;
  readonly #surroundings: Surroundings;

  constructor(keyspace: Keyspace, surroundings: Surroundings) {
    this.keyspace = keyspace;
    this.db = keyspace.databases[0]!;
    this.server = { config: surroundings.config };
    this.session = { id: 0, name: "", select: (index) => this.select(index) };
    this.now = surroundings.now;
    this.#surroundings = surroundings;
  }

  select(index: number): void {
    this.db = this.keyspace.databases[index]!;
  }
  pick(bound: number): number {
    return this.#surroundings.pick(bound);
  }
  effect(): void {
    this.effectGiven = true;
  }
  effectIn(): void {
    this.effectGiven = true;
  }
  noEffect(): void {
    this.effectGiven = true;
  }
}
