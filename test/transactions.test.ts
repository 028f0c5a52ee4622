/**
 * Interactive transactions: what each isolation level allows, who waits for whom, and what is undone. Tables of steps:
 *
 *     A GET k     | 1          client A asks and is answered
 *     B SET k 2   | waits      B's command waits for a lock
 *     A COMMIT    | OK
 *     B           | OK         what B is answered by then
 *
 * With four columns they are for READ UNCOMMITTED, READ COMMITTED, REPEATABLE READ and SERIALIZABLE; a dot leaves the step out.
 * The outcomes are those that MySQL documents for InnoDB.
 */
import t, { type Test } from "tap";
import { ISOLATION_LEVELS, type IsolationLevel } from "../common/command/transactions.ts";
import { DirectiveConfig } from "../common/config.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { SERVER_DIRECTIVES } from "../common/server/directives.ts";
import { AOF_DIRECTIVES } from "../kv-aof/directives.ts";
import { createAofEngine } from "../kv-aof/engine.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { CommandRunner } from "./support/command-runner.ts";
import { Sessions } from "./support/sessions.ts";
import { TestHost } from "./support/test-host.ts";

const DEADLOCK = "ERR Deadlock found when trying to get lock; try restarting transaction";
const TIMEOUT = "ERR Lock wait timeout exceeded; try restarting transaction";

/** The reply without the marks of the protocol. */
function plain(reply: string): string {
  return reply.replace(/^[+:-]/, "").replace(/ [+:-](?=[A-Z0-9])/g, " ");
}

/** Runs the steps; `level` chooses the column, and is meant by @. */
function play(t: Test, sessions: Sessions, steps: string, level: IsolationLevel = "REPEATABLE READ"): void {
  for (const line of steps.trim().split("\n")) {
    const [step, ...cells] = line.split("|").map((cell) => cell.trim());
    const [, name, command] = /^(\w+) ?(.*)$/.exec(step!)!;
    const expected = cells.length === 1 ? cells[0]! : cells[ISOLATION_LEVELS.indexOf(level)]!;
    if (expected === ".") continue;
    const session = sessions.of(name!);
    const reply =
      command === "" ? session.take() : sessions.ask(name!, command!.replace("@", `ISOLATION LEVEL ${level}`));
    const found = reply === "" && session.waits ? "waits" : plain(reply);
    if (found !== expected) t.equal(found, expected, `${level}: ${step}`);
  }
  t.same(sessions.engine.transactions.locks.check(), [], "the lock table is in order");
}

/** Plays the steps on new servers, at each level, after `setup` by client S. */
function atEachLevel(t: Test, setup: readonly string[], steps: string): void {
  for (const level of ISOLATION_LEVELS) {
    const sessions = new Sessions();
    for (const line of setup) sessions.ask("S", line);
    play(t, sessions, steps, level);
    t.equal(sessions.engine.transactions.locks.size, 0, `${level}: nothing is locked in the end`);
  }
}

t.test("isolation levels", async (t) => {
  t.test("dirty read: what is not committed", async (t) => {
    atEachLevel(
      t,
      ["SET k 1"],
      `
      A BEGIN                      | OK
      B BEGIN @                      | OK
      A SET k 2                    | OK
      A SET new 1                  | OK
      B GET k                      | 2   | 1   | 1   | waits
      A ROLLBACK                   | OK
      B                            | .   | .   | .   | 1
      B EXISTS k new               | 1
      B COMMIT                     | OK`,
    );
  });

  t.test("non-repeatable read: a row changes between two looks at it", async (t) => {
    atEachLevel(
      t,
      ["SET k 1"],
      `
      A BEGIN @                      | OK
      A GET k                      | 1
      B SET k 2                    | OK  | OK  | OK  | waits
      A GET k                      | 2   | 2   | 1   | 1
      A COMMIT                     | OK
      B                            | .   | .   | .   | OK
      A GET k                      | 2`,
    );
  });

  t.test("phantom: rows come and go between two looks at a range", async (t) => {
    atEachLevel(
      t,
      ["SET a 1", "HSET h f 1"],
      `
      A BEGIN @                      | OK
      A DBSIZE                     | 2
      A HGETALL h                  | *2 f 1
      B SET b 1                    | OK  | OK  | OK  | waits
      C HSET h g 2                 | 1   | 1   | 1   | waits
      A DBSIZE                     | 3   | 3   | 2   | 2
      A HLEN h                     | 2   | 2   | 1   | 1
      A EXISTS b                   | 1   | 1   | 0   | 0
      A COMMIT                     | OK
      B                            | .   | .   | .   | OK
      C                            | .   | .   | .   | 1
      A DBSIZE                     | 3`,
    );
  });

  t.test("lost update: two read the same value and write what they have made of it", async (t) => {
    atEachLevel(
      t,
      ["SET k 100"],
      `
      A BEGIN @                      | OK
      B BEGIN @                      | OK
      A GET k                      | 100
      B GET k                      | 100
      A SET k 110                  | OK  | OK  | OK  | waits
      B SET k 120                  | waits | waits | waits | ${DEADLOCK}
      A                            | .   | .   | .   | OK
      A COMMIT                     | OK
      B                            | OK  | OK  | OK  | .
      B COMMIT                     | OK  | OK  | OK  | ERR COMMIT without BEGIN
      A GET k                      | 120 | 120 | 120 | 110`,
    );
  });

  t.test("an update in one command is never lost: it works on the newest version", async (t) => {
    atEachLevel(
      t,
      ["SET k 100"],
      `
      A BEGIN @                      | OK
      B BEGIN @                      | OK
      A INCRBY k 10                | 110
      B INCRBY k 20                | waits
      A COMMIT                     | OK
      B                            | 130
      B COMMIT                     | OK
      A GET k                      | 130`,
    );
  });

  t.test("write skew: each writes what the other has read", async (t) => {
    atEachLevel(
      t,
      ["MSET x 1 y 1"],
      `
      A BEGIN @                      | OK
      B BEGIN @                      | OK
      A GET y                      | 1
      B GET x                      | 1
      A SET x 0                    | OK  | OK  | OK  | waits
      B SET y 0                    | OK  | OK  | OK  | ${DEADLOCK}
      A                            | .   | .   | .   | OK
      A COMMIT                     | OK
      B COMMIT                     | OK  | OK  | OK  | ERR COMMIT without BEGIN
      A MGET x y                   | *2 0 0 | *2 0 0 | *2 0 0 | *2 0 1`,
    );
  });

  t.test(
    "REPEATABLE READ: the snapshot is taken at the first read, and shows the transaction's own changes",
    async (t) => {
      play(
        t,
        new Sessions(),
        `
      A SET k 1                    | OK
      A BEGIN                      | OK
      B SET k 2                    | OK
      A GET k                      | 2
      B SET k 3                    | OK
      A GET k                      | 2
      A INCR k                     | 4
      A GET k                      | 4
      B GET k                      | 3
      A COMMIT                     | OK
      B GET k                      | 4`,
      );
    },
  );

  t.test("a snapshot shows whole hashes: HLEN counts the fields that HGETALL shows", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A HSET h a 1 b 2             | 2
      A BEGIN                      | OK
      A HLEN h                     | 2
      B HSET h c 3                 | 1
      B HDEL h a                   | 1
      A HSET h d 4                 | 1
      A HMGET h a b c d            | *4 1 2 nil 4
      A HLEN h                     | 3
      A HEXISTS h c                | 0
      A COMMIT                     | OK
      A HLEN h                     | 3
      A HMGET h a b c d            | *4 nil 2 3 4`,
    );
  });

  t.test("a snapshot outlives DEL, FLUSHALL and keys that are made anew", async (t) => {
    play(
      t,
      new Sessions(),
      `
      S MSET a 1 b 2               | OK
      S HSET h f 1                 | 1
      A BEGIN                      | OK
      A DBSIZE                     | 3
      B DEL a h                    | 2
      B HSET a f 1                 | 1
      B FLUSHALL                   | OK
      B SET b new                  | OK
      A MGET a b                   | *2 1 2
      A TYPE a                     | string
      A HGETALL h                  | *2 f 1
      A DBSIZE                     | 3
      B DBSIZE                     | 1
      A COMMIT                     | OK
      A MGET a b                   | *2 nil new
      A DBSIZE                     | 1`,
    );
  });

  t.test("keys expire for a snapshot, too, and it removes nothing", async (t) => {
    const sessions = new Sessions();
    sessions.ask("A", "SET k v PX 100");
    play(t, sessions, "A BEGIN | OK\nA GET k | v\nB SET other 1 | OK");
    sessions.host.pass(200);
    play(t, sessions, "A GET k | nil\nA EXISTS k | 0\nA COMMIT | OK\nA GET k | nil\nA DBSIZE | 1");
  });

  t.test("expiry leaves the keys that are locked, long ones too, and goes on with the others", async (t) => {
    const sessions = new Sessions();
    const keys = Array.from({ length: 25 }, (_, n) => `${"k".repeat(n < 24 ? 2000 : 2)}${n}`);
    for (const key of keys) sessions.ask("S", `SET ${key} v PX 100`);
    sessions.ask("S", "SET other v PX 101");
    play(t, sessions, "A BEGIN ISOLATION LEVEL SERIALIZABLE | OK");
    t.equal(sessions.ask("A", `EXISTS ${keys.join(" ")}`), ":25");
    play(t, sessions, "S DBSIZE | 26");
    sessions.host.pass(1000);
    play(t, sessions, "S DBSIZE | 25\nA COMMIT | OK");
    sessions.host.pass(1000);
    play(t, sessions, "S DBSIZE | 0");
  });
});

t.test("the life of a transaction", async (t) => {
  t.test("COMMIT and ROLLBACK need BEGIN; BEGIN inside one commits it, as in MySQL", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A COMMIT                     | ERR COMMIT without BEGIN
      A ROLLBACK                   | ERR ROLLBACK without BEGIN
      A SAVEPOINT s                | ERR SAVEPOINT without BEGIN
      A RELEASE SAVEPOINT s        | ERR RELEASE without BEGIN
      A BEGIN                      | OK
      A SET k 1                    | OK
      A BEGIN                      | OK
      B GET k                      | 1
      A SET k 2                    | OK
      A ROLLBACK                   | OK
      B GET k                      | 1`,
    );
  });

  t.test("its grammar", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A BEGIN READ WRITE ISOLATION LEVEL READ COMMITTED | OK
      A BEGIN isolation level read uncommitted read only | OK
      A BEGIN READ ONLY READ ONLY  | ERR syntax error
      A BEGIN READ                 | ERR syntax error
      A BEGIN ISOLATION            | ERR syntax error
      A BEGIN ISOLATION LEVEL CHAOS | ERR syntax error
      A ROLLBACK FROM s            | ERR syntax error
      A ROLLBACK TO                | ERR syntax error
      A ROLLBACK TO SAVEPOINT s t  | ERR syntax error
      A RELEASE s                  | ERR wrong number of arguments for 'release' command
      A COMMIT                     | OK`,
    );
  });

  t.test("READ ONLY refuses to write, and goes on", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A SET k 1                    | OK
      A BEGIN READ ONLY            | OK
      A SET k 2                    | ERR Cannot execute statement in a READ ONLY transaction.
      A GET k                      | 1
      A COMMIT                     | OK`,
    );
  });

  t.test("savepoints: ROLLBACK TO undoes what came after and keeps the rest, and the locks", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A MSET a 1 b 1               | OK
      A BEGIN                      | OK
      A SAVEPOINT start            | OK
      A SET a 2                    | OK
      A SAVEPOINT one              | OK
      A DEL a                      | 1
      A HSET b f 1                 | WRONGTYPE Operation against a key holding the wrong kind of value
      A SET b 2                    | OK
      A SAVEPOINT two              | OK
      A SET c 1                    | OK
      A ROLLBACK TO SAVEPOINT ONE  | OK
      A MGET a b c                 | *3 2 1 nil
      A ROLLBACK TO two            | ERR SAVEPOINT two does not exist
      B SET b 9                    | waits
      A ROLLBACK TO one            | OK
      A RELEASE SAVEPOINT one      | OK
      A ROLLBACK TO one            | ERR SAVEPOINT one does not exist
      A ROLLBACK TO start          | OK
      A GET a                      | 1
      A SET a 3                    | OK
      A COMMIT                     | OK
      B                            | OK
      A MGET a b c                 | *3 3 9 nil`,
    );
  });

  t.test("a key deleted, made anew, deleted and rolled back in all ways", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A HSET k f 1 g 2             | 2
      A EXPIRE k 1000              | 1
      A BEGIN                      | OK
      A DEL k                      | 1
      A SET k string               | OK
      A SAVEPOINT s                | OK
      A DEL k                      | 1
      A HSET k x 1                 | 1
      A ROLLBACK TO s              | OK
      A GET k                      | string
      A DBSIZE                     | 1
      A ROLLBACK                   | OK
      A HGETALL k                  | *4 f 1 g 2
      A TTL k                      | 1000
      A DBSIZE                     | 1`,
    );
  });

  t.test("RENAME and COPY: the fields of a hash are where each reader expects them", async (t) => {
    play(
      t,
      new Sessions(),
      `
      S HSET h f 1                 | 1
      R BEGIN                      | OK
      R HGETALL h                  | *2 f 1
      A BEGIN                      | OK
      A RENAME h g                 | OK
      A HSET g x 2                 | 1
      A COPY g k                   | 1
      A HLEN k                     | 2
      A DBSIZE                     | 2
      S HGETALL h                  | *2 f 1
      S DBSIZE                     | 1
      A ROLLBACK                   | OK
      S HGETALL h                  | *2 f 1
      S EXISTS g k                 | 0
      S RENAME h g                 | OK
      S HSET g f 5                 | 0
      R HGETALL h                  | *2 f 1
      R EXISTS g                   | 0
      R COMMIT                     | OK
      R HGETALL g                  | *2 f 5
      R DBSIZE                     | 1`,
    );
  });

  t.test("MULTI, WATCH and SWAPDB are not for its inside; BEGIN is not for MULTI", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A BEGIN                      | OK
      A MULTI                      | ERR MULTI is not allowed between BEGIN and COMMIT
      A WATCH k                    | ERR WATCH is not allowed between BEGIN and COMMIT
      A SWAPDB 0 1                 | ERR SWAPDB is not allowed between BEGIN and COMMIT
      A COMMIT                     | OK
      A MULTI                      | OK
      A BEGIN                      | ERR Command not allowed inside a transaction
      A EXEC                       | EXECABORT Transaction discarded because of previous errors.`,
    );
  });

  t.test("who leaves, starts anew or is killed rolls back", async (t) => {
    const sessions = new Sessions();
    play(t, sessions, "A SET k 1 | OK\nA BEGIN | OK\nA SET k 2 | OK\nB INCR k | waits");
    sessions.of("A").leave();
    play(t, sessions, "B | 2\nA BEGIN | OK\nA SET k 7 | OK\nA RESET | RESET\nA GET k | 2");
    play(t, sessions, "A BEGIN | OK\nA SET k 8 | OK\nB INCR k | waits\nC INCR k | waits");
    sessions.of("B").leave();
    const id = sessions.of("A").connection.id;
    play(t, sessions, `D CLIENT KILL ID ${id} | 1\nC | 3\nD GET k | 3`);
    t.equal(sessions.engine.transactions.locks.size, 0);
    t.equal(sessions.engine.storage.versions.transactions, 0, "nobody is left to be looked after");
  });

  t.test("WATCH is told at the commit, not before, and not at all of what was rolled back", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A WATCH k                    | OK
      B BEGIN                      | OK
      B SET k 1                    | OK
      B ROLLBACK                   | OK
      A MULTI                      | OK
      A PING                       | QUEUED
      A EXEC                       | *1 PONG
      A WATCH k                    | OK
      B BEGIN                      | OK
      B SET k 1                    | OK
      B COMMIT                     | OK
      A MULTI                      | OK
      A PING                       | QUEUED
      A EXEC                       | *-1`,
    );
  });
});

t.test("waiting for locks", async (t) => {
  t.test("those who wait are served in the order in which they came", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A BEGIN                      | OK
      A SET k a                    | OK
      B APPEND k b                 | waits
      C APPEND k c                 | waits
      D APPEND k d                 | waits
      E GET k                      | nil
      A COMMIT                     | OK
      B                            | 2
      C                            | 3
      D                            | 4
      E GET k                      | abcd`,
    );
  });

  t.test("what a client sends behind a command that waits, waits too", async (t) => {
    const sessions = new Sessions();
    play(t, sessions, "A BEGIN | OK\nA SET k 1 | OK\nB INCR k | waits\nB PING | waits\nA COMMIT | OK");
    t.equal(sessions.of("B").take(), ":2 +PONG");
  });

  t.test("a reader of one mode does not overtake a writer that waits", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A BEGIN ISOLATION LEVEL SERIALIZABLE | OK
      A GET k                      | nil
      B SET k 1                    | waits
      C BEGIN ISOLATION LEVEL SERIALIZABLE | OK
      C GET k                      | waits
      A COMMIT                     | OK
      B                            | OK
      C                            | 1
      C COMMIT                     | OK`,
    );
  });

  t.test("a wait that is too long fails the command only", async (t) => {
    const sessions = new Sessions(new MemoryDisk(), { "lock-wait-timeout": "5" });
    play(
      t,
      sessions,
      "A BEGIN | OK\nA SET k 1 | OK\nB BEGIN | OK\nB SET mine 1 | OK\nB SET k 2 | waits\nC SET k 3 | waits",
    );
    sessions.host.pass(4000);
    play(t, sessions, "B | waits");
    sessions.host.pass(2000);
    play(
      t,
      sessions,
      `B | ${TIMEOUT}\nC | ${TIMEOUT}\nB GET mine | 1\nB COMMIT | OK\nA COMMIT | OK\nC MGET k mine | *2 1 1`,
    );
    t.match(sessions.ask("A", "INFO wal"), /lock_timeouts:2/);
  });

  t.test("MULTI … EXEC waits for all it needs, then runs whole", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A MSET a 1 b 1               | OK
      A BEGIN                      | OK
      A SET b 2                    | OK
      B MULTI                      | OK
      B INCR a                     | QUEUED
      B GET b                      | QUEUED
      B EXEC                       | waits
      C GET a                      | 1
      A COMMIT                     | OK
      B                            | *2 2 2`,
    );
  });

  t.test("an EXEC that only reads waits for nobody", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A BEGIN                      | OK
      A SET k 1                    | OK
      B MULTI                      | OK
      B GET k                      | QUEUED
      B DBSIZE                     | QUEUED
      B EXEC                       | *2 nil 0
      A COMMIT                     | OK`,
    );
  });

  t.test("whole databases: FLUSHDB waits for every change, SWAPDB for everybody who looks", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A SET k 1                    | OK
      A BEGIN                      | OK
      A GET k                      | 1
      B FLUSHDB                    | OK
      B SET k 2                    | OK
      B SWAPDB 0 1                 | waits
      A GET k                      | 1
      A INCR k                     | 3
      A COMMIT                     | OK
      B                            | OK
      A DBSIZE                     | 0`,
    );
  });

  t.test("COPY and MOVE lock the key in the other database, too", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A SET k 1                    | OK
      A SELECT 3                   | OK
      A BEGIN                      | OK
      A SET k 2                    | OK
      B COPY k k DB 3              | waits
      C MOVE k 3                   | waits
      A ROLLBACK                   | OK
      B                            | 1
      C                            | 0`,
    );
  });
});

t.test("deadlocks", async (t) => {
  t.test("the victim is the one with fewer changes, whoever asked last", async (t) => {
    const sessions = new Sessions();
    play(
      t,
      sessions,
      `
      A BEGIN                      | OK
      B BEGIN                      | OK
      A SET a 1                    | OK
      B SET b 1                    | OK
      B SET c 1                    | OK
      A SET b 2                    | waits
      B SET a 2                    | OK
      A                            | ${DEADLOCK}
      A GET a                      | nil
      B COMMIT                     | OK
      A MGET a b c                 | *3 2 1 1`,
    );
    t.match(sessions.ask("A", "INFO wal"), /deadlocks:1/);
  });

  t.test("a ring of three, and one that only reads", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A BEGIN                      | OK
      B BEGIN                      | OK
      C BEGIN ISOLATION LEVEL SERIALIZABLE | OK
      A SET a 1                    | OK
      B SET b 1                    | OK
      C GET c                      | nil
      A SET b 1                    | waits
      B SET c 1                    | waits
      C GET a                      | ${DEADLOCK}
      B                            | OK
      B COMMIT                     | OK
      A                            | OK
      A COMMIT                     | OK`,
    );
  });

  t.test("two who read and both want to write", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A BEGIN ISOLATION LEVEL SERIALIZABLE | OK
      B BEGIN ISOLATION LEVEL SERIALIZABLE | OK
      A GET k                      | nil
      B GET k                      | nil
      C SET k 9                    | waits
      A SET k 1                    | waits
      B SET k 2                    | ${DEADLOCK}
      A                            | OK
      A COMMIT                     | OK
      C                            | OK
      A GET k                      | 9`,
    );
  });

  t.test("commands alone never wait for each other", async (t) => {
    play(
      t,
      new Sessions(),
      `
      A BEGIN                      | OK
      A MSET a 1 b 1               | OK
      B MSET a b b b               | waits
      C MSET b c a c               | waits
      A COMMIT                     | OK
      B                            | OK
      C                            | OK
      A MGET a b                   | *2 c c`,
    );
  });
});

t.test("versions and purge", async (t) => {
  const infoOf = (sessions: Sessions, name: string) =>
    Number(new RegExp(`${name}:(\\d+)`).exec(sessions.ask("info", "INFO wal"))![1]);

  t.test("a view that is ten thousand versions old still sees its own; then purge catches up", async (t) => {
    const sessions = new Sessions();
    play(t, sessions, "B SET k 0 | OK\nA BEGIN | OK\nA GET k | 0");
    const writer = sessions.of("B");
    for (let i = 1; i <= 10_000; i++) {
      writer.send("SET", "k", String(i));
      if (i % 100 === 0) sessions.host.settle();
    }
    writer.take();
    sessions.host.pass(1000);
    play(t, sessions, "A GET k | 0\nC GET k | 10000");
    t.equal(sessions.engine.storage.versions.steps, 10_000, "one step for each version");
    t.ok(infoOf(sessions, "history_list_length") >= 10_000, "the history is as long");
    const pages = infoOf(sessions, "undo_pages_purged");
    play(t, sessions, "A COMMIT | OK");
    sessions.host.pass(1000);
    t.ok(infoOf(sessions, "history_list_length") <= 1, "nobody wants it any more");
    t.ok(infoOf(sessions, "undo_pages_purged") > pages + 30, "its pages are free");
  });

  t.test("a transaction that stays open holds the undo of all who came after it", async (t) => {
    const sessions = new Sessions();
    play(t, sessions, "A BEGIN | OK\nA SET mine 1 | OK");
    for (let i = 0; i < 50; i++) sessions.ask("B", `SET k ${i}`);
    sessions.host.pass(1000);
    t.ok(infoOf(sessions, "history_list_length") >= 50);
    t.equal(infoOf(sessions, "transactions_open"), 1);
    play(t, sessions, "A ROLLBACK | OK");
    sessions.host.pass(1000);
    t.ok(infoOf(sessions, "history_list_length") <= 1);
  });

  t.test("rows with a delete mark go when no view can want them, and what was made anew stays", async (t) => {
    const sessions = new Sessions();
    for (let i = 0; i < 20; i++) sessions.ask("S", `HSET h:${i} f ${"x".repeat(1000)}`);
    play(t, sessions, "A BEGIN | OK\nA DBSIZE | 20");
    for (let i = 0; i < 20; i++) sessions.ask("B", `DEL h:${i}`);
    for (let i = 0; i < 5; i++) sessions.ask("B", `SET h:${i} again`);
    sessions.host.pass(1000);
    play(t, sessions, "A DBSIZE | 20\nB DBSIZE | 5\nA HLEN h:7 | 1\nA TYPE h:1 | hash\nB TYPE h:1 | string");
    t.equal(infoOf(sessions, "rows_delete_marked"), 35, "15 keys and 20 fields");
    play(t, sessions, "A COMMIT | OK");
    sessions.host.pass(1000);
    t.equal(infoOf(sessions, "rows_delete_marked"), 0);
    t.same(checkWal(sessions.host.disk), []);
  });

  t.test("purge does a little at a time, however many rows an undo page has, and goes on where it was", async (t) => {
    const sessions = new Sessions();
    const keys = Array.from({ length: 4000 }, (_, n) => `key:${n}`);
    for (const key of keys) sessions.ask("S", `SET ${key} ${"x".repeat(500)}`);
    play(t, sessions, "A BEGIN | OK\nA DBSIZE | 4000");
    for (let n = 0; n < keys.length; n += 100) sessions.ask("S", `DEL ${keys.slice(n, n + 100).join(" ")}`);
    const { purge, pool, versions } = sessions.engine.storage;
    purge.run(undefined, 1000);
    t.equal(versions.markedRows, 4000, "the view wants them");
    play(t, sessions, "A COMMIT | OK");
    let runs = 0;
    for (; versions.markedRows > 0; runs++) {
      const { markedRows } = versions;
      const { loads } = pool;
      const work = 8 + infoOf(sessions, "history_list_length") / 512;
      purge.run(undefined, 8);
      if (pool.loads - loads > work + 4) t.fail(`${pool.loads - loads} pages were read`);
      if (markedRows - versions.markedRows > work * 32 + 1) t.fail(`${markedRows - versions.markedRows} rows at once`);
      t.ok(markedRows > versions.markedRows, "some of them go");
    }
    t.ok(runs > 15, `${runs} times`);
    play(t, sessions, "S DBSIZE | 0");
    t.same(checkWal(sessions.host.disk), []);
  });

  t.test("SCAN, KEYS and RANDOMKEY look through the view", async (t) => {
    const sessions = new Sessions();
    play(t, sessions, "S SET a 1 | OK\nA BEGIN | OK\nA GET a | 1\nB SET b 1 | OK\nB DEL a | 1");
    play(t, sessions, "A KEYS * | *1 a\nA SCAN 0 | *2 0 *1 a\nA RANDOMKEY | a\nB RANDOMKEY | b\nA COMMIT | OK");
  });

  t.test(
    "a transaction too large for the binlog cache: the command is undone, and the transaction goes on",
    async (t) => {
      const sessions = new Sessions(new MemoryDisk(), { "max-binlog-cache-size": "4096" });
      const large = "x".repeat(3000);
      const values = sessions.ask("S", "SET a small") && `MSET a ${large} b ${large}`;
      const refusal = /^-ERR Multi-statement transaction required more than 'max_binlog_cache_size'/;
      t.match(sessions.ask("A", values), refusal);
      play(t, sessions, "A MGET a b | *2 small nil\nA DBSIZE | 1\nA BEGIN | OK\nA SET c 1 | OK");
      t.match(sessions.ask("A", values), refusal);
      play(t, sessions, "A MGET a b c | *3 small nil 1\nA COMMIT | OK\nB MGET a b c | *3 small nil 1\nB DBSIZE | 2");
    },
  );
});

t.test("kv-aof cannot undo, and says so", async (t) => {
  const engine = createAofEngine(new TestHost(), new DirectiveConfig([SERVER_DIRECTIVES, AOF_DIRECTIVES]));
  engine.recover();
  const runner = new CommandRunner(engine.keyspace, (call) => engine.execute(call));
  for (const line of ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE SAVEPOINT s"]) {
    t.match(runner.run(...line.split(" ")), /^-ERR [A-Z]+ needs the engine kv-wal: .* MULTI and EXEC /, line);
  }
});
