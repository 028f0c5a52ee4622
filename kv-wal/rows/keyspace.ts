/** The databases of kv-wal as rows: the twin of kv-aof/memory/keyspace.ts. */
import type { KeyspaceEvents } from "../../common/keyspace/events.ts";
import type { Keyspace } from "../../common/keyspace/keyspace.ts";
import { RowDatabase } from "./database.ts";
import { Directory } from "./directory.ts";
import type { HashLimits } from "./hash.ts";
import type { RowStore } from "./row-store.ts";

export class RowKeyspace implements Keyspace {
  readonly events: KeyspaceEvents;
  readonly databases: readonly RowDatabase[];
  readonly #rows: RowStore;
  readonly #directory: Directory;

  constructor(rows: RowStore, events: KeyspaceEvents, databases: number, limits: HashLimits) {
    this.events = events;
    this.#rows = rows;
    const directory = new Directory(rows, events);
    this.#directory = directory;
    this.databases = Array.from({ length: databases }, (_, index) => new RowDatabase(directory, index, limits));
  }

  /** Asked before an expired key is removed that a command, or expiry in the background, has met. */
  set mayExpire(mayExpire: Directory["mayExpire"]) {
    this.#directory.mayExpire = mayExpire;
  }

  swap(a: number, b: number): void {
    if (a !== b) {
      if (this.#rows.capture.rows) this.#rows.capture.swapped(a, b);
      this.#rows.transactions.swap(a, b);
    }
    this.events.flushed(a);
    this.events.flushed(b);
  }
}
