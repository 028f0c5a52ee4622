/** The 16 databases of kv-aof, in memory. An empty one costs an object. */
import type { KeyspaceEvents } from "../../common/keyspace/events.ts";
import type { Keyspace } from "../../common/keyspace/keyspace.ts";
import { MemoryDatabase } from "./database.ts";
import { SipHash } from "./sip-hash.ts";

/** Up to where a hash is packed: number of fields, and length of a field or value. May change at run time. */
export interface HashLimits {
  listpackEntries: number;
  listpackValue: number;
}

export interface MemoryOptions {
  readonly events: KeyspaceEvents;
  readonly databases: number;
  /** 8 random bytes. */
  readonly hashSeed: Uint8Array;
  readonly limits: HashLimits;
}

export class MemoryKeyspace implements Keyspace {
  readonly events: KeyspaceEvents;
  readonly databases: readonly MemoryDatabase[];
  readonly hash: SipHash;
  readonly limits: HashLimits;
  /** When the log was replayed, ms: the access time of what a replay creates, while `events.now` is −1. */
  loadedAt = 0;
  #clockOf = 0;
  #clock = 0;

  constructor(options: MemoryOptions) {
    this.events = options.events;
    this.hash = new SipHash(options.hashSeed);
    this.limits = options.limits;
    this.databases = Array.from({ length: options.databases }, (_, index) => new MemoryDatabase(this, index));
  }

  swap(a: number, b: number): void {
    this.databases[a]!.exchange(this.databases[b]!);
    this.events.flushed(a);
    this.events.flushed(b);
  }

  /** Seconds, 24 bits: what an access is stamped with. */
  get accessClock(): number {
    const now = this.events.now < 0 ? this.loadedAt : this.events.now;
    if (now !== this.#clockOf) {
      this.#clockOf = now;
      this.#clock = Math.floor(now / 1000) & 0xffffff;
    }
    return this.#clock;
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
