/**
 * A turn of the event loop, and the batch of replies it yields.
 *
 *     begin    the first request of the turn: the clock is read once for all of them
 *     …        requests run; their replies gather in each connection's writer
 *     end      1. take the replies  2. engine.settle  3. when that is settled: send
 *              or not yet: see #staysOpen
 *
 * This is the server's share of I1: a reply, of a write *or a read*, waits for the settle of its own turn, and settles
 * answer in order. While one is pending, later turns run and gather batches of their own. This is the group commit, too:
 * one settle serves all commands of all connections of a turn.
 */
import { assert } from "../assert.ts";
import type { Bytes } from "../bytes.ts";
import type { Engine } from "../engine.ts";
import type { Host } from "../host.ts";

/** A turn with so many connections is not kept open. */
const GATHERED_MAX = 256;

/** The replies of one connection in one turn; in parts when they are too long for one string. */
export type Output = Bytes | readonly Bytes[];

/** A connection as its replies leave it. */
export interface Sender {
  /** Takes the replies of the turn. */
  takeOutput(): Output;
  /** Their turn is settled: sends them. */
  send(output: Output): void;
  /** Their turn could not be settled: they must never be sent (I6). */
  discard(): void;
}

/** Who replied in one turn, and what. Reused: no closure and no array per turn. */
class Batch {
  readonly senders: Sender[] = [];
  readonly outputs: Output[] = [];
  /** A command that writes was among them. */
  wrote = false;
  readonly done: (failure: Error | undefined) => void;

  constructor(settled: (batch: Batch, failure: Error | undefined) => void) {
    this.done = (failure) => settled(this, failure);
  }
}

export class Turn {
  /** Wall clock, ms, the same during the whole turn. */
  now: number;
  readonly #engine: Engine;
  readonly #host: Host;
  readonly #failed: (error: unknown) => void;
  #open = false;
  /** Connections in the turn when the event loop last went round; and in the turn before. */
  #joined = 0;
  #joinedBefore = 0;
  #stopped = false;
  #batch: Batch;
  readonly #free: Batch[] = [];
  #settling = 0;
  readonly #atNext: (() => void)[] = [];

  /** `failed` is told about a broken disk or assertion; it must see to it that nothing is run or sent any more. */
  constructor(engine: Engine, host: Host, failed: (error: unknown) => void) {
    this.#engine = engine;
    this.#host = host;
    this.#failed = failed;
    this.now = host.clock.now();
    this.#batch = this.#newBatch();
  }

  /** Number of turns whose settle has not been answered. */
  get settling(): number {
    return this.#settling;
  }

  /** Something is about to run. */
  begin(): void {
    if (this.#open) return;
    this.#open = true;
    this.now = this.#host.clock.now();
    this.#engine.keyspace.events.now = this.now;
    this.#host.afterTick(this.#end);
  }

  /** `sender` has replies in this turn; called once per turn and sender. */
  join(sender: Sender): void {
    this.#batch.senders.push(sender);
  }

  /** A command that writes ran in this turn. */
  wrote(): void {
    this.#batch.wrote = true;
  }

  /** Calls `run` when this turn has ended; what it runs belongs to the next. */
  next(run: () => void): void {
    this.begin();
    this.#atNext.push(run);
  }

  /** The engine is closed or broken: an open turn ends without a settle, and nothing is sent any more. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Whether the event loop goes round once more before the turn ends: its settle would wait for a sync, and somebody joined
   * in the last round. Clients that were answered together come back one after the other, each as soon as it has its reply;
   * the first of them alone would cost as long a sync as all of them. A client that is alone does not wait for others.
   */
  #staysOpen(): boolean {
    const { length } = this.#batch.senders;
    const grows = length > this.#joined && length < GATHERED_MAX && (length > 1 || this.#joinedBefore > 1);
    if (grows && this.#engine.settleSyncs) {
      this.#joined = length;
      return true;
    }
    this.#joined = 0;
    this.#joinedBefore = length;
    return false;
  }

  readonly #end = (): void => {
    if (this.#stopped) return;
    if (this.#staysOpen()) {
      this.#host.afterTick(this.#end);
      return;
    }
    try {
      this.#open = false;
      const batch = this.#batch;
      this.#batch = this.#free.pop() ?? this.#newBatch();
      for (const sender of batch.senders) batch.outputs.push(sender.takeOutput());
      this.#settling++;
      this.#engine.settle(batch.done);
      if (this.#atNext.length > 0) for (const run of this.#atNext.splice(0)) run();
    } catch (error) {
      this.#failed(error);
    }
  };

  #newBatch(): Batch {
    return new Batch((batch, failure) => {
      try {
        this.#settled(batch, failure);
      } catch (error) {
        this.#failed(error);
      }
    });
  }

  #settled(batch: Batch, failure: Error | undefined): void {
    assert(this.#settling > 0, "turn: a settle is answered once");
    this.#settling--;
    if (this.#stopped) return;
    const { senders, outputs } = batch;
    for (let i = 0; i < senders.length; i++) {
      if (failure === undefined) senders[i]!.send(outputs[i]!);
      else senders[i]!.discard();
    }
    if (batch.wrote && failure === undefined && this.#host.tracing) {
      this.#host.trace(this.#engine.name === "aof" ? "aof.reply" : "wal.reply", {});
    }
    senders.length = 0;
    outputs.length = 0;
    batch.wrote = false;
    this.#free.push(batch);
  }
}
