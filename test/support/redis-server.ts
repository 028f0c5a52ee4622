/**
 * A real redis-server on a Unix socket, as a child process: the measure for everything that can be compared.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Test } from "tap";
import type { Bytes } from "../../common/bytes.ts";
import { encodeCommand } from "../../compare/in-process.ts";
import { socketFolder } from "./installed.ts";
import { type Reply, ReplyReader } from "./replies.ts";

interface Waiting {
  readonly answer: (reply: Reply) => void;
  readonly fail: (reason: Error) => void;
}

export class RedisServer {
  readonly folder: string;
  readonly #child: RedisProcess;
  readonly #socket: Socket;
  readonly #reader = new ReplyReader();
  readonly #waiting: Waiting[] = [];

  constructor(folder: string, child: RedisProcess, socket: Socket) {
    this.folder = folder;
    this.#child = child;
    this.#socket = socket;
    socket.on("data", (chunk) => {
      for (const reply of this.#reader.feed(chunk.toString("latin1"))) this.#waiting.shift()!.answer(reply);
    });
    socket.on("close", () => {
      for (const { fail } of this.#waiting.splice(0)) fail(new Error(`no reply: ${child.end}`));
    });
    socket.on("error", () => {});
  }

  /** Starts one with further arguments, in an empty folder. It ends with the test at the latest. */
  static async start(t: Test, ...options: string[]): Promise<RedisServer> {
    const folder = socketFolder("twolog-redis-");
    const path = join(folder, "socket");
    const child = new RedisProcess(["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder, ...options]);
    t.teardown(async () => {
      await child.kill();
      rmSync(folder, { recursive: true, force: true });
    });
    const redis = new RedisServer(folder, child, await connected(path, child));
    while (isLoading(await redis.run(["PING"]))) await pause();
    return redis;
  }

  run(args: readonly Bytes[]): Promise<Reply> {
    return new Promise((answer, fail) => {
      this.#waiting.push({ answer, fail });
      this.#socket.write(encodeCommand(args), "latin1");
    });
  }

  /** Kills it. Its folder stays until the test ends. */
  async close(): Promise<void> {
    await this.#child.kill();
    this.#socket.destroy();
  }
}

/** The process, and the end of what it has logged. */
class RedisProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #log = "";

  constructor(options: readonly string[]) {
    const child = spawn("redis-server", options, { stdio: ["ignore", "pipe", "ignore"] });
    child.stdout.setEncoding("latin1").on("data", (text: string) => {
      this.#log = (this.#log + text).slice(-2000);
    });
    this.#child = child;
    this.#ended = once(child, "close");
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** How it ended, and its last words. */
  get end(): string {
    const { exitCode, signalCode } = this.#child;
    return this.hasEnded ? `redis-server has ended with ${exitCode ?? signalCode}: ${this.#log}` : "redis-server runs";
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

/** A connection, as soon as there is one: the socket's file is there before anybody listens on it. */
async function connected(path: string, child: RedisProcess): Promise<Socket> {
  for (;;) {
    if (child.hasEnded) throw new Error(child.end);
    const socket = connect(path);
    const open = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    if (open) return socket;
    await pause();
  }
}

/** Redis listens before it has loaded its data, and answers so until then. */
function isLoading(reply: Reply): boolean {
  return reply.kind === "error" && reply.text.startsWith("LOADING");
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 10));
}
