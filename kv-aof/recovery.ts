/**
 * Recovery: memory is what the append-only file says.
 *
 *     1. the folder        made if missing, durable in its parent                        A8
 *     2. the manifest      names the files; without one this is the first start
 *     3. replay            the base (RDB or AOF), then the increments in order           A10
 *     4. the torn end      of the last file is cut, and the cut made durable             A2, A13
 *     5. all of it         is made durable: a killed process leaves files, and a renamed manifest, in the page cache
 *                          only, and from here on they count as durable (I1)
 *     6. the increment     that grows is opened; or made: the file first, durable with its folder, then the manifest
 *
 * Step 4 before 6: what is appended next must not be followed by old bytes (pitfalls 8 and 17). A crash between any two of
 * these leaves a folder from which the next recovery gets the same (I7): nothing is deleted but temporary files, and
 * the cut is the same cut.
 */
import type { Bytes } from "../common/bytes.ts";
import type { Config } from "../common/config.ts";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { CorruptFile } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { AofFile } from "./aof-file.ts";
import {
  type AofNames,
  describeEntry,
  incrementName,
  isTemporary,
  type ManifestEntry,
  manifestPath,
  readManifest,
  writeManifest,
} from "./aof-manifest.ts";
import { type AofWalk, walkAof } from "./aof-walk.ts";
import type { MemoryKeyspace } from "./memory/keyspace.ts";
import { isRdb, readRdb } from "./rdb/rdb-reader.ts";
import { Replay } from "./replay.ts";

/** What the engine goes on with. */
export interface Recovered {
  /** The increment that grows. */
  readonly file: AofFile;
  /** The log position of its end: bytes of all files. */
  readonly position: number;
  /** Bytes of all files now: INFO's aof_base_size until a rewrite exists. */
  readonly baseBytes: number;
  readonly lines: readonly string[];
}

function namesOf(config: Config): AofNames {
  return { folder: config.text("appenddirname"), base: config.text("appendfilename") };
}

export function recoverAof(host: Host, config: Config, keyspace: MemoryKeyspace): Recovered {
  const { disk } = host;
  const names = namesOf(config);
  const lines: string[] = [];
  prepareFolder(disk, names, lines); // 1
  let entries = readManifest(disk, names); // 2
  if (entries === undefined) refuseOrphans(disk, names);
  else {
    keyspace.context.loadedAt = host.clock.now();
    keyspace.events.now = -1;
    replayAll(disk, names, entries, new Replay(keyspace, host, config), keyspace, config, lines); // 3, 4, 5
    disk.syncDir(names.folder); // 5
  }
  if (entries?.at(-1)?.type !== "i") entries = addIncrement(disk, names, entries ?? [], lines); // 6
  const position = sizesOf(disk, names, entries);
  const last = disk.open(`${names.folder}/${entries.at(-1)!.name}`, "update");
  return { file: new AofFile(host, last, position - last.size()), position, baseBytes: position, lines };
}

function prepareFolder(disk: Disk, names: AofNames, lines: string[]): void {
  if (!disk.exists(names.folder) && disk.exists(names.base)) {
    throw new CorruptFile(names.base, 0, "a single append-only file as of Redis 6: let a redis-server 7 load it once");
  }
  disk.makeDir(names.folder);
  disk.syncDir(""); // I8, whether or not it was there: a crash may have come between
  for (const name of disk.list(names.folder)) {
    if (!isTemporary(name)) continue;
    disk.remove(`${names.folder}/${name}`);
    lines.push(`removed ${name}, which a crash had left`);
  }
}

/** Without a manifest there may be one empty file: a crash came before the first manifest. Anything else is somebody's data. */
function refuseOrphans(disk: Disk, names: AofNames): void {
  for (const name of disk.list(names.folder)) {
    const path = `${names.folder}/${name}`;
    if (!name.startsWith(`${names.base}.`)) continue;
    const file = disk.open(path, "read");
    const size = file.size();
    file.close();
    if (size > 0) throw new CorruptFile(path, 0, `the file has data, but there is no ${manifestPath(names)}, found`);
  }
}

function replayAll(
  disk: Disk,
  names: AofNames,
  entries: readonly ManifestEntry[],
  replay: Replay,
  keyspace: MemoryKeyspace,
  config: Config,
  lines: string[],
): void {
  for (const entry of entries) {
    const path = `${names.folder}/${entry.name}`;
    if (!disk.exists(path)) throw new CorruptFile(path, 0, "the manifest names this file, which is missing,");
    const isLast = entry === entries.at(-1);
    const file = disk.open(path, isLast ? "update" : "read");
    const before = replay.commands;
    const walk = replayFile(file, replay, keyspace, lines);
    lines.push(`replayed ${replay.commands - before} commands from ${describeEntry(entry)}`);
    if (walk.ending === "corrupt") throw new CorruptFile(path, walk.problemAt, walk.problem);
    if (walk.ending !== "whole") cutEnd(file, walk, isLast, config, lines);
    file.syncNow(); // 5; and the cut (pitfall 8)
    file.close();
  }
}

function replayFile(file: DiskFile, replay: Replay, keyspace: MemoryKeyspace, lines: string[]): AofWalk {
  let start = 0;
  if (isRdb(file)) {
    let keys = 0;
    start = readRdb(file, {
      string(db, key, value, expiry) {
        keys++;
        keyspace.databases[db]?.strings.set(key, value, expiry);
      },
      hash(db, key, pairs, expiry) {
        keys++;
        const database = keyspace.databases[db];
        if (database === undefined) return;
        for (let i = 0; i < pairs.length; i += 2) database.hashes.set(key, pairs[i] as Bytes, pairs[i + 1] as Bytes);
        if (pairs.length > 0) database.setExpiry(key, expiry);
      },
      databases: keyspace.databases.length,
    });
    lines.push(`loaded ${keys} keys from the snapshot in ${file.path}`);
  }
  replay.beginFile();
  return walkAof(file, start, (args) => replay.run(args));
}

/** Cuts the end of the last file behind the last whole command; the caller makes it durable. */
function cutEnd(file: DiskFile, walk: AofWalk, isLast: boolean, config: Config, lines: string[]): void {
  const { ending, validBytes, fileBytes } = walk;
  const what = { torn: "unexpected end of file", zeros: "a zero-filled end", transaction: "a MULTI without EXEC" }[
    ending as "torn" | "zeros" | "transaction"
  ];
  if (!isLast) throw new CorruptFile(file.path, validBytes, `${what}, and it is not the last file,`);
  if (!config.boolean("aof-load-truncated")) {
    const advice = "aof-load-truncated yes cuts it; back up the folder first";
    throw new CorruptFile(file.path, validBytes, `${what} (${advice})`);
  }
  file.truncate(validBytes);
  lines.push(`cut ${fileBytes - validBytes} bytes off ${file.path} at offset ${validBytes}: ${what}`);
}

/** A new, empty increment at the end of the manifest. */
function addIncrement(
  disk: Disk,
  names: AofNames,
  entries: readonly ManifestEntry[],
  lines: string[],
): ManifestEntry[] {
  const sequence = entries.reduce((max, entry) => (entry.type === "i" ? Math.max(max, entry.sequence) : max), 0) + 1;
  const name = incrementName(names, sequence);
  const file = disk.open(`${names.folder}/${name}`, "ensure");
  const size = file.size();
  if (size === 0) file.syncNow();
  file.close();
  // Nothing is appended to an increment before the manifest that names it is durable: these bytes are somebody's data.
  if (size > 0) throw new CorruptFile(file.path, 0, "the file has data, but the manifest does not name it, found");
  disk.syncDir(names.folder); // I8, and the manifest's rule 2
  const extended: ManifestEntry[] = [...entries, { name, sequence, type: "i" }];
  writeManifest(disk, names, extended);
  lines.push(`created ${name}`);
  return extended;
}

function sizesOf(disk: Disk, names: AofNames, entries: readonly ManifestEntry[]): number {
  let sum = 0;
  for (const entry of entries) {
    const file = disk.open(`${names.folder}/${entry.name}`, "read");
    sum += file.size();
    file.close();
  }
  return sum;
}
