/**
 * Backup and point-in-time recovery of kv-wal: a copy made while the server writes, and the binlog applied to it, give exactly
 * what was there at a position or a time.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Redis } from "ioredis";
import t, { type Test } from "tap";
import type { Disk } from "../common/disk/disk.ts";
import { FaultyDisk } from "../common/disk/faulty-disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { RealDisk } from "../common/disk/real-disk.ts";
import { readManifest } from "../kv-wal/backup.ts";
import { createWalEngine, type WalEngine } from "../kv-wal/engine.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { type Restored, restore, type Until } from "../kv-wal/restore.ts";
import { clientOf } from "./support/client.ts";
import { CommandRunner, pseudoRandom } from "./support/command-runner.ts";
import { contentsOf } from "./support/contents.ts";
import { PLAIN_ENV, PROGRAM, type Served, serve, twolog } from "./support/program.ts";
import { TestHost, turns } from "./support/test-host.ts";
import { walConfig } from "./support/wal-fixture.ts";

const DIRECTIVES = { "max-binlog-size": "64kb" };

/** A host with other folders, and a clock that goes on by itself: an idle call has an end. */
class FolderHost extends TestHost {
  #ticks = 0;
  override readonly clock = { ...new TestHost().clock, now: () => this.nowMs, monotonic: () => this.#ticks++ };
  readonly folders = new Map<string, MemoryDisk>();
  openFolder(folder: string): Disk {
    if (!this.folders.has(folder)) this.folders.set(folder, new MemoryDisk());
    return this.folders.get(folder)!;
  }
}

interface Moment {
  readonly file: number;
  readonly position: number;
  readonly ms: number;
  readonly contents: string;
}

function contents(engine: WalEngine): string {
  const { events } = engine.keyspace;
  const { now } = events;
  events.now = -1;
  const text = contentsOf(engine.keyspace).join("\n");
  events.now = now;
  return text;
}

/** Random commands; what was there after each, and where the binlog was. */
class Writer {
  readonly host = new FolderHost();
  readonly engine: WalEngine;
  readonly moments: Moment[] = [];
  readonly #runner: CommandRunner;
  readonly #pick = pseudoRandom(7);
  #count = 0;

  constructor() {
    this.engine = createWalEngine(this.host, walConfig(DIRECTIVES));
    this.engine.recover();
    this.#runner = new CommandRunner(this.engine.keyspace, (call) => this.engine.execute(call));
  }

  run(...args: string[]): string {
    this.engine.keyspace.events.now = this.host.nowMs;
    const reply = this.#runner.run(...args);
    this.engine.settle(() => {});
    return reply;
  }

  write(count: number): void {
    const pick = this.#pick;
    for (let n = 0; n < count; n++) {
      const key = `key ${pick(300)}`;
      const kind = pick(10);
      if (kind < 5) this.run("SET", key, `${this.#count++}`.repeat(1 + pick(60)));
      else if (kind < 7) this.run("HSET", `hash ${pick(20)}`, `f${pick(50)}`, `${this.#count++}`);
      else if (kind === 7) this.run("DEL", key);
      else if (kind === 8) this.run("SET", "long", `${this.#count++} `.repeat(3000));
      else this.run("RENAME", `hash ${pick(20)}`, `hash ${pick(20)}`);
      this.host.nowMs += 400;
    }
  }

  note(): void {
    const { binlog } = this.engine.storage;
    const { number: file } = binlog;
    this.moments.push({ file, position: binlog.log.written, ms: this.host.nowMs, contents: contents(this.engine) });
  }
}

async function restoreTo(
  writer: Writer,
  until: Until,
): Promise<{ restored: Restored; text: string; disk: MemoryDisk }> {
  const disk = new MemoryDisk();
  const host = new TestHost(disk, writer.host.nowMs);
  const backup = writer.host.folders.get("/backup")!.afterPowerLoss();
  const binlogs = (writer.host.disk as MemoryDisk).clone();
  const restored = await restore({ backup, binlogs, host, config: walConfig(DIRECTIVES), until });
  const engine = createWalEngine(new TestHost(disk.afterPowerLoss()), walConfig(DIRECTIVES));
  engine.recover();
  return { restored, text: contents(engine), disk };
}

t.test("a backup under load, restored to positions and times", async (t) => {
  const writer = new Writer();
  for (let n = 0; n < 2000; n++) writer.run("SET", `filling ${n}`, "x".repeat(600));
  writer.write(600);
  writer.engine.binaryLogs.backUp("/backup");
  t.throws(() => writer.engine.binaryLogs.backUp("/other"), /already in progress/);
  for (let slices = 0; slices < 160; slices++) {
    writer.write(3);
    writer.engine.idle(3);
    await turns();
    if (slices % 40 === 39) writer.note();
  }
  const info = new Map(writer.engine.info()[0]!.entries.map(([name, value]) => [name, value]));
  t.equal(info.get("backup_status"), "done");
  t.equal(info.get("backup_in_progress"), 0);
  for (let n = 0; n < 3; n++) {
    writer.write(50);
    writer.note();
  }
  const manifest = readManifest(writer.host.folders.get("/backup")!);
  const reachable = writer.moments.filter(
    ({ file, position }) =>
      file > manifest.binlog.file || (file === manifest.binlog.file && position >= manifest.binlog.position),
  );
  t.ok(reachable.length >= 3, `${reachable.length} of ${writer.moments.length} moments lie behind the backup`);
  t.ok(reachable.at(-1)!.file > manifest.binlog.file + 2, "several binlog files are applied");
  for (const { file, position, ms, contents: expected } of reachable) {
    const byPosition = await restoreTo(writer, { file, position });
    t.equal(byPosition.text, expected, `to ${file}:${position}, ${byPosition.restored.transactions} transactions`);
    const second = Math.ceil(ms / 1000) * 1000;
    if (ms === second) t.equal((await restoreTo(writer, { time: second })).text, expected, `to the second ${second}`);
  }
  const whole = await restoreTo(writer, undefined);
  t.equal(whole.text, contents(writer.engine), "to the end");
  t.same(checkWal(whole.disk), []);
});

t.test("what cannot be restored is refused before anything is done", async (t) => {
  const writer = new Writer();
  writer.write(20);
  writer.note();
  writer.engine.binaryLogs.backUp("/backup");
  while (writer.engine.backup.isRunning) {
    writer.engine.idle(50);
    await turns();
  }
  const early = writer.moments[0]!;
  writer.write(400);
  await t.rejects(restoreTo(writer, { file: early.file, position: 200 }), /younger than that position/);
  await t.rejects(restoreTo(writer, { time: early.ms - 60_000 }), /younger than that time/);
  await t.rejects(restoreTo(writer, { file: 99, position: 4 }), /does not reach wal\/binlog.000099:4/);
  const backup = writer.host.folders.get("/backup")!;
  backup.remove("backup.json");
  backup.syncDir("");
  await t.rejects(restoreTo(writer, undefined), /no complete backup/);
});

t.test("a gap in the binlog, or damage in it, is refused", async (t) => {
  const writer = new Writer();
  writer.write(20);
  writer.engine.binaryLogs.backUp("/backup");
  while (writer.engine.backup.isRunning) {
    writer.engine.idle(50);
    await turns();
  }
  writer.write(300);
  const disk = writer.host.disk as MemoryDisk;
  const byte = Buffer.alloc(1);
  const file = disk.open("wal/binlog.000002", "update");
  file.read(5000, byte);
  byte[0]! ^= 8;
  file.write(5000, byte);
  await t.rejects(restoreTo(writer, undefined), { name: "CorruptFile", path: "wal/binlog.000002" });
  byte[0]! ^= 8;
  file.write(5000, byte);
  t.ok(await restoreTo(writer, undefined));
  writer.engine.binaryLogs.purgeTo("binlog.000003");
  await t.rejects(restoreTo(writer, undefined), /binlog has a gap: the backup ends in wal\/binlog.000001/);
});

t.test("a failing backup disk ends the backup, not the server; the next backup works", async (t) => {
  for (const fault of [
    { call: "write", nth: 2, code: "ENOSPC" },
    { call: "sync", nth: 1, code: "EIO" },
    { call: "sync-dir", nth: 2, code: "EIO" },
    { call: "open", nth: 1, code: "EMFILE" },
  ] as const) {
    const writer = new Writer();
    writer.write(100);
    writer.host.openFolder = () => new FaultyDisk(new MemoryDisk(), [fault]);
    const run = async () => {
      while (writer.engine.backup.isRunning) {
        writer.write(2);
        writer.engine.idle(2);
        await turns();
      }
    };
    writer.engine.binaryLogs.backUp("/broken");
    await run();
    t.equal(writer.engine.backup.status, "failed");
    t.match(writer.engine.backup.problem, fault.code);
    writer.host.openFolder = FolderHost.prototype.openFolder;
    writer.engine.binaryLogs.backUp("/backup");
    await run();
    t.equal(writer.engine.backup.status, "done");
    t.equal((await restoreTo(writer, undefined)).text, contents(writer.engine));
  }
});

t.test("a server that closes gives its backup up, wherever that is", async (t) => {
  const syncs: (() => void)[] = [];
  const endSyncs = () => {
    for (let end = syncs.shift(); end !== undefined; end = syncs.shift()) end();
  };
  for (const phase of ["waiting", "copying", "syncing"]) {
    const host = new TestHost(new MemoryDisk().clone((complete) => syncs.push(complete)));
    const engine = createWalEngine(host, walConfig());
    engine.recover();
    const runner = new CommandRunner(engine.keyspace, (call) => engine.execute(call));
    engine.backup.start(
      new MemoryDisk().clone((complete) => syncs.push(complete)),
      "source",
    );
    // A group that is large enough to sync in the background: the backup waits for it.
    for (let n = 0; n < 50; n++) runner.run("SET", `key ${n}`, "v");
    engine.settle(() => {});
    engine.backup.idle(0);
    t.equal(engine.backup.status, "waiting");
    if (phase !== "waiting") {
      endSyncs();
      await turns();
      endSyncs();
      t.equal(engine.backup.status, "copying");
      if (phase === "syncing") engine.backup.idle(0);
    }
    t.equal(engine.backup.status, phase);
    const closed = engine.close();
    endSyncs();
    await closed;
    t.equal(engine.backup.status, "failed", phase);
    t.same(checkWal(host.disk as MemoryDisk), []);
  }
});

/** A command in one line: its status, and what it said. */
function said(...args: string[]): string {
  const { status, stdout, stderr } = twolog(...args);
  return `${status} ${stdout}${stderr}`;
}

async function serveWithClient(t: Test, folder: string): Promise<Served & { client: Redis }> {
  const served = await serve(t, "--engine", "wal", "--dir", folder, "--max-binlog-size", "256kb");
  return { ...served, client: clientOf(t, served.port) };
}

async function accounts(client: Redis): Promise<string> {
  const names = (await client.keys("*")).sort();
  const values = await Promise.all(names.map((name) => client.get(name)));
  return names.map((name, at) => `${name} ${values[at]}`).join("\n");
}

t.test("a backup of a stopped server names a place that its binlog has, though keys have expired since", async (t) => {
  const folder = t.testdir({});
  const [data, backup] = [join(folder, "data"), join(folder, "backup")];
  const engine = createWalEngine(new TestHost(new RealDisk(data)), walConfig());
  engine.recover();
  const runner = new CommandRunner(engine.keyspace, (call) => engine.execute(call));
  runner.run("SET", "key", "value", "PXAT", String(Date.UTC(2024)));
  await engine.close();
  t.match(said("wal", "backup", "--dir", data, "--to", backup), /^0 /);
  const { size } = statSync(join(data, "wal/binlog.000001"));
  t.same(readManifest(new RealDisk(backup)).binlog, { file: 1, position: size });
  t.match(said("wal", "restore", "--backup", backup, "--to", join(folder, "new")), /^0 .* 0 transactions applied/);
});

t.test("a real server: backup while clients write, kill -9, restore to a position and to a time", async (t) => {
  const folder = t.testdir({});
  const [data, backup] = [join(folder, "data"), join(folder, "backup")];
  const { client, end, port } = await serveWithClient(t, data);
  let transfers = 0;
  let isWriting = true;
  const pick = pseudoRandom(3);
  const transfersReach = async (count: number) => {
    while (transfers < count) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const transfer = async () => {
    const [from, to, amount] = [pick(50), pick(50), pick(100)];
    const number = transfers++;
    await client
      .multi()
      .decrby(`account ${from}`, amount)
      .incrby(`account ${to}`, amount)
      .set(`note ${number % 500}`, `${number} `.repeat(50))
      .exec();
  };
  const writing = Promise.all(
    Array.from({ length: 20 }, async () => {
      while (isWriting) await transfer();
    }),
  );
  await transfersReach(500);
  await client.call("FLUSH", "BINARY", "LOGS");
  const files = (await client.call("SHOW", "BINARY", "LOGS")) as [string, number][];
  t.ok(files.length >= 2 && files.every(([, size]) => size > 100), files.map(([file]) => file).join(" "));
  await client.call("PURGE", "BINARY", "LOGS", "BEFORE", "2020-01-01 00:00:00");
  await client.call("PURGE", "BINARY", "LOGS", "TO", files.at(-1)![0]);
  t.not(((await client.call("SHOW", "BINARY", "LOGS")) as [string, number][])[0]![0], files[0]![0]);
  await t.rejects(
    client.call("PURGE", "BINARY", "LOGS", "TO", "binlog.999999") as Promise<unknown>,
    /Target log not found/,
  );
  await t.rejects(client.call("PURGE", "BINARY", "LOGS", "BEFORE", "noon") as Promise<unknown>, /Incorrect DATETIME/);
  await t.rejects(client.call("SHOW", "TABLES", "NOW") as Promise<unknown>, /syntax error/);
  const before = transfers;
  const copying = spawn(process.execPath, [PROGRAM, "wal", "backup", "--port", String(port), "--to", backup], {
    env: PLAIN_ENV,
  });
  const [status] = await once(copying, "close");
  t.equal(status, 0);
  t.ok(transfers > before, `${transfers - before} transfers during the backup`);
  await transfersReach(transfers + 300);
  isWriting = false;
  await writing;
  const expected = await accounts(client);
  const [name, position] = (await client.call("SHOW", "BINARY", "LOG", "STATUS")) as [string, number];
  // Times are told to the second.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  const time = new Date().toISOString().slice(0, 19);
  await new Promise((resolve) => setTimeout(resolve, 1100));
  await client.flushall();
  await client.set("after", "the accident");
  await end("SIGKILL");

  const restoreTo = (to: string, ...until: string[]) =>
    said("wal", "restore", "--backup", backup, "--to", join(folder, to), "--binlogs", data, ...until);
  t.match(restoreTo("a", "--until", `${name}:${position}`), /^0 .*transactions applied/s);
  t.match(restoreTo("b", "--until", `${time}Z`.replace("T", " ")), /^0 /);
  t.match(restoreTo("b"), /^2 .*is not empty/s);
  for (const [to, wanted] of [
    ["a", expected],
    ["b", expected],
  ] as const) {
    const restored = await serveWithClient(t, join(folder, to));
    t.equal(await accounts(restored.client), wanted, to);
    await restored.end("SIGTERM");
  }
  t.match(
    said("wal", "binlog", data, "--from", `${name}:${position}`),
    /FLUSHDB.*COMMIT;.*v = 'the accident'.*COMMIT;/s,
  );
  t.match(said("wal", "backup", "--dir", data, "--to", join(folder, "cold")), /^0 .*has the data of/);
  t.ok(existsSync(join(folder, "cold", "backup.json")));
});
