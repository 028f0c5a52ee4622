/**
 * Several clients of one kv-wal server in this process, step by step: no sockets, no real time. A client's request is answered
 * before `ask` returns, or it waits for a lock, and `waiting` says so; what it was answered later is in `late`.
 */
import type { Bytes } from "../../common/bytes.ts";
import { toBuffer } from "../../common/bytes.ts";
import type { Disk } from "../../common/disk/disk.ts";
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import type { Clock, Host, Random } from "../../common/host.ts";
import type { Connection } from "../../common/server/connection.ts";
import type { Server } from "../../common/server/server.ts";
import { encodeCommand, InProcessTransport, serverOf } from "../../compare/in-process.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";
import { pseudoRandom } from "./command-runner.ts";
import { splitArguments } from "./scripts.ts";
import { walConfig } from "./wal-fixture.ts";

interface Alarm {
  readonly at: number;
  readonly run: () => void;
}

/** A world whose time stands still until `pass`. */
export class StepHost implements Host {
  readonly disk: Disk;
  readonly memory: MemoryDisk;
  readonly tracing = false;
  readonly clock: Clock;
  readonly random: Random;
  nowMs = 1_800_000_000_000;
  readonly #alarms = new Set<Alarm>();
  #ticks: (() => void)[] = [];

  /** `base` is what the disk has; background syncs end at the end of a turn. `wrap` puts a disk before it. */
  constructor(base: MemoryDisk, wrap: (disk: MemoryDisk) => Disk) {
    this.memory = base.clone((complete) => this.afterTick(complete));
    this.disk = wrap(this.memory);
    this.clock = {
      now: () => this.nowMs,
      monotonic: () => this.nowMs,
      sleep: (delayMs) => this.pass(delayMs),
      after: (delayMs, run) => {
        const alarm: Alarm = { at: this.nowMs + delayMs, run };
        this.#alarms.add(alarm);
        return () => {
          this.#alarms.delete(alarm);
        };
      },
    };
    const below = pseudoRandom(1);
    this.random = { below, bytes: (count) => Uint8Array.from({ length: count }, () => below(256)) };
  }

  afterTick(run: () => void): void {
    this.#ticks.push(run);
  }

  trace(): void {}

  /** Runs turns until nothing is left to do. */
  settle(): void {
    while (this.#ticks.length > 0) {
      const ticks = this.#ticks;
      this.#ticks = [];
      for (const run of ticks) run();
    }
  }

  /** Lets time pass, one alarm after the other. */
  pass(ms: number): void {
    const end = this.nowMs + ms;
    for (;;) {
      let due: Alarm | undefined;
      for (const alarm of this.#alarms) if (alarm.at <= end && !(due !== undefined && due.at <= alarm.at)) due = alarm;
      if (due === undefined) break;
      this.nowMs = Math.max(this.nowMs, due.at);
      this.#alarms.delete(due);
      due.run();
      this.settle();
    }
    this.nowMs = end;
  }
}

/** One client. */
export class TestSession extends InProcessTransport {
  readonly connection: Connection;
  /** What has come and was not taken. */
  received: Bytes = "";
  closed = false;
  readonly #host: StepHost;

  constructor(server: Server, host: StepHost) {
    super();
    this.#host = host;
    this.connection = server.connect(this)!;
  }

  send(...args: readonly Bytes[]): void {
    this.connection.receive(toBuffer(encodeCommand(args)));
  }

  /** Sends a line and takes the answer; "" when there is none yet. */
  ask(line: string): string {
    this.send(...splitArguments(line));
    this.#host.settle();
    return this.take();
  }

  /** What was answered since: one line per reply, as on the wire, without the lengths of strings. */
  take(): string {
    const { received } = this;
    this.received = "";
    return received
      .replace(/\$-1\r\n/g, "nil\r\n")
      .replace(/\$\d+\r\n/g, "")
      .trimEnd()
      .replaceAll("\r\n", " ");
  }

  get waits(): boolean {
    return this.connection.isBlocked;
  }

  /** Closes the connection from the client's side. */
  leave(): void {
    this.closed = true;
    this.connection.ended();
    this.#host.settle();
  }

  write(output: Bytes): void {
    this.received += output;
  }
  override end(): void {
    this.destroy();
  }
  override destroy(): void {
    if (this.closed) return;
    this.closed = true;
    this.connection.ended();
  }
}

/** A server on kv-wal and its clients, by name. */
export class Sessions {
  readonly host: StepHost;
  readonly engine: WalEngine;
  readonly server: Server;
  failure: unknown;
  readonly #sessions = new Map<string, TestSession>();

  constructor(
    disk: MemoryDisk = new MemoryDisk(),
    directives: Readonly<Record<string, string>> = {},
    wrap: (disk: MemoryDisk) => Disk = (memory) => memory,
  ) {
    this.host = new StepHost(disk, wrap);
    const config = walConfig(directives);
    this.engine = createWalEngine(this.host, config);
    this.engine.recover();
    this.server = serverOf(this.engine, this.host, config, (error) => {
      this.failure = error;
    });
  }

  /** The client with this name, connected at its first use. */
  of(name: string): TestSession {
    let session = this.#sessions.get(name);
    if (session === undefined || session.closed) {
      session = new TestSession(this.server, this.host);
      this.#sessions.set(name, session);
    }
    return session;
  }

  ask(name: string, line: string): string {
    const answer = this.of(name).ask(line);
    if (this.failure !== undefined) throw this.failure;
    return answer;
  }
}
