/**
 * The disks that a crash may leave, as disks that an engine can be started on: follows a record, and gives a state at any
 * point. What survives is what the models of lab/models/ say; this is the short way to single states of four of them.
 *
 *     kill()        every call that returned survives: the page cache outlives a process
 *     killDuring()  likewise, and of the write in flight the first pages (4 KiB) survive
 *     power()       only what was synced survives, and only names whose folder was synced (I8)
 *     powerSome()   what was synced survives, and a part of the rest: as ext4 keeps it, or in any order
 */
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import type { DiskOperation } from "../common/disk/recording-disk.ts";
import { DiskImage } from "./lab/disk-image.ts";
import { modelOf } from "./lab/models/index.ts";
import type { Moment } from "./lab/models/model.ts";
import { PageStore } from "./lab/page-store.ts";
import { PendingDisk } from "./lab/pending-disk.ts";
import { enumerate } from "./lab/state-space.ts";
import { SeededRandom } from "./random.ts";

const KILL = modelOf("kill");
const IN_ORDER = modelOf("ext4-like");
const ANY_ORDER = modelOf("posix-weak");
const ALL = { exhaustive: Number.MAX_SAFE_INTEGER, sampled: 0 };

export class CrashStates {
  readonly #disk: PendingDisk;
  readonly #base: DiskImage;

  /** Starts on an empty disk, or on one that recovery was given: everything on it is durable. */
  constructor(base: MemoryDisk = new MemoryDisk()) {
    this.#base = DiskImage.of(new PageStore(), base);
    this.#disk = new PendingDisk(this.#base);
  }

  /** Counts the changes of what `kill()` gives, and of what `power()` gives: equal numbers, equal disks. */
  get killVersion(): number {
    return this.#disk.liveVersion;
  }
  get powerVersion(): number {
    return this.#disk.durableVersion;
  }

  /** The record's next operation was done. */
  apply(operation: DiskOperation): void {
    this.#disk.apply(operation);
  }

  kill(): MemoryDisk {
    return this.#disk.liveImage().toMemoryDisk();
  }

  /** The states in which a write that has not been applied yet was torn at a page boundary, all of them. */
  killDuring(operation: DiskOperation): MemoryDisk[] {
    return KILL.spaces(this.#moment(operation)).flatMap((space) =>
      [...enumerate(space, ALL, new SeededRandom(0))]
        .filter((choice) => choice.some((value) => value > 0))
        .map((choice) => space.build(choice).toMemoryDisk()),
    );
  }

  power(): MemoryDisk {
    return this.#disk.durableImage().toMemoryDisk();
  }

  powerSome(random: SeededRandom, order: "in order" | "any order"): MemoryDisk {
    const [space] = (order === "in order" ? IN_ORDER : ANY_ORDER).spaces(this.#moment(undefined));
    if (space === undefined) return this.power();
    return space.build(space.dimensions.map(({ values }) => random.below(values.length))).toMemoryDisk();
  }

  #moment(next: DiskOperation | undefined): Moment {
    return { disk: this.#disk, next, operations: [], base: this.#base };
  }
}
