/**
 * Power loss on a disk that keeps the order of everything: data and names, of all files together. What is lost is the end
 * of the list of pending changes; the first change that is lost may be a write of which the first sectors survive.
 */
import { FileDraft, type FileImage } from "../disk-image.ts";
import type { PendingData, PendingDisk, PendingFile } from "../pending-disk.ts";
import type { StateSpace } from "../state-space.ts";
import { EVERYTHING, type ModelOptions, type Moment, type PersistenceModel } from "./model.ts";
import { layoutsOf } from "./pieces.ts";

/** A way in which the list ends. */
interface End {
  /** Only changes by operations before this one are kept, */
  readonly operation: number;
  /** and so many bytes of its write. */
  readonly bytes: number;
  readonly text: string;
}

export function prefix({ sectorBytes }: ModelOptions): PersistenceModel {
  return {
    name: "prefix",
    crash: "power",
    owed: EVERYTHING,
    faults:
      "The power fails, and the disk has kept the order of all unsynced changes, of data and of names: it has the first " +
      `of them, any number. The first that is missing may be a write torn at a sector of ${sectorBytes} bytes.`,
    spaces: (moment) => [prefixSpace(moment, sectorBytes)],
  };
}

function prefixSpace({ disk }: Moment, sectorBytes: number): StateSpace {
  const ends = endsOf(disk, sectorBytes);
  const dimension = {
    subject: "the unsynced changes",
    path: "",
    values: ends.map(({ text }) => text),
    lost: ends.length - 1,
    operations: ends
      .slice(1)
      .map(({ operation }) => operation)
      .reverse(),
  };
  const layoutOf = layoutsOf(disk);
  return {
    dimensions: ends.length === 1 ? [] : [dimension],
    build(choice) {
      const end = ends[choice[0] ?? 0] as End;
      const layout = layoutOf((index) => (disk.pendingNames[index]?.operation ?? 0) < end.operation);
      return disk.imageOf(layout, (file) => contentAt(disk, file, end));
    },
  };
}

/** Everything kept first, nothing kept last. */
function endsOf(disk: PendingDisk, sectorBytes: number): End[] {
  const changes: (PendingData | { readonly operation: number; readonly what: { readonly kind: string } })[] = [
    ...disk.pendingNames,
    ...disk.files().flatMap((file) => file.pending),
  ];
  changes.sort((a, b) => b.operation - a.operation);
  const ends: End[] = [{ operation: Number.POSITIVE_INFINITY, bytes: 0, text: "kept" }];
  for (const [index, { operation, what }] of changes.entries()) {
    const lost = `the last ${index + 1} lost`;
    if (what.kind === "write" && "at" in what) {
      const { at, bytes } = what;
      const first = sectorBytes - (at % sectorBytes);
      const sectors = Math.max(0, Math.ceil((bytes.length - first) / sectorBytes));
      for (let sector = sectors - 1; sector >= 0; sector--) {
        const kept = first + sector * sectorBytes;
        ends.push({ operation, bytes: kept, text: `${lost}, but for ${kept} bytes of a write to ${what.path}` });
      }
    }
    ends.push({ operation, bytes: 0, text: lost });
  }
  return ends;
}

function contentAt(disk: PendingDisk, file: PendingFile, { operation, bytes }: End): FileImage {
  let content = file.durable;
  for (const change of file.pending) {
    if (change.operation < operation) content = change.after;
    else if (change.operation === operation && bytes > 0 && change.what.kind === "write") {
      const draft = new FileDraft(disk.store, content);
      draft.take(change.after, change.what.at, bytes);
      return draft.done();
    }
  }
  return content;
}
