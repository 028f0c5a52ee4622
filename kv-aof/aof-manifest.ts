/**
 * The manifest: which files, in which order, are the append-only file. Redis 7's format, one line each:
 *
 *     #twolog 1                                        twolog wrote this: the last line must be there
 *     file appendonly.aof.2.base.rdb seq 2 type b      at most one base: a snapshot, in RDB or AOF format
 *     #twolog sealed bytes 1042 crc32 9ae0daaf         the file of the line above never changes again: its size and sum
 *     file appendonly.aof.3.incr.aof seq 3 type i      then the increments, seq rising; the last one grows
 *     file appendonly.aof.2.incr.aof seq 2 type h      history: superseded, may be deleted
 *     #twolog manifest crc32 1b0c93f2                  the sum of all bytes before this line, which is the last one
 *     # …                                              ignored
 *
 * A name with blanks or special characters is in double quotes, with \" \\ \n \r \t and \xHH inside. Sums are CRC-32 as
 * zlib's, eight hexadecimal digits.
 *
 * Redis skips lines with "#" here, and redis-check-aof does; when Redis writes the manifest anew they are gone, and with
 * them what they guard: a manifest without them is read as before. With them a file that was cut short between two
 * commands, a changed byte and a line that has gone missing are found (seals.ts), which Redis cannot.
 *
 * Rules:
 * 1. A manifest is replaced, never changed: temp file, sync, rename, sync of the folder (I8).
 * 2. It names only files that exist and whose entry in the folder is durable.
 * 3. Only the last increment grows. Another one is sealed before a manifest names its successor.
 */
import { crc32 } from "node:zlib";
import { type Bytes, fromText, sliceBytes, toBuffer, toText } from "../common/bytes.ts";
import type { Disk } from "../common/disk/disk.ts";
import { CorruptFile } from "../common/errors.ts";
import { TEMP_PREFIX } from "./directives.ts";
import { hexadecimal } from "./seals.ts";

const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;

/** "b": base, "i": increment, "h": history. */
type AofFileType = "b" | "i" | "h";

/** What a file that never changes again is like. */
export interface Seal {
  readonly bytes: number;
  readonly crc32: number;
}

export interface ManifestEntry {
  readonly name: string;
  readonly sequence: number;
  readonly type: AofFileType;
  /** Undefined while the file grows, and in a manifest that Redis wrote. */
  readonly seal?: Seal | undefined;
}

export interface Manifest {
  /** Base first, then increments in order. */
  readonly files: readonly ManifestEntry[];
  /** Superseded files, which are to be removed. */
  readonly history: readonly ManifestEntry[];
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

/** `format`: "rdb", or "aof" for a base of commands. */
export function baseName(names: AofNames, sequence: number, format: "rdb" | "aof"): string {
  return `${names.base}.${sequence}.base.${format}`;
}

/** The name of a file until it is whole. */
export function temporaryPath(names: AofNames, name: string): string {
  return `${names.folder}/${TEMP_PREFIX}${name}`;
}

/** A file that a crash left before its rename; never of use. What else begins so is not ours. */
export function isTemporary(names: AofNames, name: string): boolean {
  return name.startsWith(`${TEMP_PREFIX}${names.base}.`);
}

/** Undefined when there is no manifest. */
export function readManifest(disk: Disk, names: AofNames): Manifest | undefined {
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

function parseManifest(path: string, text: Bytes): Manifest {
  let base: ManifestEntry | undefined;
  const increments: ManifestEntry[] = [];
  const history: ManifestEntry[] = [];
  let offset = 0;
  const lines = text.split("\n");
  if (text.startsWith(HEADER) && !text.includes(`\n${MANIFEST_SUM}`)) {
    throw new CorruptFile(path, text.length, "the manifest was cut short: its last lines are missing");
  }
  for (const [index, line] of lines.entries()) {
    const at = offset;
    offset += line.length + 1;
    if (line.startsWith(MANIFEST_SUM)) checkSum(path, text, at, offset);
    if (line.trim() === "" || line.startsWith("#")) continue;
    const seal = parseSeal(path, offset, lines[index + 1] ?? "");
    const entry = { ...parseLine(path, at, line.trim()), seal };
    if (entry.type === "h") history.push(entry);
    else if (entry.type === "b") {
      if (base !== undefined) throw new CorruptFile(path, at, "a second base file");
      base = entry;
    } else {
      if (entry.sequence <= (increments.at(-1)?.sequence ?? 0)) {
        throw new CorruptFile(path, at, "increments are not in the order of their numbers");
      }
      increments.push(entry);
    }
  }
  if (base === undefined && increments.length === 0) throw new CorruptFile(path, 0, "the manifest names no file");
  return { files: base === undefined ? increments : [base, ...increments], history };
}

const HEADER = "#twolog 1\n";
const SEALED = "#twolog sealed ";
const MANIFEST_SUM = "#twolog manifest ";

function parseSeal(path: string, at: number, line: Bytes): Seal | undefined {
  if (!line.startsWith(SEALED)) return undefined;
  const match = /^bytes ([0-9]{1,15}) crc32 ([0-9a-f]{8})$/.exec(line.slice(SEALED.length));
  if (match === null) throw new CorruptFile(path, at, "not a seal");
  return { bytes: Number(match[1]), crc32: Number.parseInt(match[2]!, 16) };
}

/** The line from `at` to `end` says what the bytes before it sum up to. */
function checkSum(path: string, text: Bytes, at: number, end: number): void {
  const before = text.slice(0, at);
  if (text.slice(at, end) === manifestSum(before) && end === text.length) return;
  const advice = "who changes it by hand removes the lines with #";
  throw new CorruptFile(path, at, `the manifest is not as it was written (${advice}): its checksum does not fit`);
}

function manifestSum(before: Bytes): Bytes {
  return `${MANIFEST_SUM}crc32 ${hexadecimal(crc32(toBuffer(before)))}\n`;
}

function formatManifest({ files, history }: Manifest): Bytes {
  const lines = [...files, ...history].map(({ name, sequence, type, seal }) => {
    const line = `file ${quote(name)} seq ${sequence} type ${type}\n`;
    return seal === undefined ? line : `${line}${SEALED}bytes ${seal.bytes} crc32 ${hexadecimal(seal.crc32)}\n`;
  });
  const before = HEADER + lines.join("");
  return before + manifestSum(before);
}

/** Writes the next manifest under a temporary name. If it fails, nothing has happened. */
export function prepareManifest(disk: Disk, names: AofNames, manifest: Manifest): void {
  const file = disk.open(temporaryPath(names, `${names.base}.manifest`), "ensure");
  try {
    file.truncate(0);
    file.write(0, toBuffer(formatManifest(manifest)));
    file.syncNow(); // the contents before the name: a durable name must never show an empty manifest
  } finally {
    file.close();
  }
}

/** Makes the prepared manifest the manifest. If it fails, nobody knows which of the two a power loss leaves (I6). */
export function commitManifest(disk: Disk, names: AofNames): void {
  disk.rename(temporaryPath(names, `${names.base}.manifest`), manifestPath(names));
  disk.syncDir(names.folder); // I8
}

/** Replaces the manifest durably (rule 1). */
export function writeManifest(disk: Disk, names: AofNames, manifest: Manifest): void {
  prepareManifest(disk, names, manifest);
  commitManifest(disk, names);
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
