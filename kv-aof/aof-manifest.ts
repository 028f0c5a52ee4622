/**
 * The manifest: which files, in which order, are the append-only file. Redis 7's format, one line each:
 *
 *     file appendonly.aof.1.base.rdb seq 1 type b      at most one base: a snapshot, in RDB or AOF format
 *     file appendonly.aof.1.incr.aof seq 1 type i      then the increments, seq rising; the last one grows
 *     file appendonly.aof.0.incr.aof seq 0 type h      history: superseded, may be deleted
 *     # …                                              ignored
 *
 * A name with blanks or special characters is in double quotes, with \" \\ \n \r \t and \xHH inside.
 *
 * Rules:
 * 1. A manifest is replaced, never changed: temp file, sync, rename, sync of the folder (I8).
 * 2. It names only files that exist and whose entry in the folder is durable.
 */
import { type Bytes, fromText, sliceBytes, toBuffer, toText } from "../common/bytes.ts";
import type { Disk } from "../common/disk/disk.ts";
import { CorruptFile } from "../common/errors.ts";

const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;
const TEMP_PREFIX = "temp-";

/** "b": base, "i": increment, "h": history. */
type AofFileType = "b" | "i" | "h";

export interface ManifestEntry {
  readonly name: string;
  readonly sequence: number;
  readonly type: AofFileType;
}

/** The names that the directives give. */
export interface AofNames {
  readonly folder: string;
  readonly base: string;
}

export function manifestPath(names: AofNames): string {
  return `${names.folder}/${names.base}.manifest`;
}

export function incrementName(names: AofNames, sequence: number): string {
  return `${names.base}.${sequence}.incr.aof`;
}

/** A file that a crash left before its rename; never of use. */
export function isTemporary(name: string): boolean {
  return name.startsWith(TEMP_PREFIX);
}

/** Base first, then increments in order, history left out. Undefined when there is no manifest. */
export function readManifest(disk: Disk, names: AofNames): ManifestEntry[] | undefined {
  const path = manifestPath(names);
  if (!disk.exists(path)) return undefined;
  const file = disk.open(path, "read");
  const size = file.size();
  if (size > MANIFEST_BYTES_MAX) throw new CorruptFile(path, 0, "a manifest of this size was not written by a server");
  const content = Buffer.alloc(size);
  file.read(0, content);
  file.close();
  return parseManifest(path, sliceBytes(content, 0, size));
}

function parseManifest(path: string, text: Bytes): ManifestEntry[] {
  let base: ManifestEntry | undefined;
  const increments: ManifestEntry[] = [];
  let offset = 0;
  for (const line of text.split("\n")) {
    const at = offset;
    offset += line.length + 1;
    if (line.trim() === "" || line.startsWith("#")) continue;
    const entry = parseLine(path, at, line.trim());
    if (entry.type === "b") {
      if (base !== undefined) throw new CorruptFile(path, at, "a second base file");
      base = entry;
    } else if (entry.type === "i") {
      if (entry.sequence <= (increments.at(-1)?.sequence ?? 0)) {
        throw new CorruptFile(path, at, "increments are not in the order of their numbers");
      }
      increments.push(entry);
    }
  }
  if (base === undefined && increments.length === 0) throw new CorruptFile(path, 0, "the manifest names no file");
  return base === undefined ? increments : [base, ...increments];
}

function formatManifest(entries: readonly ManifestEntry[]): Bytes {
  return entries.map((entry) => `file ${quote(entry.name)} seq ${entry.sequence} type ${entry.type}\n`).join("");
}

/** Replaces the manifest durably (rule 1). */
export function writeManifest(disk: Disk, names: AofNames, entries: readonly ManifestEntry[]): void {
  const temporary = `${names.folder}/${TEMP_PREFIX}${names.base}.manifest`;
  const file = disk.open(temporary, "ensure");
  file.truncate(0);
  file.write(0, toBuffer(formatManifest(entries)));
  file.syncNow(); // the contents before the name: a durable name must never show an empty manifest
  file.close();
  disk.rename(temporary, manifestPath(names));
  disk.syncDir(names.folder); // I8
}

function parseLine(path: string, at: number, line: Bytes): ManifestEntry {
  const words = splitWords(line);
  if (words === undefined || words.length < 6 || words.length % 2 !== 0) {
    throw new CorruptFile(path, at, "not a line of a manifest");
  }
  const fields = new Map<string, Bytes>();
  for (let i = 0; i < words.length; i += 2) fields.set(words[i]!.toLowerCase(), words[i + 1]!);
  const name = fields.get("file");
  const sequence = Number(fields.get("seq"));
  const type = fields.get("type");
  if (name === undefined || name === "" || /[/\\\0]/.test(name))
    throw new CorruptFile(path, at, "no file name, or a path");
  if (!Number.isSafeInteger(sequence) || sequence <= 0) throw new CorruptFile(path, at, "no file number");
  if (type !== "b" && type !== "i" && type !== "h") throw new CorruptFile(path, at, "no file type");
  return { name: toBuffer(name).toString("utf8"), sequence, type };
}

/** Words between blanks; quoted ones unescaped. Undefined when a quote is not closed. */
function splitWords(line: Bytes): Bytes[] | undefined {
  const words: Bytes[] = [];
  const pattern = /\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"']+))(?=\s|$)/y;
  while (pattern.lastIndex < line.length) {
    const match = pattern.exec(line);
    if (match === null) return undefined;
    const [, double, single, plain] = match;
    if (double !== undefined)
      words.push(double.replace(/\\(x[0-9a-fA-F]{2}|.)/g, (_, code: string) => unescapeByte(code)));
    else words.push(single?.replaceAll("\\'", "'") ?? plain!);
  }
  return words;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };

function unescapeByte(code: string): string {
  if (code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
  return ESCAPES[code] ?? code;
}

function quote(name: string): Bytes {
  const bytes = fromText(name);
  if (/^[\x21\x23-\x26\x28-\x5b\x5d-\x7e]+$/.test(bytes)) return bytes;
  const escaped = bytes.replace(/[^\x20-\x7e]|["\\]/g, (c) =>
    c === '"' || c === "\\" ? `\\${c}` : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return `"${escaped}"`;
}

/** For messages. */
export function describeEntry(entry: ManifestEntry): string {
  return `${toText(fromText(entry.name))} (${entry.type === "b" ? "base" : "increment"} ${entry.sequence})`;
}
