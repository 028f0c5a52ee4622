/**
 * One run in the simulator: an engine inside the server core, with clients that follow a plan. Nothing is mocked but the
 * world: requests are RESP bytes cut at random places, replies are parsed by redis-parser.
 *
 * A reply counts as told when the server hands it to the transport: the operating system delivers it even if the process
 * dies the moment after.
 */
import { present } from "../common/assert.ts";
import { type Bytes, toBuffer } from "../common/bytes.ts";
import type { MemoryDisk } from "../common/disk/memory-disk.ts";
import type { Server } from "../common/server/server.ts";
import { type CreateEngine, configFor, createEngine, type Directives, isRefusal } from "./engines.ts";
import { History, type Operation } from "./history.ts";
import { encodeCommand, ReplyReadingTransport, serverOf } from "./in-process.ts";
import type { Policy } from "./policy.ts";
import {
  type DiskWrapper,
  ORDINARY_SYNCS,
  SimulatedHost,
  Simulation,
  type SyncTiming,
  type TimelineEvent,
} from "./simulator.ts";
import { type Planned, SETUP, SETUP_AGAIN, Workload } from "./workload.ts";

/** What is to be run. */
export interface RunPlan {
  readonly policy: Policy;
  readonly seed: number;
  /** Clients of the workload; the setup client comes behind them. */
  readonly clients: number;
  /** Operations per client. */
  readonly operations: number;
  /** Operations that a client sends at once: at most so many. */
  readonly batch: number;
  /** How long a client waits between its batches. */
  readonly thinkMs: readonly [low: number, high: number];
  /** More directives than the policy's. */
  readonly directives?: Directives;
  readonly timing?: SyncTiming;
  /** Virtual time that passes after the last operation, with an idle server. */
  readonly restMs?: number;
  /** The clients' plans; without it, the workload of workload.ts. */
  readonly plan?: (client: number) => { next(): Planned };
  /** What exactly every client does, instead of `clients`, `operations` and `plan`. */
  readonly script?: Script;
  /** What an earlier life left on the disk, everything on it durable; its data are flushed by the setup. */
  readonly base?: MemoryDisk;
  /** Builds the engine; a wrong order (compare/orders) replaces it. */
  readonly create?: CreateEngine;
  /** A disk between the engine and the recorded one. */
  readonly wrapDisk?: DiskWrapper;
  /** The fault that `wrapDisk` or `timing` injects, as a replay names it (lab/faults.ts). */
  readonly fault?: string;
  /** With what a crashed disk is recovered; without it, with the engine as it is. */
  readonly recovery?: { readonly create?: CreateEngine; readonly wrapDisk?: DiskWrapper };
}

/** What every client sends, in order. */
export interface Script {
  readonly name: string;
  readonly clients: readonly (readonly Planned[])[];
  /** The bank's accounts are opened before, by the setup client. */
  readonly bank: boolean;
}

/** What happened. */
export interface SimulatedRun {
  readonly plan: RunPlan;
  readonly timeline: readonly TimelineEvent[];
  readonly history: History;
  readonly setupClient: number;
  readonly longestSyncMs: number;
  /** Why the server stopped itself; undefined when it did not. */
  readonly failure: unknown;
}

const LIMIT_MS = 120_000;

/** Runs the plan to its end. */
export function simulate(plan: RunPlan): SimulatedRun {
  const simulation = new Simulation(plan.seed);
  const history = new History();
  const host = new SimulatedHost(
    simulation,
    plan.timing ?? ORDINARY_SYNCS,
    () => history.now,
    plan.base,
    plan.wrapDisk,
  );
  const setupClient = plan.script?.clients.length ?? plan.clients;
  let failure: unknown;
  const isOver = (): boolean => failure !== undefined;
  try {
    const config = configFor(plan.policy.engine, { ...plan.policy.directives, ...plan.directives });
    const engine = (plan.create ?? createEngine)(plan.policy.engine, host, config);
    engine.recover();
    const server = serverOf(engine, host, config, (error) => {
      failure = error ?? new Error("the server stopped");
    });
    const areFinished = startClients(plan, setupClient, { simulation, host, history, server });
    simulation.run(() => isOver() || areFinished(), LIMIT_MS);
    simulation.run(isOver, simulation.monotonic() + (plan.restMs ?? 0));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    failure = error;
  }
  const { timeline, longestSyncMs } = host;
  return { plan, timeline, history, setupClient, longestSyncMs, failure };
}

/** The setup client, and behind it all others. Returns whether they have done everything. */
function startClients(plan: RunPlan, setupClient: number, context: Context): () => boolean {
  const clients: ScriptedClient[] = [];
  let waiting = 1;
  const finished = (): void => {
    waiting--;
  };
  const start = (): void => {
    waiting = clients.length;
    for (const client of clients) client.start();
  };
  for (let index = 0; index < setupClient; index++) {
    const steps = plan.script?.clients[index];
    const source =
      steps === undefined ? (plan.plan?.(index) ?? new Workload(plan.seed, index, plan.clients)) : new Steps(steps);
    const operations = steps?.length ?? plan.operations;
    clients.push(new ScriptedClient(context, index, source, { ...plan, operations }, finished));
  }
  if (plan.script?.bank === false) start();
  else {
    const source = { next: () => (plan.base === undefined ? SETUP : SETUP_AGAIN) };
    new ScriptedClient(context, setupClient, source, { operations: 1, batch: 1, thinkMs: [0, 0] }, start).start();
  }
  return () => waiting === 0;
}

interface Source {
  next(): Planned;
  /** How long the client waits before the next operation, when the plan says so. */
  pauseMs?(): number | undefined;
}

/** A list, one after the other. */
class Steps implements Source {
  readonly #steps: readonly Planned[];
  #next = 0;

  constructor(steps: readonly Planned[]) {
    this.#steps = steps;
  }

  next(): Planned {
    return present(this.#steps[this.#next++], "a step of the script");
  }

  pauseMs(): number | undefined {
    return this.#steps[this.#next]?.afterMs;
  }
}

/** Bytes that are sent together, and the interactive transaction whose last command they are. */
interface Piece {
  text: Bytes;
  readonly ends: Operation | undefined;
}

interface Context {
  readonly simulation: Simulation;
  readonly host: SimulatedHost;
  readonly history: History;
  readonly server: Server;
}

/** One client: sends a batch, waits for all of its replies, thinks, sends the next. */
class ScriptedClient extends ReplyReadingTransport {
  readonly #context: Context;
  readonly #client: number;
  readonly #source: Source;
  #left: number;
  readonly #batch: number;
  readonly #thinkMs: readonly [number, number];
  readonly #finished: () => void;
  /** What each reply that is still to come belongs to: an operation's last reply answers it. */
  readonly #expected: { readonly operation: Operation; readonly isLast: boolean }[] = [];

  constructor(
    context: Context,
    client: number,
    source: Source,
    plan: Pick<RunPlan, "operations" | "batch" | "thinkMs">,
    finished: () => void,
  ) {
    super();
    this.#context = context;
    this.#client = client;
    this.#source = source;
    this.#left = plan.operations;
    this.#batch = plan.batch;
    this.#thinkMs = plan.thinkMs;
    this.#finished = finished;
  }

  start(): void {
    const connection = this.#context.server.connect(this);
    this.#receive = (chunk) => connection?.receive(chunk);
    const pauseMs = this.#source.pauseMs?.() ?? 0;
    if (pauseMs > 0) this.#context.simulation.after(pauseMs, () => this.#sendBatch());
    else this.#sendBatch();
  }

  #receive: (chunk: Buffer) => void = () => {};

  #sendBatch(): void {
    if (this.#left === 0) {
      this.#finished();
      return;
    }
    const { simulation, history } = this.#context;
    const count = Math.min(this.#left, 1 + simulation.random.below(this.#batch));
    this.#left -= count;
    const pieces: Piece[] = [{ text: "", ends: undefined }];
    const batch: Operation[] = [];
    for (let index = 0; index < count; index++) {
      const operation = history.send(this.#client, this.#source.next(), simulation.monotonic());
      if (operation.kind === "interactive") {
        const commands = operation.commands.map(encodeCommand);
        pieces.push(
          ...commands.map((text, at) => ({ text, ends: at === commands.length - 1 ? operation : undefined })),
        );
        pieces.push({ text: "", ends: undefined });
      } else (pieces.at(-1) as Piece).text += encodeOperation(operation);
      batch.push(operation);
      const replies = repliesOf(operation);
      for (let reply = 1; reply <= replies; reply++) this.#expected.push({ operation, isLast: reply === replies });
    }
    if (pieces.length === 1) this.#sendPieces(toBuffer(pieces[0]?.text ?? ""), batch);
    else this.#sendOneByOne(pieces, batch);
  }

  /** TCP may cut a request anywhere. */
  #sendPieces(bytes: Buffer, batch: readonly Operation[]): void {
    const { simulation, host } = this.#context;
    const cut = simulation.random.oneIn(3) ? simulation.random.below(bytes.length) : 0;
    if (cut > 0) simulation.after(simulation.random.between(0, 0.2), () => this.#receive(bytes.subarray(0, cut)));
    // Both pieces wait at least as long as the first, and equal times keep their order.
    simulation.after(simulation.random.between(0.2, 0.4), () => {
      for (const operation of batch) operation.arrived = host.timeline.length;
      this.#receive(bytes.subarray(cut));
    });
  }

  /** An interactive transaction goes command by command, so that other clients come in between. */
  #sendOneByOne(pieces: readonly Piece[], batch: readonly Operation[]): void {
    const { simulation, host, history } = this.#context;
    let delayMs = 0;
    for (const [index, { text, ends }] of pieces.entries()) {
      delayMs += simulation.random.between(0.1, 0.8);
      simulation.after(delayMs, () => {
        if (index === 0) for (const operation of batch) operation.arrived = host.timeline.length;
        if (ends !== undefined) ends.completed = history.now;
        if (text !== "") this.#receive(toBuffer(text));
      });
    }
  }

  protected answered(reply: unknown): void {
    const expected = this.#expected.shift();
    if (expected === undefined) throw new Error(`a reply that nobody asked for: ${String(reply)}`);
    if (expected.isLast) {
      const { simulation, history, host } = this.#context;
      history.answer(expected.operation, reply, simulation.monotonic());
      host.noteAnswer();
    }
    if (this.#expected.length > 0) return;
    const { simulation } = this.#context;
    const pauseMs = this.#source.pauseMs?.() ?? simulation.random.between(...this.#thinkMs);
    simulation.after(pauseMs, () => this.#sendBatch());
  }

  /** The server has cut the connection: what was sent stays unanswered. */
  override destroy(): void {
    this.#left = 0;
    this.#finished();
  }
}

/** How many replies it gets. */
function repliesOf({ kind, commands }: Planned): number {
  return kind === "transaction" ? commands.length + 2 : kind === "interactive" ? commands.length : 1;
}

function encodeOperation(operation: Planned): Bytes {
  const commands = operation.commands.map(encodeCommand).join("");
  return operation.kind === "transaction" ? encodeCommand(["MULTI"]) + commands + encodeCommand(["EXEC"]) : commands;
}
