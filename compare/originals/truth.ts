/**
 * What was measured on redis-server 7.0.15 and MariaDB 10.11.19 by killing the real program at a named system call (kill:
 * SIGKILL; power: only what had been fsynced survives) and restarting it, after one change from OLD to NEW. The lab
 * rebuilds each of these states from a recording and restarts the installed program on it: every cell must come out the
 * same, or the lab's picture of the program, or the program, is another.
 */

export interface TruthRow {
  readonly policy: string;
  readonly point: string;
  readonly crash: "kill" | "power";
  /** Undefined: either. */
  readonly acknowledged: boolean | undefined;
  /** The change is in the binlog, whole; undefined for Redis. */
  readonly binlog: boolean | undefined;
  readonly found: "OLD" | "NEW";
}

/**
 * The sync of everysec runs in a thread of its own, which may begin before the reply leaves or after it: "any".
 * appendfsync, point, then acknowledged and found after a kill, and after a power loss.
 */
const REDIS = `
always    aof-write    no  OLD  OLD
always    fdatasync    no  NEW  OLD
always    reply-write  no  NEW  NEW
always    replied      yes NEW  NEW
everysec  aof-write    no  OLD  OLD
everysec  reply-write  no  NEW  OLD
everysec  fdatasync    any NEW  OLD
everysec  replied      yes NEW  OLD
no        aof-write    no  OLD  OLD
no        reply-write  no  NEW  OLD
no        later        yes NEW  OLD
`;

/**
 * flush_log_at_trx_commit/sync_binlog, point, acknowledged; then binlog and engine after a kill, and after a power loss.
 * P0 before redo prepare is written; P1 before its fsync; P2 before the binlog write; P3 before the binlog fsync; P4 before
 * the engine commit; P4b before the commit record is written; P5 before the reply; P6 reply received; P7 three seconds later.
 */
const MARIADB = `
1/1 P0  no  - OLD  - OLD
1/1 P1  no  - OLD  - OLD
1/1 P2  no  - OLD  - OLD
1/1 P3  no  x NEW  - OLD
1/1 P4  no  x NEW  x NEW
1/1 P5  no  x NEW  x NEW
1/1 P6  yes x NEW  x NEW
1/1 P7  yes x NEW  x NEW
1/0 P0  no  - OLD  - OLD
1/0 P1  no  - OLD  - OLD
1/0 P2  no  - OLD  - OLD
1/0 P4  no  x NEW  - OLD
1/0 P5  no  x NEW  - OLD
1/0 P6  yes x NEW  - OLD
1/0 P7  yes x NEW  - NEW
2/1 P0  no  - OLD  - OLD
2/1 P2  no  - OLD  - OLD
2/1 P3  no  x NEW  - OLD
2/1 P4  no  x NEW  x OLD
2/1 P4b no  x NEW  x OLD
2/1 P5  no  x NEW  x OLD
2/1 P6  yes x NEW  x OLD
2/1 P7  yes x NEW  x NEW
2/0 P0  no  - OLD  - OLD
2/0 P2  no  - OLD  - OLD
2/0 P4  no  x NEW  - OLD
2/0 P4b no  x NEW  - OLD
2/0 P5  no  x NEW  - OLD
2/0 P6  yes x NEW  - OLD
2/0 P7  yes x NEW  - NEW
0/1 P2  no  - OLD  - OLD
0/1 P3  no  x OLD  - OLD
0/1 P4  no  x OLD  x OLD
0/1 P5  no  x OLD  x OLD
0/1 P6  yes x OLD  x OLD
0/1 P7  yes x NEW  x NEW
0/0 P2  no  - OLD  - OLD
0/0 P4  no  x OLD  - OLD
0/0 P5  no  x OLD  - OLD
0/0 P6  yes x OLD  - OLD
0/0 P7  yes x NEW  - NEW
`;

function lines(text: string): string[][] {
  return text
    .trim()
    .split("\n")
    .map((line) => line.split(/\s+/));
}

function foundBy(word: string | undefined): "OLD" | "NEW" {
  return word === "NEW" ? "NEW" : "OLD";
}

export const REDIS_TRUTH: readonly TruthRow[] = lines(REDIS).flatMap(([policy = "", point = "", told, kill, power]) => {
  const row = { policy, point, acknowledged: told === "any" ? undefined : told === "yes", binlog: undefined };
  return [
    { ...row, crash: "kill" as const, found: foundBy(kill) },
    { ...row, crash: "power" as const, found: foundBy(power) },
  ];
});

export const MARIADB_TRUTH: readonly TruthRow[] = lines(MARIADB).flatMap(
  ([policy = "", point = "", told, killed, kill, cut, power]) => {
    const row = { policy, point, acknowledged: told === "yes" };
    return [
      { ...row, crash: "kill" as const, binlog: killed === "x", found: foundBy(kill) },
      { ...row, crash: "power" as const, binlog: cut === "x", found: foundBy(power) },
    ];
  },
);
