/**
 * A Host in memory for engines under test: a clock that the test moves, chance from a seed, a memory disk.
 */
import type { Disk } from "../../common/disk/disk.ts";
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import type { Clock, Host, Random } from "../../common/host.ts";
import { pseudoRandom } from "./command-runner.ts";

export class TestHost implements Host {
  readonly disk: Disk;
  readonly tracing = false;
  readonly clock: Clock;
  readonly random: Random;
  /** Both clocks show this; `after` waits for nothing and never runs. */
  nowMs: number;

  constructor(disk: Disk = new MemoryDisk(), nowMs = 1_700_000_000_000) {
    this.disk = disk;
    this.nowMs = nowMs;
    const sleep = (delayMs: number) => {
      this.nowMs += delayMs;
    };
    this.clock = { now: () => this.nowMs, monotonic: () => this.nowMs, after: () => () => {}, sleep };
    const below = pseudoRandom(1);
    this.random = { below, bytes: (count) => Uint8Array.from({ length: count }, () => below(256)) };
  }

  afterTick(run: () => void): void {
    setImmediate(run);
  }

  trace(): void {}
}

/** So many turns of the event loop: what the in-memory disk does in the background has ended. */
export async function turns(count = 1): Promise<void> {
  for (; count > 0; count--) await new Promise<void>((resolve) => setImmediate(resolve));
}
