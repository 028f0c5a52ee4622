/** What the installed mariadbd shows of claims about its commit: W1, W3, W6, W12, W13, W17, W21 and W32. */
import { DiskImage } from "../lab/disk-image.ts";
import { flushPages, startMariadb, until } from "./mariadb-life.ts";
import { isWriteReply, MysqlClient } from "./mysql-client.ts";
import { BINLOG, findOperation, PAGES, REDO, replyPoint } from "./observed-cells.ts";
import { leftAt } from "./plain-crash.ts";
import { type Load, type RecordedScene, recordScene, writeOf } from "./recorded-run.ts";
import { ABOUT_A_SECOND_MS, type Observing, type Scenarios, type Seen } from "./scenario.ts";

/** The commit of a recorded change: places in its operations. */
interface Commit {
  /** The binlog is written. */
  readonly decided: number;
  /** The reply leaves behind the operations before this one. */
  readonly reply: number;
  /** The redo writes of the thread that commits, before the binlog's. */
  readonly prepares: readonly number[];
}

function commitOf({ points, from }: Pick<RecordedScene, "points" | "from">): Commit {
  const decided = findOperation(points, from, "write", BINLOG);
  if (decided === undefined) throw new Error("the binlog was not written");
  const thread = points.recorded[decided]?.pid;
  const prepares = points.operations.flatMap(({ kind, path }, at) => {
    const isPrepare = at >= from && at < decided && kind === "write" && REDO.test(path);
    return isPrepare && points.recorded[at]?.pid === thread ? [at] : [];
  });
  return { decided, reply: replyPoint(points), prepares };
}

/** How far the prepare is when the binlog is written. */
function prepareAtBinlog(policy: string) {
  return async ({ recorded }: Observing): Promise<string> => {
    const run = await recorded(policy);
    const { decided, prepares } = commitOf(run);
    const last = prepares.at(-1);
    if (last === undefined) return "not written";
    const synced = findOperation(run.points, last, "sync-end", REDO);
    return synced !== undefined && synced < decided ? "synced" : "written";
  };
}

async function markAtReply({ recorded }: Observing): Promise<string> {
  const run = await recorded("1/1");
  const { decided, reply } = commitOf(run);
  const synced = findOperation(run.points, decided, "sync-end", REDO);
  return synced !== undefined && synced < reply ? "synced before the reply" : "not yet";
}

function markDurableLater(policy: string) {
  return async ({ recorded }: Observing): Promise<string> => {
    const { points, ...run } = await recorded(policy);
    const { decided } = commitOf({ points, ...run });
    const written = findOperation(points, decided, "write", REDO);
    const synced = written === undefined ? undefined : findOperation(points, written, "sync-end", REDO);
    const answeredMs = points.printedMs[0] ?? 0;
    const ms = synced === undefined ? Number.POSITIVE_INFINITY : (points.recorded[synced]?.ms ?? 0) - answeredMs;
    return ms <= ABOUT_A_SECOND_MS ? "within about a second" : "later";
  };
}

/** One change, and its pages written when it is answered: what is asked of the disk and told, in order. */
async function orderOnDisk(observing: Observing): Promise<string> {
  const scene = await recordScene(observing.server("1/1"), {
    earlier: "OLD",
    async act({ session, folder }) {
      await session.set(...writeOf(0));
      const client = await MysqlClient.open(`${folder}.sock`);
      await flushPages(client);
      client.close();
    },
  });
  const [first = 0] = commitOf(scene).prepares;
  const prepare = scene.points.recorded[first];
  if (prepare === undefined) throw new Error("nothing was prepared");
  const { events } = scene.recording;
  const steps = events.slice(events.indexOf(prepare)).flatMap((event) => {
    if (event.kind === "ack") return isWriteReply(event.text) ? ["reply"] : [];
    const { kind, path } = event.operation;
    if (kind !== "write" && kind !== "sync-end") return [];
    if (PAGES.test(path)) return kind === "write" ? ["page-write"] : [];
    const log = REDO.test(path) ? "redo" : BINLOG.test(path) ? "binlog" : "";
    return log === "" ? [] : [`${log}-${kind === "write" ? "write" : "sync"}`];
  });
  return [...new Set(steps)].join(" → ");
}

const COMMITS: Load = { writes: 40, gapMs: 5, restMs: 300, earlier: "OLD" };
const PAGE_BYTES = 16384;

/** What a commit writes as redo, and what it would write if it wrote one page, and its copy. */
async function volumeOfRedo({ recorded }: Observing): Promise<Seen> {
  const { points, from } = await recorded("1/1", COMMITS);
  const sizes = points.operations
    .slice(from)
    .flatMap((one) => (one.kind === "write" && REDO.test(one.path) ? [one.bytes.length] : []));
  const redoBytes = sizes.reduce((sum, size) => sum + size, 0);
  const shows = redoBytes < 2 * PAGE_BYTES * COMMITS.writes ? "redo writes less" : "redo writes more";
  return { shows, figure: `${Math.round(redoBytes / COMMITS.writes)} B of redo a commit` };
}

/** What of the undo record is on its way to the disk before the reply. */
async function undoAtReply({ recorded }: Observing): Promise<string> {
  const run = await recorded("1/1");
  const { reply, prepares } = commitOf(run);
  const operations = run.points.operations.slice(prepares[0], reply);
  const isPage = operations.some(({ kind, path }) => kind === "write" && !REDO.test(path) && !BINLOG.test(path));
  const redo = operations.flatMap((one) =>
    one.kind === "write" && REDO.test(one.path) ? [Buffer.from(one.bytes)] : [],
  );
  if (isPage) return "its page";
  return Buffer.concat(redo).includes("OLD") ? "its redo only" : "nothing";
}

/** The folder of a crash behind the binlog's sync, with the transaction in the binlog and without. */
async function withAndWithoutBinlog({ recorded, folder }: Observing): Promise<string> {
  const { points, recording, server, ...run } = await recorded("1/1");
  const { decided, reply } = commitOf({ points, ...run });
  const path = points.operations[decided]?.path ?? "";
  const whole = leftAt(points, reply, "kill");
  const cut = DiskImage.withEntries(
    whole.store,
    new Map([...whole.entries, [path, leftAt(points, decided, "kill").entries.get(path)]]),
  );
  const shown: string[] = [];
  for (const image of [whole, cut]) {
    const { cells, refused } = await server.restart(image, recording.before, folder);
    const [key, value] = writeOf(0);
    shown.push(refused ?? (cells.get(key) === value ? "NEW" : (cells.get(key) ?? "nothing")));
  }
  return shown[0] === shown[1] ? "the same with and without the binlog" : `${shown[0]} with it, ${shown[1]} without`;
}

/** What another client reads while a transaction with a new value is open, and after its COMMIT. */
function openTransaction(isolation: string) {
  return async (observing: Observing): Promise<string> => {
    const { folder, client, kill } = await startMariadb(observing);
    const reader = await MysqlClient.open(`${folder}.sock`);
    await reader.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${isolation}`);
    const read = async (): Promise<string> => String((await reader.query("SELECT v FROM twolog.entries"))[0]?.[0]);
    await client.query("INSERT INTO twolog.entries VALUES ('k', 'OLD')");
    await client.query("BEGIN");
    await client.query("UPDATE twolog.entries SET v = 'NEW'");
    const during = await read();
    await client.query("COMMIT");
    const after = await read();
    reader.close();
    await kill();
    return `${during}, then ${after}`;
  };
}

const SYNC_MS = 2000;

/** When another client is first shown a change whose binlog sync takes long. */
async function readerDuringCommit(observing: Observing): Promise<Seen> {
  const fault = { call: "fdatasync", effect: `delay_enter=${1000 * SYNC_MS}`, file: "binlog.000001" } as const;
  const { folder, client, kill } = await startMariadb(observing, { fault });
  const reader = await MysqlClient.open(`${folder}.sock`);
  await reader.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
  await client.query("INSERT INTO twolog.entries VALUES ('k', 'OLD')");
  const begunAt = performance.now();
  const committed = client.query("UPDATE twolog.entries SET v = 'NEW'");
  let reads = 0;
  let shown = "";
  await until("the reader is shown the change", async () => {
    shown = String((await reader.query("SELECT v FROM twolog.entries"))[0]?.[0]);
    reads++;
    return shown === "NEW";
  });
  const ms = performance.now() - begunAt;
  await committed;
  reader.close();
  await kill();
  // The sync cannot have ended before that.
  return {
    shows: `${shown}, ${ms >= SYNC_MS ? "after" : "before"} the commit`,
    figure: `${reads - 1} reads of OLD before`,
  };
}

export const MARIADB_COMMIT_SCENARIOS: Scenarios = {
  W1: { "1/1, on disk": orderOnDisk },
  W3: { "1/1": markAtReply },
  W6: { "1/1": prepareAtBinlog("1/1"), "2/1": prepareAtBinlog("2/1"), "0/1": prepareAtBinlog("0/1") },
  W12: { "1/1": withAndWithoutBinlog },
  W13: {
    "a small group, synced in place": readerDuringCommit,
    "an open transaction, READ-COMMITTED": openTransaction("READ COMMITTED"),
    "an open transaction, REPEATABLE-READ": openTransaction("REPEATABLE READ"),
  },
  W17: {
    "1/1, idle server": markDurableLater("1/1"),
    "2/1, idle server": markDurableLater("2/1"),
    "0/1, idle server": markDurableLater("0/1"),
  },
  W21: { "bytes to write": volumeOfRedo },
  W32: { "1/1, at the reply": undoAtReply },
};
