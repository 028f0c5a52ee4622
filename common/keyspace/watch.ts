/**
 * WATCH: who wants to know that a key was changed.
 *
 * A key is told about by `KeyspaceEvents.modified`, also when it expires. A flushed or swapped database tells no keys:
 * there, a watched key counts as changed when it existed (or, swapped, when it exists in either database), as in Redis.
 */
import type { Bytes } from "../bytes.ts";
import type { KeyspaceEvents } from "./events.ts";
import { type Database, Type } from "./keyspace.ts";

interface WatchedKey {
  readonly db: number;
  readonly key: Bytes;
  /** Whether the key existed when WATCH was called; a later change has broken the watch anyway. */
  readonly existed: boolean;
}

/** The keys one client watches. */
export class Watcher {
  /** A watched key was changed: EXEC must not run. */
  broken = false;
  readonly keys: WatchedKey[] = [];
}

/** All watched keys of a server. */
export class WatchRegistry {
  readonly #events: KeyspaceEvents;
  /** Watchers by database and key. */
  readonly #byKey = new Map<string, Set<Watcher>>();

  constructor(events: KeyspaceEvents) {
    this.#events = events;
    events.onModified = (db, key) => {
      for (const watcher of this.#byKey.get(nameOf(db, key)) ?? []) watcher.broken = true;
    };
    events.onFlushed = (db) => this.#breakAll((watched) => watched.db === db && watched.existed);
  }

  /** Looking the key up removes it first if it has expired, so that its own expiry cannot break the watch later. */
  watch(watcher: Watcher, database: Database, key: Bytes): void {
    const name = nameOf(database.index, key);
    const existed = database.typeOf(key) !== Type.NONE;
    const watchers = this.#byKey.get(name);
    if (watchers?.has(watcher)) return;
    if (watchers === undefined) this.#byKey.set(name, new Set([watcher]));
    else watchers.add(watcher);
    watcher.keys.push({ db: database.index, key, existed });
    this.#events.watchedCount = this.#byKey.size;
  }

  /** Forgets everything that `watcher` watches. */
  unwatch(watcher: Watcher): void {
    for (const { db, key } of watcher.keys) {
      const name = nameOf(db, key);
      const watchers = this.#byKey.get(name);
      watchers?.delete(watcher);
      if (watchers?.size === 0) this.#byKey.delete(name);
    }
    watcher.keys.length = 0;
    watcher.broken = false;
    this.#events.watchedCount = this.#byKey.size;
  }

  /** Meets the watched keys whose time has come, which removes them and so breaks the watch. */
  expireWatched(watcher: Watcher, databases: readonly Database[]): void {
    for (const { db, key } of watcher.keys) databases[db]!.typeOf(key);
  }

  /** Called before the contents of two databases are exchanged. */
  swapping(a: Database, b: Database): void {
    this.#breakAll(({ db, key }) => {
      if (db !== a.index && db !== b.index) return false;
      return a.typeOf(key) !== Type.NONE || b.typeOf(key) !== Type.NONE;
    });
  }

  #breakAll(concerns: (watched: WatchedKey) => boolean): void {
    const watchers = new Set<Watcher>();
    for (const some of this.#byKey.values()) for (const watcher of some) watchers.add(watcher);
    for (const watcher of watchers) if (!watcher.broken && watcher.keys.some(concerns)) watcher.broken = true;
  }
}

function nameOf(db: number, key: Bytes): string {
  return `${db}:${key}`;
}
