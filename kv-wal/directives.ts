/** The directives of kv-wal, with the names of MySQL's variables (aliases) and its defaults unless the summary says why not. */
import type { Config, Directive } from "../common/config.ts";
import { UsageError } from "../common/errors.ts";
import type { RedoSizes } from "./redo-files.ts";

/** The smallest file of a ring: a mini-transaction and its neighbours must fit into the log. */
const REDO_FILE_BYTES_MIN = 256 << 10;

/** The redo log that the directives ask for. */
export function redoSizes(config: Config): RedoSizes {
  const files = config.number("redo-log-files-in-group");
  const capacity = config.number("redo-log-capacity");
  if (capacity === 0) return { files, fileBytes: config.number("redo-log-file-size") };
  const fileBytes = Math.floor(capacity / files);
  if (fileBytes >= REDO_FILE_BYTES_MIN) return { files, fileBytes };
  throw new UsageError(
    `redo-log-capacity is too small for ${files} files: each has at least ${REDO_FILE_BYTES_MIN} bytes`,
  );
}

export const WAL_DIRECTIVES: readonly Directive[] = [
  {
    name: "appendonly",
    kind: "choice",
    default: "no",
    mutable: false,
    values: ["no"],
    summary: "There is no append-only file: always no. Clients such as redis-benchmark ask for it.",
  },
  {
    name: "flush-log-at-trx-commit",
    kind: "integer",
    default: "1",
    mutable: true,
    min: 0,
    max: 2,
    aliases: ["innodb-flush-log-at-trx-commit"],
    summary: "Redo at commit: 1 written and synced, 2 written, 0 neither; in all cases both happen once a second.",
  },
  {
    name: "sync-binlog",
    kind: "integer",
    default: "1",
    mutable: true,
    min: 0,
    max: 4294967295,
    summary: "The binlog is synced after every so many commit groups; 0: never by the server.",
  },
  {
    name: "buffer-pool-size",
    kind: "memory",
    default: "128mb",
    mutable: false,
    min: 1 << 20,
    max: 2 ** 31 - 16384,
    aliases: ["innodb-buffer-pool-size"],
    summary: "Memory for pages.",
  },
  {
    name: "old-blocks-pct",
    kind: "integer",
    default: "37",
    mutable: true,
    min: 5,
    max: 95,
    aliases: ["innodb-old-blocks-pct"],
    summary: "Percent of the buffer pool for pages that were read once and not used again.",
  },
  {
    name: "old-blocks-time",
    kind: "integer",
    default: "1000",
    mutable: true,
    min: 0,
    max: 4294967295,
    aliases: ["innodb-old-blocks-time"],
    summary: "Milliseconds after its first use in which using a page again does not make it young.",
  },
  {
    name: "max-dirty-pages-pct",
    kind: "integer",
    default: "90",
    mutable: true,
    min: 1,
    max: 99,
    aliases: ["innodb-max-dirty-pages-pct"],
    summary:
      "Pages are written without a pause when so many percent of the buffer pool are dirty; slowly from half of it.",
  },
  {
    name: "io-capacity",
    kind: "integer",
    default: "10000",
    mutable: true,
    min: 100,
    max: 4294967295,
    aliases: ["innodb-io-capacity"],
    summary: "Pages a second that are written in the background while nothing presses.",
  },
  {
    name: "doublewrite",
    kind: "boolean",
    default: "yes",
    mutable: false,
    aliases: ["innodb-doublewrite"],
    summary: "Pages are written to the doublewrite file first; without it, recovery refuses a folder with a torn page.",
  },
  {
    name: "redo-log-file-size",
    kind: "memory",
    default: "48mb",
    mutable: false,
    min: REDO_FILE_BYTES_MIN,
    max: 2 ** 38,
    aliases: ["innodb-log-file-size"],
    summary: "Size of one redo log file; another size makes a new redo log at the next start.",
  },
  {
    name: "redo-log-files-in-group",
    kind: "integer",
    default: "2",
    mutable: false,
    min: 1,
    max: 100,
    aliases: ["innodb-log-files-in-group"],
    summary: "Number of redo log files; another number makes a new redo log at the next start.",
  },
  {
    name: "redo-log-capacity",
    kind: "memory",
    default: "0",
    mutable: false,
    max: 2 ** 38,
    aliases: ["innodb-redo-log-capacity"],
    summary: "Size of all redo log files together; 0: redo-log-file-size times redo-log-files-in-group.",
  },
  {
    name: "max-binlog-size",
    kind: "memory",
    default: "1gb",
    mutable: true,
    min: 4096,
    max: 1 << 30,
    summary: "A binlog file that has grown to this size is followed by a new one.",
  },
  {
    name: "force-recovery",
    kind: "integer",
    default: "0",
    mutable: false,
    min: 0,
    max: 6,
    aliases: ["innodb-force-recovery"],
    summary:
      "To read a damaged folder once more: 1 pass over damaged pages, 2 no purge, 3 no rollback, 4 change nothing on disk, 5 no undo, 6 no redo; above 0 nothing is written.",
  },
  {
    name: "binlog-expire-logs-seconds",
    kind: "integer",
    default: "2592000",
    mutable: true,
    min: 0,
    max: 4294967295,
    summary:
      "Binlog files whose last transaction is so old are removed at start and when a new file is begun; 0: never.",
  },
  {
    name: "max-binlog-cache-size",
    kind: "memory",
    default: "2gb",
    mutable: true,
    min: 4096,
    max: 2 ** 40,
    summary: "A transaction that would need more for its binlog events is refused; the two longest values need 1 GiB.",
  },
  {
    name: "binlog-format",
    kind: "choice",
    default: "ROW",
    mutable: true,
    values: ["ROW", "STATEMENT", "MIXED"],
    summary: "What the binlog has: changed rows, commands as text, or text unless a command depends on the old value.",
  },
  {
    name: "binlog-row-image",
    kind: "choice",
    default: "FULL",
    mutable: true,
    values: ["FULL", "MINIMAL"],
    summary: "Columns in row events: all, or the key before a change and the changed ones after it.",
  },
  {
    name: "transaction-isolation",
    kind: "choice",
    default: "REPEATABLE-READ",
    mutable: true,
    values: ["READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE"],
    aliases: ["tx-isolation"],
    summary: "The isolation level of a BEGIN that names none.",
  },
  {
    name: "lock-wait-timeout",
    kind: "integer",
    default: "50",
    mutable: true,
    min: 1,
    max: 1073741824,
    aliases: ["innodb-lock-wait-timeout"],
    summary: "Seconds that a command waits for a lock before it fails.",
  },
  {
    name: "hash-max-listpack-entries",
    kind: "integer",
    default: "512",
    mutable: true,
    aliases: ["hash-max-ziplist-entries"],
    summary: "Up to so many fields OBJECT ENCODING calls a hash a listpack; rows are the same.",
  },
  {
    name: "hash-max-listpack-value",
    kind: "memory",
    default: "64",
    mutable: true,
    aliases: ["hash-max-ziplist-value"],
    summary: "Up to this length of fields and values OBJECT ENCODING calls a hash a listpack; rows are the same.",
  },
];
