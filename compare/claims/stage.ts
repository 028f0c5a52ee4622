/**
 * A small world for one claim: a server in the simulator with a few clients, played command by command, and every disk
 * that a crash at any of its moments may leave.
 *
 *     const stage = new Stage(policyOf("aof", "always"));
 *     stage.ask("SET", "k", "OLD");                      // runs until the reply has come
 *     const write = stage.send(["SET", "k", "NEW"]);     // sent, nothing has run yet
 *     stage.rest(3000);                                  // virtual time passes
 *     const crash = stage.after("aof.write", write);     // a moment: how many events had happened
 *     Stage.reopen(stage, stage.disk("power", crash))    // the next life, or why it refused
 *
 * Nothing is mocked but the world: requests are RESP bytes, replies are parsed, recovery is the engine's own.
 */
import { AssertionError } from "../../common/assert.ts";
import { type Bytes, toBuffer } from "../../common/bytes.ts";
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import type { Engine } from "../../common/engine.ts";
import { CorruptFile, DiskFailure } from "../../common/errors.ts";
import type { Server } from "../../common/server/server.ts";
import type { StepName } from "../../common/steps.ts";
import { CrashStates } from "../crash-states.ts";
import { type CreateEngine, configFor, createEngine, type Directives } from "../engines.ts";
import { encodeCommand, ReplyReadingTransport, serverOf } from "../in-process.ts";
import type { CrashKind, Policy } from "../policy.ts";
import { type DiskWrapper, SimulatedHost, Simulation, type SyncTiming, type TimelineEvent } from "../simulator.ts";
import { SMALL } from "../survey.ts";

/** Every sync takes so long. */
export function syncsOf(ms: number): SyncTiming {
  return { shortMs: [ms, ms], longMs: [ms, ms], longOneIn: 1_000_000 };
}

export interface StageOptions {
  readonly directives?: Directives;
  readonly timing?: SyncTiming;
  readonly base?: MemoryDisk;
  readonly wrapDisk?: DiskWrapper;
  readonly create?: CreateEngine;
  readonly seed?: number;
  /** So much time passes before the server starts. */
  readonly startLaterMs?: number;
}

/** A command that was sent. `sentAt` and `answeredAt` are moments: how many events had happened. */
export interface Asked {
  readonly words: readonly Bytes[];
  readonly sentAt: number;
  readonly sentMs: number;
  answeredAt: number | undefined;
  answeredMs: number;
  reply: unknown;
}

const ASK_LIMIT_MS = 60_000;

/** Replies answer what was asked, in order. */
class StageClient extends ReplyReadingTransport {
  readonly #waiting: ((reply: unknown) => void)[] = [];

  expect(answer: (reply: unknown) => void): void {
    this.#waiting.push(answer);
  }

  protected answered(reply: unknown): void {
    this.#waiting.shift()?.(reply);
  }
}

export class Stage {
  readonly policy: Policy;
  readonly engine: Engine;
  readonly simulation: Simulation;
  /** What recovery said. */
  readonly recoveryLines: readonly string[];
  /** Why the server stopped itself, if it did. */
  failure: unknown;
  readonly #options: StageOptions;
  readonly #host: SimulatedHost;
  readonly #server: Server;
  readonly #clients = new Map<number, { transport: StageClient; receive: (chunk: Buffer) => void }>();

  constructor(policy: Policy, options: StageOptions = {}) {
    this.policy = policy;
    this.#options = options;
    this.simulation = new Simulation(options.seed ?? 1);
    this.simulation.sleep(options.startLaterMs ?? 0);
    const timing = options.timing ?? syncsOf(1);
    this.#host = new SimulatedHost(this.simulation, timing, () => 0, options.base, options.wrapDisk);
    const config = configFor(policy.engine, {
      ...policy.directives,
      ...SMALL[policy.engine],
      ...options.directives,
    });
    this.engine = (options.create ?? createEngine)(policy.engine, this.#host, config);
    this.recoveryLines = this.engine.recover().lines;
    this.#server = serverOf(this.engine, this.#host, config, (error) => {
      this.failure = error ?? new Error("the server stopped");
    });
  }

  /** The next life on a disk that a crash left; or why it refused to start. */
  static reopen(stage: Stage, disk: MemoryDisk, more: StageOptions = {}): Stage | string {
    try {
      const { directives, timing } = stage.#options;
      return new Stage(stage.policy, {
        ...(directives && { directives }),
        ...(timing && { timing }),
        ...more,
        base: disk,
      });
    } catch (error) {
      if (error instanceof CorruptFile || error instanceof DiskFailure || error instanceof AssertionError) {
        return error.message;
      }
      throw error;
    }
  }

  /** Everything that has happened. */
  get events(): readonly TimelineEvent[] {
    return this.#host.timeline;
  }
  /** The moment now. */
  get now(): number {
    return this.#host.timeline.length;
  }
  get nowMs(): number {
    return this.simulation.monotonic();
  }

  /** Hands one client's commands over, all at once; several calls before time passes make one turn. */
  send(words: readonly Bytes[], client = 0): Asked {
    const asked: Asked = {
      words,
      sentAt: this.now,
      sentMs: this.nowMs,
      answeredAt: undefined,
      answeredMs: Number.NaN,
      reply: undefined,
    };
    const { transport, receive } = this.#client(client);
    transport.expect((reply) => {
      this.#host.noteAnswer();
      asked.answeredAt = this.now;
      asked.answeredMs = this.nowMs;
      asked.reply = reply;
    });
    this.simulation.after(0, () => receive(toBuffer(encodeCommand(words))));
    return asked;
  }

  /** Sends a command and lets time pass until it is answered; undefined: it never was. */
  ask(...words: Bytes[]): unknown {
    return this.askAs(0, ...words).reply;
  }

  /** The same, for another client; returns everything that is known of it. */
  askAs(client: number, ...words: Bytes[]): Asked {
    const asked = this.send(words, client);
    const limit = this.nowMs + ASK_LIMIT_MS;
    this.simulation.run(() => asked.answeredAt !== undefined || this.failure !== undefined, limit);
    return asked;
  }

  /** Virtual time passes. */
  rest(ms: number): void {
    const end = this.nowMs + ms;
    // Something must happen at the end, or time would stand still before it.
    this.simulation.after(ms, () => {});
    this.simulation.run(() => this.failure !== undefined || this.nowMs >= end, end + 1);
  }

  #client(number: number): { transport: StageClient; receive: (chunk: Buffer) => void } {
    let client = this.#clients.get(number);
    if (client === undefined) {
      const transport = new StageClient();
      const connection = this.#server.connect(transport);
      client = { transport, receive: (chunk) => connection?.receive(chunk) };
      this.#clients.set(number, client);
    }
    return client;
  }

  /** The moment right after the first such step since `from`; undefined: it never came. */
  after(step: StepName, from: number | Asked): number | undefined {
    const start = typeof from === "number" ? from : from.sentAt;
    const index = this.events.findIndex((event, at) => at >= start && event.kind === "step" && event.step === step);
    return index < 0 ? undefined : index + 1;
  }

  /** The same, of a step without which there is nothing to see. */
  behind(step: StepName, from: number | Asked): number {
    const moment = this.after(step, from);
    if (moment === undefined) throw new Error(`${step} never came`);
    return moment;
  }

  /** The disk that a crash at a moment leaves: by a kill the page cache, by a power loss only what was synced. */
  disk(crash: CrashKind, moment: number): MemoryDisk {
    const states = this.statesAt(moment);
    return crash === "kill" ? states.kill() : states.power();
  }

  /** All that may be left at a moment. */
  statesAt(moment: number): CrashStates {
    const states = new CrashStates(this.#options.base);
    for (const event of this.events.slice(0, moment)) if (event.kind === "disk") states.apply(event.operation);
    return states;
  }

  /** Was it acknowledged before that moment, and not with an error? */
  static isTold(asked: Asked, moment: number): boolean {
    return asked.answeredAt !== undefined && asked.answeredAt <= moment && !(asked.reply instanceof Error);
  }
}

/** The moment of the answer. */
export function answerOf(asked: Asked): number {
  if (asked.answeredAt === undefined) throw new Error(`${asked.words.join(" ")} was never answered`);
  return asked.answeredAt;
}

/** All bytes of the files whose path starts so, joined. */
export function bytesOf(disk: MemoryDisk, prefix: string): Bytes {
  const parts: Bytes[] = [];
  for (const [path, content] of disk.snapshot()) {
    if (path.startsWith(prefix) && content !== undefined) parts.push(Buffer.from(content).toString("latin1"));
  }
  return parts.join("");
}
