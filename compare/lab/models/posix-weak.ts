/**
 * Power loss under the letter of POSIX: nothing unsynced has any order. Every block, every size of a file and every change
 * of names reached the disk or did not, each by itself: a file may be long and hold zeros (length without data), or have
 * its data and be short (data without length); a rename may survive whose file's creation does not.
 *
 * With garbage, a block that was being written may also hold what nobody wrote: a medium that does not write its sectors
 * whole. A log that continues its last block in place cannot survive that with every acknowledged byte; what it owes is
 * that the checksum notices.
 */
import type { PendingDisk, PendingFile } from "../pending-disk.ts";
import type { StateSpace } from "../state-space.ts";
import { type ModelOptions, NO_CHECKSUMS, type PersistenceModel } from "./model.ts";
import { blockPieces, type FilePiece, nameDimensions, remembered, sizePiece, spaceOf } from "./pieces.ts";

export function posixWeak({ sectorBytes }: ModelOptions): PersistenceModel {
  const piecesOf = remembered((disk, file) => weakPieces(disk, file, sectorBytes, false));
  return {
    name: "posix-weak",
    crash: "power",
    owed: { aof: "stability", wal: "everything" },
    unpromised: { aof: `behind what was synced, ${NO_CHECKSUMS}` },
    faults:
      `The power fails, and nothing unsynced has any order: every block of ${sectorBytes} bytes (whole: as before or as ` +
      "after any of its writes), every size of a file and every change of names survived or did not, each by itself.",
    spaces: ({ disk }) => [weakSpace(disk, piecesOf)],
  };
}

export function garbage({ sectorBytes }: ModelOptions): PersistenceModel {
  const piecesOf = remembered((disk, file) => weakPieces(disk, file, sectorBytes, true));
  return {
    name: "garbage",
    crash: "power",
    owed: { aof: "stability", wal: "notice" },
    unpromised: {
      aof: NO_CHECKSUMS,
      wal: "a block that is continued in place takes with it what had been durable in it; a checksum notices",
    },
    faults: `As posix-weak, but an unsynced block of ${sectorBytes} bytes may also hold what nobody wrote.`,
    spaces: ({ disk }) => [weakSpace(disk, piecesOf)],
  };
}

function weakSpace(disk: PendingDisk, piecesOf: ReturnType<typeof remembered>): StateSpace {
  return spaceOf(disk, nameDimensions(disk), (choice, index) => (choice[index] ?? 0) === 0, piecesOf);
}

function weakPieces(disk: PendingDisk, file: PendingFile, sectorBytes: number, withGarbage: boolean): FilePiece[] {
  const size = sizePiece(file);
  const blocks = blockPieces(file, sectorBytes, disk.store.zero, withGarbage);
  return size === undefined ? blocks : [size, ...blocks];
}
