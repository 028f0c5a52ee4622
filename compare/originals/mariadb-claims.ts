/** What the installed mariadbd shows of claims W3, W6, W12, W13, W17, W25, W26 and W32, seen from outside. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DiskImage } from "../lab/disk-image.ts";
import { modelOf } from "../lab/models/index.ts";
import { committedIn } from "./binlog-count.ts";
import { type CallFault, killFaulty, runFaulty } from "./faulty-program.ts";
import { MysqlClient } from "./mysql-client.ts";
import { BINLOG, findOperation, REDO, replyPoint } from "./observed-cells.ts";
import type { Observing, Scenarios } from "./observed-claims.ts";
import { type RecordedRun, writeOf } from "./recorded-run.ts";
import { type RunningProcess, run, whenReady } from "./server.ts";

/** The commit of a recorded change: places in its operations. */
interface Commit {
  /** The binlog is written. */
  readonly decided: number;
  /** The reply leaves behind the operations before this one. */
  readonly reply: number;
  /** The redo writes of the thread that commits, before the binlog's. */
  readonly prepares: readonly number[];
}

function commitOf(run: RecordedRun): Commit {
  const { points, from } = run;
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

/** On a real machine, under strace. */
const ABOUT_A_SECOND_MS = 2000;

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
  const { decided, reply } = commitOf({ points, recording, server, ...run });
  const imageAt = (point: number): DiskImage => {
    const [space] = modelOf("kill").spaces(points.at(point));
    if (space === undefined) throw new Error("the model kill has a state at every point");
    return space.build([]);
  };
  const path = points.operations[decided]?.path ?? "";
  const whole = imageAt(reply);
  const cut = DiskImage.withEntries(
    whole.store,
    new Map([...whole.entries, [path, imageAt(decided).entries.get(path)]]),
  );
  const shown: string[] = [];
  for (const image of [whole, cut]) {
    const { cells, refused } = await server.restart(image, recording.before, folder);
    const [key, value] = writeOf(0);
    shown.push(refused ?? (cells.get(key) === value ? "NEW" : (cells.get(key) ?? "nothing")));
  }
  return shown[0] === shown[1] ? "the same with and without the binlog" : `${shown[0]} with it, ${shown[1]} without`;
}

interface Life {
  readonly folder: string;
  readonly running: RunningProcess;
  readonly client: MysqlClient;
}

/** Starts mariadbd on a new data folder, with a disk that fails if one is given. */
async function start(observing: Observing, fault?: Omit<CallFault, "path"> & { readonly file: string }): Promise<Life> {
  const folder = join(observing.folder, "data");
  mkdirSync(folder);
  const server = observing.server("1/1");
  await server.prepare(folder);
  const { command, args } = server.commandFor(folder);
  const running =
    fault === undefined ? run(command, args) : runFaulty(command, args, { ...fault, path: join(folder, fault.file) });
  const client = await whenReady(running.ended, () => MysqlClient.open(`${folder}.sock`));
  if (client === undefined) throw new Error(`mariadbd does not start: ${running.said().slice(-200)}`);
  return { folder, running, client };
}

/** What another client reads while a transaction with a new value is open, and after its COMMIT. */
function openTransaction(isolation: string) {
  return async (observing: Observing): Promise<string> => {
    const { folder, running, client } = await start(observing);
    const reader = await MysqlClient.open(`${folder}.sock`);
    await reader.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${isolation}`);
    const read = async (): Promise<string> => String((await reader.query("SELECT v FROM twolog.entries"))[0]?.[0]);
    await client.query("INSERT INTO twolog.entries VALUES ('k', 'OLD')");
    await client.query("BEGIN");
    await client.query("UPDATE twolog.entries SET v = 'NEW'");
    const during = await read();
    await client.query("COMMIT");
    const after = await read();
    client.close();
    reader.close();
    running.child.kill("SIGKILL");
    await running.ended;
    return `${during}, then ${after}`;
  };
}

const INSERTS = 100;
/** A commit that has no answer by then waits. */
const WAIT_MS = 3000;

interface Load {
  /** Inserts that were acknowledged. */
  told: number;
  failed: number;
  waits: boolean;
}

async function load(client: MysqlClient, inserts: number): Promise<Load> {
  const result: Load = { told: 0, failed: 0, waits: false };
  for (let number = 1; number <= inserts; number++) {
    const done = client.query(`INSERT INTO twolog.entries VALUES ('k${number}', 'v')`).then(
      () => "told",
      () => "failed",
    );
    const outcome = await Promise.race([done, delay(WAIT_MS, "waits")]);
    if (outcome === "waits") return { ...result, waits: true };
    if (outcome === "told") result.told++;
    else result.failed++;
  }
  return result;
}

/** Some file fails from some call on: does the server stop, and has a restart everything? */
function onFaultyDisk(fault: Omit<CallFault, "path"> & { readonly file: string }) {
  return async (observing: Observing): Promise<string> => {
    const { folder, running, client } = await start(observing, fault);
    // Dirty pages are written soon, and their files synced.
    await client.query("SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0");
    await client.query("SET GLOBAL innodb_max_dirty_pages_pct = 0");
    const { told, waits } = await load(client, INSERTS);
    if (!waits) await Promise.race([running.ended, delay(WAIT_MS)]);
    const isAlive = await MysqlClient.open(`${folder}.sock`).then(
      (other) => {
        other.close();
        return true;
      },
      () => false,
    );
    client.close();
    await killFaulty(running);
    const rows = await rowsAfterRestart(observing, folder);
    const then = waits ? "it waits" : isAlive ? "it goes on" : "it stops";
    return `${then}; the restart ${rows === undefined ? "fails" : rows >= told ? "has everything" : "has less"}`;
  };
}

async function rowsAfterRestart(observing: Observing, folder: string): Promise<number | undefined> {
  const { command, args } = observing.server("1/1").commandFor(folder);
  const running = run(command, args);
  const client = await whenReady(running.ended, () => MysqlClient.open(`${folder}.sock`));
  const rows = await client?.query("SELECT count(*) FROM twolog.entries");
  client?.close();
  running.child.kill("SIGKILL");
  await running.ended;
  return rows === undefined ? undefined : Number(rows[0]?.[0]);
}

/** One sync of the binlog fails: who has the row? */
async function failedBinlogSync(observing: Observing): Promise<string> {
  const fault = { call: "fdatasync", error: "EIO", when: "5", file: "binlog.000001" } as const;
  const { folder, running, client } = await start(observing, fault);
  const { told, failed } = await load(client, 10);
  client.close();
  await killFaulty(running);
  const goesOn = failed > 0 && told + failed === 10;
  const rows = await rowsAfterRestart(observing, folder);
  const parted = committedIn(folder) !== rows;
  return `the server ${goesOn ? "goes on" : "stops"}; ${parted ? "only one of them has the row" : "engine and binlog agree"}`;
}

export const MARIADB_SCENARIOS: Scenarios = {
  W3: { "1/1": markAtReply },
  W6: { "1/1": prepareAtBinlog("1/1"), "2/1": prepareAtBinlog("2/1"), "0/1": prepareAtBinlog("0/1") },
  W12: { "1/1": withAndWithoutBinlog },
  W13: {
    "an open transaction, READ-COMMITTED": openTransaction("READ COMMITTED"),
    "an open transaction, REPEATABLE-READ": openTransaction("REPEATABLE READ"),
  },
  W17: {
    "1/1, idle server": markDurableLater("1/1"),
    "2/1, idle server": markDurableLater("2/1"),
    "0/1, idle server": markDurableLater("0/1"),
  },
  W25: { "1/1": failedBinlogSync },
  W26: {
    "a redo write fails": onFaultyDisk({ call: "pwrite64", error: "EIO", when: "60+", file: "ib_logfile0" }),
    "a redo fsync fails": onFaultyDisk({ call: "fdatasync", error: "EIO", when: "20+", file: "ib_logfile0" }),
    "a data file fsync fails": onFaultyDisk({
      call: "fdatasync",
      error: "EIO",
      when: "1+",
      file: "twolog/entries.ibd",
    }),
    "the binlog's disk is full": onFaultyDisk({ call: "write", error: "ENOSPC", when: "10+", file: "binlog.000001" }),
  },
  W32: { "1/1, at the reply": undoAtReply },
};
