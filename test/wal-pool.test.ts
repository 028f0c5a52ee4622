/**
 * The buffer pool: which pages stay when the pool is small, what is read ahead, and what is never served.
 */
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { wordsOf, writeU48 } from "../kv-wal/bytes-view.ts";
import type { WalEngine } from "../kv-wal/engine.ts";
import { PAGE_LSN_AT, PAGE_SIZE, PAGE_TYPE_AT, PageType } from "../kv-wal/page.ts";
import { sealChecksum } from "../kv-wal/redo-block.ts";
import { openWal } from "./support/wal-fixture.ts";
import { commit, fileBytes, fill, Machine, strings } from "./support/wal-machine.ts";

/** What `run` asked of the pool, and how many pages it had to wait for. */
function hits(engine: WalEngine, run: () => void): { requests: number; loads: number } {
  const { pool } = engine.storage;
  const [requests, loads] = [pool.requests, pool.loads];
  run();
  return { requests: pool.requests - requests, loads: pool.loads - loads };
}

t.test("a scan passes through the old part of the pool, and pages ahead of it are read together", async (t) => {
  const machine = new Machine(new MemoryDisk(), undefined, { "buffer-pool-size": "2mb" });
  const { engine, host } = machine;
  fill(engine, 6000, 1600);
  machine.rest(10);
  const { pool, space } = engine.storage;
  const readHot = () => {
    for (let n = 0; n < 40; n++) strings(engine).get(`key ${n * 7}`);
  };
  readHot();
  host.nowMs += 1001;
  readHot();
  t.ok(pool.lru.madeYoung > 20, `${pool.lru.madeYoung} pages made young`);
  const ahead = pool.pagesReadAhead;
  const calls = space.reads;
  const scanned = hits(engine, () => {
    let seen = 0;
    engine.keyspace.databases[0]!.scan(0, 1e9, () => seen++);
    t.equal(seen, 6000);
  });
  t.ok(scanned.loads > 100, `the scan waited for ${scanned.loads} pages`);
  t.ok(pool.pagesReadAhead >= ahead && space.reads > calls);
  t.ok(hits(engine, readHot).loads < 20, "what is used again and again is still there");
  t.equal(pool.lru.youngLength + pool.lru.oldLength, pool.usedFrames);
  const share = pool.lru.oldLength / pool.usedFrames;
  t.ok(share > 0.34 && share < 0.4, `old part: ${share}`);
});

t.test("leaves that lie as they were filled are read ahead", async (t) => {
  const machine = new Machine(new MemoryDisk(), undefined, { "buffer-pool-size": "2mb" });
  const { engine } = machine;
  const { tree, transactions, rows, pool } = engine.storage;
  // Rows in the order of their keys, as a bulk load makes them.
  transactions.mayChange = true;
  for (let n = 0; n < 5000; n++) {
    tree.search(0x7f000000, 1, n, "");
    transactions.insert(0x7f000000, 1, n, "", 0, "", "v".repeat(1000));
  }
  transactions.mayChange = false;
  const { loads } = hits(engine, () => {
    let seen = 0;
    rows.each(0x7f000000, 1, 0, () => {
      seen++;
      return true;
    });
    t.equal(seen, 5000);
  });
  t.ok(pool.pagesReadAhead > 150, `${pool.pagesReadAhead} pages read ahead`);
  t.ok(loads < 60, `the scan waited for ${loads} of 334 pages`);
});

t.test("pages in use stay", async (t) => {
  const { pool } = openWal(new MemoryDisk()).storage;
  pool.beginOperation();
  const frame = pool.fetch(1);
  t.throws(() => pool.unpin(frame), { name: "AssertionError" }, "a pin is given back once");
  pool.pin(frame);
  t.throws(() => pool.discard(1), { name: "AssertionError" }, "nor is a page given up that somebody holds");
  pool.beginOperation();
  pool.freeFrames(pool.frames - 8);
  t.equal(pool.pageIn(frame), 1);
  t.ok(pool.isInUse(frame), "a pinned frame is not evicted");
  pool.unpin(frame);
});

t.test("a page that knows more than the redo log is refused when it is read, whoever reads it", async (t) => {
  const machine = new Machine();
  const { engine, disk } = machine;
  fill(engine, 200, 1600);
  await machine.close();
  const pages = fileBytes(disk) / PAGE_SIZE;
  const refused: string[] = [];
  for (let page = 3; page < pages; page++) {
    const newer = disk.clone();
    const file = newer.open("wal/space", "update");
    const bytes = Buffer.alloc(PAGE_SIZE);
    file.read(page * PAGE_SIZE, bytes);
    if (bytes[PAGE_TYPE_AT] !== PageType.LEAF) continue;
    writeU48(bytes, PAGE_LSN_AT, 1e12);
    sealChecksum(bytes, wordsOf(bytes), 0, PAGE_SIZE);
    file.write(page * PAGE_SIZE, bytes);
    const again = openWal(newer);
    try {
      for (let n = 0; n < 200; n++) strings(again).get(`key ${n}`);
      t.fail(`page ${page} was served`);
    } catch (error) {
      refused.push(String(error));
    }
  }
  t.ok(refused.length > 10, `${refused.length} leaves`);
  t.ok(refused.every((text) => /page \d+ has changes up to LSN 1000000000000, but the redo log ends at/.test(text)));
});

t.test("a damaged page is not read ahead: whoever asks for it is told, and nobody else", async (t) => {
  const machine = new Machine();
  const { tree, transactions, rows, pool } = machine.engine.storage;
  commit(machine.engine, () => {
    for (let n = 0; n < 1500; n++) {
      tree.search(0x7f000000, 1, n, "");
      transactions.insert(0x7f000000, 1, n, "", 0, "", "v".repeat(1000));
    }
  });
  const leaves: number[] = [];
  rows.each(0x7f000000, 1, 0, (record) => {
    const page = pool.pageIn(Math.floor(record / PAGE_SIZE));
    if (leaves.at(-1) !== page) leaves.push(page);
    return true;
  });
  await machine.close();
  const page = leaves[60]!;
  const disk = machine.disk.clone();
  disk.open("wal/space", "update").write(page * PAGE_SIZE + 8000, Buffer.from("rot"));
  const { storage } = openWal(disk);
  let seen = 0;
  const scan = () =>
    storage.rows.each(0x7f000000, 1, 0, () => {
      seen++;
      return true;
    });
  t.throws(scan, { message: new RegExp(`page ${page} is damaged`) });
  t.equal(seen, 60 * 15, "everything before it was served");
  t.ok(storage.pool.pagesReadAhead > 30, `${storage.pool.pagesReadAhead} pages read ahead`);
});
