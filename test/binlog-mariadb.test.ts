/**
 * Judged from outside: a real MariaDB runs kv-wal's binlog (ROW), as it would run that of another MariaDB, on the tables that
 * `twolog wal schema` describes, and has the same data then.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { type Keyspace, Type } from "../common/keyspace/keyspace.ts";
import { readBinlogIndex } from "../kv-wal/binlog/binlog-files.ts";
import { schemaAsSql } from "../kv-wal/binlog/schema.ts";
import type { WalEngine } from "../kv-wal/engine.ts";
import { CommandRunner, pseudoRandom } from "./support/command-runner.ts";
import { bytesOf, keysOf } from "./support/contents.ts";
import { needs, socketFolder } from "./support/installed.ts";
import { openWal } from "./support/wal-fixture.ts";

class MariaDb {
  readonly folder = socketFolder("twolog-mariadb-");
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  /** The end of what it has logged. */
  #log = "";

  /** A new one, in an empty folder. It ends with the test. */
  constructor(t: Test) {
    const { folder } = this;
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const user = process.getuid?.() === 0 ? ["--user=root"] : [];
    const files = ["--no-defaults", `--datadir=${folder}`];
    execFileSync(
      "mariadb-install-db",
      [...files, ...user, "--auth-root-authentication-method=normal", "--skip-test-db"],
      // What it says of an error is part of what is thrown.
      { stdio: "pipe" },
    );
    const small = ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--skip-networking"];
    const child = spawn("mariadbd", [...files, ...user, ...small, `--socket=${this.#socket}`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#log = (this.#log + text).slice(-2000);
    });
    this.#child = child;
    this.#ended = once(child, "close");
    t.teardown(() => this.#stop());
  }

  get #socket(): string {
    return join(this.folder, "s");
  }

  async ready(): Promise<void> {
    while (this.#client("SELECT 1;").status !== 0) {
      const ended = this.#child.exitCode ?? this.#child.signalCode;
      if (ended !== null) throw new Error(`mariadbd has ended with ${ended}: ${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  #client(sql: string | Buffer) {
    const flags = ["--no-defaults", "--binary-mode", "-N", "-B", "-uroot", "-S", this.#socket];
    return spawnSync("mariadb", flags, { input: sql, maxBuffer: 1 << 28 });
  }

  run(sql: string | Buffer): string {
    const { status, stdout, stderr } = this.#client(sql);
    if (status !== 0) throw new Error(stderr.toString());
    return stdout.toString();
  }

  async #stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

function hex(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("hex").toUpperCase();
}

/** The keyspace as the rows that the tables should have. */
function expectedRows(keyspace: Keyspace): string[] {
  keyspace.events.now = -1;
  const rows: string[] = [];
  for (const database of keyspace.databases) {
    for (const key of keysOf(database)) {
      const isString = database.typeOf(key) === Type.STRING;
      const expiry = database.expiryOf(key);
      const place = `${database.index}\t${hex(key)}`;
      rows.push(`key\t${place}\t${isString ? "string" : "hash"}\t${expiry < 0 ? "NULL" : expiry}`);
      if (isString) rows.push(`string\t${place}\t${hex(database.strings.get(key)!)}`);
      else database.hashes.each(key, (field, value) => rows.push(`hash\t${place}\t${hex(field)}\t${hex(value)}`));
    }
  }
  return rows.sort();
}

const ROWS = `USE twolog;
SELECT 'key', db, HEX(k), type, expire_at FROM kv_key;
SELECT 'string', db, HEX(k), HEX(v) FROM kv_string;
SELECT 'hash', db, HEX(k), HEX(f), HEX(v) FROM kv_hash;
`;

/** A few hundred commands of all kinds. */
function work(engine: WalEngine): void {
  const runner = new CommandRunner(engine.keyspace, (call) => engine.execute(call));
  const pick = pseudoRandom(11);
  const bytes = () => String.fromCharCode(...Array.from({ length: pick(40) }, () => pick(256)));
  for (let n = 0; n < 400; n++) {
    const [key, other] = [`key ${pick(12)}`, `key ${pick(12)}`];
    const commands = [
      ["SET", key, bytes()],
      ["SET", key, bytes(), "PXAT", String(4_000_000_000_000 + n)],
      ["APPEND", key, bytes()],
      ["INCR", `counter ${pick(3)}`],
      ["HSET", `hash ${pick(4)}`, bytes(), bytes(), `f${pick(5)}`, bytes()],
      ["HDEL", `hash ${pick(4)}`, `f${pick(5)}`],
      ["RENAME", `hash ${pick(4)}`, `hash ${pick(4)}`],
      ["COPY", key, other, "DB", "1", "REPLACE"],
      ["COPY", `hash ${pick(4)}`, `hash ${pick(4)}`, "REPLACE"],
      ["DEL", key, other],
      ["SET", "long", bytes().repeat(2000)],
      ["PERSIST", key],
      n % 50 === 49 ? ["SWAPDB", "0", "1"] : ["GETDEL", key],
      n % 70 === 69 ? ["FLUSHDB"] : ["MSET", key, bytes(), other, bytes()],
    ];
    runner.run(...commands[pick(commands.length)]!);
    engine.settle(() => {});
  }
}

t.test("a MariaDB that runs the binlog has the same data", needs("mariadbd"), async (t) => {
  const server = new MariaDb(t);
  await server.ready();
  for (const image of ["FULL", "MINIMAL"]) {
    const disk = new MemoryDisk();
    const engine = openWal(disk, { "binlog-row-image": image });
    work(engine);
    t.same(readBinlogIndex(disk), [1]);
    const path = join(server.folder, "recorded.000001");
    writeFileSync(path, bytesOf(disk, "wal/binlog.000001"));
    server.run(`DROP DATABASE IF EXISTS twolog;\n${schemaAsSql().join("\n")}\n`);
    server.run(execFileSync("mariadb-binlog", ["--no-defaults", path], { maxBuffer: 1 << 28 }));
    const rows = server.run(ROWS).split("\n").slice(0, -1).sort();
    t.same(rows, expectedRows(engine.keyspace), `${image} images: ${rows.length} rows`);
  }
});
