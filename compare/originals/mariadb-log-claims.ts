/** What the installed mariadbd shows of claims about its redo log under load: W15, W16, W19, W29 and W31. */
import { cpSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { CrashKind } from "../policy.ts";
import { type MariadbLife, restartMariadb, startMariadb, statusOf } from "./mariadb-life.ts";
import { MysqlClient } from "./mysql-client.ts";
import { PAGES, REDO } from "./observed-cells.ts";
import { type Load, type RecordedRun, type RecordedScene, recordScene } from "./recorded-run.ts";
import { ABOUT_A_SECOND_MS, type Observing, type Scenario, type Scenarios, type Seen } from "./scenario.ts";
import { lossText, worstLoss } from "./worst-loss.ts";

/** Some seconds of commits. */
const COMMITS: Load = { writes: 250, gapMs: 15, restMs: 300, earlier: "OLD" };
/** Where nothing may be lost, one point is as good as another. */
const POINTS_TRIED = 12;

function windowOf(policy: string, crash: CrashKind): Scenario {
  return async (observing) => {
    const run = await observing.recorded(policy, COMMITS);
    const loss = await worstLoss(run, crash, observing.folder, worstPoints(run, crash));
    const about = loss.ms <= ABOUT_A_SECOND_MS ? "about 1 s is lost" : "more than 1 s is lost";
    return { shows: loss.ms === 0 ? "nothing is lost" : about, figure: lossText(loss) };
  };
}

/** Before the redo that a kill loses is written, or that a power loss loses is synced; and some more. */
function worstPoints({ points, from }: RecordedRun, crash: CrashKind): number[] {
  const saving = crash === "kill" ? "write" : "sync-end";
  const last = points.operations.length;
  const before = points.operations.flatMap((operation, at) =>
    at >= from && operation.kind === saving && REDO.test(operation.path) ? [at] : [],
  );
  // A policy that writes with each commit has as many of them as commits.
  const chosen = before.filter((_, index) => index % Math.ceil(before.length / POINTS_TRIED) === 0);
  return [...chosen, last];
}

const LOG_BYTES = 4 * 1024 * 1024;
/** The redo log's header and its two checkpoint blocks. */
const HEADER_BYTES = 12288;
const ROWS = 20;
const VALUE_BYTES = 8000;

/** Rows whose update makes about a twelfth of the redo log. */
async function insertRows(client: MysqlClient): Promise<void> {
  const rows = Array.from({ length: ROWS }, (_, row) => `('k${row}', REPEAT('a', ${VALUE_BYTES}))`);
  await client.query(`INSERT INTO twolog.entries VALUES ${rows.join(", ")}`);
}

async function updateRows(client: MysqlClient, round: number): Promise<void> {
  await client.query(`UPDATE twolog.entries SET v = REPEAT('${(round % 9) + 1}', ${VALUE_BYTES})`);
}

/** Updates until the log has gone round more than twice. */
async function goRound(client: MysqlClient): Promise<number> {
  const first = await statusOf(client, "Innodb_lsn_current");
  for (let round = 1; ; round++) {
    await updateRows(client, round);
    const laps = ((await statusOf(client, "Innodb_lsn_current")) - first) / (LOG_BYTES - HEADER_BYTES);
    if (laps > 2.2) return laps;
  }
}

async function ringOfRedo(observing: Observing): Promise<Seen> {
  const { folder, client, kill } = await startMariadb(observing);
  await insertRows(client);
  const laps = await goRound(client);
  await kill();
  const sizes = redoFiles(folder).map((name) => statSync(join(folder, name)).size);
  const isFixed = sizes.length === 1 && sizes[0] === LOG_BYTES;
  return { shows: isFixed ? "it goes round in files of fixed size" : "it grows", figure: `${laps.toFixed(1)} laps` };
}

function redoFiles(folder: string): string[] {
  return readdirSync(folder).filter((name) => /^ib_logfile/.test(name));
}

async function countRedoFiles(observing: Observing): Promise<string> {
  const { folder, kill } = await startMariadb(observing);
  await kill();
  const life = await started(observing, folder);
  await life.kill();
  return `${redoFiles(folder).length} files`;
}

async function started(observing: Observing, folder: string): Promise<MariadbLife> {
  const life = await restartMariadb(observing, folder);
  if (typeof life === "string") throw new Error(`mariadbd refuses to start: ${life.slice(-200)}`);
  return life;
}

/** Killed after a load, and again as soon as it has recovered: the rows, and those of a copy that recovers once. */
async function replayTwice(observing: Observing): Promise<Seen> {
  const { folder, client, kill } = await startMariadb(observing);
  await insertRows(client);
  for (let round = 1; round <= 4; round++) await updateRows(client, round);
  await kill();
  const copy = `${folder}-copy`;
  cpSync(folder, copy, { recursive: true });
  const once = await recovered(observing, copy);
  const first = await recovered(observing, folder);
  const second = await recovered(observing, folder);
  const isSame = once.rows === second.rows && first.rows === second.rows;
  return {
    shows: isSame ? "the same" : "different",
    figure: `from LSN ${first.checkpoint}, then ${second.checkpoint}`,
  };
}

async function recovered(observing: Observing, folder: string): Promise<{ rows: string; checkpoint: string }> {
  const { client, running, kill } = await started(observing, folder);
  const checkpoint = /checkpoint LSN\s*=\s*(\d+)/.exec(running.said())?.[1] ?? "?";
  const rows = JSON.stringify(await client.query("SELECT k, MD5(v) FROM twolog.entries ORDER BY k"));
  await kill();
  return { rows, checkpoint };
}

/** Pages are not clean before their file is synced, and that takes so long. */
const PAGE_SYNC_MS = 2000;
const ROUNDS_MAX = 60;

async function fullLog(observing: Observing): Promise<Seen> {
  const effect = `delay_enter=${1000 * PAGE_SYNC_MS}`;
  const { client, kill } = await startMariadb(observing, {
    fault: { call: "fdatasync", effect, file: "twolog/entries.ibd" },
  });
  await insertRows(client);
  const times: number[] = [];
  let waited = 0;
  let share = 0;
  // A commit waits for no page, unless the log is full.
  while (times.length < ROUNDS_MAX && waited === 0) {
    share = (await statusOf(client, "Innodb_checkpoint_age")) / (await statusOf(client, "Innodb_checkpoint_max_age"));
    const sentAt = performance.now();
    await updateRows(client, times.length);
    const ms = performance.now() - sentAt;
    if (share > 0.5 && ms > PAGE_SYNC_MS / 4) waited = ms;
    else times.push(ms);
  }
  await kill();
  const shows = waited === 0 ? "writers do not wait" : "writers wait, none is refused";
  const median = [...times].sort((a, b) => a - b)[times.length >> 1] ?? 0;
  return {
    shows,
    figure: `an update took ${median.toFixed(0)} ms, and ${waited.toFixed(0)} ms with ${Math.round(100 * share)} % of the room used`,
  };
}

/** Updates at a steady pace until the log has gone round. */
function recordLaps(observing: Observing): Promise<RecordedScene> {
  return observing.once("laps of mariadbd's redo log", () =>
    recordScene(observing.server("1/1"), {
      earlier: "OLD",
      async act({ folder }) {
        const client = await MysqlClient.open(`${folder}.sock`);
        await insertRows(client);
        await goRound(client);
        client.close();
      },
    }),
  );
}

/** What had happened, in order, when redo was first written over older redo. */
async function orderOfLap(observing: Observing): Promise<string> {
  const { points, from } = await recordLaps(observing);
  const { operations } = points;
  let end = 0;
  const over = operations.findIndex((operation, at) => {
    if (at < from || operation.kind !== "write" || !REDO.test(operation.path) || isCheckpoint(operation.at))
      return false;
    const isBack = operation.at + operation.bytes.length < end;
    end = operation.at + operation.bytes.length;
    return isBack;
  });
  if (over < 0) return "the log did not go round";
  const earlier = operations.slice(from, over);
  const block = earlier.findLastIndex((one) => one.kind === "write" && REDO.test(one.path) && isCheckpoint(one.at));
  const steps = ["redo written"];
  if (earlier.slice(block + 1).some(({ kind, path }) => kind === "sync-end" && REDO.test(path)) && block >= 0)
    steps.unshift("checkpoint synced");
  if (earlier.slice(0, Math.max(0, block)).some(({ kind, path }) => kind === "sync-end" && PAGES.test(path)))
    steps.unshift("pages synced");
  return steps.join(" → ");
}

function isCheckpoint(at: number): boolean {
  return at < HEADER_BYTES;
}

/** How full the log was when the first page was written. */
async function beginOfCleaning(observing: Observing): Promise<Seen> {
  const { points, from } = await recordLaps(observing);
  let bytes = 0;
  for (const operation of points.operations.slice(from)) {
    if (operation.kind !== "write") continue;
    if (PAGES.test(operation.path)) break;
    if (REDO.test(operation.path)) bytes += operation.bytes.length;
  }
  const share = bytes / (LOG_BYTES - HEADER_BYTES);
  const shows = share < 0.9 ? "long before it is full" : "when it is full";
  return { shows, figure: `at ${Math.round(100 * share)} % of the log` };
}

export const MARIADB_LOG_SCENARIOS: Scenarios = {
  W15: { "0/1, a load, killed every 50 ms": windowOf("0/1", "kill") },
  W16: {
    "2/1, a load, killed every 50 ms": windowOf("2/1", "kill"),
    "2/1, a load, power loss every 50 ms": windowOf("2/1", "power"),
  },
  W19: { "a load": ringOfRedo, "replayed twice": replayTwice, "a full log": fullLog },
  W29: { "what is waited for": orderOfLap, "when it begins": beginOfCleaning },
  W31: { "redo-log-files-in-group 1 (as MariaDB)": countRedoFiles },
};
