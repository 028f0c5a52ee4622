/** What `twolog bench` can be asked for: apart from the rest, because the command line names it. */

export const BENCH_POLICIES = ["always", "everysec", "no"] as const;
export type BenchPolicy = (typeof BENCH_POLICIES)[number];

export const LOAD_TESTS = ["set", "get", "incr", "mset"] as const;
export type LoadTest = (typeof LOAD_TESTS)[number];

/** Beside whom durable commits are counted (commits.ts). */
export const COMMIT_PEERS = ["mariadb", "sqlite", "lmdb", "leveldb"] as const;
export type CommitPeer = (typeof COMMIT_PEERS)[number];
