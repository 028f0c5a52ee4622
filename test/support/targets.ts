/**
 * What golden scripts run on: the model keyspace, both engines in this process, and a real Redis.
 */
import type { Bytes } from "../../common/bytes.ts";
import { DirectiveConfig } from "../../common/config.ts";
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import type { Engine } from "../../common/engine.ts";
import type { Host } from "../../common/host.ts";
import type { Keyspace } from "../../common/keyspace/keyspace.ts";
import { SERVER_DIRECTIVES } from "../../common/server/directives.ts";
import { AOF_DIRECTIVES } from "../../kv-aof/directives.ts";
import { createAofEngine } from "../../kv-aof/engine.ts";
import { WAL_DIRECTIVES } from "../../kv-wal/directives.ts";
import { createWalEngine } from "../../kv-wal/engine.ts";
import { CommandRunner } from "./command-runner.ts";
import { contentsOf } from "./contents.ts";
import { ModelKeyspace } from "./model-keyspace.ts";
import type { RedisServer } from "./redis-server.ts";
import { parseReply, type Reply } from "./replies.ts";
import type { Target } from "./scripts.ts";
import { TestHost } from "./test-host.ts";

/** A kv-wal that is quick to make, for every block one. */
const WAL_SMALL = { "buffer-pool-size": "2mb", "redo-log-file-size": "512kb" } as const;

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

/** An engine on a memory disk. After every block it is recovered from its disk, and nothing may be missing. */
export class EngineTarget implements Target {
  readonly name: string;
  readonly dialect = "twolog";
  readonly #make: (host: Host) => Engine;
  #host = new TestHost();
  #engine: Engine;
  #runner!: CommandRunner;

  constructor(name: string, make: (host: Host) => Engine) {
    this.name = name;
    this.#make = make;
    this.#engine = this.#start();
  }

  #start(): Engine {
    const engine = this.#make(this.#host);
    engine.recover();
    this.#runner = new CommandRunner(engine.keyspace, (call) => engine.execute(call));
    return engine;
  }

  async reset(): Promise<void> {
    this.#host = new TestHost(new MemoryDisk(), Date.now());
    this.#engine = this.#start();
    this.#engine.keyspace.events.now = this.#host.nowMs;
  }

  async run(args: readonly Bytes[]): Promise<Reply> {
    this.#engine.keyspace.events.now = this.#host.nowMs;
    return parseReply(this.#runner.run(...args));
  }

  async useResp3(): Promise<void> {
    this.#runner.reply.version = 3;
  }

  async wait(durationMs: number): Promise<void> {
    this.#host.nowMs += durationMs;
  }

  async afterBlock(): Promise<string | undefined> {
    const before = contentsOf(this.#engine.keyspace);
    await this.#engine.close();
    this.#host = new TestHost(this.#host.disk, this.#host.nowMs);
    this.#engine = this.#start();
    this.#engine.keyspace.events.now = this.#host.nowMs;
    const after = contentsOf(this.#engine.keyspace);
    return before.join("\n") === after.join("\n") ? undefined : `had ${before}, recovered ${after}`;
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

export function aofTarget(): Target {
  const config = new DirectiveConfig([SERVER_DIRECTIVES, AOF_DIRECTIVES]);
  return new EngineTarget("kv-aof", (host) => createAofEngine(host, config));
}

export function walTarget(): Target {
  const config = new DirectiveConfig([SERVER_DIRECTIVES, WAL_DIRECTIVES], WAL_SMALL);
  return new EngineTarget("kv-wal", (host) => createWalEngine(host, config));
}

export function modelTarget(): Target {
  return new KeyspaceTarget("model", () => new ModelKeyspace());
}
