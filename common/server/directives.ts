/**
 * The directives of the server, with Redis's names and defaults. Only what really works is here; directives of storage
 * are those of the engine.
 */
import { type Directive, memoryBytes } from "../config.ts";

const INT_MAX = 0x7fffffff;

/** `normal <hard> <soft> <soft seconds>`, the only class of clients there is: two memory values and a number. */
function parseOutputLimit(text: string): readonly (number | undefined)[] {
  const [, hard = "", soft = "", seconds = ""] = text.split(/ +/);
  return [memoryBytes(hard), memoryBytes(soft), /^[0-9]+$/.test(seconds) ? Number(seconds) : undefined];
}

function checkOutputLimit(text: string): string | undefined {
  const words = text.split(/ +/);
  if (words.length % 4 !== 0) return "Wrong number of arguments in buffer limit configuration.";
  if (words.length > 4 || words[0]!.toLowerCase() !== "normal") {
    return "Invalid client class specified in buffer limit configuration.";
  }
  const fit = parseOutputLimit(text).every(Number.isSafeInteger);
  return fit ? undefined : "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
}

export const SERVER_DIRECTIVES: readonly Directive[] = [
  {
    name: "port",
    kind: "integer",
    default: "6379",
    mutable: false,
    max: 65535,
    summary: "TCP port; 0 takes a free one.",
  },
  {
    name: "bind",
    kind: "text",
    default: "127.0.0.1 -::1",
    mutable: false,
    summary: "Addresses to listen on, separated by blanks; * is all; one behind a - may be missing.",
  },
  { name: "dir", kind: "text", default: ".", mutable: false, summary: "The data folder." },
  {
    name: "databases",
    kind: "integer",
    default: "16",
    mutable: false,
    min: 1,
    max: 1024,
    summary: "Number of databases (SELECT).",
  },
  {
    name: "hz",
    kind: "integer",
    default: "10",
    mutable: true,
    min: 1,
    max: 500,
    summary: "How often a second background work is done.",
  },
  {
    name: "timeout",
    kind: "integer",
    default: "0",
    mutable: true,
    max: INT_MAX,
    summary: "Closes a client that was idle for so many seconds; 0: never.",
  },
  {
    name: "tcp-keepalive",
    kind: "integer",
    default: "300",
    mutable: true,
    max: INT_MAX,
    summary: "Seconds of silence before TCP probes a client; 0: never. For connections to come.",
  },
  {
    name: "tcp-backlog",
    kind: "integer",
    default: "511",
    mutable: false,
    max: INT_MAX,
    summary: "Connections that the kernel keeps waiting to be accepted.",
  },
  {
    name: "maxclients",
    kind: "integer",
    default: "10000",
    mutable: true,
    min: 1,
    max: INT_MAX,
    summary: "Most clients at a time.",
  },
  {
    name: "proto-max-bulk-len",
    kind: "memory",
    default: "536870912",
    mutable: true,
    min: 1024 * 1024,
    summary: "Longest argument; never more than 512 MiB less 24 bytes.",
  },
  {
    name: "client-query-buffer-limit",
    kind: "memory",
    default: "1073741824",
    mutable: true,
    min: 1024 * 1024,
    summary: "Longest request, and longest MULTI; a client beyond it is closed.",
  },
  {
    name: "client-output-buffer-limit",
    kind: "text",
    default: "normal 0 0 0",
    mutable: true,
    check: checkOutputLimit,
    canonical: (text) => `normal ${parseOutputLimit(text).join(" ")}`,
    summary: "normal <hard bytes> <soft bytes> <seconds>: closes a client that leaves more replies unread; 0: never.",
  },
  {
    name: "loglevel",
    kind: "choice",
    default: "notice",
    mutable: true,
    values: ["debug", "verbose", "notice", "warning", "nothing"],
    summary: "What is written to the log.",
  },
  {
    name: "save",
    kind: "choice",
    default: "",
    mutable: false,
    values: [""],
    summary: "Snapshots: there are none, the log is the data.",
  },
];
