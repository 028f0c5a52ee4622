/**
 * A campaign: chunks of work (campaign-work.ts) handed to worker threads until so many distinct disks have been seen. What
 * is done is in a state file now and then, so that a campaign can be killed and goes on where it was; several machines
 * share one by running every n-th chunk each (`shard`), and merging their files.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { UsageError } from "../../common/errors.ts";
import type { Policy } from "../policy.ts";
import { Progress } from "../progress.ts";
import { CampaignState } from "./campaign-state.ts";
import { type CampaignPlan, type ChunkResult, policyName } from "./campaign-work.ts";
import { modelOf } from "./models/index.ts";
import { scriptOf, WORKLOADS } from "./workloads.ts";

export interface CampaignOptions {
  /** Distinct disks to be seen. */
  readonly states: number;
  readonly seed: number;
  readonly policies: readonly Policy[];
  readonly models?: readonly string[] | undefined;
  readonly workloads?: readonly string[] | undefined;
  readonly workers?: number | undefined;
  readonly state?: string | undefined;
  /** Only chunks whose number is `index` modulo `of`. */
  readonly shard?: { readonly index: number; readonly of: number } | undefined;
}

/** Promised to every engine; and what no promise covers, to see what happens. */
export const DEFAULT_MODELS = ["kill", "dropped", "prefix", "ext4-like", "posix-weak", "posix-weak@4096"];
const SAVE_EVERY_MS = 5000;

/** Runs a campaign, or goes on with the one in the state file. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignState> {
  const { states, path } = { states: options.states, path: options.state };
  const plan = planOfCampaign(options);
  const state = (path === undefined ? undefined : CampaignState.load(path)) ?? new CampaignState(plan);
  if (JSON.stringify(state.plan) !== JSON.stringify(plan)) {
    throw new UsageError(`${path} belongs to another campaign: give the same options, or another file`);
  }
  const progress = new Progress(states);
  progress.advance(state.states, "disks");
  await runWorkers(state, options, progress);
  progress.end();
  return state;
}

function planOfCampaign({
  seed,
  policies,
  models = DEFAULT_MODELS,
  workloads = WORKLOADS,
}: CampaignOptions): CampaignPlan {
  // Unknown names are told before anything runs.
  for (const model of models) modelOf(model);
  for (const workload of workloads) scriptOf(workload, 0);
  return { seed, policies: policies.map(policyName), models, workloads };
}

/** Hands out chunks until enough disks have been seen; every worker has two at hand, so that none waits. */
function runWorkers(state: CampaignState, options: CampaignOptions, progress: Progress): Promise<void> {
  const { states, state: path, shard = { index: 0, of: 1 }, workers: count = availableParallelism() } = options;
  const started = performance.now();
  const { wallMs: wallBefore, cpuMs: cpuBefore } = state.sums;
  let savedAt = started;
  let next = shard.index;
  let running = 0;
  const workers: Worker[] = [];
  return new Promise((resolve, reject) => {
    const measure = (): void => {
      const { user, system } = process.cpuUsage();
      state.sums.cpuMs = cpuBefore + (user + system) / 1000;
      state.sums.wallMs = wallBefore + performance.now() - started;
    };
    const save = (): void => {
      measure();
      if (path !== undefined) state.save(path);
      savedAt = performance.now();
    };
    const finish = (outcome: () => void): void => {
      for (const worker of workers) void worker.terminate();
      outcome();
    };
    const hand = (worker: Worker): void => {
      if (state.states >= states) return;
      while (state.chunks.has(next)) next += shard.of;
      worker.postMessage(next);
      next += shard.of;
      running++;
    };
    const take = (worker: Worker, { chunk, result }: { chunk: number; result: ChunkResult }): void => {
      const before = state.states;
      state.add(chunk, result);
      running--;
      measure();
      progress.advance(state.states - before, rateText(state));
      if (performance.now() - savedAt > SAVE_EVERY_MS) save();
      hand(worker);
      if (running > 0) return;
      save();
      finish(resolve);
    };
    if (state.states >= states) {
      resolve();
      return;
    }
    for (let index = 0; index < count; index++) {
      const worker = new Worker(
        new URL(import.meta.url.endsWith(".ts") ? "./campaign-worker.ts" : "./campaign-worker.js", import.meta.url),
        {
          workerData: state.plan,
          resourceLimits: { maxYoungGenerationSizeMb: 64 },
        },
      );
      workers.push(worker);
      worker.on("message", (message: { chunk: number; result: ChunkResult }) => {
        try {
          take(worker, message);
        } catch (error) {
          finish(() => reject(error));
        }
      });
      worker.on("error", (error) => finish(() => reject(error)));
      hand(worker);
      hand(worker);
    }
  });
}

/** "1,203 disks a second, 2,410 a second and core". */
export function rateText(state: CampaignState): string {
  const { wallMs, cpuMs } = state.sums;
  const perSecond = (ms: number): string => Math.round((state.states * 1000) / Math.max(1, ms)).toLocaleString("en");
  return `${perSecond(wallMs)} distinct disks a second, ${perSecond(cpuMs)} a second of processor time`;
}
