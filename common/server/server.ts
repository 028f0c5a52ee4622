/**
 * The server without its sockets: clients, turns, time, and the life of the program. Any transport may bring it clients
 * (`connect`): sockets do (listen.ts), and so does the simulator of the lab.
 *
 * A broken disk or assertion ends everything here (`fail`): nothing is run, nothing is sent any more (I6).
 */
import type { Bytes } from "../bytes.ts";
import type { Command } from "../command/define.ts";
import type { BinaryLogs, Client, LogRewrite, PauseMode, ServerServices } from "../command/session.ts";
import type { TransactionControl } from "../command/transactions.ts";
import type { Config } from "../config.ts";
import type { Engine } from "../engine.ts";
import { CommandError } from "../errors.ts";
import type { Host } from "../host.ts";
import { WatchRegistry } from "../keyspace/watch.ts";
import type { RequestLimits } from "../resp/request-reader.ts";
import { type ConfigFile, rewriteConfigText } from "./config-file.ts";
import { Connection, type ConnectionServer } from "./connection.ts";
import { Dispatcher } from "./dispatch.ts";
import { type InfoSource, infoText, type ProcessView } from "./info.ts";
import { Statistics } from "./statistics.ts";
import type { Transport } from "./transport.ts";
import { Turn } from "./turn.ts";

export type LogLevel = "debug" | "verbose" | "notice" | "warning";

/** What a server is made of. */
export interface ServerOptions {
  readonly engine: Engine;
  readonly host: Host;
  readonly config: Config;
  readonly commands: ReadonlyMap<string, Command>;
  /** A line for the log; the level has been checked. */
  readonly log: (level: LogLevel, line: string) => void;
  /** A broken disk or assertion: must end the process. */
  readonly fatal: (error: unknown) => void;
  /** SHUTDOWN was called. */
  readonly shutdown: () => void;
  /** For CONFIG REWRITE. */
  readonly configFile?: ConfigFile | undefined;
  /** For INFO; without it, INFO has no figures of the process. */
  readonly process?: ProcessView | undefined;
}

/** Most time of one call of `engine.idle`. */
const IDLE_BUDGET_MS = 5;
const SAMPLE_MS = 100;
const LEVELS: readonly string[] = ["debug", "verbose", "notice", "warning", "nothing"];

export class Server implements ConnectionServer, InfoSource, ServerServices {
  readonly services: ServerServices = this;
  readonly config: Config;
  readonly engine: Engine;
  readonly transactions: TransactionControl | undefined;
  readonly host: Host;
  readonly turn: Turn;
  readonly statistics = new Statistics();
  readonly dispatcher: Dispatcher;
  readonly watches: WatchRegistry;
  readonly requestLimits: RequestLimits = { bulkLengthMax: 0, queryBufferMax: 0 };
  readonly startedAt: number;
  readonly runId: string;
  /** The port that clients use; set by who listens. */
  port = 0;

  readonly #options: ServerOptions;
  readonly #connections = new Map<number, Connection>();
  #nextId = 1;
  #failed = false;
  #stopped = false;
  #cancelCron: () => void = () => {};
  #cancelPause: () => void = () => {};
  readonly #heldBack = new Set<Connection>();
  #sampledAt = 0;

  constructor(options: ServerOptions) {
    const { engine, host, config } = options;
    this.#options = options;
    this.config = config;
    this.engine = engine;
    this.transactions = engine.transactions;
    this.host = host;
    this.startedAt = host.clock.now();
    this.runId = Buffer.from(host.random.bytes(20)).toString("hex");
    this.turn = new Turn(engine, host, (error) => this.fail(error));
    this.watches = new WatchRegistry(engine.keyspace.events);
    this.dispatcher = new Dispatcher(options.commands, engine, this.turn, host.clock, this.statistics);
    this.#follow("proto-max-bulk-len", (name) => {
      this.requestLimits.bulkLengthMax = config.number(name);
    });
    this.#follow("client-query-buffer-limit", (name) => {
      this.requestLimits.queryBufferMax = config.number(name);
    });
    this.#scheduleCron();
  }

  /** Something broke that must not break: nothing is acknowledged any more. */
  get failed(): boolean {
    return this.#failed;
  }

  /** A client has come. Undefined when there are too many; it has been told and sent away. */
  connect(transport: Transport): Connection | undefined {
    if (this.#connections.size >= this.config.number("maxclients")) {
      this.statistics.rejectedConnections++;
      transport.write("-ERR max number of clients reached\r\n");
      transport.end();
      return undefined;
    }
    this.statistics.connections++;
    const connection = new Connection(this.#nextId++, this, transport);
    this.#connections.set(connection.id, connection);
    return connection;
  }

  /** A connection has ended. */
  disconnected(connection: Connection): void {
    this.#connections.delete(connection.id);
    this.#heldBack.delete(connection);
    // Not at once: this may be in the middle of somebody's command, or of a settle.
    if (this.transactions?.knows(connection) === true) this.turn.next(() => this.transactions!.forget(connection));
  }

  /** The disk or the program is broken. */
  fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.turn.stop();
    this.#cancelCron();
    this.#options.fatal(error);
  }

  /** No more background work, and every client is sent away; what was accepted is still settled by the engine. */
  stop(): void {
    this.#stopped = true;
    this.turn.stop();
    this.#cancelCron();
    this.#cancelPause();
    for (const connection of [...this.#connections.values()]) connection.kill();
  }

  log(level: LogLevel, line: string): void {
    if (LEVELS.indexOf(level) >= LEVELS.indexOf(this.config.text("loglevel"))) this.#options.log(level, line);
  }

  readonly countError = (message: Bytes): void => this.statistics.countError(message);

  // Background.

  #scheduleCron(): void {
    this.#cancelCron = this.host.clock.after(1000 / this.config.number("hz"), () => {
      if (this.#failed || this.#stopped) return;
      try {
        this.#cron();
      } catch (error) {
        this.fail(error);
      }
      if (!this.#failed) this.#scheduleCron();
    });
  }

  /** What idle work changes (expired keys) is settled like any command's. */
  #cron(): void {
    this.turn.begin();
    this.engine.idle(IDLE_BUDGET_MS);
    const monotonic = this.host.clock.monotonic();
    if (monotonic - this.#sampledAt < SAMPLE_MS) return;
    this.#sampledAt = monotonic;
    this.statistics.sampleRate(monotonic);
    const timeoutMs = this.config.number("timeout") * 1000;
    for (const connection of this.#connections.values()) {
      if (connection.pendingBytes > 0 || connection.softLimitSince !== 0) this.checkOutputLimit(connection);
      if (timeoutMs > 0 && !connection.isBlocked && this.turn.now - connection.lastRequestAt > timeoutMs) {
        this.log("verbose", `client ${connection.id} ${connection.address} closed: idle`);
        connection.kill();
      }
    }
  }

  /** client-output-buffer-limit: closes a client that does not read its replies. */
  checkOutputLimit(connection: Connection): void {
    const [hard = 0, soft = 0, seconds = 0] = this.config
      .text("client-output-buffer-limit")
      .split(/ +/)
      .slice(1)
      .map(Number);
    const pending = connection.pendingBytes;
    const now = this.host.clock.now();
    if (soft === 0 || pending <= soft) connection.softLimitSince = 0;
    else if (connection.softLimitSince === 0) connection.softLimitSince = now;
    const softFor = connection.softLimitSince === 0 ? -1 : now - connection.softLimitSince;
    if ((hard === 0 || pending <= hard) && softFor <= seconds * 1000) return;
    this.log("warning", `client ${connection.id} ${connection.address} closed: beyond client-output-buffer-limit`);
    connection.kill();
  }

  #follow(name: string, changed: (name: string) => void): void {
    changed(name);
    this.config.onChange(name, () => changed(name));
  }

  // What commands ask for.

  clients(): Iterable<Client> {
    return this.#connections.values();
  }

  /** Clients whose command waits for a lock. */
  get blockedCount(): number {
    let count = 0;
    for (const connection of this.#connections.values()) if (connection.isBlocked) count++;
    return count;
  }

  get binaryLogs(): BinaryLogs | undefined {
    return this.engine.binaryLogs;
  }

  get logRewrite(): LogRewrite | undefined {
    return this.engine.logRewrite;
  }

  get clientCount(): number {
    return this.#connections.size;
  }

  info(sections: readonly string[]): Bytes {
    return infoText(this, this.#options.process, sections);
  }

  resetStatistics(): void {
    this.statistics.reset();
  }

  rewriteConfig(): void {
    const file = this.#options.configFile;
    if (file === undefined) throw new CommandError("ERR The server is running without a config file");
    try {
      file.write(rewriteConfigText(file.read(), this.config));
    } catch (error) {
      this.log("warning", `CONFIG REWRITE failed: ${String(error)}`);
      throw new CommandError(`ERR Rewriting config file: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.log("notice", "CONFIG REWRITE executed with success.");
  }

  /** `connection` has a request that must wait for the end of CLIENT PAUSE. */
  holdBack(connection: Connection): void {
    this.#heldBack.add(connection);
  }

  pause(until: number, mode: PauseMode): void {
    this.#cancelPause();
    this.dispatcher.paused = mode;
    this.#cancelPause = this.host.clock.after(Math.max(0, until - this.host.clock.now()), () => this.unpause());
  }

  unpause(): void {
    this.#cancelPause();
    this.dispatcher.paused = undefined;
    const heldBack = [...this.#heldBack];
    this.#heldBack.clear();
    for (const connection of heldBack) this.turn.next(() => connection.unpaused());
  }

  sleep(delayMs: number): void {
    this.host.clock.sleep(delayMs);
  }

  shutdown(): void {
    this.log("notice", "SHUTDOWN received, closing");
    this.turn.next(() => this.#options.shutdown());
  }
}
