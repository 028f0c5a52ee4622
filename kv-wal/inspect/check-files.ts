/** Checks redo log and binlog by themselves, before recovery looks at them. */
import type { Disk } from "../../common/disk/disk.ts";
import { BINLOG_INDEX_PATH, binlogPath, readBinlogIndex } from "../binlog/binlog-files.ts";
import { readBinlog } from "../binlog/binlog-reader.ts";
import { slotOffset } from "../checkpoint-slot.ts";
import { BLOCK_SIZE } from "../redo-block.ts";
import { redoFileName } from "../redo-files.ts";
import { RedoReader } from "../redo-reader.ts";
import { RedoRing } from "../redo-ring.ts";
import { attempt, type Problem } from "./problem.ts";

type Tell = (problem: Problem) => void;

/** File headers, checkpoint slots, and every mini-transaction from the checkpoint to the end of the log. */
export function checkRedo(disk: Disk, tell: Tell): void {
  const ring = new RedoRing();
  const opened = attempt(tell, () => {
    ring.open(disk);
    return true;
  });
  if (opened) {
    for (const slot of [0, 1]) {
      // A new folder has written one slot only.
      if (ring.readSlot(slot) !== undefined || isUntouched(disk, slot)) continue;
      tell({ path: redoFileName(0), offset: slotOffset(slot), reason: `checkpoint slot ${slot} is damaged` });
    }
    attempt(tell, () => new RedoReader(ring, ring.readCheckpoint()).each(() => {}));
  }
  ring.close();
}

function isUntouched(disk: Disk, slot: number): boolean {
  const file = disk.open(redoFileName(0), "read");
  const block = Buffer.alloc(BLOCK_SIZE);
  file.read(slotOffset(slot), block);
  file.close();
  return block.every((byte) => byte === 0);
}

/** Every file that the index names: whole to its end; the last one may have a tail that recovery cuts. */
export function checkBinlogs(disk: Disk, tell: Tell): void {
  const numbers = disk.exists(BINLOG_INDEX_PATH) ? attempt(tell, () => readBinlogIndex(disk)) : undefined;
  if (numbers === undefined) {
    if (!disk.exists(BINLOG_INDEX_PATH)) tell({ path: BINLOG_INDEX_PATH, offset: 0, reason: "is missing" });
    return;
  }
  for (const number of numbers) {
    const path = binlogPath(number);
    const file = disk.open(path, "read");
    const end = attempt(tell, () => readBinlog(file, () => {}));
    if (end !== undefined && number !== numbers.at(-1)) {
      if (end.wholeTo < file.size()) tell({ path, offset: end.wholeTo, reason: "a binlog event is damaged" });
      else if (!end.rotated) tell({ path, offset: end.wholeTo, reason: "it ends without naming the next file" });
    }
    file.close();
  }
}
