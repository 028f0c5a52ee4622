/**
 * A campaign: chunks of work (campaign-work.ts) handed to worker threads until so many distinct disks have been seen. What
 * is done is in a state file now and then, so that a campaign can be killed and goes on where it was; several machines
 * share one by running every n-th chunk each (`shard`), and merging their files.
 */
import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { UsageError } from "../../common/errors.ts";
import type { Policy } from "../policy.ts";
import { Progress } from "../progress.ts";
import {
  DEFAULT_AGAIN_ONE_IN,
  DEFAULT_DEEPER_ONE_IN,
  DEFAULT_FAULTS_ONE_IN,
  DEFAULT_MODELS,
} from "./campaign-defaults.ts";
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
  /** See CampaignPlan. */
  readonly againOneIn?: number | undefined;
  readonly deeperOneIn?: number | undefined;
  readonly faultsOneIn?: number | undefined;
}

const SAVE_EVERY_MS = 1000;
/**
 * What a run leaves lives as long as the run: with room for that, the garbage collector copies little of it, and takes a
 * fifth of its time. The flags are read when a worker starts.
 */
const SEMI_SPACE_MB = 48;
const WORKER_FLAGS = [`--min-semi-space-size=${SEMI_SPACE_MB}`, "--initial-old-space-size=300"];

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
  await new CampaignRunner(state, options, progress).run();
  progress.end();
  return state;
}

function planOfCampaign({
  seed,
  policies,
  models = DEFAULT_MODELS,
  workloads = WORKLOADS,
  againOneIn = DEFAULT_AGAIN_ONE_IN,
  deeperOneIn = DEFAULT_DEEPER_ONE_IN,
  faultsOneIn = DEFAULT_FAULTS_ONE_IN,
}: CampaignOptions): CampaignPlan {
  // Unknown names are told before anything runs.
  for (const model of models) modelOf(model);
  for (const workload of workloads) scriptOf(workload, 0);
  const names = policies.map(policyName);
  return { seed, policies: names, models, workloads, againOneIn, deeperOneIn, faultsOneIn };
}

/**
 * Hands out chunks, and adds their results in the order of the chunks until enough disks have been seen: what a campaign
 * has seen in the end does not depend on how many workers it had, on which was faster, or on how often it was killed.
 */
class CampaignRunner {
  readonly #state: CampaignState;
  readonly #options: CampaignOptions;
  readonly #progress: Progress;
  readonly #started = performance.now();
  readonly #before: { readonly wallMs: number; readonly cpuMs: number };
  readonly #workers: Worker[] = [];
  readonly #step: number;
  /** Results whose predecessors are still being made. */
  readonly #early = new Map<number, ChunkResult>();
  /** The chunk that is added next, and the one that is handed out next. */
  #nextToAdd: number;
  #nextToHand: number;
  /** The first chunk is saved at once. */
  #savedAt = Number.NEGATIVE_INFINITY;

  constructor(state: CampaignState, options: CampaignOptions, progress: Progress) {
    this.#state = state;
    this.#options = options;
    this.#progress = progress;
    this.#before = { ...state.sums };
    const { index = 0, of = 1 } = options.shard ?? {};
    this.#step = of;
    this.#nextToAdd = index;
    while (state.chunks.has(this.#nextToAdd)) this.#nextToAdd += of;
    this.#nextToHand = this.#nextToAdd;
  }

  get #isOver(): boolean {
    return this.#state.states >= this.#options.states;
  }

  async run(): Promise<void> {
    if (this.#isOver) return;
    try {
      await this.#work();
    } finally {
      await Promise.all(this.#workers.map((worker) => worker.terminate()));
    }
    this.#save();
  }

  /** Every worker has two chunks at hand, so that none waits. */
  #work(): Promise<void> {
    const file = import.meta.url.endsWith(".ts") ? "./campaign-worker.ts" : "./campaign-worker.js";
    for (const flag of WORKER_FLAGS) setFlagsFromString(flag);
    return new Promise((resolve, reject) => {
      for (let count = this.#options.workers ?? availableParallelism(); count > 0; count--) {
        const worker = new Worker(new URL(file, import.meta.url), {
          workerData: this.#state.plan,
          resourceLimits: { maxYoungGenerationSizeMb: 3 * SEMI_SPACE_MB },
        });
        this.#workers.push(worker);
        worker.on("message", ({ chunk, result }: { chunk: number; result: ChunkResult }) => {
          try {
            this.#take(chunk, result);
          } catch (error) {
            reject(error);
            return;
          }
          if (this.#isOver) resolve();
          else this.#hand(worker);
        });
        worker.on("error", reject);
        this.#hand(worker);
        this.#hand(worker);
      }
    });
  }

  #hand(worker: Worker): void {
    worker.postMessage(this.#nextToHand);
    this.#nextToHand += this.#step;
  }

  #take(chunk: number, result: ChunkResult): void {
    const before = this.#state.states;
    this.#early.set(chunk, result);
    if (chunk !== this.#nextToAdd) return;
    for (let next = this.#early.get(this.#nextToAdd); next !== undefined && !this.#isOver; ) {
      this.#early.delete(this.#nextToAdd);
      this.#state.add(this.#nextToAdd, next);
      this.#nextToAdd += this.#step;
      next = this.#early.get(this.#nextToAdd);
    }
    this.#measure();
    this.#progress.advance(this.#state.states - before, rateText(this.#state));
    if (performance.now() - this.#savedAt > SAVE_EVERY_MS) this.#save();
  }

  #measure(): void {
    const { user, system } = process.cpuUsage();
    this.#state.sums.cpuMs = this.#before.cpuMs + (user + system) / 1000;
    this.#state.sums.wallMs = this.#before.wallMs + performance.now() - this.#started;
  }

  #save(): void {
    this.#measure();
    if (this.#options.state !== undefined) this.#state.save(this.#options.state);
    this.#savedAt = performance.now();
  }
}

/** "1,203 disks a second, 2,410 a second and core". */
export function rateText(state: CampaignState): string {
  const { wallMs, cpuMs } = state.sums;
  const perSecond = (ms: number): string => Math.round((state.states * 1000) / Math.max(1, ms)).toLocaleString("en");
  return `${perSecond(wallMs)} distinct disks a second, ${perSecond(cpuMs)} a second of processor time`;
}
