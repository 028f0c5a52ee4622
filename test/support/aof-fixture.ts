/**
 * kv-aof in this process, on a disk in memory and a clock that the test moves: what a client would see, step by step.
 */
import type { Bytes } from "../../common/bytes.ts";
import { lookup } from "../../common/commands/table.ts";
import { DirectiveConfig } from "../../common/config.ts";
import type { Disk } from "../../common/disk/disk.ts";
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import type { Recovery } from "../../common/engine.ts";
import type { Host } from "../../common/host.ts";
import { Type } from "../../common/keyspace/keyspace.ts";
import { SERVER_DIRECTIVES } from "../../common/server/directives.ts";
import type { StepName } from "../../common/steps.ts";
import { encodeCommand } from "../../compare/in-process.ts";
import { AOF_DIRECTIVES } from "../../kv-aof/directives.ts";
import { type AofEngine, createAofEngine } from "../../kv-aof/engine.ts";
import { CommandRunner, pseudoRandom } from "./command-runner.ts";

export const INCREMENT = "appendonlydir/appendonly.aof.1.incr.aof";
export const MANIFEST = "appendonlydir/appendonly.aof.manifest";

/** A disk in memory whose background syncs end when the test says so. */
export class ManualSyncs {
  readonly disk: MemoryDisk = new MemoryDisk((complete) => this.#running.push(complete));
  readonly #running: (() => void)[] = [];

  get running(): number {
    return this.#running.length;
  }

  /** The oldest background sync ends. */
  endOne(): void {
    this.#running.shift()!();
  }
}

/** What became of the replies of a turn. */
export type Outcome = "pending" | "sent" | "dropped";

export class AofFixture {
  readonly config: DirectiveConfig;
  readonly steps: StepName[] = [];
  readonly engine: AofEngine;
  readonly recovery: Recovery;
  /** What the engine told, recovery's lines first. */
  readonly told: string[] = [];
  /** Moves both clocks. */
  nowMs = 1_700_000_000_000;
  readonly #runner: CommandRunner;

  /** Recovers at once. */
  constructor(disk: Disk, directives: Readonly<Record<string, string>> = {}, nowMs?: number) {
    if (nowMs !== undefined) this.nowMs = nowMs;
    this.config = new DirectiveConfig([SERVER_DIRECTIVES, AOF_DIRECTIVES], directives);
    this.engine = createAofEngine(this.#host(disk), this.config);
    this.recovery = this.engine.recover((line) => this.told.push(line));
    this.#runner = new CommandRunner(this.engine.keyspace);
  }

  /** Runs a command; its reply as it would go over the wire. */
  run(...args: Bytes[]): Bytes {
    const runner = this.#runner;
    this.engine.keyspace.events.now = this.nowMs;
    runner.command = lookup(args[0]!)!;
    runner.args = args;
    this.engine.execute(runner);
    return runner.reply.take();
  }

  select(db: number): void {
    this.#runner.select(db);
  }

  /** One command line of words. */
  line(text: string): Bytes {
    return this.run(...text.split(" "));
  }

  /** Ends the turn. */
  settle(): { outcome: Outcome; failure?: Error } {
    const result: { outcome: Outcome; failure?: Error } = { outcome: "pending" };
    this.engine.settle((failure) => {
      result.outcome = failure === undefined ? "sent" : "dropped";
      if (failure !== undefined) result.failure = failure;
    });
    return result;
  }

  /** Every key of every database as text, sorted: two engines with the same contents give the same. */
  contents(): string[] {
    return contentsOf(this.engine);
  }

  #host(disk: Disk): Host {
    const pick = pseudoRandom(7);
    return {
      disk,
      clock: {
        now: () => this.nowMs,
        monotonic: () => this.nowMs,
        after: () => () => {},
        sleep: (delayMs) => {
          this.nowMs += delayMs;
        },
      },
      random: { below: pick, bytes: (count) => Uint8Array.from({ length: count }, () => pick(256)) },
      afterTick: (run) => run(),
      tracing: true,
      trace: (step) => this.steps.push(step),
    };
  }
}

/** Every key of every database: "0 k string value @expiry". */
function contentsOf(engine: AofEngine): string[] {
  const lines: string[] = [];
  for (const database of engine.keyspace.databases) {
    let cursor = 0;
    const keys = new Set<Bytes>();
    do {
      cursor = database.scan(cursor, 100, (key) => keys.add(key));
    } while (cursor !== 0);
    for (const key of keys) {
      const pairs: string[] = [];
      if (database.typeOf(key) === Type.HASH)
        database.hashes.each(key, (field, value) => pairs.push(`${field}=${value}`));
      const value = database.typeOf(key) === Type.HASH ? `{${pairs.sort().join(" ")}}` : database.strings.get(key);
      lines.push(`${database.index} ${key} ${value} @${database.expiryOf(key)}`);
    }
  }
  return lines.sort();
}

/** A file of a disk in memory. */
export function fileOf(disk: MemoryDisk, path: string): Buffer {
  return Buffer.from(disk.snapshot().get(path) ?? Buffer.alloc(0));
}

/** A disk on which only `path` differs: it has these bytes. */
export function withFile(disk: MemoryDisk, path: string, bytes: Uint8Array): MemoryDisk {
  const other = disk.clone();
  const file = other.open(path, "ensure");
  file.truncate(0);
  file.write(0, bytes);
  file.syncNow();
  file.close();
  const folder = path.slice(0, path.lastIndexOf("/"));
  other.syncDir(folder);
  return other;
}

/** Commands as the file has them. */
export function aofText(...lines: string[]): Buffer {
  return Buffer.from(lines.map((line) => encodeCommand(line.split(" "))).join(""), "latin1");
}
