/** What a crash leaves by the plainest reading: of a kill every call that had returned, of a power loss what was synced. */
import type { CrashPoints } from "../crash-program/crash-points.ts";
import type { DiskImage } from "../lab/disk-image.ts";
import { modelOf } from "../lab/models/index.ts";
import type { Moment, PersistenceModel } from "../lab/models/model.ts";
import type { CrashKind } from "../policy.ts";

export const PLAIN_MODELS: Readonly<Record<CrashKind, PersistenceModel>> = {
  kill: modelOf("kill"),
  power: modelOf("dropped"),
};

export function leftAtMoment(moment: Moment, crash: CrashKind): DiskImage {
  const [space] = PLAIN_MODELS[crash].spaces(moment);
  if (space === undefined) throw new Error("these models have a state at every point");
  return space.build([]);
}

export function leftAt(points: CrashPoints, point: number, crash: CrashKind): DiskImage {
  return leftAtMoment(points.at(point), crash);
}
