/**
 * The folder of the append-only files: what may be in it, and how files come and go. Recovery and the rewrite share it.
 *
 * A file that no manifest names, and what becomes of it once all that the manifest names has been replayed:
 *
 *     temp-appendonly.aof.…     was not finished                                                      removed
 *     a base                    renamed before the manifest was (A7d): the manifest's files have      removed
 *                               everything that it has
 *     an increment, empty       made before the manifest named it (A7a)                               removed
 *     an increment with data    nothing is appended before the manifest that names it is durable:     kept, never overwritten
 *                               somebody put it there
 */
import type { Config } from "../common/config.ts";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { CorruptFile } from "../common/errors.ts";
import { type AofNames, isTemporary, type ManifestEntry, manifestPath } from "./aof-manifest.ts";

export function namesOf(config: Config): AofNames {
  return { folder: config.text("appenddirname"), base: config.text("appendfilename") };
}

export function pathOf(names: AofNames, name: string): string {
  return `${names.folder}/${name}`;
}

/** Makes the folder durable, and removes what was not finished. */
export function prepareFolder(disk: Disk, names: AofNames, lines: string[]): void {
  if (!disk.exists(names.folder) && disk.exists(names.base)) {
    throw new CorruptFile(names.base, 0, "a single append-only file as of Redis 6: let a redis-server 7 load it once");
  }
  disk.makeDir(names.folder);
  disk.syncDir(""); // I8, whether or not it was there: a crash may have come between
  for (const name of disk.list(names.folder)) {
    if (!isTemporary(names, name)) continue;
    disk.remove(pathOf(names, name));
    lines.push(`removed ${name}, which a crash had left`);
  }
}

/** Without a manifest there may be one empty file: a crash came before the first manifest. Anything else is somebody's data. */
export function refuseOrphans(disk: Disk, names: AofNames): void {
  for (const name of disk.list(names.folder)) {
    if (!name.startsWith(`${names.base}.`) || sizeOf(disk, pathOf(names, name)) === 0) continue;
    const problem = `the file has data, but there is no ${manifestPath(names)}, found`;
    throw new CorruptFile(pathOf(names, name), 0, problem);
  }
}

/** Makes an empty increment, durable with its entry in the folder (the manifest's rule 2). */
export function createIncrement(disk: Disk, names: AofNames, name: string): DiskFile {
  const file = disk.open(pathOf(names, name), "ensure");
  try {
    const problem = "the file has data, but the manifest does not name it, found";
    if (file.size() > 0) throw new CorruptFile(file.path, 0, problem);
    disk.syncDir(names.folder); // I8; that it is empty needs no sync of its own
  } catch (error) {
    file.close();
    throw error;
  }
  return file;
}

/** Removes superseded files, durably; returns those that were there. The manifest that forgets them comes afterwards. */
export function removeHistory(disk: Disk, names: AofNames, history: readonly ManifestEntry[]): string[] {
  const there = history.map(({ name }) => name).filter((name) => disk.exists(pathOf(names, name)));
  for (const name of there) disk.remove(pathOf(names, name));
  disk.syncDir(names.folder); // I8: a file that comes back would have no name in the manifest
  return there;
}

/** Removes what a crash in a rewrite has left without a name in the manifest; returns the names. */
export function removeOrphans(disk: Disk, names: AofNames, files: readonly ManifestEntry[]): string[] {
  const named = new Set(files.map(({ name }) => name));
  const orphans = disk.list(names.folder).filter((name) => {
    if (named.has(name) || !name.startsWith(`${names.base}.`)) return false;
    const rest = name.slice(names.base.length + 1);
    if (/^[0-9]+\.base\.(rdb|aof)$/.test(rest)) return true;
    return /^[0-9]+\.incr\.aof$/.test(rest) && sizeOf(disk, pathOf(names, name)) === 0;
  });
  for (const name of orphans) disk.remove(pathOf(names, name));
  if (orphans.length > 0) disk.syncDir(names.folder); // I8
  return orphans;
}

/** Bytes of all these files. */
export function sizesOf(disk: Disk, names: AofNames, files: readonly ManifestEntry[]): number {
  return files.reduce((sum, { name }) => sum + sizeOf(disk, pathOf(names, name)), 0);
}

function sizeOf(disk: Disk, path: string): number {
  const file = disk.open(path, "read");
  const size = file.size();
  file.close();
  return size;
}
