/**
 * kv-aof: memory first, log second. Puts memory, log and recovery together; the order of steps is in write-path.ts.
 */
import { assert, present } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import type { Call, Effects } from "../common/command/call.ts";
import { invoke } from "../common/command/invoke.ts";
import type { Config } from "../common/config.ts";
import type { Engine, InfoSection, Recovery } from "../common/engine.ts";
import type { Host } from "../common/host.ts";
import { KeyspaceEvents } from "../common/keyspace/events.ts";
import type { AofFiles } from "./aof-files.ts";
import { AofLog, type FsyncPolicy, type Settled } from "./aof-log.ts";
import { errorText } from "./error-text.ts";
import { persistenceInfo } from "./info.ts";
import { MemoryKeyspace } from "./memory/keyspace.ts";
import { recoverAof } from "./recovery.ts";
import { Rewrite } from "./rewrite.ts";
import { type Applier, execute, settle } from "./write-path.ts";

/** Expired keys removed between two looks at the clock. */
const EXPIRED_PER_STEP = 20;

export function createAofEngine(host: Host, config: Config): AofEngine {
  return new AofEngine(host, config);
}

export class AofEngine implements Engine, Applier {
  readonly name = "aof";
  readonly keyspace: MemoryKeyspace;
  readonly #host: Host;
  readonly #config: Config;
  #log: AofLog | undefined;
  #files: AofFiles | undefined;
  #rewrite: Rewrite | undefined;
  /** The effects of the command that is running: where an expired key that it meets is logged. */
  #running: Effects | undefined;
  #expireNext = 0;
  expiredInCall = 0;

  constructor(host: Host, config: Config) {
    this.#host = host;
    this.#config = config;
    this.keyspace = new MemoryKeyspace({
      events: new KeyspaceEvents(),
      databases: config.number("databases"),
      hashSeed: host.random.bytes(8),
      limits: { listpackEntries: 0, listpackValue: 0 },
    });
    this.keyspace.events.onExpired = (db, key) => this.#expired(db, key);
    this.#follow("hash-max-listpack-entries", (name) => {
      this.keyspace.context.limits.listpackEntries = config.number(name);
    });
    this.#follow("hash-max-listpack-value", (name) => {
      this.keyspace.context.limits.listpackValue = config.number(name);
    });
    this.#follow("appendfsync", (name) => {
      if (this.#log !== undefined) this.#log.policy = config.text(name) as FsyncPolicy;
    });
  }

  recover(tell?: (line: string) => void): Recovery {
    assert(this.#log === undefined, "an engine recovers once");
    const { clock } = this.#host;
    const started = clock.monotonic();
    const { file, files, position, lines } = recoverAof(this.#host, this.#config, this.keyspace);
    if (tell !== undefined) lines.forEach(tell);
    this.keyspace.events.now = clock.now();
    this.#log = new AofLog(file, position, this.#host, this.#config.text("appendfsync") as FsyncPolicy);
    this.#files = files;
    this.#rewrite = new Rewrite(this.#host, this.#config, this.keyspace, this.#log, files, tell ?? (() => {}));
    return { lines, durationMs: clock.monotonic() - started };
  }

  execute(call: Call): boolean {
    execute(this, this.log, call);
    call.effects.clear();
    return true;
  }

  get settleSyncs(): boolean {
    return this.log.syncs;
  }

  settle(done: Settled): void {
    settle(this.log, done);
  }

  /** Step "apply". */
  apply(call: Call): void {
    this.keyspace.events.now = call.now;
    this.expiredInCall = 0;
    this.#running = call.effects;
    invoke(call, call.command, call.args);
    this.#running = undefined;
    if (this.#host.tracing && call.effects.count > 0) this.#host.trace("aof.apply", { note: call.command.name });
  }

  get writeRefusal(): string | undefined {
    const failure = this.log.failedWrite;
    return failure === undefined ? undefined : `MISCONF Errors writing to the AOF file: ${errorText(failure.code)}`;
  }

  idle(budgetMs: number): void {
    const { clock } = this.#host;
    const end = clock.monotonic() + budgetMs;
    this.keyspace.events.now = clock.now();
    this.log.tick();
    this.#expire(end);
    this.logRewrite.work(end);
    while (this.keyspace.maintain() && clock.monotonic() < end);
  }

  info(): InfoSection[] {
    const files = present(this.#files, "an engine recovers before it works");
    return [{ name: "persistence", entries: persistenceInfo(this.log, files, this.logRewrite) }];
  }

  close(): Promise<void> {
    this.logRewrite.stop();
    return new Promise((resolve, reject) => {
      this.log.finish((failure) => {
        if (failure !== undefined) return reject(failure);
        this.log.close();
        resolve();
      });
    });
  }

  /** The log, once recovered. */
  get log(): AofLog {
    return present(this.#log, "an engine recovers before it works");
  }

  /** The rewrite, likewise. */
  get logRewrite(): Rewrite {
    return present(this.#rewrite, "an engine recovers before it works");
  }

  #expired(db: number, key: Bytes): void {
    if (this.#running === undefined) {
      this.log.appendExpired(db, key);
      return;
    }
    this.#running.push(db, ["DEL", key]);
    this.expiredInCall++;
  }

  /** Active expiry: round the databases, each until its index finds no more, until the time is up. */
  #expire(end: number): void {
    const { databases } = this.keyspace;
    for (let turn = 0; turn < databases.length; turn++) {
      const database = databases[this.#expireNext]!;
      for (;;) {
        const expired = database.findExpired(EXPIRED_PER_STEP);
        // Meeting an expired key is what removes it, and logs it.
        for (const key of expired) database.typeOf(key);
        if (this.#host.clock.monotonic() >= end) return;
        if (expired.length === 0) break;
      }
      this.#expireNext = (this.#expireNext + 1) % databases.length;
    }
  }

  #follow(name: string, changed: (name: string) => void): void {
    changed(name);
    this.#config.onChange(name, () => changed(name));
  }
}
