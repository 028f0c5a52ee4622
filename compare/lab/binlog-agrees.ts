/**
 * The oracle "engine ≡ binlog": applying all binlog files of a recovered kv-wal to an empty keyspace must give the data that
 * the engine has (I5; a replica and a restore see the binlog only). The keyspace is kv-aof's, in memory: it shares nothing
 * with the engine under test.
 *
 * Valid where the policy lets neither log lose anything: flush_log_at_trx_commit 1 and sync_binlog 1, from an empty folder.
 */
import type { Bytes } from "../../common/bytes.ts";
import type { Config } from "../../common/config.ts";
import type { Disk } from "../../common/disk/disk.ts";
import { KeyspaceEvents } from "../../common/keyspace/events.ts";
import type { Keyspace } from "../../common/keyspace/keyspace.ts";
import { MemoryKeyspace } from "../../kv-aof/memory/keyspace.ts";
import { applyBinlog } from "../../kv-wal/binlog/apply.ts";
import type { Cells } from "../model.ts";

/** What the binlog makes of an empty keyspace, applied so many times; throws `CorruptFile`. */
export function keyspaceOfBinlog(disk: Disk, config: Config, times = 1): MemoryKeyspace {
  const keyspace = new MemoryKeyspace({
    events: new KeyspaceEvents(),
    databases: config.number("databases"),
    hashSeed: new Uint8Array(8),
    limits: { listpackEntries: 128, listpackValue: 64 },
  });
  for (let time = 0; time < times; time++) applyBinlog(disk, keyspace, { config, now: 0, pick: () => 0 });
  return keyspace;
}

/**
 * Says how the engine's cells differ from what the binlog gives, read in the same way; undefined: they agree. Throws
 * `CorruptFile`, or `UsageError` when there is no binlog.
 */
export function binlogDisagreement(
  disk: Disk,
  config: Config,
  cells: Cells,
  read: (of: { readonly keyspace: Keyspace }) => Cells,
): string | undefined {
  const fromBinlog = read({ keyspace: keyspaceOfBinlog(disk, config) });
  for (const cell of new Set([...cells.keys(), ...fromBinlog.keys()])) {
    const [here, there] = [cells.get(cell), fromBinlog.get(cell)];
    if (here !== there) return `${show(cell)} is ${show(here)} in the engine and ${show(there)} in the binlog`;
  }
  return undefined;
}

function show(bytes: Bytes | undefined): string {
  if (bytes === undefined) return "absent";
  const text = bytes.replace("\0", " field ");
  return JSON.stringify(text.length > 30 ? `${text.slice(0, 27)}…` : text);
}
