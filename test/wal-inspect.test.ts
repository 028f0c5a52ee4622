/**
 * `twolog wal check` and `twolog wal inspect`: what they print of a small folder, byte for byte (test/golden/wal-inspect.txt;
 * UPDATE_SCRIPTS=1 writes it anew), and that damage is listed, all of it, instead of ending them.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { Effects } from "../common/command/call.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { UsageError } from "../common/errors.ts";
import { NO_EXPIRY } from "../common/keyspace/keyspace.ts";
import { readSlot, slotOffset } from "../kv-wal/checkpoint-slot.ts";
import type { WalEngine } from "../kv-wal/engine.ts";
import { checkFolder } from "../kv-wal/inspect/check-folder.ts";
import { inspectWal } from "../kv-wal/inspect.ts";
import { PAGE_SIZE, PageType } from "../kv-wal/page.ts";
import { twolog } from "./support/program.ts";
import { turns } from "./support/test-host.ts";
import { openWal, runOn } from "./support/wal-fixture.ts";
import { settle } from "./support/wal-workload.ts";

const GOLDEN = new URL("./golden/wal-inspect.txt", import.meta.url);

function change(engine: WalEngine, command: readonly string[], run: () => void): void {
  const effects = new Effects();
  effects.push(0, command);
  runOn(engine, effects, run);
  settle(engine);
}

/** A string, one that expires, a hash, a value of two pages that was replaced; the last change is in redo only. */
function smallFolder(): MemoryDisk {
  const disk = new MemoryDisk();
  const engine = openWal(disk);
  const { strings, hashes } = engine.keyspace.databases[0]!;
  change(engine, ["SET", "greeting", "hello"], () => strings.set("greeting", "hello", NO_EXPIRY));
  change(engine, ["SET", "soon", "gone"], () => strings.set("soon", "gone", 1_800_000_000_000));
  change(engine, ["HSET", "hash", "field", "value"], () => hashes.set("hash", "field", "value"));
  change(engine, ["SET", "long", "…"], () => strings.set("long", "0123456789".repeat(2000), NO_EXPIRY));
  change(engine, ["SET", "long", "short"], () => strings.set("long", "short", NO_EXPIRY));
  engine.storage.cleaner.cleanAll();
  change(engine, ["SET", "greeting", "good-bye"], () => strings.set("greeting", "good-bye", NO_EXPIRY));
  return disk.clone();
}

const folder = smallFolder();

function inspect(disk: MemoryDisk, what: string, options: { recovered?: boolean } = {}): string {
  const lines: string[] = [];
  inspectWal(disk, what.split(" "), options, (line) => lines.push(line.trimEnd()));
  return lines.join("\n");
}

t.test("a small folder, byte for byte", async (t) => {
  const shown = ["checkpoint", "redo", "space", "tree", "page 1", "undo", "doublewrite", "binlog"].map(
    (what) => `== ${what}\n${inspect(folder, what)}\n`,
  );
  shown.push(`== page 1, recovered\n${inspect(folder, "page 1", { recovered: true })}\n`);
  const text = shown.join("\n");
  if (process.env["UPDATE_SCRIPTS"] !== undefined) writeFileSync(GOLDEN, text);
  t.equal(text, readFileSync(GOLDEN, "utf8"));
});

t.test("every field is where it says, with the bytes it shows", async (t) => {
  let fields = 0;
  for (const what of ["checkpoint", "redo", "space", "page 1", "undo", "doublewrite", "binlog"]) {
    const lines: string[] = [];
    inspectWal(folder, what.split(" "), { json: true }, (line) => lines.push(line));
    for (const item of JSON.parse(lines.join("\n"))) {
      const file = folder.open(item.path, "read");
      for (const { offset, size, hex, name } of item.fields) {
        const shown = hex.replace(" …", "").split(" ");
        const bytes = Buffer.alloc(Math.min(size, shown.length));
        file.read(offset, bytes);
        // A redo record goes on in the next block, behind that block's header.
        const isWhole = what !== "redo" || (offset % 512) + shown.length <= 512;
        if (isWhole && bytes.toString("hex") !== shown.join("")) t.fail(`${what}: ${item.title}, ${name} at ${offset}`);
        fields++;
      }
      file.close();
    }
  }
  t.ok(fields > 300, `${fields} fields`);
});

t.test("the fields of a binlog event are all its bytes", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk, { "max-binlog-size": "4096", "binlog-row-image": "MINIMAL" });
  const { strings, hashes } = engine.keyspace.databases[3]!;
  for (let round = 0; round < 20; round++) {
    change(engine, ["SET", "k", "v"], () => strings.set("k", `\0'${round}`.repeat(20), 1_800_000_000_000 + round));
    change(engine, ["HSET", "h", "f", "v"], () => hashes.set("h", "f", `${round}`));
    change(engine, ["DEL", "h"], () => engine.keyspace.databases[3]!.delete("h"));
    change(engine, ["FLUSHDB"], () => round % 5 === 0 && engine.keyspace.databases[3]!.clear());
  }
  const lines: string[] = [];
  inspectWal(disk, ["binlog"], { json: true }, (line) => lines.push(line));
  const titles = new Set<string>();
  const ends = new Map<string, number>();
  for (const { path, offset, title, fields } of JSON.parse(lines.join("\n"))) {
    if (fields.length === 0) continue;
    titles.add(title);
    // Events follow one another, and fields, without a gap.
    let end = ends.get(path) ?? 4;
    t.equal(offset, end, `${path} ${offset}: ${title}`);
    for (const field of fields) {
      if (field.offset !== end) t.fail(`${path} ${offset}: ${title}: a gap before ${field.name}`);
      end = field.offset + field.size;
    }
    ends.set(path, end);
  }
  t.ok(ends.size > 1, "more than one file");
  for (const [path, end] of ends) t.equal(end, disk.open(path, "read").size(), path);
  const all = "format-description previous-gtids query table-map write-rows update-rows delete-rows xid rotate";
  t.same(new Set(titles), new Set(all.split(" ")));
});

t.test("an undamaged folder has no problems, and stays as it is", async (t) => {
  const before = folder.snapshot();
  t.same(checkFolder(folder), []);
  for (const what of ["redo", "space", "tree"]) inspect(folder, what, { recovered: true });
  t.ok(
    [...folder.snapshot()].every(([path, bytes]) =>
      Buffer.from(bytes ?? []).equals(before.get(path) ?? new Uint8Array()),
    ),
  );
});

function rot(disk: MemoryDisk, path: string, offset: number): void {
  const file = disk.open(path, "update");
  file.write(offset, Buffer.from("rot"));
  file.close();
}

function slotNumber(disk: MemoryDisk, slot: number): number {
  return readSlot(disk.open("wal/redo.0", "read"), slot)?.number ?? 0;
}

t.test("all problems are listed, and inspectors go on behind them", async (t) => {
  const disk = folder.clone();
  const pages = disk.open("wal/space", "read").size() / PAGE_SIZE;
  const undo = Array.from({ length: pages }, (_, page) => page).find((page) => {
    const type = Buffer.alloc(1);
    disk.open("wal/space", "read").read(page * PAGE_SIZE + 14, type);
    return type[0] === PageType.UNDO;
  })!;
  const [older] = [0, 1].sort((a, b) => slotNumber(disk, a) - slotNumber(disk, b));
  rot(disk, "wal/redo.0", slotOffset(older!) + 20);
  rot(disk, "wal/space", PAGE_SIZE + 100);
  rot(disk, "wal/space", undo * PAGE_SIZE + 8000);
  const found = checkFolder(disk).map(({ path, offset, page }) => `${path} ${offset} ${page ?? ""}`.trim());
  t.ok(found.includes(`wal/redo.0 ${slotOffset(older!)}`), "the older checkpoint slot");
  t.ok(found.includes(`wal/space ${PAGE_SIZE} 1`), "the root");
  t.ok(found.includes(`wal/space ${undo * PAGE_SIZE} ${undo}`), "an undo page");
  for (const what of ["checkpoint", "space", "tree", "page 1", "undo"]) t.match(inspect(disk, what), "DAMAGED", what);
  rot(disk, "wal/binlog.000001", 300);
  t.match(inspect(disk, "binlog"), /torn or damaged/);
});

t.test(
  "the check of a large log leaves nothing behind: pages that its recovery was writing are forgotten",
  async (t) => {
    // More pages in the redo log than in the file, and than the check's pool has frames.
    const disk = new MemoryDisk();
    const engine = openWal(disk, { "buffer-pool-size": "32mb", "redo-log-file-size": "16mb" });
    const { strings } = engine.keyspace.databases[0]!;
    for (let n = 0; n < 400; n++) {
      change(engine, ["SET", `key ${n}`], () => strings.set(`key ${n}`, String(n % 10).repeat(30_000), NO_EXPIRY));
    }
    for (const left of [disk.clone(), disk.afterPowerLoss()]) t.same(checkFolder(left), []);
    // A write that goes on would throw now, out of nowhere.
    await turns(5);
  },
);

t.test("the program: text, JSON, exit status, and what it does not understand", async (t) => {
  const directory = join(t.testdir({}), "data");
  mkdirSync(join(directory, "wal"), { recursive: true });
  for (const [path, bytes] of folder.snapshot()) if (bytes !== undefined) writeFileSync(join(directory, path), bytes);
  const wal = (...args: string[]) => twolog("wal", ...args);
  t.match(wal("check", directory), { status: 0, stdout: /everything in it is whole/ });
  t.same(JSON.parse(wal("check", "--json", directory).stdout), []);
  t.match(wal("inspect", "page", "1", directory), { status: 0, stdout: /tail +"greeting"/ });
  const items = JSON.parse(wal("inspect", "--json", "redo", directory).stdout);
  t.match(items.at(-1).title, /end of the log at LSN \d+/);
  t.match(wal("inspect", "everything", directory), { status: 2, stderr: /inspect what\? / });
  t.match(wal("inspect", "pool"), { status: 2, stderr: /--port N asks a running server/ });
  t.throws(() => inspect(folder, "page one"), UsageError);

  const space = readFileSync(join(directory, "wal/space"));
  space[PAGE_SIZE + 200]! ^= 1;
  writeFileSync(join(directory, "wal/space"), space);
  const damaged = wal("check", "--json", directory);
  t.equal(damaged.status, 1);
  t.match(JSON.parse(damaged.stdout), [{ path: "wal/space", page: 1, offset: PAGE_SIZE, reason: /damaged/ }]);
});
