/** What the crashes of a recorded load lose of what was acknowledged, on a server that is restarted on what they leave. */
import type { DiskImage } from "../lab/disk-image.ts";
import type { CrashKind } from "../policy.ts";
import { verdictOf, violationText } from "./crash-columns.ts";
import { leftAt, leftAtMoment, PLAIN_MODELS } from "./plain-crash.ts";
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
  const model = PLAIN_MODELS[crash];
  for (const point of at) {
    const image = leftAt(run.points, point, crash);
    const restarted = await run.server.restart(image, run.recording.before, workFolder);
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
    last.set(leftAtMoment(moment, crash).digest, point);
  }
  return [...last.values()];
}
