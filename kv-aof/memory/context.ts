/** What all databases of one keyspace share. */
import type { KeyspaceEvents } from "../../common/keyspace/events.ts";
import { SipHash } from "./sip-hash.ts";

/** Up to where a hash is packed: number of fields, and length of a field or value. May change at run time. */
export interface HashLimits {
  listpackEntries: number;
  listpackValue: number;
}

export class MemoryContext {
  readonly events: KeyspaceEvents;
  readonly hash: SipHash;
  readonly limits: HashLimits;
  /** When the log was replayed, ms: the access time of what a replay creates, while `events.now` is −1. */
  loadedAt = 0;
  #clockOf = 0;
  #clock = 0;

  /** `hashSeed` is 8 random bytes. */
  constructor(events: KeyspaceEvents, hashSeed: Uint8Array, limits: HashLimits) {
    this.events = events;
    this.hash = new SipHash(hashSeed);
    this.limits = limits;
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
}
