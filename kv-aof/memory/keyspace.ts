/** The 16 databases of kv-aof, in memory. An empty one costs an object. */
import type { KeyspaceEvents } from "../../common/keyspace/events.ts";
import type { Keyspace } from "../../common/keyspace/keyspace.ts";
import { type HashLimits, MemoryContext } from "./context.ts";
import { MemoryDatabase } from "./database.ts";

export interface MemoryOptions {
  readonly events: KeyspaceEvents;
  readonly databases: number;
  /** 8 random bytes. */
  readonly hashSeed: Uint8Array;
  readonly limits: HashLimits;
}

export class MemoryKeyspace implements Keyspace {
  readonly context: MemoryContext;
  readonly databases: readonly MemoryDatabase[];

  constructor(options: MemoryOptions) {
    this.context = new MemoryContext(options.events, options.hashSeed, options.limits);
    this.databases = Array.from({ length: options.databases }, (_, index) => new MemoryDatabase(this.context, index));
  }

  get events(): KeyspaceEvents {
    return this.context.events;
  }

  swap(a: number, b: number): void {
    this.databases[a]!.exchange(this.databases[b]!);
    this.events.flushed(a);
    this.events.flushed(b);
  }

  /** Background work (resizes, compaction): a bounded step per database; false when there is nothing to do. */
  maintain(): boolean {
    let busy = false;
    for (const database of this.databases) busy = database.maintain() || busy;
    return busy;
  }

  /** Bytes of all slabs. */
  get reservedBytes(): number {
    return this.databases.reduce((sum, database) => sum + database.reservedBytes, 0);
  }
}
