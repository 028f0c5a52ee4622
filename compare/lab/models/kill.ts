/**
 * Process kill. The page cache belongs to the operating system: every call that returned survives whole. A write that was
 * running is cut at a page of the cache (4 KiB), because the kernel copies page by page and looks for signals in between.
 */
import { FileDraft } from "../disk-image.ts";
import { PAGE_BYTES } from "../page-store.ts";
import type { Choice, StateSpace } from "../state-space.ts";
import { EVERYTHING, type Moment, type PersistenceModel } from "./model.ts";

export function kill(): PersistenceModel {
  return {
    name: "kill",
    crash: "kill",
    owed: EVERYTHING,
    faults:
      "The process dies. Every call that returned survives, synced or not; of a write that was running the first " +
      "pages of 4 KiB survive, any number of them.",
    spaces: (moment) => [killSpace(moment)],
  };
}

function killSpace({ disk, next }: Moment): StateSpace {
  if (next?.kind !== "write") return { dimensions: [], build: () => disk.liveImage() };
  const cuts = tornAt(next.at, next.bytes.length);
  const target = disk.fileOf(next);
  const dimension = {
    subject: `the write to ${next.path} that was running`,
    path: next.path,
    values: ["not begun", ...cuts.map((bytes) => `cut after ${bytes} bytes`)],
    lost: 0,
    operations: [disk.operations],
  };
  const torn = (choice: Choice) => {
    const draft = new FileDraft(disk.store, target.live);
    draft.write(next.at, next.bytes.subarray(0, cuts[(choice[0] ?? 0) - 1]));
    return draft.done();
  };
  return {
    dimensions: cuts.length === 0 ? [] : [dimension],
    build: (choice) =>
      disk.imageOf(disk.liveLayout(), (file) => (file === target && (choice[0] ?? 0) > 0 ? torn(choice) : file.live)),
  };
}

function tornAt(at: number, length: number): number[] {
  const cuts: number[] = [];
  for (let bytes = PAGE_BYTES - (at % PAGE_BYTES); bytes < length; bytes += PAGE_BYTES) cuts.push(bytes);
  return cuts;
}
