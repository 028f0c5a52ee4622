/** Dimensions that several models have: the blocks of a file, its size, and names; and the images that choices give. */
import type { DiskImage } from "../disk-image.ts";
import { FileDraft, type FileImage } from "../disk-image.ts";
import { PAGE_BYTES, type Page } from "../page-store.ts";
import { applyName, type Names, type PendingData, type PendingDisk, type PendingFile } from "../pending-disk.ts";
import type { Choice, Dimension, StateSpace } from "../state-space.ts";

/** A dimension and what its values mean for the image. */
export interface FilePiece {
  readonly dimension: Dimension;
  /** Changes the draft, which has everything kept, to value `value` (not 0). */
  put(draft: FileDraft, value: number): void;
}

/** The block's bytes in an image; zeros beyond its end. */
export function blockOf(image: FileImage, block: number, blockBytes: number, zero: Page): Uint8Array {
  const at = block * blockBytes;
  const page = image.pages[Math.floor(at / PAGE_BYTES)] ?? zero;
  return page.bytes.subarray(at % PAGE_BYTES, (at % PAGE_BYTES) + blockBytes);
}

/** The range of blocks that a change may change. */
export function blocksOf(change: PendingData, blockBytes: number): readonly [first: number, end: number] {
  const { what, before } = change;
  if (what.kind === "write") {
    return [Math.floor(what.at / blockBytes), Math.ceil((what.at + what.bytes.length) / blockBytes)];
  }
  // Growing changes no block; what is cut off is gone.
  return [Math.floor(what.size / blockBytes), Math.ceil(before.size / blockBytes)];
}

/** Bytes that nobody wrote: the same for the same place. */
export function garbage(at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (at ^ 0x2545f491) | 1;
  for (let index = 0; index < length; index++) {
    state = Math.imul(state, 0x5bd1e995) + 0x3c6ef372;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/**
 * A dimension per block that pending changes touched, below `end` blocks: which of its contents is on the disk. The page
 * cache holds a block as a whole, so a block has one content per change, from the durable one to the newest.
 */
export function blockPieces(
  file: PendingFile,
  blockBytes: number,
  zero: Page,
  withGarbage: boolean,
  end: number = Number.POSITIVE_INFINITY,
): FilePiece[] {
  const blocks = new Map<number, { contents: Uint8Array[]; operations: number[] }>();
  for (const change of file.pending) {
    const [first, last] = blocksOf(change, blockBytes);
    for (let block = first; block < Math.min(last, end); block++) {
      let history = blocks.get(block);
      if (history === undefined) {
        history = { contents: [blockOf(file.durable, block, blockBytes, zero)], operations: [] };
        blocks.set(block, history);
      }
      const content = blockOf(change.after, block, blockBytes, zero);
      if (Buffer.compare(content, history.contents.at(-1) as Uint8Array) === 0) continue;
      history.contents.push(content);
      history.operations.push(change.operation);
    }
  }
  const pieces: FilePiece[] = [];
  for (const [block, { contents, operations }] of blocks) {
    if (contents.length > 1)
      pieces.push(blockPiece(file, block, blockBytes, contents.reverse(), operations, withGarbage));
  }
  return pieces;
}

/** `contents`: the newest first. */
function blockPiece(
  file: PendingFile,
  block: number,
  blockBytes: number,
  contents: readonly Uint8Array[],
  operations: readonly number[],
  withGarbage: boolean,
): FilePiece {
  const at = block * blockBytes;
  const lost = contents.length - 1;
  const values = contents.map((_, value) =>
    value === 0 ? "kept" : value === lost ? "lost" : `as ${value} ${value === 1 ? "write" : "writes"} earlier`,
  );
  if (withGarbage) values.push("garbage");
  return {
    dimension: {
      subject: `${file.path} bytes ${at}–${at + blockBytes}`,
      path: file.path,
      values,
      lost,
      operations,
    },
    put(draft, value) {
      const bytes = contents[value] ?? garbage(at, blockBytes);
      const room = Math.min(blockBytes, draft.size - at);
      if (room > 0) draft.write(at, bytes.subarray(0, room));
    },
  };
}

/** Which of its sizes the file has; undefined when no pending change has changed it. Put before the blocks. */
export function sizePiece(file: PendingFile): FilePiece | undefined {
  const sizes = [file.durable.size];
  const operations: number[] = [];
  for (const change of file.pending) {
    if (change.after.size === sizes.at(-1)) continue;
    sizes.push(change.after.size);
    operations.push(change.operation);
  }
  if (sizes.length === 1) return undefined;
  sizes.reverse();
  const values = sizes.map((size, value) => (value === 0 ? "kept" : `size ${size}`));
  const dimension: Dimension = {
    subject: `the size of ${file.path}`,
    path: file.path,
    values,
    lost: sizes.length - 1,
    operations,
  };
  return { dimension, put: (draft, value) => draft.truncate(sizes[value] ?? 0) };
}

/** A dimension per pending change of names: kept or lost, each by itself. */
export function nameDimensions(disk: PendingDisk): Dimension[] {
  return disk.pendingNames.map(({ what, operation }) => {
    const target = "to" in what ? ` to ${what.to}` : "";
    return {
      subject: `${what.kind} ${what.path}${target}`,
      path: what.path,
      values: ["kept", "lost"],
      lost: 1,
      operations: [operation],
    };
  });
}

/** The durable names, with some of the pending changes. */
export function namesWith(disk: PendingDisk, isKept: (index: number) => boolean): Names {
  const names: Names = new Map(disk.durable);
  for (const [index, change] of disk.pendingNames.entries()) if (isKept(index)) applyName(names, change);
  return names;
}

/** The pieces of one file, and which dimension is the first of them. */
interface Section {
  readonly file: PendingFile;
  readonly pieces: readonly FilePiece[];
  readonly first: number;
}

/** `piecesOf`, asked again only when something has happened to the file. */
export function remembered(
  piecesOf: (disk: PendingDisk, file: PendingFile) => readonly FilePiece[],
): (disk: PendingDisk, file: PendingFile) => readonly FilePiece[] {
  const known = new WeakMap<PendingFile, { readonly version: number; readonly pieces: readonly FilePiece[] }>();
  return (disk, file) => {
    let last = known.get(file);
    if (last?.version !== file.version) {
      last = { version: file.version, pieces: piecesOf(disk, file) };
      known.set(file, last);
    }
    return last.pieces;
  };
}

/**
 * The space of independent pieces. `names` are the first dimensions and `namesOf` what their values mean; then the
 * pieces of each file, in the order in which they are put.
 */
export function spaceOf(
  disk: PendingDisk,
  names: readonly Dimension[],
  namesOf: (choice: Choice) => Names,
  piecesOf: (disk: PendingDisk, file: PendingFile) => readonly FilePiece[],
): StateSpace {
  const dimensions = [...names];
  const sections = new Map<PendingFile, Section>();
  for (const file of disk.files()) {
    if (file.pending.length === 0) continue;
    const pieces = piecesOf(disk, file);
    sections.set(file, { file, pieces, first: dimensions.length });
    for (const { dimension } of pieces) dimensions.push(dimension);
  }
  const contentOf = (file: PendingFile, choice: Choice): FileImage => {
    const section = sections.get(file);
    if (section === undefined) return file.live;
    let draft: FileDraft | undefined;
    for (const [index, piece] of section.pieces.entries()) {
      const value = choice[section.first + index] ?? 0;
      if (value === 0) continue;
      draft ??= new FileDraft(disk.store, file.live);
      piece.put(draft, value);
    }
    return draft === undefined ? file.live : draft.done();
  };
  return {
    dimensions,
    build: (choice): DiskImage => disk.image(namesOf(choice), (file) => contentOf(file, choice)),
  };
}
