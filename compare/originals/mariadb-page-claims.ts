/** What the installed mariadbd shows of claims about pages: W2, W20, W27, W28 and W30. */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DiskImage, imageOf } from "../lab/disk-image.ts";
import { flushPages, restartMariadb, startMariadb, until } from "./mariadb-life.ts";
import { MysqlClient } from "./mysql-client.ts";
import { findOperation, PAGES, REDO } from "./observed-cells.ts";
import { leftAt } from "./plain-crash.ts";
import { type RecordedScene, recordScene, writeOf } from "./recorded-run.ts";
import type { Observing, Scenario, Scenarios, Seen } from "./scenario.ts";

const PAGE_BYTES = 16384;
const ROWS = 100;

function rowsOf(count: number, value: string): string {
  return Array.from({ length: count }, (_, row) => `('k${row}', '${value}')`).join(", ");
}

/** Of a page: its number at 4, its type at 24, both big-endian; the types of undo and of leaves and nodes. */
const [UNDO_PAGE, INDEX_PAGE] = [2, 17855];

/** All pages of a type that are in their place, in the files of a folder whose name fits, as one text. */
function textOf(folder: string, name: RegExp, type: number): string {
  const texts: string[] = [];
  for (const file of readdirSync(folder).filter((one) => name.test(one))) {
    const bytes = readFileSync(join(folder, file));
    for (let base = 0; base + PAGE_BYTES <= bytes.length; base += PAGE_BYTES) {
      // The doublewrite buffer is in ibdata1: what is there is a copy, of a page with another number.
      const isInPlace = bytes.readUInt32BE(base + 4) === base / PAGE_BYTES;
      if (isInPlace && bytes.readUInt16BE(base + 24) === type)
        texts.push(bytes.toString("latin1", base, base + PAGE_BYTES));
    }
  }
  return texts.join("");
}

/** An update that is not committed, its pages flushed; killed, and restarted. */
async function stolenPages(observing: Observing): Promise<{ onDisk: string; after: string }> {
  const { folder, client, kill } = await startMariadb(observing);
  await client.query(`INSERT INTO twolog.entries VALUES ${rowsOf(ROWS, "OLD:".padEnd(200, "."))}`);
  const other = await MysqlClient.open(`${folder}.sock`);
  await flushPages(other);
  await client.query("BEGIN");
  await client.query(`UPDATE twolog.entries SET v = '${"NEW:".padEnd(200, ".")}'`);
  await flushPages(other);
  const inTable = textOf(join(folder, "twolog"), /^entries\.ibd$/, INDEX_PAGE).includes("NEW:");
  const inUndo = textOf(folder, /^(ibdata1|undo\d+)$/, UNDO_PAGE).includes("OLD:");
  other.close();
  await kill();
  const onDisk = `${inTable ? "new rows" : "no new rows"} and ${inUndo ? "old rows in undo" : "no old rows in undo"}`;
  const life = await restartMariadb(observing, folder);
  if (typeof life === "string") return { onDisk, after: "refused" };
  const texts = await life.client.query("SELECT DISTINCT LEFT(v, 3) FROM twolog.entries");
  await life.kill();
  return { onDisk, after: texts.map(([text]) => text).join(" and ") };
}

function ofStolenPages(part: "onDisk" | "after"): Scenario {
  return async (observing) => (await observing.once("stolen pages of mariadbd", () => stolenPages(observing)))[part];
}

/** The image with other bytes at a place of a file. */
function overwritten(image: DiskImage, path: string, at: number, bytes: Uint8Array): DiskImage {
  const file = image.entries.get(path);
  if (file === undefined) throw new Error(`there is no ${path}`);
  const content = new Uint8Array(file.size);
  file.read(0, content);
  content.set(bytes, at);
  return DiskImage.withEntries(image.store, new Map([...image.entries, [path, imageOf(image.store, content)]]));
}

/** The redo of the prepare, whose second half never came to the disk. */
async function tornRedo({ recorded, folder }: Observing): Promise<string> {
  const run = await recorded("1/1");
  const at = findOperation(run.points, run.from, "write", REDO);
  const operation = at === undefined ? undefined : run.points.operations[at];
  if (at === undefined || operation?.kind !== "write") throw new Error("no redo was written");
  const before = leftAt(run.points, at, "kill");
  const old = new Uint8Array(operation.bytes.length);
  before.entries.get(operation.path)?.read(operation.at, old);
  const differing = [...operation.bytes.keys()].filter((index) => old[index] !== operation.bytes[index]);
  const half = differing[differing.length >> 1] ?? 0;
  const torn = overwritten(leftAt(run.points, at + 1, "kill"), operation.path, operation.at + half, old.subarray(half));
  const { cells, refused } = await run.server.restart(torn, run.recording.before, folder);
  return refused === undefined && cells.get(writeOf(0)[0]) === "OLD" ? "harmless" : "the server refuses to start";
}

/** Some changes, and then all pages are written. */
function recordFlush(observing: Observing, ...more: readonly string[]): Promise<RecordedScene> {
  return recordScene(observing.server("1/1").with(...more), {
    earlier: "OLD",
    async act({ session, folder }) {
      for (let index = 0; index < WRITES; index++) await session.set(...writeOf(index));
      const client = await MysqlClient.open(`${folder}.sock`);
      await flushPages(client);
      client.close();
    },
  });
}

const WRITES = 8;

/** What recovery makes of a folder that should have all changes. */
async function restartOf(scene: RecordedScene, image: DiskImage, workFolder: string): Promise<string> {
  const { cells, refused } = await scene.server.restart(image, scene.recording.before, workFolder);
  if (refused !== undefined) return "the server refuses to start";
  const expected = Array.from({ length: WRITES }, (_, index) => writeOf(index));
  const isRight = cells.size === WRITES && expected.every(([key, value]) => cells.get(key) === value);
  return isRight ? "harmless" : "rows are lost";
}

/** Crashed when the first page had come to the disk half. */
function tornPage(doublewrite: "0" | "1"): Scenario {
  return async (observing) => {
    const scene = await recordFlush(observing, `--innodb-doublewrite=${doublewrite}`);
    const { points, from } = scene;
    // Behind the commits: of the pages of that time nothing is older than the last checkpoint.
    const at = findOperation(points, from, "write", PAGES);
    const operation = at === undefined ? undefined : points.operations[at];
    if (at === undefined || operation?.kind !== "write") throw new Error("no page was written");
    const path = operation.path;
    const old = new Uint8Array(operation.bytes.length);
    leftAt(points, at, "kill").entries.get(path)?.read(operation.at, old);
    const torn = Uint8Array.from(operation.bytes);
    for (let page = 0; page < torn.length; page += PAGE_BYTES) {
      const half = page + PAGE_BYTES / 2;
      torn.set(old.subarray(half, page + PAGE_BYTES), half);
    }
    if (Buffer.compare(torn, operation.bytes) === 0) throw new Error("the page is not torn");
    return restartOf(scene, overwritten(leftAt(points, at + 1, "kill"), path, operation.at, torn), observing.folder);
  };
}

/** Crashed when the pages had been synced, and the checkpoint had not been written. */
async function replayOverNewPages(observing: Observing): Promise<string> {
  const scene = await recordFlush(observing);
  const { points, from } = scene;
  const written = findOperation(points, from, "write", PAGES);
  const synced = written === undefined ? undefined : findOperation(points, written, "sync-end", PAGES);
  if (synced === undefined) throw new Error("no page was synced");
  return restartOf(scene, leftAt(points, synced + 1, "kill"), observing.folder);
}

const LOSER_ROWS = 400;

/** A transaction whose redo another commit has flushed; killed before it commits. */
async function replayOfLosers(observing: Observing): Promise<Seen> {
  const { folder, client, kill } = await startMariadb(observing);
  const other = await MysqlClient.open(`${folder}.sock`);
  await client.query("BEGIN");
  await client.query(`INSERT INTO twolog.entries VALUES ${rowsOf(LOSER_ROWS, "v".repeat(700))}`);
  await other.query("INSERT INTO twolog.entries VALUES ('other', 'v')");
  other.close();
  await kill();
  const life = await restartMariadb(observing, folder);
  if (typeof life === "string") return "refused";
  // Rows to undo are known from undo pages, and those only from redo.
  const undone = Number(/in total (\d+) row operations to undo/.exec(life.running.said())?.[1] ?? 0);
  const count = async (): Promise<number> =>
    Number((await life.client.query("SELECT count(*) FROM twolog.entries"))[0]?.[0]);
  await until("the loser is rolled back", async () => (await count()) <= 1);
  await life.kill();
  const shows = undone >= LOSER_ROWS ? "everything, then the losers are undone" : "committed changes only";
  return { shows, figure: `${undone} rows to undo` };
}

const FIRST_LEAF = 3;

/** A page of the table rots while the server is down. */
async function rottenPage(observing: Observing): Promise<string> {
  const { folder, client, running } = await startMariadb(observing);
  await client.query(`INSERT INTO twolog.entries VALUES ${rowsOf(30, "v".repeat(300))}`);
  await client.query("SHUTDOWN");
  client.close();
  await running.ended;
  const file = openSync(join(folder, "twolog/entries.ibd"), "r+");
  writeSync(file, Buffer.alloc(64, 0xaa), 0, 64, FIRST_LEAF * PAGE_BYTES + 1000);
  closeSync(file);
  const life = await restartMariadb(observing, folder);
  if (typeof life === "string") return lossOf(life);
  const rows = await life.client.query("SELECT k, v FROM twolog.entries").catch(() => undefined);
  await life.kill();
  if (rows === undefined) return lossOf(life.running.said());
  const isRight = rows.length === 30 && rows.every(([, value]) => value === "v".repeat(300));
  return isRight ? "redo repairs it" : "it is served";
}

function lossOf(said: string): string {
  return /corrupt|checksum/i.test(said) ? "it is lost, and reported" : "it is lost, and nobody says so";
}

export const MARIADB_PAGE_SCENARIOS: Scenarios = {
  W2: {
    "in the tablespace while it runs": ofStolenPages("onDisk"),
    "after recovery": ofStolenPages("after"),
  },
  W20: {
    "the last redo block is torn": tornRedo,
    "a page is torn, doublewrite off": tornPage("0"),
    "a page is torn, doublewrite on": tornPage("1"),
  },
  W27: { "1/1": replayOfLosers },
  W28: { "the page's LSN is asked": replayOverNewPages },
  W30: { "right order, a page rots": rottenPage },
};
