/**
 * The tablespace file `wal/space`: page p lies at p × 16 KiB. Page 0 is the space header (space-header.ts), page 1 the
 * root of the tree (b-tree.ts). The file grows when a page behind its end is written.
 *
 * A page is checked when it is read: a wrong checksum or page number is never served.
 */
import { present } from "../common/assert.ts";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { CorruptFile, type DiskFailure } from "../common/errors.ts";
import { wordsOf } from "./bytes-view.ts";
import { type Arena, PAGE_NUMBER_AT, PAGE_SIZE } from "./page.ts";
import { checksumHolds } from "./redo-block.ts";

export const SPACE_PATH = "wal/space";

/** What a page in the file is: as written, never written, or neither (torn or rotten). */
export type PageState = "whole" | "absent" | "damaged";

/** A page that is looked at outside the buffer pool. */
const PROBE = Buffer.alloc(PAGE_SIZE);
const PROBE_WORDS = wordsOf(PROBE);

/** Told before pages are overwritten or cut off: a backup that has not copied them yet does it then. */
export interface SpaceObserver {
  /** The pages [first, end) are about to change. */
  beforeChange(first: number, end: number): void;
}

export class Tablespace {
  #file: DiskFile | undefined;
  /** Pages that could not be served since the file was opened. */
  readonly damagedPages = new Set<number>();
  observer: SpaceObserver | undefined;
  reads = 0;
  writes = 0;

  open(disk: Disk): void {
    this.#file = disk.open(SPACE_PATH, "update");
  }

  get #open(): DiskFile {
    return present(this.#file, "tablespace: open");
  }

  /** Pages in the file; a torn last one counts. */
  get pages(): number {
    return Math.ceil(this.#open.size() / PAGE_SIZE);
  }

  /** Reads a page into the frame at `base`; an absent page comes as zeros. */
  read(page: number, arena: Arena, base: number): PageState {
    this.reads++;
    const frame = arena.bytes.subarray(base, base + PAGE_SIZE);
    const length = this.#open.read(page * PAGE_SIZE, frame);
    if (length < PAGE_SIZE) frame.fill(0, length);
    return pageState(page, arena.bytes, arena.words, base);
  }

  /** Reads pages that follow one another, as they are; what the file does not have comes as zeros. */
  readRun(first: number, into: Buffer): void {
    this.reads += into.length / PAGE_SIZE;
    const length = this.#open.read(first * PAGE_SIZE, into);
    if (length < into.length) into.fill(0, length);
  }

  /** The state of a page, without the buffer pool. */
  stateOf(page: number): PageState {
    const length = this.#open.read(page * PAGE_SIZE, PROBE);
    if (length < PAGE_SIZE) PROBE.fill(0, length);
    return pageState(page, PROBE, PROBE_WORDS, 0);
  }

  /** Writes pages that follow one another, the first of which is `page`. */
  write(page: number, bytes: Uint8Array): void {
    this.writes += bytes.length / PAGE_SIZE;
    this.observer?.beforeChange(page, page + bytes.length / PAGE_SIZE);
    this.#open.write(page * PAGE_SIZE, bytes);
  }

  /** Cuts the file behind so many pages. Durable with the next sync; nothing depends on it (free-space.ts). */
  truncate(pages: number): void {
    this.observer?.beforeChange(pages, Number.MAX_SAFE_INTEGER);
    this.#open.truncate(pages * PAGE_SIZE);
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    this.#open.sync(done);
  }
  syncNow(): void {
    this.#open.syncNow();
  }

  /** The error for a page that cannot be served. */
  damaged(page: number): CorruptFile {
    this.damagedPages.add(page);
    return new CorruptFile(SPACE_PATH, page * PAGE_SIZE, `page ${page} is damaged (checksum)`);
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

/** The state of the page bytes at `base`. */
export function pageState(page: number, bytes: Buffer, words: Uint32Array, base: number): PageState {
  const matches = words[(base + PAGE_NUMBER_AT) >> 2] === page;
  if (matches && checksumHolds(bytes, words, base, PAGE_SIZE)) return "whole";
  for (let at = base >> 2; at < (base + PAGE_SIZE) >> 2; at++) if (words[at] !== 0) return "damaged";
  return "absent";
}
