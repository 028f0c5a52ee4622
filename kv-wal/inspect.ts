/**
 * Looking at a data folder without changing it, closed or crashed, whole or damaged: `checkWal` says what is wrong,
 * `inspectWal` shows what is there, byte by byte. Both show damage instead of giving up.
 */
import type { Disk } from "../common/disk/disk.ts";
import { OverlayDisk } from "../common/disk/overlay-disk.ts";
import { UsageError } from "../common/errors.ts";
import { showBinlog } from "./inspect/binlog-view.ts";
import { checkFolder, recoverOver } from "./inspect/check-folder.ts";
import { jsonPrinter, type Show, textPrinter } from "./inspect/listing.ts";
import { showPage } from "./inspect/page-view.ts";
import { describeProblem } from "./inspect/problem.ts";
import { showCheckpoints, showRedo } from "./inspect/redo-view.ts";
import { showDoublewrite, showSpace, showTree, showUndo } from "./inspect/space-view.ts";

/** What is wrong with the folder, a line for each problem: nothing, if all is well. */
export function checkWal(disk: Disk): string[] {
  return checkFolder(disk).map(describeProblem);
}

const INSPECTORS: ReadonlyMap<string, (disk: Disk, show: Show) => void> = new Map([
  ["redo", showRedo],
  ["checkpoint", showCheckpoints],
  ["tree", showTree],
  ["undo", showUndo],
  ["binlog", showBinlog],
  ["doublewrite", showDoublewrite],
  ["space", showSpace],
]);

export interface InspectOptions {
  /** An array of items instead of text. */
  readonly json?: boolean;
  /** First recover in memory, so that pages have what now only the redo log has. */
  readonly recovered?: boolean;
}

/** Prints one of `redo`, `checkpoint`, `tree`, `undo`, `binlog`, `doublewrite`, `space`, or `page` and its number. */
export function inspectWal(
  disk: Disk,
  what: readonly string[],
  options: InspectOptions,
  print: (line: string) => void,
): void {
  const inspect = inspectorOf(what);
  const overlay = new OverlayDisk(disk);
  if (options.recovered) recoverOver(overlay);
  if (options.json) {
    const { show, end } = jsonPrinter(print);
    inspect(overlay, show);
    end();
  } else inspect(overlay, textPrinter(print));
  overlay.close();
}

function inspectorOf(what: readonly string[]): (disk: Disk, show: Show) => void {
  const [subject = "", number = ""] = what;
  if (subject === "page" && what.length === 2 && /^\d+$/.test(number)) {
    return (disk, show) => showPage(disk, Number(number), show);
  }
  const inspector = INSPECTORS.get(subject);
  if (inspector === undefined || what.length > 1) {
    throw new UsageError(`inspect what? ${[...INSPECTORS.keys()].join(", ")}, pool, or page and its number`);
  }
  return inspector;
}
