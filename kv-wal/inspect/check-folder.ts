/**
 * Checks a data folder, closed or crashed, without changing it: all problems, not only the first.
 *
 *     files      headers of the redo files, checkpoint slots, every block and mini-transaction from the checkpoint on, the
 *                binlog's index and every event of every file
 *     recovery   in memory over the folder (overlay-disk.ts), passing over damaged pages; each is a problem
 *     space      the whole tablespace that recovery leaves (check.ts)
 *     pages      the checksum of every page, whether something refers to it or not; but for those that redo makes anew, and what
 *                is left of an end that was cut off
 *
 * Memory: pages that recovery changes, and the pool. A folder that a server has open changes meanwhile: copy it first, or
 * stop the server.
 */
import type { Disk } from "../../common/disk/disk.ts";
import { OverlayDisk } from "../../common/disk/overlay-disk.ts";
import type { Host } from "../../common/host.ts";
import { POOL_FRAMES_MIN } from "../buffer-pool.ts";
import { SpaceCheck } from "../check.ts";
import { isCreated } from "../create.ts";
import { Force } from "../force-recovery.ts";
import { PAGE_SIZE } from "../page.ts";
import { type RecoveryOptions, recoverStorage } from "../recovery.ts";
import { Storage } from "../storage.ts";
import { SPACE_PATH } from "../tablespace.ts";
import { checkBinlogs, checkRedo } from "./check-files.ts";
import { attempt, describeProblem, type Problem, pageProblem } from "./problem.ts";

/** Frames of the pool that recovers: enough for a small folder, and 64 MiB at most. */
const FRAMES_MIN = 4 * POOL_FRAMES_MIN;
const FRAMES_MAX = 64 * POOL_FRAMES_MIN;

const FORCED: RecoveryOptions = { fileBytes: 0, files: 0, force: Force.IGNORE_CORRUPT_PAGES };

function framesFor(disk: Disk): number {
  if (!disk.exists(SPACE_PATH)) return FRAMES_MIN;
  const file = disk.open(SPACE_PATH, "read");
  const pages = Math.ceil(file.size() / PAGE_SIZE);
  file.close();
  return Math.min(Math.max(pages, FRAMES_MIN), FRAMES_MAX);
}

/** A host without time and chance. */
function hostOf(disk: Disk): Host {
  return {
    disk,
    clock: { now: () => 0, monotonic: () => 0, after: () => () => {}, sleep: () => {} },
    random: { below: () => 0, bytes: (count) => new Uint8Array(count) },
    tracing: false,
    afterTick: (run) => run(),
    trace: () => {},
  };
}

/** What is wrong with the folder: nothing, if all is well. */
export function checkFolder(disk: Disk): Problem[] {
  if (!isCreated(disk)) return [];
  const problems: Problem[] = [];
  const tell = (problem: Problem) => {
    const text = describeProblem(problem);
    if (!problems.some((known) => describeProblem(known) === text)) problems.push(problem);
  };
  checkRedo(disk, tell);
  checkBinlogs(disk, tell);
  const overlay = new OverlayDisk(disk);
  const storage = new Storage(hostOf(overlay), framesFor(overlay));
  const recovered = attempt(tell, () => {
    recoverStorage(hostOf(overlay), storage, FORCED);
    return true;
  });
  if (recovered) {
    const check = new SpaceCheck(storage);
    check.run();
    check.found.forEach(tell);
  }
  checkPages(overlay, storage, recovered === true, tell);
  storage.close();
  overlay.close();
  return problems;
}

/** Recovers on this disk and writes all pages in place. */
export function recoverOver(disk: Disk): void {
  const storage = new Storage(hostOf(disk), framesFor(disk));
  recoverStorage(hostOf(disk), storage, FORCED);
  storage.cleaner.cleanAll();
  storage.close();
}

/** Every page of the file; after a recovery that was refused, too: torn pages have been repaired as far as they can be. */
function checkPages(disk: Disk, storage: Storage, recovered: boolean, tell: (problem: Problem) => void): void {
  if (!disk.exists(SPACE_PATH)) {
    tell({ path: SPACE_PATH, offset: 0, reason: "is missing" });
    return;
  }
  const { pool, space, header } = storage;
  space.open(disk);
  const inPool = new Set<number>();
  if (recovered) pool.each((frame) => inPool.add(pool.pageIn(frame)));
  const end = recovered ? Math.min(space.pages, header.pages) : space.pages;
  for (let page = 0; page < end; page++) {
    if (!inPool.has(page) && space.stateOf(page) === "damaged")
      tell(pageProblem(page, `page ${page} is damaged (checksum)`));
  }
}
