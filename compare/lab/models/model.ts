/**
 * A persistence model: what a crash may leave of what is pending, stated as a fault model that a person can check against
 * a manual. Each model is one file of this folder; `MODELS` (index.ts) lists them from kind to nasty.
 */
import type { DiskOperation } from "../../../common/disk/recording-disk.ts";
import type { CrashKind } from "../../policy.ts";
import type { DiskImage } from "../disk-image.ts";
import type { PendingDisk } from "../pending-disk.ts";
import type { StateSpace } from "../state-space.ts";

/** A moment at which the crash comes: after the last operation applied to `disk`. */
export interface Moment {
  readonly disk: PendingDisk;
  /** The operation that was being done: a kill may have cut it short. */
  readonly next: DiskOperation | undefined;
  /** All operations done so far, and what was there before them: for models that disbelieve a sync. */
  readonly operations: readonly DiskOperation[];
  readonly base: DiskImage;
}

/** What an engine's promise is worth under a model. */
export type Coverage =
  /** The whole promise of its policy. */
  | "promised"
  /** Not for a log without checksums (kv-aof): it may refuse, or take junk for data, behind what was acknowledged. */
  | "promised to checksums"
  /** Nothing: the medium broke its own promise. What is shown is what then happens. */
  | "unpromised";

export interface PersistenceModel {
  readonly name: string;
  readonly crash: CrashKind;
  readonly covered: Coverage;
  /** The fault model, a sentence or several. */
  readonly faults: string;
  /** What may be left at this moment. Several spaces when the first choice changes what the others are. */
  spaces(moment: Moment): readonly StateSpace[];
}

/** How a model is asked for: `posix-weak`, `posix-weak@4096`. */
export interface ModelOptions {
  /** What the medium writes whole: 512 or 4096 bytes. */
  readonly sectorBytes: 512 | 4096;
}
