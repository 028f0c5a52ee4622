/**
 * Looks at an append-only file without changing it: `check` says whether recovery will accept it and what it will cut;
 * `dump` prints every command with its offset. Both work on a folder that a server has open, or that a crash has left.
 */
import { type Bytes, toText } from "../common/bytes.ts";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { CorruptFile } from "../common/errors.ts";
import { NO_EXPIRY } from "../common/keyspace/keyspace.ts";
import { type AofNames, type ManifestEntry, manifestPath, readManifest } from "./aof-manifest.ts";
import { type AofEnding, type AofWalk, walkAof } from "./aof-walk.ts";
import { isRdb, type RdbSink, readRdb } from "./rdb/rdb-reader.ts";
import { commandProblem } from "./replay.ts";
import { checkSeal } from "./seals.ts";

const DEFAULT_NAMES: AofNames = { folder: "appendonlydir", base: "appendonly.aof" };

/** What a file of the manifest is like. */
interface AofFileReport {
  readonly name: string;
  readonly type: "base" | "increment";
  readonly sizeBytes: number;
  /** Up to where it is whole. */
  readonly validBytes: number;
  /** Commands, SELECT, MULTI and EXEC counted, and keys in a snapshot. */
  readonly commands: number;
  readonly snapshotKeys: number;
  readonly ending: AofEnding | "missing";
  /** What is wrong, and where; "" when nothing is. */
  readonly problem: string;
}

export interface AofReport {
  readonly files: readonly AofFileReport[];
  /** Recovery accepts it: every file is whole, except perhaps the end of the last one, which it cuts. */
  readonly accepted: boolean;
  /** Nothing has to be cut, either. */
  readonly whole: boolean;
}

const DATABASES_MAX = 0x7fffffff;

/** Checks all files that the manifest names. Throws CorruptFile when the manifest itself is damaged or missing. */
export function checkAof(disk: Disk, names: AofNames = DEFAULT_NAMES): AofReport {
  const entries = manifestOf(disk, names);
  const files = entries.map((entry) => checkFile(disk, names, entry));
  const accepted = files.every(({ ending }, index) => {
    return ending === "whole" || (index === files.length - 1 && ending !== "corrupt" && ending !== "missing");
  });
  return { files, accepted, whole: files.every(({ ending }) => ending === "whole") };
}

/** The report for people, a line per file and a verdict. */
export function describeReport(report: AofReport): string[] {
  const lines = report.files.map((file) => {
    const keys = file.snapshotKeys > 0 ? `${file.snapshotKeys} keys, ` : "";
    const end = file.problem === "" ? "whole" : file.problem;
    return `${file.name} (${file.type}): ${file.sizeBytes} bytes, ${keys}${file.commands} commands, ${end}`;
  });
  if (report.whole) return [...lines, "all files are whole"];
  return [
    ...lines,
    report.accepted ? "recovery will cut the end of the last file" : "recovery will refuse these files",
  ];
}

/** Prints a line per key of a snapshot and per command: file, offset, database, command. */
export function dumpAof(disk: Disk, print: (line: string) => void, names: AofNames = DEFAULT_NAMES): void {
  for (const entry of manifestOf(disk, names)) {
    print(`# ${entry.name}`);
    const file = disk.open(`${names.folder}/${entry.name}`, "read");
    try {
      dumpFile(file, print);
    } finally {
      file.close();
    }
  }
}

function manifestOf(disk: Disk, names: AofNames): readonly ManifestEntry[] {
  const entries = readManifest(disk, names)?.files;
  if (entries === undefined) throw new CorruptFile(manifestPath(names), 0, "there is no manifest");
  return entries;
}

function checkFile(disk: Disk, names: AofNames, entry: ManifestEntry): AofFileReport {
  const path = `${names.folder}/${entry.name}`;
  const about = { name: entry.name, type: entry.type === "b" ? "base" : "increment" } as const;
  const none = { sizeBytes: 0, validBytes: 0, commands: 0, snapshotKeys: 0 };
  if (!disk.exists(path)) return { ...about, ...none, ending: "missing", problem: "the file is missing" };
  const file = disk.open(path, "read");
  let snapshotKeys = 0;
  const count = (): void => {
    snapshotKeys++;
  };
  try {
    if (entry.seal !== undefined) checkSeal(file, entry.seal);
    const start = isRdb(file) ? readRdb(file, { databases: DATABASES_MAX, string: count, hash: count }) : 0;
    const walk = walkAof(file, start, commandVisitor());
    const { validBytes, commands, ending } = walk;
    return {
      ...about,
      sizeBytes: walk.fileBytes,
      validBytes,
      commands,
      snapshotKeys,
      ending,
      problem: problemOf(walk),
    };
  } catch (error) {
    if (!(error instanceof CorruptFile)) throw error;
    const damaged = { ...none, sizeBytes: file.size(), snapshotKeys };
    return { ...about, ...damaged, ending: "corrupt", problem: error.message };
  } finally {
    file.close();
  }
}

/** Judges commands as a replay would, without running them. */
function commandVisitor(): (args: Bytes[]) => string | undefined {
  let open = false;
  return (args) => {
    const name = args[0]!.toUpperCase();
    if (name === "MULTI" && open) return "MULTI inside MULTI";
    if (name === "EXEC" && !open) return "EXEC without MULTI";
    if (name === "MULTI") open = true;
    if (name === "EXEC") open = false;
    return commandProblem(args);
  };
}

function problemOf(walk: AofWalk): string {
  const rest = walk.fileBytes - walk.validBytes;
  switch (walk.ending) {
    case "whole":
      return "";
    case "torn":
      return `torn: the last ${rest} bytes, from offset ${walk.validBytes}, are no whole command`;
    case "zeros":
      return `zero-filled: the last ${rest} bytes, from offset ${walk.validBytes}`;
    case "transaction":
      return `a MULTI without EXEC: the last ${rest} bytes, from offset ${walk.validBytes}`;
    case "corrupt":
      return `${walk.problem} at offset ${walk.problemAt}`;
  }
}

function dumpFile(file: DiskFile, print: (line: string) => void): void {
  const start = isRdb(file) ? readRdb(file, printingSink(print)) : 0;
  let db = 0;
  const walk = walkAof(file, start, (args, offset) => {
    print(`${String(offset).padStart(12)}  ${String(db).padStart(2)}  ${args.map(quoted).join(" ")}`);
    if (args[0]!.toUpperCase() === "SELECT") db = Number(args[1]);
    return undefined;
  });
  const problem = problemOf(walk);
  if (problem !== "") print(`# ${problem}`);
}

function printingSink(print: (line: string) => void): RdbSink {
  const line = (db: number, words: readonly Bytes[], expiry: number): void => {
    const suffix = expiry === NO_EXPIRY ? "" : ` PXAT ${expiry}`;
    print(`    snapshot  ${String(db).padStart(2)}  ${words.map(quoted).join(" ")}${suffix}`);
  };
  return {
    databases: DATABASES_MAX,
    string: (db, key, value, expiry) => line(db, ["SET", key, value], expiry),
    hash: (db, key, pairs, expiry) => line(db, ["HSET", key, ...pairs], expiry),
  };
}

/** An argument as redis-cli shows it: quoted when it is not a plain word. */
function quoted(argument: Bytes): string {
  if (/^[\x21\x23-\x26\x28-\x5b\x5d-\x7e]+$/.test(argument)) return argument;
  return `"${toText(argument).replace(/["\\]/g, "\\$&")}"`;
}
