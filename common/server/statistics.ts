/**
 * What the server counts: the sections `stats`, `commandstats` and `errorstats` of INFO.
 *
 * Time per command is read from the clock when a run of equal commands begins and ends, not around every command: the
 * sum is the same, and a pipeline of a hundred SETs costs two readings instead of two hundred.
 */
import type { Bytes } from "../bytes.ts";

export interface CommandStatistics {
  readonly name: string;
  calls: number;
  /** Reading the request included. */
  timeMs: number;
  rejected: number;
  failed: number;
}

/** Readings of the rate of commands that its mean is taken of. */
const SAMPLES = 16;
/** Different error codes that are counted; beyond them, codes come from what clients send. */
const ERROR_CODES_MAX = 128;

export class Statistics {
  commands = 0;
  connections = 0;
  rejectedConnections = 0;
  inputBytes = 0;
  outputBytes = 0;
  errorReplies = 0;
  /** Error replies by code word (ERR, WRONGTYPE …). */
  readonly errors = new Map<string, number>();
  readonly byCommand = new Map<string, CommandStatistics>();
  readonly #rates: number[] = new Array(SAMPLES).fill(0);
  #sample = 0;
  #sampledCommands = 0;
  #sampledAt = 0;

  /** The counters of a command, by its full name. */
  of(name: string): CommandStatistics {
    let counters = this.byCommand.get(name);
    if (counters === undefined) {
      counters = { name, calls: 0, timeMs: 0, rejected: 0, failed: 0 };
      this.byCommand.set(name, counters);
    }
    return counters;
  }

  countError(message: Bytes): void {
    this.errorReplies++;
    const code = /^[^ \r\n]*/.exec(message)![0];
    const count = this.errors.get(code);
    if (count !== undefined || this.errors.size < ERROR_CODES_MAX) this.errors.set(code, (count ?? 0) + 1);
  }

  /** Takes a reading of the rate; `monotonic` in ms. */
  sampleRate(monotonic: number): void {
    const elapsed = monotonic - this.#sampledAt;
    if (elapsed <= 0) return;
    this.#rates[this.#sample] = ((this.commands - this.#sampledCommands) * 1000) / elapsed;
    this.#sample = (this.#sample + 1) % SAMPLES;
    this.#sampledCommands = this.commands;
    this.#sampledAt = monotonic;
  }

  /** Commands per second lately. */
  get rate(): number {
    return Math.round(this.#rates.reduce((sum, rate) => sum + rate, 0) / SAMPLES);
  }

  reset(): void {
    this.commands = 0;
    this.connections = 0;
    this.rejectedConnections = 0;
    this.inputBytes = 0;
    this.outputBytes = 0;
    this.errorReplies = 0;
    this.errors.clear();
    this.#rates.fill(0);
    this.#sampledCommands = 0;
    for (const counters of this.byCommand.values()) {
      counters.calls = 0;
      counters.timeMs = 0;
      counters.rejected = 0;
      counters.failed = 0;
    }
  }
}
