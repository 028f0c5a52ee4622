/**
 * What a keyspace tells the outside while commands change it: one object per engine, shared by all its databases.
 *
 * Rule for implementations: every primitive that changes something calls `modified` (or `flushed`) exactly once per key.
 */
import type { Bytes } from "../bytes.ts";

/** A key was changed; without a key: a whole database was flushed. */
export interface KeyspaceChange {
  readonly db: number;
  readonly key: Bytes | undefined;
}

export class KeyspaceEvents {
  /** Time by which expiry is judged, ms; a key whose expiry is <= now does not exist. −1 while a log is replayed: nothing expires. */
  now = 0;
  /** Number of changes so far (Redis: server.dirty). A command that left it alone leaves no effect. */
  changes = 0;
  /** Number of watched keys; `modified` calls `onModified` only when it is not 0. */
  watchedCount = 0;
  /** While a transaction runs that may be rolled back: what it changes is gathered here, and told when it commits. */
  gathered: KeyspaceChange[] | undefined = undefined;
  /** A watched keyspace changed this key (WATCH). Set by the server. */
  onModified: (db: number, key: Bytes) => void = () => {};
  /** A whole database was flushed or swapped. Set by the server. */
  onFlushed: (db: number) => void = () => {};
  /** An expired key was met and removed; the engine logs `DEL key` before whatever the running command logs. */
  onExpired: (db: number, key: Bytes) => void = () => {};

  /** Whether commands come from a log: what was decided when they ran is not judged again. */
  get replaying(): boolean {
    return this.now === -1;
  }

  modified(db: number, key: Bytes): void {
    this.changes++;
    if (this.gathered !== undefined) this.gathered.push({ db, key });
    else if (this.watchedCount !== 0) this.onModified(db, key);
  }

  flushed(db: number): void {
    this.changes++;
    if (this.gathered !== undefined) this.gathered.push({ db, key: undefined });
    else this.onFlushed(db);
  }

  /** A key was removed because its time had come: watchers see it, but it is no change made by the running command. */
  expired(db: number, key: Bytes): void {
    if (this.gathered !== undefined) this.gathered.push({ db, key });
    else if (this.watchedCount !== 0) this.onModified(db, key);
    this.onExpired(db, key);
  }

  /** A transaction has committed: tells what was gathered for it. */
  tell(changes: readonly KeyspaceChange[]): void {
    for (const { db, key } of changes) {
      if (key === undefined) this.onFlushed(db);
      else if (this.watchedCount !== 0) this.onModified(db, key);
    }
  }
}
