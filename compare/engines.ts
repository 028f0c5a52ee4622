/** The two engines as the lab makes them: one place that knows their constructors and their directives. */
import { AssertionError } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import { type Config, DirectiveConfig } from "../common/config.ts";
import type { Engine } from "../common/engine.ts";
import { CorruptFile, DiskFailure } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { NO_EXPIRY, Type } from "../common/keyspace/keyspace.ts";
import { SERVER_DIRECTIVES } from "../common/server/directives.ts";
import { AOF_DIRECTIVES } from "../kv-aof/directives.ts";
import { createAofEngine } from "../kv-aof/engine.ts";
import { WAL_DIRECTIVES } from "../kv-wal/directives.ts";
import { createWalEngine } from "../kv-wal/engine.ts";
import { type Cells, expiryCell, hashCell } from "./model.ts";
import type { EngineName } from "./policy.ts";
import { workloadKeys } from "./workload.ts";

export type Directives = Readonly<Record<string, string>>;

/** Configurations that were asked for: thousands of recoveries a second start with the same one. */
const known = new Map<string, DirectiveConfig>();

/** The configuration of a server with that engine. */
export function configFor(engine: EngineName, directives: Directives): DirectiveConfig {
  const key = `${engine} ${JSON.stringify(directives)}`;
  let config = known.get(key);
  if (config === undefined) {
    config = new DirectiveConfig([SERVER_DIRECTIVES, engine === "aof" ? AOF_DIRECTIVES : WAL_DIRECTIVES], directives);
    known.set(key, config);
  }
  return config.copy();
}

const SCAN_COUNT = 1000;

/** Makes an engine of a kind on a host: those of this file, or a wrong one (compare/orders). */
export type CreateEngine = (name: EngineName, host: Host, config: Config) => Engine;

export const createEngine: CreateEngine = (name, host, config) =>
  name === "aof" ? createAofEngine(host, config) : createWalEngine(host, config);

/** Whether an engine that throws this refuses to start or to go on: a bad file, a bad disk, a broken assertion. */
export function isRefusal(error: unknown): error is Error {
  return error instanceof CorruptFile || error instanceof DiskFailure || error instanceof AssertionError;
}

/** Reads back everything that the workload can have written, and notices keys that it cannot. */
export function readCells(engine: Pick<Engine, "keyspace">, clients: number): Cells {
  const cells = new Map<Bytes, Bytes>();
  const db = engine.keyspace.databases[0];
  if (db === undefined) return cells;
  const { strings, hashes } = workloadKeys(clients);
  let keys = 0;
  for (const key of strings) {
    const value = db.strings.get(key);
    if (value === undefined) continue;
    cells.set(key, value);
    keys++;
  }
  for (const key of hashes) {
    const before = cells.size;
    db.hashes.each(key, (field, value) => cells.set(hashCell(key, field), value));
    if (cells.size > before) keys++;
  }
  if (db.size !== keys) cells.set("?", `${db.size - keys} more keys`);
  return cells;
}

/** Everything that the engine holds, all databases: a cell per string and per field, and one for an expiry. */
export function dumpCells(engine: Pick<Engine, "keyspace">): Cells {
  const cells = new Map<Bytes, Bytes>();
  for (const database of engine.keyspace.databases) {
    if (database.size === 0) continue;
    const prefix = database.index === 0 ? "" : `db${database.index}/`;
    const found: [Bytes, number][] = [];
    let cursor = 0;
    do cursor = database.scan(cursor, SCAN_COUNT, (key, type) => found.push([key, type]));
    while (cursor !== 0);
    for (const [key, type] of found) {
      const cell = prefix + key;
      if (type === Type.STRING) cells.set(cell, database.strings.get(key) ?? "");
      else database.hashes.each(key, (field, value) => cells.set(hashCell(cell, field), value));
      const expiry = database.expiryOf(key);
      if (expiry !== NO_EXPIRY) cells.set(expiryCell(cell), String(expiry));
    }
  }
  return cells;
}
