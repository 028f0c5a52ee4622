/**
 * A disk that lies: one of the syncs that it answered did nothing (a cache without power that ignores flushes), and the
 * power fails. Everything else is as in `dropped`. No order of steps survives this with every acknowledged write; what is
 * owed is that nothing else is served than an older state, whole.
 *
 * A lie about a data page is another matter: the checkpoint has passed what redo knew of it, and the older page has a
 * checksum that is right. Nobody can tell, neither here nor in InnoDB, so that lies about pages are a model of their own.
 */
import type { DiskOperation } from "../../../common/disk/recording-disk.ts";
import { SPACE_PATH } from "../../../kv-wal/tablespace.ts";
import type { DiskImage } from "../disk-image.ts";
import { PendingDisk } from "../pending-disk.ts";
import type { StateSpace } from "../state-space.ts";
import type { Moment, PersistenceModel } from "./model.ts";

/** An older lie is mostly made good by a later sync of the same file. */
const SYNCS_DOUBTED = 16;

export function lyingFsync(): PersistenceModel {
  return {
    name: "lying-fsync",
    owed: { aof: "notice", wal: "notice" },
    unpromised: {
      aof: "nothing acknowledged is promised: an older state, whole, or a refusal",
      wal: "nothing acknowledged is promised: an older state, whole, or a refusal that names what does not fit",
    },
    ...lieAbout("logs and names", (path) => path !== SPACE_PATH),
  };
}

export function lyingFsyncOfPages(): PersistenceModel {
  return {
    name: "lying-fsync-of-pages",
    owed: { aof: "notice", wal: "stability" },
    unpromised: {
      wal:
        "the checkpoint has passed a page that was not written; the older page in its place has a checksum that is right, so data " +
        "of different times are served; InnoDB does the same",
    },
    ...lieAbout("the tablespace", (path) => path === SPACE_PATH),
  };
}

/** What both have in common. */
function lieAbout(
  what: string,
  mayLie: (path: string) => boolean,
): Pick<PersistenceModel, "crash" | "faults" | "spaces"> {
  return {
    crash: "power",
    faults:
      `One of the last ${SYNCS_DOUBTED} syncs of ${what} that the disk answered did nothing. The power fails; what no other ` +
      "sync has covered is gone.",
    spaces: (moment) => lieSpaces(moment, mayLie),
  };
}

/** Nothing where nothing can have lied. */
function lieSpaces({ operations, base }: Moment, mayLie: (path: string) => boolean): StateSpace[] {
  const lies: number[] = [];
  for (let index = operations.length - 1; index >= 0 && lies.length < SYNCS_DOUBTED; index--) {
    const operation = operations[index];
    const isSync = operation?.kind === "sync-end" || operation?.kind === "sync-dir";
    if (isSync && mayLie(operation.path)) lies.push(index);
  }
  if (lies.length === 0) return [];
  const named = (index: number): string =>
    `the sync of ${operations[index]?.path || "the data folder"} (${index}) lied`;
  const dimension = {
    subject: "the syncs",
    path: "",
    values: ["kept", ...lies.map(named)],
    lost: 1,
    operations: lies,
  };
  const build: StateSpace["build"] = (choice) => imageWithout(base, operations, lies[(choice[0] ?? 0) - 1]);
  return [{ dimensions: [dimension], build }];
}

/** The durable image after the operations, one of which did nothing. */
function imageWithout(base: DiskImage, operations: readonly DiskOperation[], lie: number | undefined): DiskImage {
  const disk = new PendingDisk(base);
  for (const [index, operation] of operations.entries()) if (index !== lie) disk.apply(operation);
  return disk.durableImage();
}
