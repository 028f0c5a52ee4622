/** A mariadbd that a scenario starts, asks and kills. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type CallFault, killFaulty, runFaulty } from "./faulty-program.ts";
import { MysqlClient } from "./mysql-client.ts";
import type { Observing } from "./scenario.ts";
import { type RunningProcess, run, whenReady } from "./server.ts";

export interface MariadbLife {
  readonly folder: string;
  readonly running: RunningProcess;
  readonly client: MysqlClient;
  /** Of the whole process, or of the strace that it runs under. */
  readonly kill: () => Promise<void>;
}

/** A fault of a file of the data folder. */
export type FileFault = Omit<CallFault, "path"> & { readonly file: string };

export interface MariadbPlan {
  readonly more?: readonly string[];
  readonly fault?: FileFault;
  /** The data folder's name; a new one when it is not there. */
  readonly name?: string;
}

/** Starts mariadbd on a new data folder. */
export async function startMariadb(observing: Observing, plan: MariadbPlan = {}): Promise<MariadbLife> {
  const folder = join(observing.folder, plan.name ?? "data");
  mkdirSync(folder);
  await observing.server("1/1").prepare(folder);
  const life = await restartMariadb(observing, folder, plan);
  if (typeof life === "string") throw new Error(`mariadbd does not start: ${life.slice(-200)}`);
  return life;
}

/** Starts mariadbd on a folder; or what it said when it refused. */
export async function restartMariadb(
  observing: Observing,
  folder: string,
  { more = [], fault }: MariadbPlan = {},
): Promise<MariadbLife | string> {
  const { command, args } = observing
    .server("1/1")
    .with(...more)
    .commandFor(folder);
  const running =
    fault === undefined ? run(command, args) : runFaulty(command, args, { ...fault, path: join(folder, fault.file) });
  const client = await whenReady(running.ended, () => MysqlClient.open(`${folder}.sock`));
  const kill = async (): Promise<void> => {
    client?.close();
    if (fault !== undefined) return killFaulty(running);
    running.child.kill("SIGKILL");
    await running.ended;
  };
  if (client !== undefined) return { folder, running, client, kill };
  await kill();
  return running.said();
}

/** The keys of the rows that a start on the folder finds; undefined: it refused. */
export async function keysAfterRestart(observing: Observing, folder: string): Promise<Set<string> | undefined> {
  const life = await restartMariadb(observing, folder);
  if (typeof life === "string") return undefined;
  const rows = await life.client.query("SELECT k FROM twolog.entries");
  await life.kill();
  return new Set(rows.map(([key]) => String(key)));
}

export async function statusOf(client: MysqlClient, name: string): Promise<number> {
  return Number((await client.query(`SHOW GLOBAL STATUS LIKE '${name}'`))[0]?.[1]);
}

const POLL_MS = 5;
const LIMIT_MS = 60_000;

/** Asks again until it is so. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + LIMIT_MS; !(await isSo()); await delay(POLL_MS)) {
    if (performance.now() > end) throw new Error(`${what}: not within ${LIMIT_MS / 1000} s`);
  }
}

/** All dirty pages are written. */
export async function flushPages(client: MysqlClient): Promise<void> {
  await client.query("SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0");
  await client.query("SET GLOBAL innodb_max_dirty_pages_pct = 0");
  await until("the pages are clean", async () => (await statusOf(client, "Innodb_buffer_pool_pages_dirty")) === 0);
}
