/**
 * Recovery: memory is what the append-only file says.
 *
 *     1. the folder        made if missing, durable in its parent                        A8
 *     2. the manifest      names the files; without one this is the first start
 *     3. replay            the base (RDB or AOF), then the increments in order, each     A10, A15
 *                          if it is what was sealed (seals.ts)
 *     4. the torn end      of the last file is cut, and the cut made durable             A2, A13
 *     5. all of it         is made durable: a killed process leaves files, and a renamed manifest, in the page cache
 *                          only, and from here on they count as durable (I1)
 *     6. the increment     that grows is opened; or made: the file first, durable with its folder, then the manifest
 *     7. the remains       of a rewrite are removed: history, and files that no manifest came to name     A7a, A7d
 *
 * Step 4 before 6: what is appended next must not be followed by old bytes (pitfalls 8 and 17). A crash between any two of
 * these leaves a folder from which the next recovery gets the same (I7): nothing is removed that the manifest needs, and
 * the cut is the same cut.
 */
import type { Bytes } from "../common/bytes.ts";
import type { Config } from "../common/config.ts";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { CorruptFile } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import { AofFile } from "./aof-file.ts";
import { AofFiles } from "./aof-files.ts";
import {
  createIncrement,
  namesOf,
  pathOf,
  prepareFolder,
  refuseOrphans,
  removeHistory,
  removeOrphans,
  sizesOf,
} from "./aof-folder.ts";
import {
  type AofNames,
  describeEntry,
  incrementName,
  type Manifest,
  type ManifestEntry,
  readManifest,
  writeManifest,
} from "./aof-manifest.ts";
import { type AofWalk, walkAof } from "./aof-walk.ts";
import type { MemoryKeyspace } from "./memory/keyspace.ts";
import { isRdb, readRdb } from "./rdb/rdb-reader.ts";
import { Replay } from "./replay.ts";
import { checkSeal } from "./seals.ts";

/** What the engine goes on with. */
export interface Recovered {
  /** The increment that grows. */
  readonly file: AofFile;
  /** The log position of its end: bytes of all files. */
  readonly position: number;
  /** Which files there are. */
  readonly files: AofFiles;
  readonly lines: readonly string[];
}

export function recoverAof(host: Host, config: Config, keyspace: MemoryKeyspace): Recovered {
  const { disk } = host;
  const names = namesOf(config);
  const lines: string[] = [];
  prepareFolder(disk, names, lines); // 1
  const manifest = readManifest(disk, names); // 2
  let files = manifest?.files ?? [];
  if (manifest === undefined) refuseOrphans(disk, names);
  else {
    keyspace.context.loadedAt = host.clock.now();
    keyspace.events.now = -1;
    replayAll(disk, names, files, new Replay(keyspace, host, config), keyspace, config, lines); // 3, 4, 5
    disk.syncDir(names.folder); // 5
  }
  if (files.at(-1)?.type !== "i") files = addIncrement(disk, names, { files, history: manifest?.history ?? [] }, lines); // 6
  if (manifest !== undefined) removeRemains(disk, names, { files, history: manifest.history }, lines); // 7
  const before = sizesOf(disk, names, files.slice(0, -1));
  const base = sizesOf(disk, names, files.slice(0, files[0]?.type === "b" ? 1 : 0));
  const file = new AofFile(host, disk.open(pathOf(names, files.at(-1)!.name), "update"), before);
  return { file, position: before + file.length, files: new AofFiles(disk, names, files, before, base), lines };
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
    const path = pathOf(names, entry.name);
    if (!disk.exists(path)) throw new CorruptFile(path, 0, "the manifest names this file, which is missing,");
    const isLast = entry === entries.at(-1);
    const file = disk.open(path, isLast ? "update" : "read");
    if (entry.seal !== undefined) checkSeal(file, entry.seal);
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
function addIncrement(disk: Disk, names: AofNames, manifest: Manifest, lines: string[]): ManifestEntry[] {
  const { files, history } = manifest;
  const sequence = Math.max(0, ...files.filter(({ type }) => type === "i").map((entry) => entry.sequence)) + 1;
  const name = incrementName(names, sequence);
  createIncrement(disk, names, name).close();
  const extended: ManifestEntry[] = [...files, { name, sequence, type: "i" }];
  writeManifest(disk, names, { files: extended, history });
  lines.push(`created ${name}`);
  return extended;
}

function removeRemains(disk: Disk, names: AofNames, manifest: Manifest, lines: string[]): void {
  const told = (name: string): number => lines.push(`removed ${name}, which a rewrite had left`);
  if (manifest.history.length > 0) {
    for (const name of removeHistory(disk, names, manifest.history)) told(name);
    writeManifest(disk, names, { files: manifest.files, history: [] });
  }
  for (const name of removeOrphans(disk, names, manifest.files)) told(name);
}
