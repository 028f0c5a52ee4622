/**
 * A server in this process on the model keyspace: an engine without a log, whose settles the test may hold back or make
 * fail, and clients that speak plain bytes.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Bytes } from "../../common/bytes.ts";
import type { Call } from "../../common/command/call.ts";
import { invoke } from "../../common/command/invoke.ts";
import type { Client } from "../../common/command/session.ts";
import { COMMANDS } from "../../common/commands/table.ts";
import { DirectiveConfig } from "../../common/config.ts";
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import type { Engine, InfoSection, Recovery } from "../../common/engine.ts";
import { type Clock, RealHost } from "../../common/host.ts";
import { SERVER_DIRECTIVES } from "../../common/server/directives.ts";
import { type Running, type RunOptions, runServer } from "../../common/server/run.ts";
import { encodeCommand } from "../../compare/in-process.ts";
import { ModelKeyspace } from "./model-keyspace.ts";

type Done = (failure: Error | undefined) => void;

/** Executes on Maps; settles at once, unless told otherwise. */
export class ModelEngine implements Engine {
  readonly name = "aof";
  readonly keyspace = new ModelKeyspace();
  writeRefusal: string | undefined = undefined;
  /** Settles wait in `held` until the test answers them. */
  holdSettles = false;
  readonly held: Done[] = [];
  /** Whether a turn may stay open for others. */
  settleSyncs = false;
  /** What the next execute throws. */
  breakage: Error | undefined = undefined;
  closed = false;
  /** Commands on this key wait for a lock. */
  lockedKey: Bytes | undefined = undefined;
  /** Those who wait. */
  readonly waiting: Client[] = [];
  /** The arguments of everything executed. */
  readonly executed: Bytes[][] = [];

  recover(): Recovery {
    return { lines: [], durationMs: 0 };
  }
  execute(call: Call): boolean {
    if (this.breakage !== undefined) throw this.breakage;
    if (this.lockedKey !== undefined && call.args[1] === this.lockedKey) {
      this.waiting.push(call.session.client!);
      return false;
    }
    this.executed.push([...call.args]);
    invoke(call, call.command, call.args);
    return true;
  }
  settle(done: Done): void {
    if (this.holdSettles) this.held.push(done);
    else done(undefined);
  }
  idle(): void {}
  info(): InfoSection[] {
    return [{ name: "persistence", entries: [["model_enabled", 1]] }];
  }
  async close(): Promise<void> {
    this.closed = true;
  }
}

/** The machine's timers, and a wall clock that only the test moves: on a slow machine, no key expires too early. */
class SteppedHost extends RealHost {
  nowMs = 1_700_000_000_000;
  override readonly clock: Clock = {
    now: () => this.nowMs,
    monotonic: () => performance.now(),
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs).unref();
      return () => clearTimeout(timer);
    },
    sleep: (delayMs) => {
      this.nowMs += delayMs;
    },
  };
}

/** A client that sends bytes and collects what comes. */
export class RawClient {
  readonly socket: Socket;
  received: Bytes = "";
  ended = false;
  #changed: () => void = () => {};

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.socket.on("data", (chunk: Buffer) => {
      this.received += chunk.toString("latin1");
      this.#changed();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.ended = true;
      this.#changed();
    });
  }

  send(bytes: Bytes): void {
    this.socket.write(bytes, "latin1");
  }

  /** Waits until `enough` holds of what was received, or the connection has closed. Takes what was received. */
  async until(enough: (received: Bytes) => boolean): Promise<Bytes> {
    while (!enough(this.received) && !this.ended) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    const taken = this.received;
    this.received = "";
    return taken;
  }

  /** Sends, and waits for exactly the expected number of bytes. */
  async ask(bytes: Bytes, expected: Bytes): Promise<Bytes> {
    this.send(bytes);
    return this.until((received) => received.length >= expected.length);
  }

  /** Sends, and waits for the server to close the connection; what it said before. */
  async lastWords(bytes: Bytes): Promise<Bytes> {
    this.send(bytes);
    return this.until(() => false);
  }

  close(): void {
    this.socket.destroy();
  }
}

/** A request as clients write it. */
export function request(...args: Bytes[]): Bytes {
  return encodeCommand(args);
}

export class ModelServer {
  readonly engine: ModelEngine;
  readonly config: DirectiveConfig;
  readonly log: string[] = [];
  readonly failures: unknown[] = [];
  readonly #host = new SteppedHost(new MemoryDisk());
  readonly #clients: RawClient[] = [];
  #running: Running | undefined;

  constructor(engine: ModelEngine, config: DirectiveConfig) {
    this.engine = engine;
    this.config = config;
  }

  static async start(settings: Record<string, string> = {}, options: Partial<RunOptions> = {}): Promise<ModelServer> {
    const config = new DirectiveConfig([SERVER_DIRECTIVES], { port: "0", bind: "127.0.0.1", ...settings });
    const server = new ModelServer(new ModelEngine(), config);
    server.#running = await runServer(server.engine, server.#host, config, {
      commands: COMMANDS,
      log: (_level, line) => server.log.push(line),
      fatal: (error) => server.failures.push(error),
      signals: false,
      ...options,
    });
    return server;
  }

  get running(): Running {
    if (this.#running === undefined) throw new Error("the server has not started");
    return this.#running;
  }

  get port(): number {
    return this.running.port;
  }

  /** So much time passes, at once. */
  pass(durationMs: number): void {
    this.#host.nowMs += durationMs;
  }

  /** A connected client; closed with the server. */
  async client(): Promise<RawClient> {
    const client = new RawClient(this.port);
    this.#clients.push(client);
    await once(client.socket, "connect");
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.running.close();
  }
}
