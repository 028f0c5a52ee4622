/**
 * Backup and point-in-time recovery of kv-wal: a copy made while the server writes, and the binlog applied to it, give exactly
 * what was there at a position or a time.
 */
import t from "tap";
import type { Disk } from "../common/disk/disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { readManifest } from "../kv-wal/backup.ts";
import { createWalEngine, type WalEngine } from "../kv-wal/engine.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { type Restored, restore, type Until } from "../kv-wal/restore.ts";
import { CommandRunner, pseudoRandom } from "./support/command-runner.ts";
import { contentsOf } from "./support/contents.ts";
import { TestHost } from "./support/test-host.ts";
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
  for (let n = 0; n < 3000; n++) writer.run("SET", `filling ${n}`, "x".repeat(600));
  writer.write(600);
  writer.engine.binaryLogs.backUp("/backup");
  t.throws(() => writer.engine.binaryLogs.backUp("/other"), /already in progress/);
  for (let slices = 0; slices < 400; slices++) {
    writer.write(3);
    writer.engine.idle(3);
    await new Promise((resolve) => setImmediate(resolve));
    if (slices % 40 === 0) writer.note();
  }
  const info = new Map(writer.engine.info()[0]!.entries.map(([name, value]) => [name, value]));
  t.equal(info.get("backup_status"), "done");
  t.equal(info.get("backup_in_progress"), 0);
  for (let n = 0; n < 6; n++) {
    writer.write(50);
    writer.note();
  }
  const manifest = readManifest(writer.host.folders.get("/backup")!);
  const reachable = writer.moments.filter(
    ({ file, position }) =>
      file > manifest.binlog.file || (file === manifest.binlog.file && position >= manifest.binlog.position),
  );
  t.ok(reachable.length >= 6, `${reachable.length} of ${writer.moments.length} moments lie behind the backup`);
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
