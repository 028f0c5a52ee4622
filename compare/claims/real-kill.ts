/**
 * The same cells with a real process: a server on the real disk, killed by SIGKILL right behind a step of its second SET,
 * started again, asked. What was measured on redis-server and MariaDB was measured like this.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import type { EngineName } from "../policy.ts";
import { makeFolder, removeFolder, StartRefused, startServer } from "../server-process.ts";
import { SMALL } from "../survey.ts";
import type { Case, Means } from "./claim.ts";
import { stepOf } from "./matrix.ts";
import { CELLS, type Cell, type Outcome, outcomeText, POINT_MEANING } from "./measured.ts";

const AT_ONCE = 2;

/** What the claim says of an outcome: it may be so, or something else was due. */
export interface Claimed {
  readonly isSo: (outcome: Outcome) => boolean;
  readonly else: string;
}

/** The kill cells of an engine as cases; none when real processes are not wanted. */
export async function killedCases(
  means: Means,
  engine: EngineName,
  wanted: (cell: Cell) => boolean,
  claimed: Claimed,
): Promise<Case[]> {
  if (!means.real) return [];
  const cells = CELLS.filter((cell) => cell.policy.engine === engine && cell.crash === "kill" && wanted(cell));
  const cases: Case[] = [];
  const left = cells.entries();
  const worker = async (): Promise<void> => {
    for (const [index, cell] of left) {
      const measured = outcomeText(cell.policy, cell.measured);
      cases[index] = {
        engine: `kv-${engine}`,
        when: `${cell.policy.name}, a real process killed ${POINT_MEANING[cell.point] ?? ""}`,
        claimed: claimed.isSo(cell.measured) ? measured : claimed.else,
        measured,
        observed: outcomeText(cell.policy, await killAt(cell)),
        how: "killed",
        cell: { cell, text: outcomeText },
      };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return cases;
}

/** One cell: OLD is there, NEW is under way, the process dies. */
async function killAt(cell: Cell): Promise<Outcome> {
  const folder = makeFolder();
  try {
    const plan = {
      engine: cell.policy.engine,
      policy: cell.policy.name,
      folder,
      directives: SMALL[cell.policy.engine],
    };
    const step = stepOf(cell.policy, cell.point);
    // The reply step comes behind the reply: killing there is killing after it. The other points are hit by the second SET.
    const server = await startServer({ ...plan, ...(step && { killAt: { step, nth: 2 } }) });
    const redis = connect(server.port);
    await redis.set("k", "OLD");
    // With f=0 the old value, too, is written only once a second.
    if (cell.policy.kill.keeps !== "everything") await pause(1500);
    const reply = await redis.set("k", "NEW").catch(() => undefined);
    if (step === undefined) {
      await pause(3000);
      server.kill();
    }
    await server.exited;
    redis.disconnect();
    return { told: reply === "OK", ...(await readBack(plan)) };
  } finally {
    removeFolder(folder);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function readBack(plan: Parameters<typeof startServer>[0]): Promise<Pick<Outcome, "value" | "inBinlog">> {
  try {
    const server = await startServer(plan);
    const redis = connect(server.port);
    const value = String(await redis.get("k"));
    redis.disconnect();
    server.kill();
    await server.exited;
    return { value, inBinlog: plan.engine === "wal" && binlogHas(plan.folder, "NEW") };
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error;
    return { value: "refused", inBinlog: false };
  }
}

function binlogHas(folder: string, text: string): boolean {
  const names = readdirSync(join(folder, "wal")).filter((name) => /^binlog\.\d+$/.test(name));
  return names.some((name) => readFileSync(join(folder, "wal", name), "latin1").includes(text));
}

function connect(port: number): Redis {
  const redis = new Redis({ port, host: "127.0.0.1", retryStrategy: () => null, enableReadyCheck: false });
  // The end of the connection is what is waited for.
  redis.on("error", () => {});
  return redis;
}
