/**
 * Power loss on a journaling file system with ordered data, as ext4 is by default:
 *
 *     names     are journaled in order: of the unsynced changes the first survive, any number
 *     growth    the new size is journaled after the data that it covers: a file grew up to some sector of some write, and
 *               everything up to there is what was written. Cutting a file is journaled likewise
 *     zeros     the exception, seen on a real ext4 (compare/originals/power-cuts.ts): an append inside the last block
 *               (4 KiB) allocates nothing, so its size is journaled at once and its data are not waited for: zeros from
 *               an earlier end of the file to its new one
 *     overwritten blocks, which existed before, are written whenever the kernel likes: each is as after any of its writes
 */

import type { FileDraft, FileImage } from "../disk-image.ts";
import { PAGE_BYTES } from "../page-store.ts";
import type { PendingData, PendingDisk, PendingFile } from "../pending-disk.ts";
import type { Dimension } from "../state-space.ts";
import { EVERYTHING, type ModelOptions, type PersistenceModel } from "./model.ts";
import { blockPieces, type FilePiece, remembered, spaceOf } from "./pieces.ts";

export function ext4Like({ sectorBytes }: ModelOptions): PersistenceModel {
  const piecesOf = remembered((disk, file) => filePieces(disk, file, sectorBytes));
  return {
    name: "ext4-like",
    crash: "power",
    owed: EVERYTHING,
    faults:
      "The power fails on a journaling file system with ordered data. Unsynced changes of names survive in order, any " +
      "number of them. A file that grew survives up to some sector, with all that was written up to there, or with zeros " +
      "behind an earlier end in the same block of 4 KiB, because nothing had to be allocated there. A block that " +
      `was overwritten (${sectorBytes} bytes) is as after any of its writes, whatever the other blocks are.`,
    spaces: ({ disk }) => [
      spaceOf(
        disk,
        namesDimension(disk),
        (choice, index) => index < disk.pendingNames.length - (choice[0] ?? 0),
        piecesOf,
      ),
    ],
  };
}

function namesDimension(disk: PendingDisk): Dimension[] {
  const { pendingNames } = disk;
  const values = ["kept", ...pendingNames.map((_, index) => `the last ${index + 1} lost`)];
  // Always there, so that the file's dimensions begin behind it.
  return [
    {
      subject: "the unsynced changes of names",
      path: pendingNames[0]?.what.path ?? "",
      values,
      lost: values.length - 1,
      operations: pendingNames.map(({ operation }) => operation),
    },
  ];
}

function filePieces(disk: PendingDisk, file: PendingFile, sectorBytes: number): FilePiece[] {
  // Below this, the file was there all the time.
  const stable = file.pending.reduce((size, { after }) => Math.min(size, after.size), file.durable.size);
  const blocks = Math.floor(stable / sectorBytes);
  const growth = growthPiece(file, blocks * sectorBytes, sectorBytes);
  const overwritten = blockPieces(file, sectorBytes, disk.store.zero, false, blocks);
  if (growth === undefined) return overwritten;
  const zeros = zerosPiece(file);
  return zeros === undefined ? [growth, ...overwritten] : [growth, zeros, ...overwritten];
}

/** How far the file grew: the image that has it, and its size there. */
interface Stage {
  readonly image: FileImage;
  readonly size: number;
  readonly text: string;
  readonly operation: number;
}

/** Everything from `from` on, as of some moment of the file's growth. */
function growthPiece(file: PendingFile, from: number, sectorBytes: number): FilePiece | undefined {
  const stages: Stage[] = [];
  for (const change of file.pending) {
    if (change.what.kind === "truncate" || change.what.at + change.what.bytes.length > from) {
      stages.push(...stagesOf(change, from, sectorBytes));
    }
  }
  if (stages.length === 0) return undefined;
  const first = file.durable;
  stages.unshift({ image: first, size: first.size, text: `as long as it was: ${first.size} bytes`, operation: -1 });
  stages.reverse();
  return {
    dimension: {
      subject: `the end of ${file.path}`,
      path: file.path,
      values: stages.map(({ text }, value) => (value === 0 ? "kept" : text)),
      lost: stages.length - 1,
      operations: stages
        .slice(0, -1)
        .map(({ operation }) => operation)
        .reverse(),
    },
    put: (draft, value) => putEnd(draft, stages[value] as Stage, from),
  };
}

/** Zeros from an earlier end of the file on, as long as its new end is in the same block. */
function zerosPiece(file: PendingFile): FilePiece | undefined {
  const starts: number[] = [];
  const operations: number[] = [];
  let end = file.durable.size;
  for (const { what, after, operation } of file.pending) {
    if (what.kind === "write" && after.size > end && end % PAGE_BYTES > 0 && what.at === end) {
      starts.unshift(end);
      operations.push(operation);
    }
    end = after.size;
  }
  if (starts.length === 0) return undefined;
  return {
    dimension: {
      subject: `the data at the end of ${file.path}`,
      path: file.path,
      values: ["kept", ...starts.map((start) => `zeros from ${start} on`)],
      lost: starts.length,
      operations,
    },
    put(draft, value) {
      const start = starts[value - 1] ?? draft.size;
      const isSameBlock = Math.floor(start / PAGE_BYTES) === Math.floor((draft.size - 1) / PAGE_BYTES);
      if (start < draft.size && isSameBlock) draft.write(start, new Uint8Array(draft.size - start));
    },
  };
}

/** What the file may be after a part of the change, and after all of it. */
function stagesOf({ what, after, before, operation }: PendingData, from: number, sectorBytes: number): Stage[] {
  const stages: Stage[] = [];
  if (what.kind === "write") {
    const start = Math.max(what.at, from);
    const end = what.at + what.bytes.length;
    for (let at = start + sectorBytes - (start % sectorBytes); at < end; at += sectorBytes) {
      if (at > before.size) stages.push({ image: after, size: at, text: `cut off at ${at}`, operation });
    }
  }
  stages.push({ image: after, size: after.size, text: `${after.size} bytes`, operation });
  return stages;
}

function putEnd(draft: FileDraft, { image, size }: Stage, from: number): void {
  draft.truncate(size);
  draft.take(image, from, size - from);
}
