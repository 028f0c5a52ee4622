/**
 * A persistence model: what a crash may leave of what is pending, stated as a fault model that a person can check against
 * a manual. Each model is one file of this folder; `MODELS` (index.ts) lists them from kind to nasty.
 */
import type { DiskOperation } from "../../../common/disk/recording-disk.ts";
import type { CrashKind, EngineName } from "../../policy.ts";
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

/** What an engine owes after a crash under a model. */
export type Owed =
  /** The whole promise of its policy. */
  | "everything"
  /**
   * The medium broke its own promise: what was acknowledged may be gone, and recovery may refuse to start; but then it names
   * the file, and nothing wrong is served. What is there is an older state, whole.
   */
  | "notice"
  /** Only that a second recovery gives the same as the first (I7); `unpromised` says in words why no more. */
  | "stability";

export const EVERYTHING: Readonly<Record<EngineName, Owed>> = { aof: "everything", wal: "everything" };

/** Why kv-aof owes little where bytes may be other than what was written. */
export const NO_CHECKSUMS =
  "a plain AOF has no checksum: changed bytes inside a value are served, and what cannot be parsed is refused; Redis does the same";

export interface PersistenceModel {
  readonly name: string;
  readonly crash: CrashKind;
  readonly owed: Readonly<Record<EngineName, Owed>>;
  /** Where less than everything is owed: what is not promised and why, for the reader of a report. */
  readonly unpromised?: Readonly<Partial<Record<EngineName, string>>>;
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
