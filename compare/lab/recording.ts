/**
 * What happened in one run, in order: what the disk did, which steps were done, when somebody was told something. Made by
 * the simulator (simulated-run.ts), or from the system calls of a foreign program.
 */
import type { TimelineEvent } from "../simulator.ts";
import type { DiskImage } from "./disk-image.ts";

/** `order` and `ms` tell when: see history.ts. A note is anything that a person should see at its place. */
export type RecordedEvent =
  | TimelineEvent
  | { readonly kind: "note"; readonly text: string; readonly order: number; readonly ms: number };

export interface Recording {
  /** The disk at the start, everything on it durable. */
  readonly base: DiskImage;
  readonly events: readonly RecordedEvent[];
}
