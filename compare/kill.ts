/**
 * Process kill, for real: a server process under load from several ioredis connections, ended by SIGKILL at a step of its
 * write path or at a random time, started again on the same folder, read back, judged. What the clients were told is
 * kept in this process.
 *
 * A kill takes the process's memory and leaves the operating system's: this shows what `write` is worth, not what `fsync`
 * is worth. That is the simulator's part (explore.ts).
 */
import { Redis } from "ioredis";
import type { Bytes } from "../common/bytes.ts";
import { STEPS, type StepName } from "../common/steps.ts";
import type { Directives } from "./engines.ts";
import { History, type Operation } from "./history.ts";
import { type Cells, hashCell } from "./model.ts";
import { judge, judgeRefusal, type Verdict } from "./oracle.ts";
import type { Policy } from "./policy.ts";
import { SeededRandom } from "./random.ts";
import {
  type ChildPlan,
  makeFolder,
  removeFolder,
  type ServerProcess,
  StartRefused,
  startServer,
} from "./server-process.ts";
import { type Planned, SETUP, Workload, workloadKeys } from "./workload.ts";

/** When the process dies. */
export type KillMoment = { readonly step: StepName; readonly nth: number } | { readonly afterMs: number };

export interface KillPlan {
  readonly policy: Policy;
  readonly seed: number;
  readonly moment: KillMoment;
  readonly clients: number;
  /** The load ends after so long, whether the step has come or not. */
  readonly loadMs: number;
  readonly directives: Directives;
  /** Kill and start it once more after reading, and compare (I7). */
  readonly again: boolean;
}

export interface KillOutcome {
  /** False: the step did not come while the load ran; the process was killed at its end instead. */
  readonly happened: boolean;
  readonly verdict: Verdict;
  /** Recovery: process start to the first answer. */
  readonly restartMs: number;
}

const BATCH_MAX = 16;
/** A timer of the server, the scheduler and this process may each be late by so much. */
const SLACK_MS = 500;

/** Runs one kill from an empty folder to the verdict. */
export async function runKill(plan: KillPlan): Promise<KillOutcome> {
  const folder = makeFolder();
  try {
    return await killAndJudge(plan, folder);
  } finally {
    removeFolder(folder);
  }
}

async function killAndJudge(plan: KillPlan, folder: string): Promise<KillOutcome> {
  const { policy, moment } = plan;
  const child = { engine: policy.engine, policy: policy.name, folder, directives: plan.directives };
  const history = new History();
  const server = await startToDie(child, moment);
  const happened = server === undefined || (await loadUntilDead(plan, server, history));
  const evidence = {
    policy,
    crash: "kill" as const,
    cut: history.now,
    cutMs: performance.now(),
    diskMs: SLACK_MS,
    history,
    setupClient: plan.clients,
    matrix: "step" in moment ? (STEPS.find((step) => step.name === moment.step)?.matrix ?? "") : "K",
  };
  const restartedAt = performance.now();
  let found: Cells;
  let restartMs: number;
  try {
    const restarted = await startServer(child);
    restartMs = performance.now() - restartedAt;
    found = await readAndKill(restarted, plan.clients);
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error;
    return { happened, verdict: judgeRefusal(evidence, error.message), restartMs: performance.now() - restartedAt };
  }
  const verdict = judge({ ...evidence, found });
  if (!plan.again) return { happened, verdict, restartMs };
  const second = await readAndKill(await startServer(child), plan.clients);
  return { happened, verdict: withSecond(verdict, evidence.matrix, found, second), restartMs };
}

/** The server that will die; undefined when it has died already, at a step of its very first start. */
async function startToDie(child: ChildPlan, moment: KillMoment): Promise<ServerProcess | undefined> {
  if (!("step" in moment)) return startServer(child);
  try {
    return await startServer({ ...child, killAt: moment });
  } catch (error) {
    // A real refusal comes again at the restart, and is judged there.
    if (error instanceof StartRefused) return undefined;
    throw error;
  }
}

/** I7: killed right after recovery and started again, the server must show the same. */
function withSecond(verdict: Verdict, matrix: string, first: Cells, second: Cells): Verdict {
  const isSame = first.size === second.size && [...first].every(([cell, value]) => second.get(cell) === value);
  if (isSame) return verdict;
  const detail = "killed after recovery and started again, it shows other data";
  const promise = "recovery gives the same result every time";
  return {
    ...verdict,
    violations: [
      ...verdict.violations,
      { kind: "unstable recovery", rule: "I7", matrix, promise, command: "", detail },
    ],
  };
}

/** Drives the server until it is dead, and until every reply that it sent has been read. */
async function loadUntilDead(plan: KillPlan, server: ServerProcess, history: History): Promise<boolean> {
  let isDead = false;
  const died = server.exited.then(() => {
    isDead = true;
  });
  const setup = connect(server.port);
  await perform(setup, history.send(plan.clients, SETUP, performance.now()), history);
  const clients = Array.from({ length: plan.clients }, () => connect(server.port));
  const loads = clients.map((redis, client) => load(plan, redis, client, history, () => isDead));
  const limit = "step" in plan.moment ? plan.loadMs : plan.moment.afterMs;
  const timer = setTimeout(() => server.kill(), limit);
  const startedAt = performance.now();
  await died;
  clearTimeout(timer);
  const happened = !("step" in plan.moment) || performance.now() - startedAt < limit;
  // The replies in the sockets are still to be read; the connections end by themselves then.
  await Promise.all(loads);
  for (const redis of [setup, ...clients]) redis.disconnect();
  return happened;
}

/** One client: batches of pipelined operations, each awaited. */
async function load(
  plan: KillPlan,
  redis: Redis,
  client: number,
  history: History,
  isOver: () => boolean,
): Promise<void> {
  const workload = new Workload(plan.seed, client, plan.clients);
  const random = new SeededRandom(plan.seed * 64 + 32 + client);
  while (!isOver()) {
    const batch: Promise<void>[] = [];
    for (let count = 1 + random.below(BATCH_MAX); count > 0; count--) {
      batch.push(perform(redis, history.send(client, workload.next(), performance.now()), history));
    }
    await Promise.all(batch);
    if (redis.status === "end") return;
  }
}

/** Sends an operation; notes the reply, if one comes. */
async function perform(redis: Redis, operation: Operation, history: History): Promise<void> {
  const replies = commandsOf(operation).map(([name = "", ...args]) => redis.callBuffer(name, ...args));
  // Every reply needs a listener; the last one is the operation's.
  const settled = await Promise.allSettled(replies);
  const last = settled.at(-1);
  if (last === undefined) return;
  if (last.status === "fulfilled") history.answer(operation, latin1(last.value), performance.now());
  else if (isErrorReply(last.reason)) history.answer(operation, last.reason, performance.now());
}

function commandsOf(operation: Planned): readonly (readonly Bytes[])[] {
  return operation.kind === "transaction" ? [["MULTI"], ...operation.commands, ["EXEC"]] : operation.commands;
}

/** The server answered with an error, as opposed to the connection having ended. */
function isErrorReply(reason: unknown): reason is Error {
  return reason instanceof Error && reason.name === "ReplyError";
}

function latin1(reply: unknown): unknown {
  return Buffer.isBuffer(reply) ? reply.toString("latin1") : reply;
}

function connect(port: number): Redis {
  const redis = new Redis({ port, host: "127.0.0.1", retryStrategy: () => null, enableReadyCheck: false });
  // Every command reports the end of the connection by itself.
  redis.on("error", () => {});
  return redis;
}

/** Reads all that the workload can have written, then kills the server. */
async function readAndKill(server: ServerProcess, clients: number): Promise<Cells> {
  const redis = connect(server.port);
  const cells = new Map<Bytes, Bytes>();
  const { strings, hashes } = workloadKeys(clients);
  let keys = 0;
  const values = await Promise.all(strings.map((key) => redis.getBuffer(key)));
  for (const [index, key] of strings.entries()) {
    const value = values[index];
    if (value === null || value === undefined) continue;
    cells.set(key, value.toString("latin1"));
    keys++;
  }
  for (const key of hashes) {
    const fields = Object.entries(await redis.hgetallBuffer(key));
    for (const [field, value] of fields) cells.set(hashCell(key, field), value.toString("latin1"));
    if (fields.length > 0) keys++;
  }
  const size = await redis.dbsize();
  if (size !== keys) cells.set("?", `${size - keys} more keys`);
  redis.disconnect();
  server.kill();
  await server.exited;
  return cells;
}
