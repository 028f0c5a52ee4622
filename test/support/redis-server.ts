/**
 * A real redis-server on a Unix socket, as a child process: the measure for everything that can be compared.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bytes } from "../../common/bytes.ts";
import { encodeCommand } from "../../compare/in-process.ts";
import { type Reply, ReplyReader } from "./replies.ts";

/** Whether redis-server is installed. In CI it must be: there, its absence is an error. */
export function redisServerInstalled(): boolean {
  const found = spawnSync("redis-server", ["--version"]).status === 0;
  if (!found && process.env["CI"] !== undefined) throw new Error("redis-server is not installed, and this is CI");
  return found;
}

export class RedisServer {
  readonly folder: string;
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #reader = new ReplyReader();
  readonly #waiting: ((reply: Reply) => void)[] = [];

  constructor(folder: string, child: ChildProcess, socket: Socket) {
    this.folder = folder;
    this.#child = child;
    this.#socket = socket;
    socket.on("data", (chunk) => {
      for (const reply of this.#reader.feed(chunk.toString("latin1"))) this.#waiting.shift()!(reply);
    });
  }

  /** Starts one with further arguments, in an empty folder. */
  static async start(...options: string[]): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), "twolog-redis-"));
    const path = join(folder, "socket");
    const common = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder];
    const child = spawn("redis-server", [...common, ...options], { stdio: "ignore" });
    const redis = new RedisServer(folder, child, await connected(path, child));
    while (isLoading(await redis.run(["PING"]))) await pause();
    return redis;
  }

  run(args: readonly Bytes[]): Promise<Reply> {
    this.#socket.write(encodeCommand(args), "latin1");
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    this.#socket.destroy();
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
    rmSync(this.folder, { recursive: true });
  }
}

/** A connection, as soon as there is one: the socket's file is there before anybody listens on it. */
async function connected(path: string, child: ChildProcess): Promise<Socket> {
  for (;;) {
    const ended = child.exitCode ?? child.signalCode;
    if (ended !== null) throw new Error(`redis-server has ended with ${ended}`);
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
