/**
 * Command flags: one bit each, so that dispatch asks several questions with one `&`.
 *
 * `FLAG_WORDS` are those that COMMAND INFO shows, in Redis's order; the categories of ACL follow from flags and group.
 */

export const WRITE = 1 << 0;
export const READONLY = 1 << 1;
/** Uses more memory: refused when maxmemory is reached. */
export const DENYOOM = 1 << 2;
/** Administration; also a dangerous command. */
export const ADMIN = 1 << 3;
export const PUBSUB = 1 << 4;
/** Not from scripts. */
export const NOSCRIPT = 1 << 5;
export const BLOCKING = 1 << 6;
/** Allowed while the data set is loading. */
export const LOADING = 1 << 7;
/** Allowed on a replica that lost its master. */
export const STALE = 1 << 8;
/** O(1) or O(log N): never delays other clients. */
export const FAST = 1 << 9;
/** Allowed before authentication. */
export const NO_AUTH = 1 << 10;
/** Not inside MULTI. */
export const NO_MULTI = 1 << 11;
/** The keys depend on the arguments in a way that key specs cannot say. */
export const MOVABLE_KEYS = 1 << 12;
export const ALLOW_BUSY = 1 << 13;
export const SKIP_MONITOR = 1 << 14;
export const SKIP_SLOWLOG = 1 << 15;
export const NO_ASYNC_LOADING = 1 << 16;
/** Not shown: in the category @dangerous although no ADMIN command. */
export const DANGEROUS = 1 << 17;
/** Not shown: in the category @keyspace although of another group (FLUSHALL, DBSIZE …). */
export const KEYSPACE = 1 << 18;
/** Not shown: in the category @connection although of another group (COMMAND). */
export const CONNECTION = 1 << 19;
/** Not shown: in the category @transaction. */
export const TRANSACTION = 1 << 20;

/** The words of COMMAND INFO. */
export const FLAG_WORDS: readonly (readonly [bit: number, word: string])[] = [
  [WRITE, "write"],
  [READONLY, "readonly"],
  [DENYOOM, "denyoom"],
  [ADMIN, "admin"],
  [PUBSUB, "pubsub"],
  [NOSCRIPT, "noscript"],
  [BLOCKING, "blocking"],
  [LOADING, "loading"],
  [STALE, "stale"],
  [SKIP_MONITOR, "skip_monitor"],
  [SKIP_SLOWLOG, "skip_slowlog"],
  [FAST, "fast"],
  [NO_AUTH, "no_auth"],
  [NO_ASYNC_LOADING, "no_async_loading"],
  [NO_MULTI, "no_multi"],
  [MOVABLE_KEYS, "movablekeys"],
  [ALLOW_BUSY, "allow_busy"],
];
