/**
 * `force-recovery` (innodb_force_recovery): what recovery leaves out, so that a damaged folder can be read once more.
 *
 *     level  recovery and the server …
 *       0    do everything; damage is refused
 *       1    pass over damaged pages: each is named; redo for them is left out; a read that needs one is answered
 *            with an error, a scan goes on behind it
 *       2    and no purge, no active expiry: undo and chains that are damaged are not looked at any more
 *       3    and no rollback: changes of transactions that were not over stay visible; the next start undoes them
 *       4    and nothing is written: recovery happens in memory over the folder, which stays as it is
 *       5    and no look at undo log and binlog: prepared and active transactions count as committed
 *       6    and no redo: pages are as they are in the tablespace, of different ages; the checkpoint is not needed
 *
 * Every level includes those below it. Levels 1 to 3 write what recovery does do: when it has succeeded, the next start may
 * be one without force, which meets the damage only where it is read. Above 0 commands that write are refused, as in
 * InnoDB. InnoDB's level 4 leaves out its change buffer and statistics, which do not exist here; what it also does, making
 * everything read-only, is all of ours. A damaged space header (page 0), or redo files whose headers are
 * damaged, cannot be passed over at any level.
 */
import type { Disk } from "../common/disk/disk.ts";
import { OverlayDisk } from "../common/disk/overlay-disk.ts";
import type { Clock, Host, Random, StepDetail } from "../common/host.ts";
import type { StepName } from "../common/steps.ts";

export const Force = {
  IGNORE_CORRUPT_PAGES: 1,
  NO_BACKGROUND: 2,
  NO_ROLLBACK: 3,
  READ_ONLY: 4,
  NO_UNDO: 5,
  NO_REDO: 6,
} as const;

/** The error of commands that write, undefined at level 0. */
export function refusalOf(level: number): string | undefined {
  if (level === 0) return undefined;
  return `READONLY You can't write while force-recovery is ${level}: save what can be read and start without it.`;
}

/** A host over the same folder that never changes it. */
export function overlayHost(host: Host): Host {
  return new OverlayHost(host);
}

class OverlayHost implements Host {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly tracing: boolean;
  readonly openFolder?: (folder: string) => Disk;
  readonly #host: Host;

  constructor(host: Host) {
    this.disk = new OverlayDisk(host.disk);
    if (host.openFolder !== undefined) this.openFolder = (folder) => host.openFolder!(folder);
    this.clock = host.clock;
    this.random = host.random;
    this.tracing = host.tracing;
    this.#host = host;
  }

  afterTick(run: () => void): void {
    this.#host.afterTick(run);
  }

  trace(step: StepName, detail: StepDetail): void {
    this.#host.trace(step, detail);
  }
}
