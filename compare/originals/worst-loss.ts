/** What the crashes of a recorded load lose of what was acknowledged, on a server that is restarted on what they leave. */
import type { DiskImage } from "../lab/disk-image.ts";
import { modelOf } from "../lab/models/index.ts";
import type { CrashKind } from "../policy.ts";
import { verdictOf, violationText } from "./crash-columns.ts";
import type { RecordedRun } from "./recorded-run.ts";

export interface Loss {
  readonly writes: number;
  /** How long before the crash the first of them had been acknowledged. */
  readonly ms: number;
}

const NOTHING: Loss = { writes: 0, ms: 0 };

export function lossText({ writes, ms }: Loss): string {
  return `lost ${writes} writes, ${(ms / 1000).toFixed(2)} s`;
}

/** What is left after a power loss is what was synced: the plain reading of the disk's contract. */
const MODEL_OF = { kill: modelOf("kill"), power: modelOf("dropped") } as const;

/**
 * The most that a crash at one of these points loses. A restart that is refused, or shows more than a lost end, breaks the
 * scenario.
 */
export async function worstLoss(
  run: RecordedRun,
  crash: CrashKind,
  workFolder: string,
  at: readonly number[] = lastPoints(run, crash),
): Promise<Loss> {
  let worst = NOTHING;
  const model = MODEL_OF[crash];
  for (const point of at) {
    const [space] = model.spaces(run.points.at(point));
    if (space === undefined) throw new Error("both models have a state at every point");
    const restarted = await run.server.restart(space.build([]), run.recording.before, workFolder);
    const verdict = verdictOf(run, { model, point, printed: run.points.printedAt(point) }, restarted);
    const wrong = verdict.violations.find(({ kind }) => kind !== "lost write");
    if (wrong !== undefined) throw new Error(violationText(wrong));
    if (verdict.lostMs > worst.ms) worst = { writes: verdict.lost, ms: verdict.lostMs };
  }
  return worst;
}

/** Of all points with the same folder the last: most has been acknowledged by then. */
function lastPoints({ points, from }: RecordedRun, crash: CrashKind): number[] {
  const last = new Map<DiskImage["digest"], number>();
  for (const { point, moment } of points.moments(from)) {
    const [space] = MODEL_OF[crash].spaces(moment);
    if (space !== undefined) last.set(space.build([]).digest, point);
  }
  return [...last.values()];
}
