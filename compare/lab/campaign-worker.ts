/** A worker thread of a campaign: is sent chunk numbers, answers with results (campaign.ts). */
import { parentPort, workerData } from "node:worker_threads";
import { type CampaignPlan, ChunkRunner } from "./campaign-work.ts";

const runner = new ChunkRunner(workerData as CampaignPlan);
parentPort?.on("message", (chunk: number) => {
  const result = runner.run(chunk);
  parentPort?.postMessage({ chunk, result }, [result.digests.buffer as ArrayBuffer]);
});
