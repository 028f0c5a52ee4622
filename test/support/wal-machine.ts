/** A kv-wal engine on a machine that the test drives: time, background syncs, and the operation at which it stops. */
import { Effects } from "../../common/command/call.ts";
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { NO_EXPIRY } from "../../common/keyspace/keyspace.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";
import { CrashingDisk } from "./crashing-disk.ts";
import { TestHost } from "./test-host.ts";
import { runOn, walConfig } from "./wal-fixture.ts";

/** Runs changes as one transaction, committed and durable. */
export function commit(engine: WalEngine, change: () => void): void {
  const effects = new Effects();
  effects.push(0, ["SET", "what", "ever"]);
  runOn(engine, effects, change);
  engine.settle(() => {});
}

export function strings(engine: WalEngine) {
  return engine.keyspace.databases[0]!.strings;
}

export function fileBytes(disk: MemoryDisk): number {
  return disk.open("wal/space", "read").size();
}

/** A machine whose turns and background syncs end when the test says so. */
export class Machine {
  readonly disk: MemoryDisk;
  readonly host: TestHost;
  readonly engine: WalEngine;
  readonly #syncs: (() => void)[];

  /** Starts an engine on a copy of the disk; `stopBefore` is the operation before which the machine stops. */
  constructor(from = new MemoryDisk(), stopBefore?: number, directives = {}) {
    const syncs: (() => void)[] = [];
    this.#syncs = syncs;
    this.disk = from.clone((complete) => syncs.push(complete));
    this.host = new TestHost(stopBefore === undefined ? this.disk : new CrashingDisk(this.disk, stopBefore));
    this.host.afterTick = (run) => void syncs.push(run);
    this.engine = createWalEngine(this.host, walConfig(directives));
    this.engine.recover();
  }

  /** Idle calls, a tenth of a second apart; `meanwhile` is called before each turn, and before each sync ends. */
  rest(calls: number, meanwhile: () => void = () => {}): void {
    for (let n = 0; n < calls; n++) {
      this.host.nowMs += 100;
      this.engine.idle(1);
      for (let end = this.#syncs.shift(); end !== undefined; end = this.#syncs.shift()) {
        meanwhile();
        end();
      }
    }
  }

  async close(): Promise<void> {
    await this.engine.close();
  }
}

/** Keys in the order of a shuffled deck, so that what is left after deleting most of them is anywhere. */
export function fill(engine: WalEngine, keys: number, valueBytes: number): void {
  for (let from = 0; from < keys; from += 50) {
    commit(engine, () => {
      for (let n = from; n < Math.min(from + 50, keys); n++) {
        strings(engine).set(`key ${n}`, `${n} `.repeat(valueBytes / 8), NO_EXPIRY);
      }
    });
  }
}
