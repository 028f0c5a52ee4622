/** What the installed mariadbd shows of claims W25 and W26: a disk that fails, as strace makes it. */
import { setTimeout as delay } from "node:timers/promises";
import { committedIn } from "./binlog-count.ts";
import { type FileFault, keysAfterRestart, type MariadbLife, startMariadb, until } from "./mariadb-life.ts";
import type { Observing, Scenario, Scenarios } from "./scenario.ts";

const INSERTS = 100;
/** One that goes on for so long goes on for good. */
const STOP_MS = 30_000;
/** What it says while a commit waits for room on the disk. */
const WAITS = /waiting for someone to free/i;

interface Load {
  /** Keys whose insert was acknowledged. */
  readonly told: string[];
  failed: number;
  waits: boolean;
}

async function load({ client, running }: MariadbLife, inserts: number): Promise<Load> {
  const result: Load = { told: [], failed: 0, waits: false };
  for (let number = 1; number <= inserts && !result.waits; number++) {
    let isOver = false;
    const key = `k${number}`;
    void client.query(`INSERT INTO twolog.entries VALUES ('${key}', 'v')`).then(
      () => {
        isOver = true;
        result.told.push(key);
      },
      () => {
        isOver = true;
        result.failed++;
      },
    );
    await until("an insert is answered", () => {
      result.waits = !isOver && WAITS.test(running.said());
      return isOver || result.waits;
    });
  }
  return result;
}

/** Some file fails from some call on: does the server stop, and has a restart everything? */
function onFaultyDisk(fault: FileFault): Scenario {
  return async (observing) => {
    const life = await startMariadb(observing, { fault });
    // Dirty pages are written soon, and their files synced.
    await life.client.query("SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0");
    await life.client.query("SET GLOBAL innodb_max_dirty_pages_pct = 0");
    const { told, waits } = await load(life, INSERTS);
    const stops = waits ? false : await endsWithin(life, STOP_MS);
    await life.kill();
    const keys = await keysAfterRestart(observing, life.folder);
    const then = waits ? "it waits" : stops ? "it stops" : "it goes on";
    const isWhole = told.every((key) => keys?.has(key));
    return `${then}; the restart ${keys === undefined ? "fails" : isWhole ? "has everything" : "has less"}`;
  };
}

async function endsWithin({ running }: MariadbLife, ms: number): Promise<boolean> {
  const giveUp = new AbortController();
  const limit = delay(ms, false, { signal: giveUp.signal }).catch(() => false);
  const ended = await Promise.race([running.ended.then(() => true), limit]);
  giveUp.abort();
  return ended;
}

const SYNC_FAILS = 5;

/** One sync of the binlog fails: who has the row? */
async function failedBinlogSync(observing: Observing): Promise<string> {
  const effect = `error=EIO:when=${SYNC_FAILS}`;
  const fault = { call: "fdatasync", effect, file: "binlog.000001" } as const;
  const life = await startMariadb(observing, { fault });
  const { told, failed } = await load(life, 10);
  await life.kill();
  if (failed === 0) return "nobody noticed";
  // A commit a sync: so many were not made before the failure.
  const goesOn = told.length >= SYNC_FAILS;
  const keys = await keysAfterRestart(observing, life.folder);
  const parted = committedIn(life.folder) !== keys?.size;
  return `the server ${goesOn ? "goes on" : "stops"}; ${parted ? "only one of them has the row" : "engine and binlog agree"}`;
}

export const MARIADB_FAULT_SCENARIOS: Scenarios = {
  W25: { "1/1": failedBinlogSync },
  W26: {
    "a redo write fails": onFaultyDisk({ call: "pwrite64", effect: "error=EIO:when=60+", file: "ib_logfile0" }),
    "a redo fsync fails": onFaultyDisk({ call: "fdatasync", effect: "error=EIO:when=20+", file: "ib_logfile0" }),
    "a data file fsync fails": onFaultyDisk({
      call: "fdatasync",
      effect: "error=EIO:when=1+",
      file: "twolog/entries.ibd",
    }),
    "the binlog's disk is full": onFaultyDisk({
      call: "write",
      effect: "error=ENOSPC:when=10+",
      file: "binlog.000001",
    }),
  },
};
