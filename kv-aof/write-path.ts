/**
 * The order of steps, memory first (common/steps.ts has the same names):
 *
 *     execute   1. apply    the command changes memory                                   A1
 *               2. append   its effects go into the log's buffer                         A1
 *     settle    3. write    the buffer goes into the page cache                          A3
 *               4. fsync    by policy: awaited, or once a second, or never               A4
 *               5. reply    `done`: the replies of the turn may leave                    A5
 *
 * I2 holds because 2 follows 1 for each command: the order of the log is the order in which memory changed, and a command
 * that failed or changed nothing has no effects. I1 holds because the replies of reads go through `settle` too: with
 * always, nobody sees what a power loss can take back.
 *
 * The parts are interfaces, so that the lab can put them together in another order and show what breaks.
 */
import type { Call, Effects } from "../common/command/call.ts";
import type { DiskFailure } from "../common/errors.ts";

/** Memory. */
export interface Applier {
  /** Runs the command; its effects are in the call then. */
  apply(call: Call): void;
  /** How many of the call's effects are keys that had expired and were met, not changes by the command. */
  readonly expiredInCall: number;
}

/** The log. */
export interface Appender {
  append(effects: Effects, expired: number): void;
  write(): DiskFailure | undefined;
  sync(done: (failure: Error | undefined) => void): void;
  refuse(failure: DiskFailure, done: (failure: Error | undefined) => void): void;
}

/** One command, or one EXEC. */
export function execute(memory: Applier, log: Appender, call: Call): void {
  memory.apply(call); // 1
  if (call.effects.count > 0) log.append(call.effects, memory.expiredInCall); // 2
}

/** The end of a turn. */
export function settle(log: Appender, done: (failure: Error | undefined) => void): void {
  const failure = log.write(); // 3
  if (failure === undefined)
    log.sync(done); // 4, 5
  else log.refuse(failure, done); // I6: what is not written is not acknowledged
}
