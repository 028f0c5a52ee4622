/**
 * A server without sockets and without a process of its own: clients in this process, and a core that logs nothing and that
 * nobody shuts down. The simulator, traces, claims and tests drive the same core as a real server does.
 */
import RedisParser from "redis-parser";
import { type Bytes, toBuffer } from "../common/bytes.ts";
import { COMMANDS } from "../common/commands/table.ts";
import type { Config } from "../common/config.ts";
import type { Engine } from "../common/engine.ts";
import type { Host } from "../common/host.ts";
import { Server } from "../common/server/server.ts";
import type { Transport } from "../common/server/transport.ts";

/** The server core around an engine; `fatal` is told when the engine or its disk is broken. */
export function serverOf(engine: Engine, host: Host, config: Config, fatal: (error: unknown) => void): Server {
  return new Server({ engine, host, config, commands: COMMANDS, log: () => {}, fatal, shutdown: () => {} });
}

/** A connection that takes everything at once: nothing is ever pending, and an end says nothing. */
export abstract class InProcessTransport implements Transport {
  readonly address = "127.0.0.1:1";
  readonly localAddress = "127.0.0.1:6379";
  readonly pendingBytes = 0;
  readonly backlogged = false;

  abstract write(output: Bytes): void;
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

/** One that reads its replies: texts are latin1, null is nil, an error is an Error. */
export abstract class ReplyReadingTransport extends InProcessTransport {
  readonly #parser = new RedisParser({
    returnReply: (reply: unknown) => this.answered(latin1(reply)),
    returnError: (error: Error) => this.answered(error),
    returnBuffers: true,
  });

  /** The next reply has come. */
  protected abstract answered(reply: unknown): void;

  write(output: Bytes): void {
    this.#parser.execute(toBuffer(output));
  }
}

function latin1(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString("latin1");
  return Array.isArray(reply) ? reply.map(latin1) : reply;
}

/** A command as clients send it. */
export function encodeCommand(args: readonly Bytes[]): Bytes {
  let text = `*${args.length}\r\n`;
  for (const arg of args) text += `$${arg.length}\r\n${arg}\r\n`;
  return text;
}
