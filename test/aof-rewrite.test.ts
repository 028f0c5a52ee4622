/**
 * The rewrite of the append-only file: what it makes, that it is memory as it was at one moment whatever happens meanwhile,
 * what every crash and every failure of the disk leaves, and how damage in files that are finished is found.
 */
import t from "tap";
import type { Bytes } from "../common/bytes.ts";
import { type Fault, FaultyDisk } from "../common/disk/faulty-disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { type DiskOperation, RecordingDisk } from "../common/disk/recording-disk.ts";
import { CorruptFile, DiskFailure } from "../common/errors.ts";
import { Stage } from "../compare/claims/stage.ts";
import { policyOf } from "../compare/policy.ts";
import { checkAof, describeReport, dumpAof } from "../kv-aof/inspect.ts";
import { AofFixture, fileOf, INCREMENT, MANIFEST, ManualSyncs, withFile } from "./support/aof-fixture.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { Crash, CrashingDisk } from "./support/crashing-disk.ts";

const FOLDER = "appendonlydir";
const SECOND = `${FOLDER}/appendonly.aof.2.incr.aof`;
const BASE = `${FOLDER}/appendonly.aof.1.base.rdb`;
const ALWAYS = { appendfsync: "always" };
/** A step of the walk ends behind each key. */
const SLOWLY = { ...ALWAYS, "rdb-key-save-delay": "1" };

/** kv-aof whose background syncs end when the test says so; `wrap` puts a disk between. */
class Rewriting {
  readonly syncs = new ManualSyncs();
  readonly aof: AofFixture;

  constructor(directives: Readonly<Record<string, string>> = ALWAYS, wrap = (disk: MemoryDisk) => disk as never) {
    this.aof = new AofFixture(wrap(this.syncs.disk), directives);
  }

  get disk(): MemoryDisk {
    return this.syncs.disk;
  }
  get isRunning(): boolean {
    return this.info("aof_rewrite_in_progress") === 1;
  }

  info(name: string): string | number | undefined {
    return this.aof.engine.info()[0]!.entries.find(([key]) => key === name)?.[1];
  }

  /** Runs command lines, each a turn of its own. */
  lines(...lines: string[]): void {
    for (const line of lines) {
      this.aof.line(line);
      this.aof.settle();
    }
  }

  /** Begins a rewrite, up to the moment of its snapshot. */
  begin(): void {
    this.aof.engine.logRewrite.begin();
    const begun = this.aof.steps.length;
    while (this.isRunning && !this.aof.steps.includes("aof.begin", begun)) {
      this.idle();
      // Only those of the increment: the base's must wait for `end`.
      while (this.syncs.running > 0 && !this.aof.steps.includes("aof.begin", begun)) this.syncs.endOne();
    }
  }

  idle(): void {
    this.aof.engine.idle(5);
  }

  /** Goes on until the rewrite has ended. */
  end(): void {
    while (this.isRunning) {
      this.idle();
      while (this.syncs.running > 0) this.syncs.endOne();
    }
  }

  rewrite(): void {
    this.begin();
    this.end();
  }
}

/** What is there on a disk. */
function contentsOn(disk: MemoryDisk, nowMs?: number): string[] {
  return new AofFixture(disk, ALWAYS, nowMs).contents();
}

function refusal(disk: MemoryDisk): string {
  try {
    contentsOn(disk);
  } catch (error) {
    if (error instanceof CorruptFile) return error.message;
    throw error;
  }
  return "accepted";
}

/** A disk that has nothing but the base of another. */
function baseAlone(disk: MemoryDisk): MemoryDisk {
  const [name = ""] = disk.list(FOLDER).filter((file) => file.includes(".base."));
  const only = new MemoryDisk();
  only.makeDir(FOLDER);
  const alone = withFile(only, `${FOLDER}/${name}`, fileOf(disk, `${FOLDER}/${name}`));
  return withFile(alone, MANIFEST, Buffer.from(`file ${name} seq 1 type b\n`));
}

t.test("a rewrite replaces all files by a base and an empty increment, in this order", async (t) => {
  const server = new Rewriting();
  server.lines("SET a 1", "INCR n", "INCR n", "HSET h f v");
  server.aof.steps.length = 0;
  server.begin();
  t.same(server.aof.steps, ["aof.seal", "aof.increment", "aof.begin"]);
  t.match(
    fileOf(server.disk, MANIFEST).toString(),
    /1\.incr\.aof seq 1 type i\n#twolog sealed bytes \d+ .*\nfile .*2\.incr/,
  );
  server.lines("INCR n");
  server.aof.steps.length = 0;
  server.end();
  t.same(server.aof.steps, ["aof.base", "aof.rename", "aof.install", "aof.clear"]);
  t.same(server.disk.list(FOLDER), [
    "appendonly.aof.1.base.rdb",
    "appendonly.aof.2.incr.aof",
    "appendonly.aof.manifest",
  ]);
  const sealed =
    /^#twolog 1\nfile appendonly\.aof\.1\.base\.rdb seq 1 type b\n#twolog sealed bytes (\d+) crc32 [0-9a-f]{8}\n/;
  const [, bytes] = sealed.exec(fileOf(server.disk, MANIFEST).toString()) ?? [];
  t.equal(Number(bytes), fileOf(server.disk, BASE).length);
  t.equal(fileOf(server.disk, SECOND).toString(), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
  t.same(contentsOn(server.disk.afterPowerLoss()), ["0 a 1 @-1", "0 h {f=v} @-1", "0 n 3 @-1"]);
  t.equal(server.aof.told.at(-1), "Background AOF rewrite finished successfully");
});

t.test("the order in which the disk is changed (I8)", async (t) => {
  const operations: string[] = [];
  const name = (path: string): string =>
    path.replace(/^appendonlydir\/?/, "").replace("appendonly.aof.", "") || "folder";
  const record = (operation: DiskOperation): void => {
    const to = operation.kind === "rename" ? ` → ${name(operation.to)}` : "";
    if (operation.kind !== "sync-start") operations.push(`${operation.kind} ${name(operation.path)}${to}`);
  };
  const server = new Rewriting(ALWAYS, (disk) => new RecordingDisk(disk, record) as never);
  server.lines("SET a 1");
  server.aof.line("SET b 2");
  operations.length = 0;
  server.rewrite();
  const manifest = [
    "write temp-manifest",
    "sync-end temp-manifest",
    "rename temp-manifest → manifest",
    "sync-dir folder",
  ];
  t.same(
    operations.filter((line) => !/^(create|truncate) temp-/.test(line)),
    [
      ...["write 1.incr.aof", "sync-end 1.incr.aof"], // sealed
      ...["create 2.incr.aof", "sync-dir folder"],
      ...manifest, // names the next increment
      ...[
        "write temp-1.base.rdb",
        "write temp-1.base.rdb",
        "sync-end temp-1.base.rdb",
        "rename temp-1.base.rdb → 1.base.rdb",
        "sync-dir folder",
      ],
      ...manifest, // names the base
      ...["remove 1.incr.aof", "sync-dir folder"],
      ...manifest, // forgets the history
    ],
  );
});

t.test("BGREWRITEAOF, as clients see it", async (t) => {
  const aof = new Stage(policyOf("aof", "everysec"), { directives: { "rdb-key-save-delay": "100000" } });
  aof.ask("SET", "k", "v");
  t.equal(aof.ask("BGREWRITEAOF"), "Background append only file rewriting started");
  t.match(aof.ask("BGREWRITEAOF"), { message: "ERR Background append only file rewriting already in progress" });
  t.match(aof.ask("INFO", "persistence"), /aof_rewrite_in_progress:1\r\n/);
  aof.rest(1000);
  t.match(aof.ask("INFO", "persistence"), /aof_rewrite_in_progress:0\r\n/);
  aof.ask("MULTI");
  aof.ask("BGREWRITEAOF");
  aof.ask("BGREWRITEAOF");
  const scheduled = "Background append only file rewriting scheduled";
  t.same(aof.ask("EXEC"), [scheduled, scheduled], "in EXEC it is only noted");
  t.match(aof.ask("BGREWRITEAOF", "now"), { message: "ERR wrong number of arguments for 'bgrewriteaof' command" });
  const wal = new Stage(policyOf("wal", "1/1"));
  t.match(wal.ask("BGREWRITEAOF"), {
    message: /^ERR You are not using an append-only file: only the engine kv-aof has one/,
  });
});

t.test("BGREWRITEAOF while one runs is refused; INFO tells what Redis tells", async (t) => {
  const server = new Rewriting();
  server.lines("SET a 1");
  t.same([server.info("aof_rewrites"), server.info("aof_last_rewrite_time_sec")], [0, -1]);
  server.begin();
  t.throws(() => server.aof.engine.logRewrite.begin(), {
    message: "ERR Background append only file rewriting already in progress",
  });
  server.aof.nowMs += 2500;
  t.same([server.info("aof_rewrite_in_progress"), server.info("aof_current_rewrite_time_sec")], [1, 2]);
  server.end();
  t.same([server.info("aof_rewrite_in_progress"), server.info("aof_current_rewrite_time_sec")], [0, -1]);
  t.same([server.info("aof_rewrites"), server.info("aof_last_rewrite_time_sec")], [1, 2]);
  t.equal(server.info("aof_last_bgrewrite_status"), "ok");
  t.equal(server.info("aof_current_size"), fileOf(server.disk, BASE).length);
  t.equal(server.info("aof_base_size"), fileOf(server.disk, BASE).length);
});

t.test("the RDB of a small database, byte for byte", async (t) => {
  const server = new Rewriting();
  server.aof.nowMs = 1_700_000_000_000;
  server.lines("SET text hello", "SET small -7", "SET large 2147483647");
  server.aof.select(9);
  server.lines("HSET h f 300", "PEXPIREAT h 4102444800000");
  server.rewrite();
  const bytes = fileOf(server.disk, BASE);
  const header = [
    ...["REDIS0010", "fa", "@redis-ver", "@7.2.0", "fa", "@redis-bits", "c040", "fa", "@ctime", "c200f15365"],
    ...["fa", "@aof-base", "c001", "fe00", "fb0300", "fe09", "fb0101"],
  ];
  t.equal(bytes.subarray(0, bytesOf(header).length).toString("hex"), bytesOf(header).toString("hex"));
  // Keys come in the order of their hashes.
  for (const record of [
    ["00", "@text", "@hello"],
    ["00", "@small", "c0f9"],
    ["00", "@large", "c2ffffff7f"],
    ["fc", "00d8c32cbb030000", "04", "@h", "01", "@f", "c12c01"],
  ]) {
    t.ok(bytes.includes(bytesOf(record)), record.join(" "));
  }
  t.equal(bytes.at(-9), 0xff);
});

/** Hexadecimal bytes; "@text" is a length and the text. */
function bytesOf(parts: readonly string[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (part.startsWith("REDIS")) return Buffer.from(part);
      if (!part.startsWith("@")) return Buffer.from(part, "hex");
      return Buffer.concat([Buffer.of(part.length - 1), Buffer.from(part.slice(1))]);
    }),
  );
}

/** Random commands that change something, on keys of several databases; `large` makes hashes with a dictionary. */
function change(server: Rewriting, pick: (bound: number) => number, keys: number): void {
  const { aof } = server;
  const key = (): Bytes => `k${pick(keys)}`;
  const value = (): Bytes => [`v${pick(1000)}`, String(pick(2 ** 32) - 2 ** 31), "x".repeat(pick(400)), ""][pick(4)]!;
  aof.select(pick(3));
  const commands: (() => Bytes[])[] = [
    () => ["SET", key(), value()],
    () => ["SET", key(), value(), "PX", String(1 + pick(200))],
    () => ["DEL", key(), key()],
    () => ["APPEND", key(), value()],
    () => ["INCR", `n${pick(4)}`],
    () => ["HSET", `h${pick(6)}`, `f${pick(40)}`, value()],
    () => ["HSET", `h${pick(6)}`, ...Array.from({ length: 40 }, () => [`f${pick(900)}`, value()]).flat()],
    () => ["HDEL", `h${pick(6)}`, ...Array.from({ length: 1 + pick(60) }, () => `f${pick(900)}`)],
    () => ["HDEL", `h${pick(6)}`, ...Array.from({ length: 1 + pick(8) }, () => `f${pick(40)}`)],
    () => ["SETRANGE", key(), String(pick(30)), "range"],
    () => ["RENAME", key(), key()],
    () => ["RENAME", `h${pick(6)}`, key()],
    () => ["COPY", key(), key(), "DB", String(pick(3)), "REPLACE"],
    () => ["MOVE", key(), String(pick(3))],
    () => ["PERSIST", key()],
    () => ["EXPIRE", key(), "1000"],
    () => ["MSET", ...Array.from({ length: 30 }, () => [key(), value()]).flat()],
    () => ["GETEX", key(), "PX", "50"],
    () => (pick(12) === 0 ? ["FLUSHDB"] : ["TOUCH", key()]),
    () => (pick(6) === 0 ? ["SWAPDB", String(pick(3)), String(pick(3))] : ["GET", key()]),
    () => (pick(30) === 0 ? ["FLUSHALL"] : ["HINCRBY", `c${pick(3)}`, "n", "1"]),
  ];
  aof.run(...commands[pick(commands.length)]!());
}

for (const format of ["yes", "no"]) {
  t.test(`the base is memory at one moment, whatever changes meanwhile (aof-use-rdb-preamble ${format})`, async (t) => {
    for (let seed = 1; seed <= 15; seed++) {
      const pick = pseudoRandom(seed);
      const server = new Rewriting({ ...SLOWLY, "aof-use-rdb-preamble": format, "hash-max-listpack-entries": "16" });
      // So few keys that most are there; or so many that tables grow and shrink, and slabs are compacted.
      const keys = seed % 5 === 0 ? 900 : 25;
      for (let n = 0; n < keys * 4; n++) change(server, pick, keys);
      server.aof.settle();
      server.begin();
      const moment = { contents: server.aof.contents(), nowMs: server.aof.nowMs };
      const keysAtOnce = seed % 5 === 0 ? 40 : 2;
      for (let n = 0; server.isRunning; n++) {
        change(server, pick, keys);
        if (pick(8) === 0) server.aof.nowMs += pick(60);
        if (pick(4) === 0) server.aof.settle();
        for (let step = 0; n % 2 === 0 && step < keysAtOnce && server.isRunning; step++) server.idle();
        while (server.syncs.running > 0) server.syncs.endOne();
      }
      for (let n = 0; n < 20; n++) change(server, pick, keys);
      server.aof.settle();
      const { disk } = server;
      t.same(contentsOn(baseAlone(disk), moment.nowMs), moment.contents, `seed ${seed}: the base`);
      t.same(contentsOn(disk.afterPowerLoss(), server.aof.nowMs), server.aof.contents(), `seed ${seed}: all of it`);
      server.rewrite();
      t.same(contentsOn(disk.afterPowerLoss(), server.aof.nowMs), server.aof.contents(), `seed ${seed}: once more`);
    }
  });
}

t.test("a base of commands is what Redis writes with aof-use-rdb-preamble no", async (t) => {
  const server = new Rewriting({ ...ALWAYS, "aof-use-rdb-preamble": "no" });
  server.lines("SET s v", "PEXPIREAT s 4102444800000");
  server.aof.select(2);
  server.aof.run("HSET", "h", ...Array.from({ length: 65 }, (_, n) => [`f${n}`, "v"]).flat());
  server.aof.settle();
  server.rewrite();
  const printed: string[] = [];
  dumpAof(server.disk, (line) => printed.push(line.replace(/^ +[0-9]+ +/, "").slice(0, 40)));
  t.same(printed, [
    "# appendonly.aof.1.base.aof",
    "0  SELECT 0",
    "0  SET s v",
    "0  PEXPIREAT s 4102444800000",
    "0  SELECT 2",
    "2  HSET h f0 v f1 v f2 v f3 v f4 v f5 v ",
    "2  HSET h f64 v",
    "# appendonly.aof.2.incr.aof",
  ]);
});

t.test("a crash at any operation of the disk leaves what was acknowledged (A7a to A7d)", async (t) => {
  /** Some life with a rewrite in the middle, on a disk that stops before its n-th operation. */
  const live = (memory: MemoryDisk, syncs: ManualSyncs, left: number): { acknowledged: string[]; stopped: boolean } => {
    let acknowledged: string[] = [];
    try {
      const aof = new AofFixture(new CrashingDisk(memory, left), SLOWLY);
      acknowledged = aof.contents();
      const turn = (line: string): void => {
        aof.line(line);
        if (aof.settle().outcome === "sent") acknowledged = aof.contents();
      };
      for (const line of ["SET a 1", "INCR n", "HSET h f 1", "SET b 1", "INCR n"]) turn(line);
      aof.engine.logRewrite.begin();
      for (let n = 0; n < 40; n++) {
        aof.engine.idle(5);
        if (n % 3 === 0) turn(["INCR n", "APPEND a +", "HSET h f 2", "DEL b", "SET c 1"][n % 5]!);
        if (n % 2 === 0 && syncs.running > 0) syncs.endOne();
      }
      return { acknowledged, stopped: false };
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      return { acknowledged, stopped: true };
    }
  };
  let crashes = 0;
  let seenBases = 0;
  for (let left = 0; ; left++) {
    const syncs = new ManualSyncs();
    const { acknowledged, stopped } = live(syncs.disk, syncs, left);
    // A command whose reply did not leave may be there, too; here it is the last.
    for (const disk of [syncs.disk.clone(), syncs.disk.afterPowerLoss()]) {
      const again = disk.clone();
      const aof = new AofFixture(disk, ALWAYS);
      const found = aof.contents();
      if (disk.list(FOLDER).includes("appendonly.aof.1.base.rdb")) seenBases++;
      const later = afterOneMore(acknowledged);
      if (!later.includes(found.join()))
        t.fail(`before operation ${left}: ${found.join()} after ${acknowledged.join()}`);
      t.same(
        disk.list(FOLDER).filter((name) => /temp|^appendonly\.aof\.[12]\.incr/.test(name) && !isNamed(disk, name)),
        [],
        "nothing is left that no manifest names",
      );
      // Recovery itself may be killed anywhere (I7).
      for (let steps = 0; ; steps += 7) {
        const twice = again.clone();
        try {
          new AofFixture(new CrashingDisk(twice, steps), ALWAYS);
          break;
        } catch (error) {
          if (!(error instanceof Crash)) throw error;
        }
        const survived = contentsOn(twice.afterPowerLoss()).join();
        if (!later.includes(survived)) t.fail(`before operation ${left}, recovery stopped at ${steps}: ${survived}`);
      }
    }
    if (!stopped) break;
    crashes++;
  }
  t.ok(crashes > 60, `${crashes} places to crash at`);
  t.ok(seenBases > 20, "the new base was there in many of them");
});

function isNamed(disk: MemoryDisk, name: string): boolean {
  return fileOf(disk, MANIFEST).includes(` ${name} `);
}

/** The contents, and those after any one of the commands that may have been on its way. */
function afterOneMore(contents: readonly string[]): string[] {
  return [
    [],
    ["SET a 1"],
    ["INCR n"],
    ["APPEND a +"],
    ["HSET h f 1"],
    ["HSET h f 2"],
    ["DEL b"],
    ["SET b 1"],
    ["SET c 1"],
  ].map((lines) => {
    const aof = new AofFixture(new MemoryDisk());
    for (const line of contents) {
      const [, key = "", value = ""] = line.split(" ");
      aof.line(value.startsWith("{") ? `HSET ${key} f ${value.slice(3, -1)}` : `SET ${key} ${value}`);
    }
    for (const line of lines) aof.line(line);
    return aof.contents().join();
  });
}

t.test("a disk that fails", async (t) => {
  const failing = (fault: Fault): Rewriting => {
    const server = new Rewriting(SLOWLY, (disk) => new FaultyDisk(disk, [fault], (run) => run()) as never);
    server.lines("SET a 1", "SET b 2");
    server.begin();
    server.lines("INCR n");
    server.end();
    return server;
  };
  const isTemporary = (path: string): boolean => path.includes("temp-");
  const isBase = (path: string): boolean => path.includes(".base.");

  const survived: [string, Fault][] = [
    ["no room in the base", { call: "write", path: isBase, nth: 1, code: "ENOSPC" }],
    ["an error in the sync of the base", { call: "sync", path: isBase, nth: 1, code: "EIO" }],
    ["the base cannot be made", { call: "open", path: isBase, nth: 1, code: "EIO" }],
    ["the base cannot be renamed", { call: "rename", path: isBase, nth: 1, code: "EIO" }],
    ["the next increment cannot be made", { call: "open", path: (path) => path === SECOND, nth: 1, code: "ENOSPC" }],
    [
      "no room for the manifest",
      { call: "write", path: (path) => isTemporary(path) && !isBase(path), nth: 2, code: "ENOSPC" },
    ],
    [
      "no room for the second manifest",
      { call: "write", path: (path) => isTemporary(path) && !isBase(path), nth: 3, code: "ENOSPC" },
    ],
    [
      "the increment cannot be read for its sum",
      { call: "read", path: (path) => path === INCREMENT, nth: 1, code: "EIO" },
    ],
  ];
  for (const [what, fault] of survived) {
    t.test(`${what}: the files as they were go on, and the next rewrite succeeds`, async (t) => {
      const server = failing(fault);
      t.match(server.aof.told.at(-1), /^Background AOF rewrite failed, the files as they were go on: /);
      t.same([server.info("aof_last_bgrewrite_status"), server.info("aof_rewrites_consecutive_failures")], ["err", 1]);
      t.same(
        server.disk.list(FOLDER).filter((name) => name.includes(".base.")),
        [],
      );
      server.lines("INCR n");
      const contents = ["0 a 1 @-1", "0 b 2 @-1", "0 n 2 @-1"];
      t.same(contentsOn(server.disk.afterPowerLoss()), contents);
      server.rewrite();
      t.same([server.info("aof_last_bgrewrite_status"), server.info("aof_rewrites_consecutive_failures")], ["ok", 0]);
      t.same(server.disk.list(FOLDER).length, 3);
      t.same(contentsOn(server.disk.afterPowerLoss()), contents);
    });
  }

  t.test("history that cannot be removed is removed by the next rewrite, or at the next start", async (t) => {
    const server = failing({ call: "remove", path: (path) => path === INCREMENT, nth: 1, code: "EIO" });
    t.match(server.aof.told.at(-1), /^Cannot remove superseded append-only files: remove .*1\.incr\.aof: EIO$/);
    t.equal(server.info("aof_last_bgrewrite_status"), "ok");
    t.match(fileOf(server.disk, MANIFEST).toString(), /1\.incr\.aof seq 1 type h\n/);
    const next = server.disk.clone();
    t.same(contentsOn(next), server.aof.contents());
    t.same(next.list(FOLDER).length, 3);
    t.notMatch(fileOf(next, MANIFEST).toString(), /type h/);
    server.rewrite();
    t.same(server.disk.list(FOLDER).length, 3);
  });

  const fatal: [string, Fault][] = [
    ["the sync of the increment", { call: "sync", path: (path) => path === INCREMENT, nth: 3, code: "EIO" }],
    ["the manifest's rename", { call: "rename", path: (path) => !isBase(path), nth: 2, code: "EIO" }],
    ["the folder's sync behind it", { call: "sync-dir", path: (path) => path === FOLDER, nth: 4, code: "EIO" }],
  ];
  for (const [what, fault] of fatal) {
    t.test(`${what} fails: nobody knows what is on disk, and nothing more is acknowledged (I6)`, async (t) => {
      const server = new Rewriting(ALWAYS, (disk) => new FaultyDisk(disk, [fault], (run) => run()) as never);
      server.lines("SET a 1", "SET b 2");
      server.aof.line("SET c 3");
      server.aof.engine.logRewrite.begin();
      t.throws(() => {
        for (let n = 0; n < 10; n++) server.idle();
      }, DiskFailure);
      t.throws(() => server.aof.settle(), DiskFailure);
      server.aof.engine.logRewrite.work(server.aof.nowMs);
      t.notOk(server.isRunning, "and nothing goes on");
      t.same(contentsOn(server.disk.afterPowerLoss()).slice(0, 2), ["0 a 1 @-1", "0 b 2 @-1"]);
    });
  }
});

t.test("the server ends while a rewrite runs: nothing is left of it", async (t) => {
  const server = new Rewriting(SLOWLY);
  server.lines("SET a 1", "SET b 2", "SET c 3");
  server.begin();
  server.idle();
  server.lines("INCR n");
  await server.aof.engine.close();
  t.same(server.disk.list(FOLDER), [
    "appendonly.aof.1.incr.aof",
    "appendonly.aof.2.incr.aof",
    "appendonly.aof.manifest",
  ]);
  t.same(contentsOn(server.disk.afterPowerLoss()), ["0 a 1 @-1", "0 b 2 @-1", "0 c 3 @-1", "0 n 1 @-1"]);
});

t.test("the file is rewritten by itself when it has grown, and less and less often when that fails", async (t) => {
  const directives = { ...ALWAYS, "auto-aof-rewrite-percentage": "100", "auto-aof-rewrite-min-size": "1000" };
  const full: Fault = { call: "open", path: (path) => path.includes(".base."), nth: 2, times: 5, code: "ENOSPC" };
  const server = new Rewriting(directives, (disk) => new FaultyDisk(disk, [full], (run) => run()) as never);
  const grow = (bytes: number): void => {
    for (let n = 0; n < bytes / 100; n++) server.lines(`SET k ${"v".repeat(70)}`);
  };
  grow(900);
  server.idle();
  t.equal(server.isRunning, false);
  grow(300);
  server.idle();
  t.equal(server.isRunning, true);
  t.match(server.aof.told.at(-1), /^Starting automatic rewriting of AOF on \d+% growth$/);
  server.end();
  t.equal(server.info("aof_rewrites"), 1);

  grow(1500);
  const attempts: number[] = [];
  const start = server.aof.nowMs;
  for (let second = 0; second < 1000 && server.info("aof_rewrites") === 1; second++) {
    const failures = server.info("aof_rewrites_consecutive_failures");
    server.idle();
    server.end();
    if (server.info("aof_rewrites_consecutive_failures") !== failures) attempts.push((server.aof.nowMs - start) / 1000);
    server.aof.nowMs += 1000;
  }
  t.same(attempts, [0, 1, 2, 62, 182, 422], "three at once, then after 1, 2 and 4 minutes");
  t.match(server.aof.told.join("\n"), /repeatedly failed and triggered the limit, will retry in 4 minutes/);

  server.aof.config.set([["auto-aof-rewrite-percentage", "0"]]);
  grow(5000);
  server.idle();
  t.equal(server.isRunning, false, "0: never by itself");
});

t.test("damage in a file that is finished is found, and named (A15)", async (t) => {
  /** Two increments, the first sealed: a rewrite whose base could not be made. */
  const sealed = (): MemoryDisk => {
    const server = new Rewriting(SLOWLY);
    server.lines("SET a 1", "SET b 2", "SET c 3");
    server.begin();
    server.lines("SET d 4");
    return server.disk.clone();
  };
  const source = sealed();
  const first = fileOf(source, INCREMENT);
  const manifest = fileOf(source, MANIFEST).toString();

  t.test("every flipped bit of it", async (t) => {
    let found = 0;
    for (let offset = 0; offset < first.length; offset++) {
      const bytes = Buffer.from(first);
      bytes[offset]! ^= 1 << (offset % 8);
      const said = refusal(withFile(source, INCREMENT, bytes));
      if (!said.startsWith(`${INCREMENT}: the checksum of the ${first.length} sealed bytes does not fit`)) t.fail(said);
      found++;
    }
    t.equal(found, first.length);
  });

  t.test("cut between two commands, cut anywhere, or longer than it was", async (t) => {
    const between = first.indexOf("*3\r\n$3\r\nSET\r\n$1\r\nc");
    for (const length of [between, 0, first.length - 1]) {
      t.equal(
        refusal(withFile(source, INCREMENT, first.subarray(0, length))),
        `${INCREMENT}: the file was cut short: ${first.length} bytes were sealed, and it ends at offset ${length}`,
      );
    }
    const longer = withFile(source, INCREMENT, Buffer.concat([first, first]));
    t.equal(refusal(longer), `${INCREMENT}: the sealed file goes on behind its end at offset ${first.length}`);
    const report = checkAof(withFile(source, INCREMENT, first.subarray(0, between)));
    t.equal(report.accepted, false);
    t.match(describeReport(report).join("\n"), /the file was cut short: .*\nrecovery will refuse these files/s);
  });

  t.test("a line of the manifest is missing, or changed", async (t) => {
    const lines = manifest.split("\n").slice(0, -1);
    t.equal(lines.length, 5);
    for (let index = 1; index < lines.length; index++) {
      const less = lines.filter((_, at) => at !== index);
      t.match(
        refusal(withFile(source, MANIFEST, Buffer.from(`${less.join("\n")}\n`))),
        /checksum does not fit|was cut short/,
      );
    }
    for (let length = lines[0]!.length + 1; length < manifest.length; length++) {
      const said = refusal(withFile(source, MANIFEST, Buffer.from(manifest.slice(0, length))));
      if (!/manifest was cut short|checksum does not fit/.test(said)) t.fail(`cut at ${length}: ${said}`);
    }
    const damaged = manifest.replace("bytes ", "bytes 1");
    t.match(refusal(withFile(source, MANIFEST, Buffer.from(damaged))), /checksum does not fit|file was cut short/);
  });

  t.test("a manifest without our lines, as Redis writes it, is read as before", async (t) => {
    const plain = manifest.replace(/^#.*\n/gm, "");
    t.equal(plain, "file appendonly.aof.1.incr.aof seq 1 type i\nfile appendonly.aof.2.incr.aof seq 2 type i\n");
    const disk = withFile(source, MANIFEST, Buffer.from(plain));
    t.same(contentsOn(disk), contentsOn(source.clone()));
    const changed = Buffer.from(first.toString("latin1").replace("$1\r\n3", "$1\r\n9"), "latin1");
    t.match(
      contentsOn(withFile(disk, INCREMENT, changed)),
      ["0 a 1 @-1", "0 b 2 @-1", "0 c 9 @-1"],
      "not seen, as in Redis",
    );
  });

  t.test("a changed byte in the increment that grows, up to its last group", async (t) => {
    const server = new Rewriting();
    for (let n = 0; n < 300; n++) server.lines(`SET k${n} ${"v".repeat(900)}`);
    const whole = fileOf(server.disk, INCREMENT);
    const ends = [...whole.toString("latin1").matchAll(/#twolog group bytes (\d+) crc32 [0-9a-f]{8}\n/g)];
    t.equal(ends.length, 4, "a line every 64 KiB or so");
    t.ok(ends.every(([, bytes]) => Number(bytes) >= 65536 && Number(bytes) < 68000));
    t.same(contentsOn(server.disk.afterPowerLoss()).length, 300);
    const damaged = (at: number): MemoryDisk => {
      const bytes = Buffer.from(whole);
      const value = bytes.indexOf("vvvv", at);
      bytes[value]! ^= 1;
      return withFile(server.disk, INCREMENT, bytes);
    };
    for (const [index, end] of ends.entries()) {
      const start = ends[index - 1]?.index ?? 0;
      const said = new RegExp(`: the checksum of the ${end[1]} bytes before does not fit at offset ${end.index}$`);
      t.match(refusal(damaged(start)), said);
      t.match(refusal(damaged(end.index - 800)), said);
    }
    t.equal(refusal(damaged(ends.at(-1)!.index)), "accepted", "the last group has no end yet: as in Redis");

    // What recovery has cut is in no group, and groups go on behind it.
    const torn = withFile(server.disk, INCREMENT, whole.subarray(0, whole.length - 1000));
    const next = new AofFixture(torn, ALWAYS);
    for (let n = 0; n < 100; n++) {
      next.line(`SET later${n} ${"w".repeat(900)}`);
      next.settle();
    }
    t.equal(
      [
        ...fileOf(torn, INCREMENT)
          .toString("latin1")
          .matchAll(/#twolog group/g),
      ].length,
      5,
    );
    t.same(contentsOn(torn.afterPowerLoss()), next.contents());
  });

  t.test("groups go on behind a batch that there was no room for", async (t) => {
    const full: Fault = {
      call: "write",
      path: (path) => path === INCREMENT,
      nth: 2,
      times: 3,
      code: "ENOSPC",
      written: 70,
    };
    const server = new Rewriting(
      { appendfsync: "no" },
      (disk) => new FaultyDisk(disk, [full], (run) => run()) as never,
    );
    for (let n = 0; n < 250; n++) {
      server.lines(`SET k${n} ${"v".repeat(900)}`);
      server.aof.nowMs += 700;
      server.idle();
    }
    t.ok(fileOf(server.disk, INCREMENT).includes("#twolog group bytes"));
    t.same(contentsOn(server.disk.clone()), server.aof.contents());
  });

  t.test("a base of commands, which has no checksum of its own", async (t) => {
    const server = new Rewriting({ ...ALWAYS, "aof-use-rdb-preamble": "no" });
    server.lines("SET a 1");
    server.rewrite();
    const path = `${FOLDER}/appendonly.aof.1.base.aof`;
    const bytes = fileOf(server.disk, path);
    bytes[bytes.length - 3]! ^= 1;
    t.match(
      refusal(withFile(server.disk, path, bytes)),
      /1\.base\.aof: the checksum of the \d+ sealed bytes does not fit/,
    );
  });
});

t.test("what is in the folder and in no manifest", async (t) => {
  const server = new Rewriting();
  server.lines("SET a 1");
  server.rewrite();
  const strange = (name: string, bytes: string): MemoryDisk =>
    withFile(server.disk, `${FOLDER}/${name}`, Buffer.from(bytes));
  for (const [name, bytes] of [
    ["temp-appendonly.aof.2.base.rdb", "REDIS"],
    ["appendonly.aof.2.base.rdb", "REDIS"],
    ["appendonly.aof.3.incr.aof", ""],
  ] as const) {
    const disk = strange(name, bytes);
    const aof = new AofFixture(disk);
    t.ok(aof.told.some((line) => line.startsWith(`removed ${name}, which a `)));
    t.same(disk.afterPowerLoss().list(FOLDER).length, 3, name);
  }
  const somebodys = strange("appendonly.aof.3.incr.aof", "data");
  const aof = new AofFixture(somebodys, ALWAYS);
  t.ok(somebodys.list(FOLDER).includes("appendonly.aof.3.incr.aof"), "somebody's data is kept");
  aof.engine.logRewrite.begin();
  for (let n = 0; n < 5; n++) aof.engine.idle(5);
  t.match(aof.told.at(-1), /rewrite failed, .*3\.incr\.aof: the file has data, but the manifest does not name it/);
  t.equal(fileOf(somebodys, `${FOLDER}/appendonly.aof.3.incr.aof`).toString(), "data", "and never overwritten");
});
