/**
 * A real redis-server on a Unix socket, as a child process: the measure for everything that can be compared.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bytes } from "../../common/bytes.ts";
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
    while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 10));
    const socket = connect(path);
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new RedisServer(folder, child, socket);
  }

  run(args: readonly Bytes[]): Promise<Reply> {
    const request = `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join("")}`;
    this.#socket.write(request, "latin1");
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
