/**
 * What golden scripts run on: the model keyspace, both engines in this process, and a real Redis.
 */
import type { Bytes } from "../../common/bytes.ts";
import type { Keyspace } from "../../common/keyspace/keyspace.ts";
import { CommandRunner } from "./command-runner.ts";
import { ModelKeyspace } from "./model-keyspace.ts";
import type { RedisServer } from "./redis-server.ts";
import { parseReply, type Reply } from "./replies.ts";
import type { Target } from "./scripts.ts";

/** Commands on a keyspace alone. */
export class KeyspaceTarget implements Target {
  readonly name: string;
  readonly dialect = "twolog";
  readonly #make: () => Keyspace;
  #runner: CommandRunner;

  constructor(name: string, make: () => Keyspace) {
    this.name = name;
    this.#make = make;
    this.#runner = new CommandRunner(make());
  }

  async reset(): Promise<void> {
    this.#runner = new CommandRunner(this.#make());
    this.#runner.keyspace.events.now = Date.now();
  }

  async run(args: readonly Bytes[]): Promise<Reply> {
    return parseReply(this.#runner.run(...args));
  }

  async useResp3(): Promise<void> {
    this.#runner.reply.version = 3;
  }

  async wait(durationMs: number): Promise<void> {
    this.#runner.keyspace.events.now += durationMs;
  }

  async close(): Promise<void> {}
}

/** A real redis-server. */
export class RedisTarget implements Target {
  readonly name = "redis";
  readonly dialect = "redis";
  readonly #server: RedisServer;

  constructor(server: RedisServer) {
    this.#server = server;
  }

  async reset(): Promise<void> {
    for (const line of ["FLUSHALL", "SELECT 0", "HELLO 2"]) await this.#server.run(line.split(" "));
  }

  run(args: readonly Bytes[]): Promise<Reply> {
    return this.#server.run(args);
  }

  async useResp3(): Promise<void> {
    await this.#server.run(["HELLO", "3"]);
  }

  wait(durationMs: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, durationMs + 2));
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}

export function modelTarget(): Target {
  return new KeyspaceTarget("model", () => new ModelKeyspace());
}
