/**
 * A flipped bit in any file of kv-wal is found and named, and what it has made of the data is never served: every structure,
 * bits chosen by a seed.
 */
import t, { type Test } from "tap";
import { Effects } from "../common/command/call.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { CorruptFile } from "../common/errors.ts";
import { NO_EXPIRY } from "../common/keyspace/keyspace.ts";
import { binlogPath } from "../kv-wal/binlog/binlog-files.ts";
import { readBinlog } from "../kv-wal/binlog/binlog-reader.ts";
import { slotOffset } from "../kv-wal/checkpoint-slot.ts";
import { DOUBLEWRITE_HEADER_BYTES, DOUBLEWRITE_PAGES_AT } from "../kv-wal/doublewrite.ts";
import type { WalEngine } from "../kv-wal/engine.ts";
import { checkFolder } from "../kv-wal/inspect/check-folder.ts";
import { describeProblem } from "../kv-wal/inspect/problem.ts";
import { PAGE_NEXT_AT, PAGE_SIZE } from "../kv-wal/page.ts";
import { BLOCK_PAYLOAD, BLOCK_SIZE } from "../kv-wal/redo-block.ts";
import { redoFileName } from "../kv-wal/redo-files.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { contentsOf } from "./support/contents.ts";
import { splitArguments } from "./support/scripts.ts";
import { Sessions } from "./support/sessions.ts";
import { openWal, runOn } from "./support/wal-fixture.ts";
import { settle } from "./support/wal-workload.ts";

const KEYS = 120;

/** Bytes of a file of which any one may rot: `bits` are tried, and the damage must be named within the `unit` it is in. */
interface Unit {
  readonly path: string;
  readonly from: number;
  readonly to: number;
  readonly unit: number;
  readonly bits: number;
}

function change(engine: WalEngine, run: () => void): void {
  const effects = new Effects();
  effects.push(0, ["SET", "some", "effect ".repeat(20)]);
  runOn(engine, effects, run);
  settle(engine);
}

/** Strings short and long, a hash, expiries; two binlog files; pages in place; redo behind them; undo that is needed. */
function fill(engine: WalEngine): void {
  const { strings, hashes } = engine.keyspace.databases[0]!;
  for (let n = 0; n < KEYS; n++) {
    change(engine, () =>
      strings.set(`key ${n}`, `${n} `.repeat(n * 4), n % 3 === 0 ? 1_900_000_000_000 + n : NO_EXPIRY),
    );
    if (n % 2 === 0) change(engine, () => hashes.set("hash", `field ${n}`, `value ${n}`));
    if (n === 70) engine.storage.cleaner.cleanAll();
  }
  change(engine, () => strings.set("long", "0123456789".repeat(6000), NO_EXPIRY));
  change(engine, () => strings.set("k".repeat(3000), "long key", NO_EXPIRY));
  engine.storage.cleaner.writeFrames(engine.storage.pool.oldestDirty(3, Number.POSITIVE_INFINITY));
  for (let n = 0; n < 20; n++) change(engine, () => strings.set(`key ${n}`, "new", NO_EXPIRY));
  engine.storage.redo.flushNow();
}

/** Everything the engine serves. */
function read(engine: WalEngine): string {
  const database = engine.keyspace.databases[0]!;
  const parts: string[] = [];
  database.scan(0, 1e9, (key) => parts.push(key));
  parts.sort();
  for (const key of [...parts]) {
    if (key !== "hash") parts.push(database.strings.get(key) ?? "-", String(database.expiryOf(key)));
  }
  const fields: string[] = [];
  database.hashes.each("hash", (field, value) => fields.push(`${field}=${value}`));
  return [...parts, ...fields.sort(), String(database.size)].join("\n");
}

const DIRECTIVES = { "max-binlog-size": "16kb" };

/** A folder whose process was killed, with what it must serve; and one that was closed in order. */
async function folders() {
  const disk = new MemoryDisk();
  const engine = openWal(disk, DIRECTIVES);
  fill(engine);
  const content = read(engine);
  const { header, redo, binlog } = engine.storage;
  const blocks: Unit[] = [];
  const [first, last] = [redo.checkpoint.lsn, redo.log.appended].map((lsn) => Math.floor(lsn / BLOCK_PAYLOAD));
  for (let block = first!; block <= last!; block += block < last! - 20 ? 3 : 1) {
    const { path, offset } = redo.ring.placeOf(block);
    blocks.push({ path, from: offset, to: offset + BLOCK_SIZE, unit: BLOCK_SIZE, bits: 1 });
  }
  const places = { pages: header.pages, blocks, binlogs: binlog.files };
  const killed = disk.clone();
  await engine.close();
  return { killed, closed: disk, content, places };
}

function flip(disk: MemoryDisk, path: string, offset: number, bit: number): MemoryDisk {
  const flipped = disk.clone();
  const file = flipped.open(path, "update");
  const byte = Buffer.alloc(1);
  file.read(offset, byte);
  byte[0] = byte[0]! ^ (1 << bit);
  file.write(offset, byte);
  file.close();
  return flipped;
}

/** What is served, or the damage that was met. */
function serve(disk: MemoryDisk): string | CorruptFile {
  try {
    return read(openWal(disk, DIRECTIVES));
  } catch (error) {
    if (error instanceof CorruptFile) return error;
    throw error;
  }
}

/** Flips one bit: what is served is right, or nothing is; the damage is named by file and place. `""` if so. */
function wrongAfter(
  disk: MemoryDisk,
  content: string,
  path: string,
  offset: number,
  bit: number,
  unit: number,
): string {
  const flipped = flip(disk, path, offset, bit);
  const served = serve(flipped.clone());
  const where = `${path}, offset ${offset}, bit ${bit}`;
  if (typeof served === "string" && served !== content) return `${where}: something else was served`;
  const found = checkFolder(flipped);
  const start = offset - (offset % unit);
  const named = found.some(
    (problem) => problem.path === path && problem.offset >= start && problem.offset < start + unit,
  );
  return named ? "" : `${where}: the check does not name it: ${found.map(describeProblem).join("; ")}`;
}

async function damage(t: Test, disk: MemoryDisk, content: string, places: Iterable<Unit>): Promise<void> {
  const random = pseudoRandom(7);
  let flips = 0;
  for (const { path, from, to, unit, bits } of places) {
    for (let n = 0; n < bits; n++) {
      const problem = wrongAfter(disk, content, path, from + random(to - from), random(8), unit);
      flips++;
      if (problem !== "") t.fail(problem);
    }
  }
  t.ok(flips > 0, `${flips} bits`);
}

t.test("a flipped bit", async (t) => {
  const { killed, closed, content, places } = await folders();
  t.equal(serve(killed.clone()), content, "undamaged");
  t.equal(serve(closed.clone()), content, "undamaged");
  t.same(checkFolder(killed), []);
  t.same(checkFolder(closed), []);

  t.test("in any page of the tablespace", async (t) => {
    const pages = Array.from({ length: closed.open("wal/space", "read").size() / PAGE_SIZE }, (_, page) => page);
    const place = (page: number) => ({
      path: "wal/space",
      from: page * PAGE_SIZE,
      to: (page + 1) * PAGE_SIZE,
      unit: PAGE_SIZE,
      bits: 3,
    });
    await damage(t, closed, content, pages.map(place));
  });

  t.test("in any redo block that recovery needs, header of a redo file, or checkpoint slot", async (t) => {
    await damage(t, killed, content, places.blocks);
    const heads = [0, 1].map((index) => ({
      path: redoFileName(index),
      from: 0,
      to: BLOCK_SIZE,
      unit: BLOCK_SIZE,
      bits: 8,
    }));
    const slots = [0, 1].map((slot) => ({
      path: redoFileName(0),
      from: slotOffset(slot),
      to: slotOffset(slot) + BLOCK_SIZE,
      unit: BLOCK_SIZE,
      bits: 8,
    }));
    await damage(t, killed, content, [...heads, ...slots]);
  });

  t.test("in any event of the binlog, or in its index", async (t) => {
    const events: Unit[] = [];
    for (let number = 1; number <= places.binlogs; number++) {
      const path = binlogPath(number);
      const file = killed.open(path, "read");
      let count = 0;
      readBinlog(file, (_type, _buffer, at, end, position) => {
        // Of every kind of event some: there are thousands.
        if (count++ % 5 === 0) events.push({ path, from: position, to: position + end - at, unit: 1e9, bits: 1 });
      });
      events.push({ path, from: 0, to: 4, unit: 1e9, bits: 4 });
    }
    await damage(t, killed, content, events);
    const size = killed.open("wal/binlog.index", "read").size();
    await damage(t, killed, content, [{ path: "wal/binlog.index", from: 0, to: size, unit: 1e9, bits: 40 }]);
  });

  t.test("in the doublewrite file, when a page in place is torn: repaired from a whole copy only", async (t) => {
    const header = Buffer.alloc(DOUBLEWRITE_HEADER_BYTES);
    killed.open("wal/doublewrite", "read").read(0, header);
    const count = header.readUInt16LE(14);
    t.ok(count > 0);
    for (let i = 0; i < count; i++) {
      const page = header.readUInt32LE(DOUBLEWRITE_PAGES_AT + 4 * i);
      const torn = killed.clone();
      const space = torn.open("wal/space", "update");
      space.write(page * PAGE_SIZE + 8192, Buffer.alloc(512, "torn"));
      space.close();
      t.equal(serve(torn.clone()), content, `page ${page} is repaired`);
      const copyAt = DOUBLEWRITE_HEADER_BYTES + i * PAGE_SIZE;
      for (const offset of [copyAt + 4000, 20, 3000]) {
        const served = serve(flip(torn, "wal/doublewrite", offset, 3));
        t.match(served, { path: "wal/space", offset: page * PAGE_SIZE }, `copy and page ${page} are damaged`);
      }
    }
  });
});

t.test(
  "a redo block with garbage in it: nothing that it held is missed unnoticed, because the binlog has it",
  async (t) => {
    const sessions = new Sessions();
    const { storage } = sessions.engine;
    const together = (...lines: readonly (readonly [client: string, line: string])[]) => {
      for (const [client, line] of lines) sessions.of(client).send(...splitArguments(line));
      sessions.host.settle();
    };
    const damageEachBlock = (when: string) => {
      const content = contentsOf(openWal(sessions.host.memory.clone()).keyspace);
      const { checkpoint, log, ring } = storage.redo;
      const [first, last] = [checkpoint.lsn, log.durable - 1].map((lsn) => Math.floor(lsn / BLOCK_PAYLOAD)) as [
        number,
        number,
      ];
      const served: string[] = [];
      for (let block = first; block <= last; block++) {
        const { path, offset } = ring.placeOf(block);
        const torn = sessions.host.memory.clone();
        const file = torn.open(path, "update");
        file.write(offset, Buffer.alloc(BLOCK_SIZE, "garbage"));
        file.close();
        try {
          t.same(contentsOf(openWal(torn).keyspace), content, `${when}, block ${block} of ${first} to ${last}`);
          served.push(`block ${block}`);
        } catch (error) {
          if (!(error instanceof CorruptFile)) throw error;
          t.match(
            error,
            { path, message: /which the binlog has|though it had been durable/ },
            `${when}, block ${block}: refused`,
          );
        }
      }
      return { served: served.length, blocks: last - first + 1 };
    };

    for (const line of ["BEGIN", "SET a 1"]) sessions.ask("A", line);
    sessions.ask("S", "SET s 1");
    // B's id is younger than the XID of A, and stands before A's prepare in the log.
    together(["A", "COMMIT"], ["B", "BEGIN"], ["B", "SET b 1"], ["B", `SET b ${"b".repeat(3 * BLOCK_SIZE)}`]);
    const prepared = damageEachBlock("A is committed");
    t.ok(prepared.blocks > 3 && prepared.served === 0, "every block has something that was acknowledged");
    sessions.ask("S", "FLUSH BINARY LOGS");
    t.equal(storage.binlog.number, 2);
    damageEachBlock("the last binlog file has no transaction yet");
  },
);

t.test(
  "a page that redo makes anew may be anything in the file: what an end that was cut off has left there",
  async (t) => {
    const disk = new MemoryDisk();
    const engine = openWal(disk);
    const { strings } = engine.keyspace.databases[0]!;
    const written = disk.open("wal/space", "read").size() / PAGE_SIZE;
    for (let n = 0; n < 40; n++) change(engine, () => strings.set(`key ${n}`, `${n} `.repeat(1500), NO_EXPIRY));
    engine.storage.redo.flushNow();
    const { pages } = engine.storage.header;
    t.equal(disk.open("wal/space", "read").size() / PAGE_SIZE, written, "no page was written since");
    t.ok(pages > written + 5);
    const space = disk.open("wal/space", "update");
    for (let page = written; page < pages + 3; page++)
      space.write(page * PAGE_SIZE + 512, Buffer.alloc(8000, "old page"));
    t.same(checkFolder(disk.clone()), []);
    const again = openWal(disk.clone());
    t.equal(read(again), read(engine));
    await again.close();
  },
);

t.test("pages of the undo log that go round in a circle, each with a right checksum, are refused", async (t) => {
  const disk = new MemoryDisk();
  const engine = openWal(disk);
  const effects = new Effects();
  effects.push(0, ["SET", "some", "effect"]);
  runOn(engine, effects, () => {
    for (let n = 0; n < 1000; n++) engine.keyspace.databases[0]!.strings.set(`key ${n}`, "v", NO_EXPIRY);
  });
  const { header, mini, pool, redo } = engine.storage;
  t.not(header.oldestUndo, header.newestUndo, "one transaction with more than a page of undo");
  pool.beginOperation();
  mini.begin();
  mini.patchU32(pool.fetch(header.newestUndo), PAGE_NEXT_AT, header.oldestUndo);
  mini.commit();
  redo.flushNow();
  t.throws(() => openWal(disk), { name: "CorruptFile", message: /^wal\/space: page \d+ is in the undo log twice/ });
});
