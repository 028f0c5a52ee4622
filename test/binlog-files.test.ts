/**
 * The files of the binlog: rotation, PURGE and expiry, crashed at every operation on the disk; torn tails are cut, damage is
 * named; a failed sync ends everything, and afterwards engine and binlog agree.
 */
import t from "tap";
import { FaultyDisk } from "../common/disk/faulty-disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { DiskFailure } from "../common/errors.ts";
import { applyBinlog } from "../kv-wal/binlog/apply.ts";
import { binlogPath, readBinlogIndex } from "../kv-wal/binlog/binlog-files.ts";
import { readBinlog } from "../kv-wal/binlog/binlog-reader.ts";
import { BinlogChain } from "../kv-wal/binlog/transactions.ts";
import { createWalEngine, type WalEngine } from "../kv-wal/engine.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { CommandRunner, pseudoRandom } from "./support/command-runner.ts";
import { bytesOf, contentsOf } from "./support/contents.ts";
import { Crash, CrashingDisk } from "./support/crashing-disk.ts";
import { ModelKeyspace } from "./support/model-keyspace.ts";
import { expectReply, started } from "./support/server-test.ts";
import { TestHost } from "./support/test-host.ts";
import { openWal, walConfig } from "./support/wal-fixture.ts";

const DIRECTIVES = { "max-binlog-size": "4096", "binlog-expire-logs-seconds": "0" };

/** A small group is settled in place, or not at all. */
class Unanswered extends Error {}

class Client {
  readonly engine: WalEngine;
  readonly #runner: CommandRunner;
  constructor(engine: WalEngine) {
    this.engine = engine;
    this.#runner = new CommandRunner(engine.keyspace, (call) => engine.execute(call));
  }
  /** Runs a command; only an acknowledged one returns. */
  run(...args: string[]): string {
    const reply = this.#runner.run(...args);
    let problem: Error | undefined = new Unanswered();
    this.engine.settle((failure) => {
      problem = failure;
    });
    if (problem !== undefined) throw problem;
    return reply;
  }
}

function contents(engine: WalEngine): string {
  engine.keyspace.events.now = -1;
  return contentsOf(engine.keyspace).join("\n");
}

/** The binlog of the folder applied to nothing, or to what a key says was there before the first file. */
function said(disk: MemoryDisk): string {
  const keyspace = new ModelKeyspace(16);
  applyBinlog(disk, keyspace, { config: walConfig(), now: 0, pick: pseudoRandom(1) });
  keyspace.events.now = -1;
  return contentsOf(keyspace).join("\n");
}

t.test("rotation and purge, crashed at every operation on the disk", async (t) => {
  for (const survive of ["kill", "power loss"] as const) {
    let crashes = 0;
    for (let at = 0; ; at++) {
      const memory = new MemoryDisk();
      let round = -1;
      let crashed = false;
      let purgedTo = 1;
      try {
        const client = new Client(openWal(new CrashingDisk(memory, at), DIRECTIVES));
        round = 0;
        for (round = 1; round <= 16; round++) {
          client.run("SET", `key ${round % 5}`, `${round}`.repeat(300));
          if (round === 5) client.engine.binaryLogs.rotate();
          if (round === 8 || round === 14) {
            purgedTo = client.engine.storage.binlog.number;
            client.engine.binaryLogs.purgeTo(client.engine.binaryLogs.list().at(-1)!.name);
          }
        }
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
        crashed = true;
      }
      const disk = survive === "kill" ? memory.clone() : memory.afterPowerLoss();
      const problem = judge(disk, round, purgedTo);
      if (problem !== "") t.fail(`${survive} before operation ${at}, round ${round}: ${problem}`);
      if (!crashed) break;
      crashes++;
    }
    t.ok(crashes > 100, `${crashes} crashes, ${survive}`);
  }
});

/** What is wrong with the folder after a crash in `round`, whose command was not acknowledged. */
function judge(disk: MemoryDisk, round: number, purgedTo: number): string {
  const engine = openWal(disk, DIRECTIVES);
  const { strings } = engine.keyspace.databases[0]!;
  for (let n = Math.max(1, round - 5); n < round; n++) {
    const value = strings.get(`key ${n % 5}`) ?? "";
    const younger = n + 5 <= round ? `${n + 5}`.repeat(300) : "";
    if (value !== `${n}`.repeat(300) && value !== younger) return `key ${n % 5} has ${value.slice(0, 6)}`;
  }
  const numbers = readBinlogIndex(disk);
  const names = disk.list("wal").filter((name) => /^binlog\.\d/.test(name));
  if (names.length !== numbers.length) return `the index has ${numbers}, the folder ${names}`;
  if (numbers[0]! > purgedTo) return `${binlogPath(purgedTo)} was not to be purged`;
  let last = 0;
  new BinlogChain(disk).each({ file: numbers[0]!, position: 0 }, ({ xid }) => {
    if (xid <= last) throw new Error(`XID ${xid} after ${last}`);
    last = xid;
    return true;
  });
  if (numbers[0] === 1 && said(disk) !== contents(engine)) return "the binlog does not say what the engine has";
  return checkWal(disk).join("; ");
}

t.test("PURGE by time, and expiry", async (t) => {
  const disk = new MemoryDisk();
  const host = new TestHost(disk);
  const engine = createWalEngine(host, walConfig({ ...DIRECTIVES, "binlog-expire-logs-seconds": "100" }));
  engine.recover();
  const client = new Client(engine);
  const numbers = () => engine.binaryLogs.list().map(({ name }) => Number(name.slice(-6)));
  const writeFile = () => {
    client.run("SET", "k", "v".repeat(5000));
    host.nowMs += 30_000;
  };
  for (let n = 0; n < 4; n++) writeFile();
  t.same(numbers(), [1, 2, 3, 4, 5], "at 0, 0, 30, 60 and 90 seconds; the last one is in use");
  t.throws(() => engine.binaryLogs.purgeTo("binlog.000009"), /Target log not found/);
  engine.binaryLogs.purgeBefore(host.nowMs - 90_000);
  t.same(numbers(), [2, 3, 4, 5], "what the first has is 120 seconds old, the second has something of 90");
  writeFile();
  t.same(numbers(), [2, 3, 4, 5, 6]);
  writeFile();
  t.same(numbers(), [3, 4, 5, 6, 7], "a new file is the time to remove what is older than 100 seconds");
  host.nowMs += 1_000_000;
  await engine.close();
  const again = createWalEngine(host, walConfig({ ...DIRECTIVES, "binlog-expire-logs-seconds": "100" }));
  again.recover();
  t.same(
    again.binaryLogs.list().map(({ name }) => name),
    ["binlog.000007"],
    "and so is a start; the file in use stays",
  );
  again.storage.binlog.keptFrom = 7;
  again.binaryLogs.rotate();
  again.binaryLogs.purgeTo("binlog.000008");
  t.equal(again.binaryLogs.list().length, 2, "a file that a backup needs is not purged");
});

t.test("an engine without a binary log says so", async (t) => {
  const server = await started(t);
  const client = await server.client();
  const refusal = "-ERR You are not using binary logging: only the engine kv-wal has a binary log\r\n";
  for (const line of [
    "PURGE BINARY LOGS TO binlog.000002",
    "SHOW BINARY LOGS",
    "FLUSH BINARY LOGS",
    "BACKUP TO /nowhere",
  ]) {
    await expectReply(t, client, line, refusal);
  }
});

/** A folder whose process was killed after transactions of all kinds. */
function killed(): MemoryDisk {
  const memory = new MemoryDisk();
  const client = new Client(openWal(memory, { "binlog-format": "MIXED" }));
  client.run("SET", "s", "1");
  client.run("APPEND", "s", "2");
  client.run("HSET", "h", "f", "1", "g", "2");
  client.run("INCR", "s");
  client.run("RENAME", "h", "i");
  return memory.clone();
}

t.test("a bit flipped anywhere in a binlog is detected", async (t) => {
  const disk = killed();
  const whole = bytesOf(disk, "wal/binlog.000001");
  const events: { position: number; end: number }[] = [];
  readBinlog(disk.open("wal/binlog.000001", "read"), (_type, _buffer, at, end, position) => {
    events.push({ position, end: position + end - at });
  });
  t.ok(events.length > 18, `${events.length} events`);
  let missed = 0;
  for (let bit = 0; bit < whole.length * 8; bit += 5) {
    const damaged = disk.clone();
    const file = damaged.open("wal/binlog.000001", "update");
    file.write(bit >> 3, Buffer.from([whole[bit >> 3]! ^ (1 << (bit & 7))]));
    const event = events.find(({ end }) => bit >> 3 < end)!;
    try {
      const { wholeTo } = readBinlog(file, () => {});
      if (wholeTo !== event.position) missed++;
    } catch (error) {
      // The magic number.
      if ((error as { offset?: number }).offset !== 0 || bit >= 32) missed++;
    }
  }
  t.equal(missed, 0, "the event that has the bit is named");
});

t.test("a tail torn anywhere is cut to the last whole transaction, and what is written behind it stands", async (t) => {
  const disk = killed();
  const whole = bytesOf(disk, "wal/binlog.000001");
  const ends: number[] = [];
  new BinlogChain(disk).each({ file: 1, position: 0 }, ({ end }) => ends.push(end) > 0);
  for (let size = whole.length - 1; size > ends[0]!; size -= 7) {
    const memory = new MemoryDisk();
    memory.makeDir("wal");
    const file = memory.open("wal/binlog.000001", "create");
    file.write(0, whole.subarray(0, size));
    const end = readBinlog(file, () => {});
    t.equal(
      end.position,
      ends.findLast((each) => each <= size),
      `${size} bytes`,
    );
  }
});

t.test("after a failed sync of the binlog nothing is acknowledged, and recovery makes both logs agree", async (t) => {
  for (const format of ["ROW", "STATEMENT"]) {
    const memory = new MemoryDisk();
    const fault = { call: "sync", path: (path: string) => path.includes("binlog.0"), nth: 6, code: "EIO" } as const;
    const client = new Client(openWal(new FaultyDisk(memory, [fault]), { "binlog-format": format }));
    const answers: string[] = [];
    for (let n = 1; n <= 8; n++) {
      try {
        answers.push(client.run("SET", `key ${n}`, "v"));
      } catch (error) {
        if (!(error instanceof DiskFailure)) throw error;
        answers.push(error.constructor.name);
      }
    }
    const ok = "+OK\r\n";
    const none = "DiskFailure";
    t.same(answers, [ok, ok, ok, none, none, none, none, none], "none, though later syncs succeed");
    for (const [disk, most] of [
      [memory.clone(), 4],
      [memory.afterPowerLoss(), 3],
    ] as const) {
      const engine = openWal(disk);
      const { size } = engine.keyspace.databases[0]!;
      t.equal(size, most, "the transaction whose sync failed is there if its events are");
      t.equal(said(disk), contents(engine));
    }
  }
});

t.test("a group that was written in part is cut (a transaction larger than what was written at once)", async (t) => {
  const memory = new MemoryDisk();
  const fault = {
    call: "write",
    path: (path: string) => path.includes("binlog.0"),
    nth: 3,
    code: "ENOSPC",
    written: 900,
  } as const;
  const client = new Client(openWal(new FaultyDisk(memory, [fault])));
  client.run("SET", "a", "1");
  t.throws(() => client.run("MSET", "b", "2".repeat(400), "c", "3".repeat(400)));
  const disk = memory.clone();
  const file = disk.open("wal/binlog.000001", "read");
  const { position, wholeTo } = readBinlog(file, () => {});
  t.ok(position < wholeTo, "whole events of the transaction are in the file, its XID is not");
  const engine = openWal(disk);
  t.equal(contents(engine), '0 "a" "1"');
  t.equal(said(disk), contents(engine));
  t.equal(file.size(), position, "the part is cut");
});
