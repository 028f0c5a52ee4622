/**
 * One client: its bytes in, its commands in order, its replies out.
 *
 * Flow. A connection never does unbounded work in a turn and never piles up unbounded output; it *stalls* instead, that
 * is, it stops reading its socket (for a lock: when much has come) and keeps what it has not parsed:
 *
 *     stalled for   when                                                     goes on when
 *     "turn"        it has read INPUT_BYTES_PER_TURN in this turn            the next turn
 *     "output"      its replies gather faster than they can leave, or its    they have left
 *                   requests faster than what they write gets durable
 *     "pause"       CLIENT PAUSE holds back the command it has just read     the pause ends
 *     "lock"        the command it has just read needs what another client   the engine says so
 *                   has locked
 */
import type { Bytes } from "../bytes.ts";
import type { Command } from "../command/define.ts";
import type { Client, ReplyMode, ServerView, Session, Transaction } from "../command/session.ts";
import type { Engine } from "../engine.ts";
import type { Host } from "../host.ts";
import { Watcher, type WatchRegistry } from "../keyspace/watch.ts";
import { BROKEN, COMMAND, type RequestLimits, RequestReader } from "../resp/request-reader.ts";
import { ClientCall } from "./client-call.ts";
import type { Caller, Dispatcher, Hindrance } from "./dispatch.ts";
import type { Statistics } from "./statistics.ts";
import type { Receiver, Transport } from "./transport.ts";
import type { Output, Sender, Turn } from "./turn.ts";

const INPUT_BYTES_PER_TURN = 256 * 1024;
/** Most bytes of replies that wait for the end of their turn, or for its settle. */
const OUTPUT_BYTES_MAX = 1024 * 1024;
/** Most bytes of requests that run while earlier turns of their client are not settled (a slow fsync). */
const UNSETTLED_INPUT_BYTES_MAX = 8 * 1024 * 1024;

type Stall = "turn" | "output" | Hindrance;

/** The server as a connection sees it. */
export interface ConnectionServer extends ServerView {
  readonly engine: Engine;
  readonly host: Host;
  readonly turn: Turn;
  readonly dispatcher: Dispatcher;
  readonly statistics: Statistics;
  readonly watches: WatchRegistry;
  readonly requestLimits: RequestLimits;
  readonly failed: boolean;
  readonly countError: (message: Bytes) => void;
  log(level: "warning", line: string): void;
  fail(error: unknown): void;
  holdBack(connection: Connection): void;
  checkOutputLimit(connection: Connection): void;
  disconnected(connection: Connection): void;
}

export class Connection implements Caller, Session, Sender, Receiver {
  readonly id: number;
  readonly client: Client = this;
  readonly call: ClientCall;
  readonly transaction: Transaction = {
    open: false,
    failed: false,
    queue: [],
    executing: false,
    watcher: new Watcher(),
  };
  /** Bytes of the arguments in the queue of MULTI. */
  queuedBytes = 0;
  name: Bytes = "";
  libraryName: Bytes = "";
  libraryVersion: Bytes = "";
  noEvict = false;
  noTouch = false;
  replyMode: ReplyMode = "on";
  readonly createdAt: number;
  lastRequestAt: number;

  readonly #server: ConnectionServer;
  readonly #transport: Transport;
  readonly #reader: RequestReader;
  #stall: Stall | undefined;
  /** The last request read waits in the reader to be run (CLIENT PAUSE, locks). */
  #heldBack = false;
  #inputThisTurn = 0;
  #joined = false;
  /** Turns of this connection that are not settled, and the bytes of their replies. */
  #unsettled = 0;
  /** Bytes of requests since no turn was unsettled: what the engine holds for them until they are durable grows with it. */
  #unsettledInputBytes = 0;
  #unsettledBytes = 0;
  #closing = false;
  #closed = false;
  /** When the output began to be above the soft limit; 0: it is not. */
  softLimitSince = 0;

  constructor(id: number, server: ConnectionServer, transport: Transport) {
    this.id = id;
    this.#server = server;
    this.#transport = transport;
    this.#reader = new RequestReader(server.requestLimits);
    this.call = new ClientCall(this, server, server.engine.keyspace, server.turn, server.host.random);
    this.call.reply.onError = server.countError;
    this.createdAt = server.host.clock.now();
    this.lastRequestAt = this.createdAt;
  }

  get address(): string {
    return this.#transport.address;
  }
  get localAddress(): string {
    return this.#transport.localAddress;
  }
  /** Replies that the operating system has not taken. */
  get pendingBytes(): number {
    return this.#transport.pendingBytes;
  }
  /** Requests that have not been parsed. */
  get bufferedBytes(): number {
    return this.#reader.bufferedBytes;
  }
  get closed(): boolean {
    return this.#closed;
  }

  select(index: number): void {
    this.call.select(index);
  }

  // What comes in.

  receive(chunk: Buffer, length: number = chunk.length): void {
    if (this.#closed || this.#closing || this.#server.failed) return;
    const { turn, statistics } = this.#server;
    turn.begin();
    this.lastRequestAt = turn.now;
    statistics.inputBytes += length;
    this.#reader.feed(chunk, length);
    this.#inputThisTurn += length;
    this.#unsettledInputBytes += length;
    if (this.isBlocked) {
      this.#keepWhileBlocked();
      return;
    }
    this.#join();
    this.#run();
    if (this.#stall !== undefined || this.#closed) return;
    if (this.#unsettledBytes > OUTPUT_BYTES_MAX) this.#stallFor("output");
    else if (this.#unsettled > 1 && this.#unsettledInputBytes > UNSETTLED_INPUT_BYTES_MAX) this.#stallFor("output");
    else if (this.#inputThisTurn > INPUT_BYTES_PER_TURN) this.#stallFor("turn");
  }

  /** Runs what has been read, as far as the rules at the top allow. */
  #run(): void {
    const server = this.#server;
    const reader = this.#reader;
    const reply = this.call.reply;
    try {
      for (;;) {
        if (this.#heldBack) {
          this.#heldBack = false;
        } else {
          const outcome = reader.next();
          if (outcome === BROKEN) this.#protocolError();
          if (outcome !== COMMAND) break;
        }
        const hindrance = server.dispatcher.run(this, reader.args);
        if (hindrance !== undefined) {
          this.#heldBack = true;
          this.#stallFor(hindrance);
          break;
        }
        if (this.#closing || this.#closed) break;
        if (reply.out.length > OUTPUT_BYTES_MAX || reply.hasParts) {
          this.#stallFor("output");
          break;
        }
      }
      server.dispatcher.endRun();
    } catch (error) {
      server.fail(error);
    }
  }

  #protocolError(): void {
    const { problem } = this.#reader;
    if (problem === "") {
      this.#queryTooLarge();
      return;
    }
    if (this.replyMode === "on") this.call.reply.error(`ERR ${problem}`);
    this.closeAfterReply();
  }

  #queryTooLarge(): void {
    this.#server.log("warning", `client ${this.id} ${this.address} closed: beyond client-query-buffer-limit`);
    this.kill();
  }

  /** What comes while a command waits for a lock runs behind it. */
  #keepWhileBlocked(): void {
    this.#reader.keep();
    if (this.#reader.bufferedBytes > INPUT_BYTES_PER_TURN) this.#transport.pause();
  }

  #stallFor(reason: Stall): void {
    this.#reader.keep();
    // One that waits for a lock goes on reading: otherwise it would not be noticed that its client has gone.
    if (this.#stall === undefined && reason !== "lock") this.#transport.pause();
    this.#stall = reason;
    if (reason === "turn") this.#server.turn.next(this.#goOn);
    if (reason === "pause") this.#server.holdBack(this);
  }

  /** The reason for the stall may have gone. */
  readonly #goOn = (): void => {
    if (this.#stall === undefined || this.#closed || this.#server.failed) return;
    if (this.#stall === "output" && (this.#unsettledBytes > 0 || this.#transport.backlogged)) return;
    this.#stall = undefined;
    this.#server.turn.begin();
    this.#join();
    this.#run();
    if (this.#stall === undefined && !this.#closing && !this.#closed) this.#transport.resume();
  };

  /** CLIENT PAUSE has ended. */
  unpaused(): void {
    if (this.#stall === "pause") this.#goOn();
  }

  /** The command that waits for a lock may run now. */
  unblock(): void {
    if (!this.isBlocked || this.#closed) return;
    this.#server.turn.next(() => {
      if (this.isBlocked) this.#goOn();
    });
  }

  /** Whether a command waits for a lock. */
  get isBlocked(): boolean {
    return this.#stall === "lock";
  }

  // What goes out.

  #join(): void {
    if (this.#joined) return;
    this.#joined = true;
    this.#unsettled++;
    this.#server.turn.join(this);
  }

  takeOutput(): Output {
    this.#joined = false;
    this.#inputThisTurn = 0;
    const { reply } = this.call;
    if (reply.hasParts) {
      const parts = [...reply.takeParts(), reply.take()];
      for (const part of parts) this.#unsettledBytes += part.length;
      return parts;
    }
    const output = reply.take();
    this.#unsettledBytes += output.length;
    return output;
  }

  send(output: Output): void {
    this.#unsettled--;
    if (this.#unsettled === 0) this.#unsettledInputBytes = 0;
    if (typeof output === "string") this.#write(output);
    else for (const part of output) this.#write(part);
    if (this.#closed) return;
    if (this.#closing && this.#unsettled === 0) this.#transport.end();
    // Not at once: this runs inside `settle`, and nothing may be executed there.
    else if (this.#stall === "output") this.#server.turn.next(this.#goOn);
  }

  discard(): void {
    this.#unsettled--;
    this.kill();
  }

  #write(output: Bytes): void {
    this.#unsettledBytes -= output.length;
    if (output.length === 0 || this.#closed) return;
    this.#server.statistics.outputBytes += output.length;
    this.#transport.write(output);
    // The client does not read its replies as fast as it asks: take no more requests until it has caught up.
    if (this.#transport.backlogged) {
      this.#server.checkOutputLimit(this);
      if (this.#stall === undefined && !this.#closed) this.#stallFor("output");
    }
  }

  drained(): void {
    if (this.#stall === "output") this.#goOn();
  }

  // How it ends.

  closeAfterReply(): void {
    if (this.#closing || this.#closed) return;
    // Nobody waits for the answer any more.
    if (this.isBlocked) {
      this.kill();
      return;
    }
    this.#closing = true;
    this.#transport.pause();
    if (this.#unsettled === 0) this.#transport.end();
  }

  kill(): void {
    if (this.#closed) return;
    this.ended();
    this.#transport.destroy();
  }

  ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.endTransaction();
    this.#server.disconnected(this);
  }

  enqueue(command: Command, args: readonly Bytes[]): void {
    this.transaction.queue.push({ command, args });
    for (const arg of args) this.queuedBytes += arg.length;
    if (this.queuedBytes > this.#server.requestLimits.queryBufferMax) this.#queryTooLarge();
  }

  ranQueued(command: Command): void {
    this.#server.statistics.of(command.fullName).calls++;
  }

  endTransaction(): void {
    this.transaction.open = false;
    this.transaction.failed = false;
    this.transaction.queue.length = 0;
    this.queuedBytes = 0;
    this.#server.watches.unwatch(this.transaction.watcher);
  }

  reset(): void {
    this.endTransaction();
    this.#server.transactions?.forget(this);
    this.select(0);
    this.call.reply.version = 2;
    this.name = "";
    this.replyMode = "on";
    this.noEvict = false;
    this.noTouch = false;
  }

  describe(): Bytes {
    return describeClient(this, this.#server.host.clock.now());
  }
}

/** The line of CLIENT INFO and CLIENT LIST, with the fields of Redis 7.2. */
function describeClient(connection: Connection, now: number): Bytes {
  const { call, transaction } = connection;
  const seconds = (since: number) => Math.max(0, Math.floor((now - since) / 1000));
  const fields: readonly (readonly [string, Bytes | number])[] = [
    ["id", connection.id],
    ["addr", connection.address],
    ["laddr", connection.localAddress],
    ["fd", connection.id],
    ["name", connection.name],
    ["age", seconds(connection.createdAt)],
    ["idle", seconds(connection.lastRequestAt)],
    ["flags", clientFlags(connection)],
    ["db", call.db.index],
    ["sub", 0],
    ["psub", 0],
    ["ssub", 0],
    ["multi", transaction.open ? transaction.queue.length : -1],
    ["qbuf", connection.bufferedBytes],
    ["qbuf-free", 0],
    ["argv-mem", call.args.reduce((sum, arg) => sum + arg.length, 0)],
    ["multi-mem", connection.queuedBytes],
    ["obl", 0],
    ["oll", connection.pendingBytes > 0 ? 1 : 0],
    ["omem", connection.pendingBytes],
    ["tot-mem", connection.bufferedBytes + connection.queuedBytes + connection.pendingBytes],
    ["events", "r"],
    ["cmd", call.command?.fullName ?? "NULL"],
    ["user", "default"],
    ["redir", -1],
    ["resp", call.reply.version],
    ["lib-name", connection.libraryName],
    ["lib-ver", connection.libraryVersion],
  ];
  return fields.map(([name, value]) => `${name}=${value}`).join(" ");
}

function clientFlags({ isBlocked, transaction, noEvict, noTouch }: Connection): string {
  const { open, watcher } = transaction;
  const flags = [isBlocked && "b", open && "x", watcher.broken && "d", noEvict && "e", noTouch && "T"];
  return flags.filter((flag) => flag !== false).join("") || "N";
}
