/**
 * Damage of the medium, beside a power loss that drops what is unsynced:
 *
 *     bit-rot       one bit of one sector has changed since it was synced
 *     misdirected   one of the last writes went to another sector of its file; where it belonged is what was there before
 *
 * A single copy of a byte cannot survive its loss. What is owed is that a checksum notices it, that the file is named, and that
 * nothing wrong is served.
 */
import { FileDraft, type FileImage } from "../disk-image.ts";
import { PAGE_BYTES } from "../page-store.ts";
import { PendingDisk, type PendingFile } from "../pending-disk.ts";
import type { Dimension, StateSpace } from "../state-space.ts";
import { type Moment, NO_CHECKSUMS, type PersistenceModel } from "./model.ts";

const SECTOR_BYTES = 512;
const WRITES_DOUBTED = 8;

const ROTTEN_END =
  "damage is refused and named; only in the newest group of a log it looks like a write that was torn before its sync, and is cut, " +
  "in InnoDB, too: so the newest acknowledged writes may be gone";

export function bitRot(): PersistenceModel {
  return {
    name: "bit-rot",
    crash: "power",
    owed: { aof: "stability", wal: "notice" },
    unpromised: { aof: NO_CHECKSUMS, wal: ROTTEN_END },
    faults: "The power fails, what is unsynced is gone, and one bit of one sector that holds something has changed.",
    spaces: (moment) => [rotSpace(moment)],
  };
}

export function misdirected(): PersistenceModel {
  return {
    name: "misdirected",
    crash: "power",
    owed: { aof: "stability", wal: "notice" },
    unpromised: { aof: NO_CHECKSUMS, wal: ROTTEN_END },
    faults:
      `The power fails, what is unsynced is gone, and one of the last ${WRITES_DOUBTED} writes had gone to the next sector ` +
      "of its file instead of its own.",
    spaces: (moment) => [misdirectedSpace(moment)],
  };
}

function rotSpace({ disk }: Moment): StateSpace {
  const places: { file: PendingFile; at: number }[] = [];
  for (const file of new Set(disk.durable.values())) {
    if (file !== undefined) for (const at of rotten(file.durable)) places.push({ file, at });
  }
  const dimension: Dimension = {
    subject: "one bit",
    path: "",
    values: ["kept", ...places.map(({ file, at }) => `of ${file.path} at ${at} has changed`)],
    lost: Math.min(1, places.length),
    operations: [],
  };
  const flip = ({ file, at }: { file: PendingFile; at: number }): FileImage => {
    const draft = new FileDraft(disk.store, file.durable);
    const byte = new Uint8Array(1);
    file.durable.read(at, byte);
    draft.write(at, Uint8Array.of((byte[0] as number) ^ 0x10));
    return draft.done();
  };
  return {
    dimensions: places.length === 0 ? [] : [dimension],
    build: (choice) => {
      const place = places[(choice[0] ?? 0) - 1];
      return disk.imageOf(disk.durableLayout(), (file) => (file === place?.file ? flip(place) : file.durable));
    },
  };
}

/** A byte in every sector that is not all zeros: at a place that differs from sector to sector. */
function* rotten(image: FileImage): Generator<number> {
  for (const [index, page] of image.pages.entries()) {
    for (let sector = 0; sector < PAGE_BYTES; sector += SECTOR_BYTES) {
      const at = index * PAGE_BYTES + sector;
      const bytes = page.bytes.subarray(sector, sector + SECTOR_BYTES);
      if (at >= image.size || bytes.every((byte) => byte === 0)) continue;
      yield Math.min(image.size - 1, at + (((at / SECTOR_BYTES) * 37) % SECTOR_BYTES));
    }
  }
}

function misdirectedSpace({ disk, operations, base }: Moment): StateSpace {
  const writes: number[] = [];
  for (let index = operations.length - 1; index >= 0 && writes.length < WRITES_DOUBTED; index--) {
    if (operations[index]?.kind === "write") writes.push(index);
  }
  const dimension: Dimension = {
    subject: "one write",
    path: "",
    values: [
      "kept",
      ...writes.map((index) => `to ${operations[index]?.path} (${index}) went ${SECTOR_BYTES} bytes too far`),
    ],
    lost: Math.min(1, writes.length),
    operations: writes,
  };
  return {
    dimensions: writes.length === 0 ? [] : [dimension],
    build(choice) {
      const wrong = writes[(choice[0] ?? 0) - 1];
      if (wrong === undefined) return disk.durableImage();
      const other = new PendingDisk(base);
      for (const [index, operation] of operations.entries()) {
        other.apply(
          index === wrong && operation.kind === "write" ? { ...operation, at: operation.at + SECTOR_BYTES } : operation,
        );
      }
      return other.durableImage();
    },
  };
}
