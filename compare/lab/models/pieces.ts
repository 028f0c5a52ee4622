/** Dimensions that several models have: the blocks of a file, its size, and names; and the images that choices give. */
import type { DiskImage } from "../disk-image.ts";
import { FileDraft, type FileImage } from "../disk-image.ts";
import { PAGE_BYTES, type Page } from "../page-store.ts";
import {
  applyName,
  type Layout,
  type Names,
  type PendingData,
  type PendingDisk,
  type PendingFile,
} from "../pending-disk.ts";
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

/** The durable names, with some of the pending changes: made once for each set of them, until something happens to the disk. */
export function layoutsOf(disk: PendingDisk): (isKept: (index: number) => boolean) => Layout {
  const { pendingNames } = disk;
  if (pendingNames.length === 0) return () => disk.durableLayout();
  const known = new Map<string, Layout>();
  return (isKept) => {
    const kept = pendingNames.map((_, index) => isKept(index));
    const key = kept.join();
    let layout = known.get(key);
    if (layout === undefined) {
      const names: Names = new Map(disk.durable);
      for (const [index, change] of pendingNames.entries()) if (kept[index]) applyName(names, change);
      layout = disk.layout(names);
      known.set(key, layout);
    }
    return layout;
  };
}

/** The pieces of one file, and which dimension is the first of them. */
interface Section extends FilePieces {
  readonly file: PendingFile;
  readonly first: number;
}

/** The pieces of a file, and the contents that they have given. */
export interface FilePieces {
  readonly pieces: readonly FilePiece[];
  readonly contents: Map<string, FileImage>;
}

/** `piecesOf`, asked again only when something has happened to the file. */
export function remembered(
  piecesOf: (disk: PendingDisk, file: PendingFile) => readonly FilePiece[],
): (disk: PendingDisk, file: PendingFile) => FilePieces {
  const known = new WeakMap<PendingFile, FilePieces & { readonly version: number }>();
  return (disk, file) => {
    let last = known.get(file);
    if (last?.version !== file.version) {
      last = { version: file.version, pieces: piecesOf(disk, file), contents: new Map() };
      known.set(file, last);
    }
    return last;
  };
}

/**
 * The space of independent pieces. `names` are the first dimensions and `isKept` says what they mean for each pending change
 * of names; then the pieces of each file, in the order in which they are put.
 */
export function spaceOf(
  disk: PendingDisk,
  names: readonly Dimension[],
  isKept: (choice: Choice, index: number) => boolean,
  piecesOf: (disk: PendingDisk, file: PendingFile) => FilePieces,
): StateSpace {
  const dimensions = [...names];
  const sections = new Map<PendingFile, Section>();
  for (const file of disk.files()) {
    if (file.pending.length === 0) continue;
    const { pieces, contents } = piecesOf(disk, file);
    sections.set(file, { file, pieces, contents, first: dimensions.length });
    for (const { dimension } of pieces) dimensions.push(dimension);
  }
  const layoutOf = layoutsOf(disk);
  return {
    dimensions,
    build(choice): DiskImage {
      const layout = layoutOf((index) => isKept(choice, index));
      return disk.imageOf(layout, (file) => {
        const section = sections.get(file);
        return section === undefined ? file.live : contentOf(disk, section, choice);
      });
    },
  };
}

/** What the file holds in the state that the choice means. */
function contentOf(disk: PendingDisk, { file, pieces, contents, first }: Section, choice: Choice): FileImage {
  const end = first + pieces.length;
  let lost = first;
  while (lost < end && (choice[lost] ?? 0) === 0) lost++;
  if (lost === end) return file.live;
  const key = choice.slice(first, end).join();
  let content = contents.get(key);
  if (content === undefined) {
    const draft = new FileDraft(disk.store, file.live);
    for (const [index, piece] of pieces.entries()) {
      const value = choice[first + index] ?? 0;
      if (value > 0) piece.put(draft, value);
    }
    content = draft.done();
    contents.set(key, content);
  }
  return content;
}
