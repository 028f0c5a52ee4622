/**
 * The commands of `twolog`: help, usage errors, the server with its flags and its config file, trace, bench.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { CommitRow } from "../compare/bench/commits.ts";
import { clientOf } from "./support/client.ts";
import { needs } from "./support/installed.ts";
import { PLAIN_ENV, PROGRAM, serve, twolog, twologIn } from "./support/program.ts";

t.test("--help and --version answer on standard output with status 0", (t) => {
  const help = twolog("--help");
  t.equal(help.status, 0);
  for (const name of ["compare", "server", "trace", "bench", "aof", "wal"])
    t.match(help.stdout, new RegExp(`^  ${name} `, "m"));
  t.match(twolog("--version"), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/ });
  const server = twolog("server", "--help").stdout;
  for (const flag of ["--appendfsync", "--flush-log-at-trx-commit", "--maxclients"]) t.match(server, flag);
  t.end();
});

t.test("the built program can be run by its name, as npx does", { skip: process.platform === "win32" }, (t) => {
  t.match(spawnSync(PROGRAM, ["--version"], { env: PLAIN_ENV }), { status: 0, error: undefined });
  t.end();
});

t.test("a wrong command line is refused in a line, with status 2 and no stack", (t) => {
  for (const args of [
    ["serve"],
    ["server", "--nope", "1"],
    ["server", "--engine", "b-tree"],
    ["bench", "--rounds", "0"],
    ["compare", "--html", "page.html"],
    ["compare", "--orders", "--campaign", "100"],
    ["compare", "--claims", "--states", "3"],
    ["compare", "--claims", "--originals", "--shard", "1/2"],
    ["trace"],
  ]) {
    const { status, stdout, stderr } = twolog(...args);
    t.equal(status, 2, args.join(" "));
    t.equal(stdout, "");
    t.match(stderr, /^error: /);
    t.notMatch(stderr, /\n\s+at /);
  }
  t.end();
});

t.test("what cannot be done is said in a line, with status 1", (t) => {
  const folder = t.testdir({
    "bad.conf": "port 1\nbogus yes\n",
    "save.conf": "save 900 1\n",
    empty: {},
    ofAof: { appendonlydir: {} },
    ofWal: { wal: {} },
  });
  const cases: [string[], RegExp][] = [
    [
      ["server", "--dir", folder, "--engine", "wal", "--appendfsync", "no"],
      /--appendfsync is no directive of the engine wal/,
    ],
    [["server", "--dir", folder, "--appendfsync", "often"], /--appendfsync: .*must be one of/],
    [["server", "--dir", folder, "--config", join(folder, "bad.conf")], /bad\.conf, line 2: unknown directive 'bogus'/],
    [["server", "--config", join(folder, "none.conf")], /cannot read the config file .*ENOENT/],
    [["server", "--dir", join(folder, "bad.conf")], /cannot use the data folder .*ENOTDIR/],
    [["server", "--config", join(folder, "save.conf")], /save '900 1': argument\(s\) must be one of the following: ""/],
    [["server", "--dir", join(folder, "ofWal"), "--port", "0"], /has data of kv-wal .* and none of kv-aof/],
    [
      ["server", "--dir", join(folder, "ofAof"), "--port", "0", "--engine", "wal"],
      /has data of kv-aof .* and none of kv-wal/,
    ],
    [["aof", "check", join(folder, "none")], /there is no folder/],
    [["wal", "check", join(folder, "empty")], /has no data of kv-wal/],
    [["trace", "SET k v", "--aof", "sometimes"], /unknown policy 'sometimes'/],
    [["compare", "--policy", "9/9"], /unknown policy '9\/9'/],
  ];
  for (const [args, message] of cases) {
    const { status, stderr } = twolog(...args);
    t.equal(status, 2, args.join(" "));
    t.match(stderr, message);
    t.notMatch(stderr, /\n\s+at /);
  }
  t.end();
});

for (const engine of ["aof", "wal"]) {
  t.test(`server --engine ${engine}: config file, flags over it, kill -9, check and dump`, async (t) => {
    const folder = t.testdir({});
    const data = join(folder, "data");
    mkdirSync(data);
    writeFileSync(join(folder, "twolog.conf"), `# ours\ndir ${data}\nmaxclients 100\ntimeout 30\n`);
    const flags = ["--engine", engine, "--config", join(folder, "twolog.conf"), "--maxclients", "50"];
    const { port, end } = await serve(t, ...flags);
    const client = clientOf(t, port);
    t.same(await client.config("GET", "maxclients"), ["maxclients", "50"], "a flag beats the file");
    t.same(await client.config("GET", "timeout"), ["timeout", "30"], "the file beats the default");
    await client.set("greeting", "hello");
    await client.hset("hash", { field: "value" });
    await end("SIGKILL");

    const check = twolog(engine, "check", data);
    t.match(check, { status: 0, stdout: /whole/ });
    if (engine === "aof") {
      const dump = twolog("aof", "dump", data).stdout;
      t.match(dump, /set "?greeting"? "?hello"?/i);
      t.match(dump, /hset "?hash"? "?field"? "?value"?/i);
    } else {
      t.match(twolog("wal", "inspect", "binlog", data).stdout, /binlog\.000001 \d+: xid/);
      t.match(twolog("wal", "inspect", "--recovered", "page", "1", data).stdout, /tail +"greeting"/);
    }

    const again = await serve(t, ...flags);
    const reader = clientOf(t, again.port);
    t.equal(await reader.get("greeting"), "hello");
    t.equal(await reader.hget("hash", "field"), "value");
    t.equal(await again.end("SIGTERM"), 0, "SIGTERM is an orderly end");
  });
}

t.test("trace shows both orders, in order", (t) => {
  const { status, stdout } = twolog("trace", "SET k v", "--json");
  t.equal(status, 0);
  const { traces } = JSON.parse(stdout) as { traces: { engine: string; reply: string; events: { step?: string }[] }[] };
  const steps = traces.map(({ events }) => events.flatMap(({ step }) => (step === undefined ? [] : [step])));
  t.same(steps[0], ["aof.apply", "aof.append", "aof.write", "aof.fsync", "aof.reply"]);
  t.same(steps[1]?.slice(0, 9), [
    "wal.undo",
    "wal.redo",
    "wal.page",
    "wal.prepare",
    "wal.redo-write",
    "wal.redo-sync",
    "wal.binlog-write",
    "wal.binlog-sync",
    "wal.commit",
  ]);
  t.same(
    traces.map(({ reply }) => reply),
    ["OK", "OK"],
  );
  t.end();
});

t.test("bench measures both engines; without redis-benchmark, with its own client", (t) => {
  const args = ["bench", "--requests", "2000", "--rounds", "1", "--pipeline", "4", "--tests", "set,get,incr,mset"];
  const path = join(t.testdir({}), "nothing-is-installed-here");
  const result = twologIn({ env: { ...PLAIN_ENV, PATH: path } }, ...args);
  t.equal(result.stderr, "");
  t.equal(result.status, 0);
  t.match(result.stdout, /own client/);
  t.match(result.stdout, /redis-server is not installed/);
  for (const test of ["set", "get", "incr", "mset"])
    t.match(result.stdout, new RegExp(`^${test} +4 +[\\d,]+ +[\\d,]+`, "m"));
  t.end();
});

t.test(
  "bench --peers compares durable upserts of the same load, with one and with several in flight",
  needs("mariadbd"),
  (t) => {
    const file = join(t.testdir({}), "peers.json");
    const args = ["bench", "--peers", "mariadb,lmdb", "--rounds", "1", "--seconds", "1", "--pipeline", "1,4"];
    const result = twolog(...args, "--connections", "5", "--keys", "1500", "--json", file);
    t.equal(result.stderr, "");
    t.equal(result.status, 0);
    const { rows } = JSON.parse(readFileSync(file, "utf8")) as { rows: CommitRow[] };
    const loadOf = ({ name, writers, inFlight }: CommitRow) => `${name} ${writers} × ${inFlight}`;
    t.same(rows.map(loadOf).sort(), [
      "kv-wal 1 × 1",
      "kv-wal 5 × 1",
      "kv-wal 5 × 4",
      "lmdb 1 × 1",
      "mariadb 5 × 1",
      "mariadb 5 × 4",
    ]);
    for (const row of rows) {
      const wal = rows.find((other) => loadOf(other) === loadOf({ ...row, name: "kv-wal" }))!;
      t.equal(row.ratio, wal.commitsPerSecond / row.commitsPerSecond, loadOf(row));
      t.ok(row.commitsPerSecond > 0 && row.p50Ms > 0 && row.p99Ms >= row.p50Ms, "something was measured");
    }
    t.end();
  },
);
