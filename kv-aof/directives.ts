/** The directives of kv-aof, with Redis's names and defaults (those of Redis 7.2's source). */
import type { Directive } from "../common/config.ts";

/**
 * How the names of files begin that are not whole yet. `appendfilename` must not: one server would take the data of another
 * for what a crash has left.
 */
export const TEMP_PREFIX = "temp-";

function checkFileName(name: string): string | undefined {
  return /^[^/\\\0]+$/.test(name) && name !== "." && name !== ".." ? undefined : "must be a file name, not a path";
}

function checkBaseName(name: string): string | undefined {
  return name.startsWith(TEMP_PREFIX) ? `must not begin with ${TEMP_PREFIX}` : checkFileName(name);
}

export const AOF_DIRECTIVES: readonly Directive[] = [
  {
    name: "appendonly",
    kind: "choice",
    default: "yes",
    mutable: false,
    values: ["yes"],
    summary: "The append-only file is this engine's only storage: always yes.",
  },
  {
    name: "appenddirname",
    kind: "text",
    default: "appendonlydir",
    mutable: false,
    check: checkFileName,
    summary: "Folder of the append-only files, inside the data folder.",
  },
  {
    name: "appendfilename",
    kind: "text",
    default: "appendonly.aof",
    mutable: false,
    check: checkBaseName,
    summary: "Base of the names of the append-only files.",
  },
  {
    name: "appendfsync",
    kind: "choice",
    default: "everysec",
    mutable: true,
    values: ["everysec", "always", "no"],
    summary: "When the append-only file is synced: before every reply, once a second, or when the kernel likes.",
  },
  {
    name: "aof-load-truncated",
    kind: "boolean",
    default: "yes",
    mutable: true,
    summary: "A torn end of the append-only file is cut at start; with no, the server refuses to start.",
  },
  {
    name: "auto-aof-rewrite-percentage",
    kind: "integer",
    default: "100",
    mutable: true,
    max: 0x7fffffff,
    summary:
      "The append-only file is rewritten when it has grown by so much since the last rewrite; 0: never by itself.",
  },
  {
    name: "auto-aof-rewrite-min-size",
    kind: "memory",
    default: "67108864",
    mutable: true,
    summary: "Below this size the append-only file is not rewritten by itself.",
  },
  {
    name: "aof-use-rdb-preamble",
    kind: "boolean",
    default: "yes",
    mutable: true,
    summary: "The base that a rewrite makes is a snapshot in RDB format; with no, commands.",
  },
  {
    name: "rdb-key-save-delay",
    kind: "integer",
    default: "0",
    mutable: true,
    max: 0x7fffffff,
    summary: "Microseconds that a rewrite pauses after each key: for tests.",
  },
  {
    name: "hash-max-listpack-entries",
    kind: "integer",
    default: "512",
    mutable: true,
    aliases: ["hash-max-ziplist-entries"],
    summary: "Up to so many fields a hash is packed into one value.",
  },
  {
    name: "hash-max-listpack-value",
    kind: "memory",
    default: "64",
    mutable: true,
    aliases: ["hash-max-ziplist-value"],
    summary: "Fields and values up to this length are packed.",
  },
];
