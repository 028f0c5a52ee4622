/**
 * The life of a server process: lock the folder → recover → listen → … → stop → close the engine → unlock.
 */
import type { Command } from "../command/define.ts";
import type { Config } from "../config.ts";
import type { Engine } from "../engine.ts";
import { CorruptFile, DiskFailure } from "../errors.ts";
import type { Host } from "../host.ts";
import type { ConfigFile } from "./config-file.ts";
import type { ProcessView } from "./info.ts";
import { listen } from "./listen.ts";
import { type LogLevel, Server } from "./server.ts";

export interface RunOptions {
  readonly commands: ReadonlyMap<string, Command>;
  /** The file that CONFIG REWRITE rewrites. */
  readonly configFile?: ConfigFile | undefined;
  /** A line of the log. Without it: standard error. */
  readonly log?: (level: LogLevel, line: string) => void;
  /** A broken disk or assertion. Without it: the error on standard error, and exit status 1 at once. */
  readonly fatal?: (error: unknown) => void;
  /** SIGINT and SIGTERM end the server in order. Default: yes. */
  readonly signals?: boolean;
}

/** A server that listens. */
export interface Running {
  readonly port: number;
  readonly server: Server;
  /** Resolves when the server has ended in order (signal, SHUTDOWN or `close`). */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

const LOCK_PATH = "twolog.lock";

function logToStandardError(level: LogLevel, line: string): void {
  process.stderr.write(`${level === "warning" ? "warning: " : ""}${line}\n`);
}

/** A broken disk and a damaged file are told in a line; a broken assertion with the place where it broke. */
function dieOf(error: unknown): void {
  const isKnown = error instanceof DiskFailure || error instanceof CorruptFile;
  const text = isKnown ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`twolog: stopped, nothing more is acknowledged: ${text}\n`);
  process.exit(1);
}

const PROCESS: ProcessView = {
  pid: process.pid,
  platform: process.platform,
  arch: process.arch,
  runtime: `node ${process.version}`,
  memory() {
    const { rss, heapUsed, external } = process.memoryUsage();
    return { used: heapUsed + external, resident: rss };
  },
  cpu() {
    const { user, system } = process.cpuUsage();
    return { user: user / 1e6, system: system / 1e6 };
  },
};

/** Locks the data folder, recovers, and serves. Throws `UsageError` or `CorruptFile` when it must not start. */
export async function runServer(engine: Engine, host: Host, config: Config, options: RunOptions): Promise<Running> {
  const fatal = options.fatal ?? dieOf;
  const unlock = host.disk.lock(LOCK_PATH);
  let requested = () => {};
  const log = options.log ?? logToStandardError;
  const server = await start(() => {
    engine.recover((line) => log("notice", line));
    return new Server({
      engine,
      host,
      config,
      commands: options.commands,
      log,
      fatal,
      shutdown: () => requested(),
      configFile: options.configFile,
      process: PROCESS,
    });
  }, unlock);
  const listener = await start(
    () => listen(server),
    () => {
      server.stop();
      unlock();
    },
  );
  let closing: Promise<void> | undefined;
  const stop = async () => {
    listener.close();
    server.stop();
    await engine.close();
    unlock();
  };
  let resolveClosed = () => {};
  const closed = new Promise<void>((resolve) => {
    resolveClosed = resolve;
  });
  const close = () => {
    closing ??= stop().then(resolveClosed, fatal);
    return closing;
  };
  requested = close;
  if (options.signals !== false) endOnSignals(server, close, closed);
  server.log("notice", `ready to accept connections on port ${listener.port}`);
  return { port: listener.port, server, closed, close };
}

/** Runs a step of the start; when it fails, `undo` frees what was taken. */
async function start<T>(step: () => T | Promise<T>, undo: () => void): Promise<T> {
  try {
    return await step();
  } catch (error) {
    undo();
    throw error;
  }
}

function endOnSignals(server: Server, close: () => Promise<void>, closed: Promise<void>): void {
  const ended = (signal: NodeJS.Signals) => {
    server.log("notice", `${signal} received, closing`);
    void close();
  };
  process.on("SIGINT", ended);
  process.on("SIGTERM", ended);
  void closed.then(() => {
    process.off("SIGINT", ended);
    process.off("SIGTERM", ended);
  });
}
