/**
 * The doublewrite file `wal/doublewrite`: every batch of pages is written here and synced before it is written in place
 * (I4). A page in place that a power loss has torn is then replaced by its copy; redo alone could not repair it.
 *
 *     offset       size
 *          0       4096  header: CRC32C(4) "TWDW"(4) batch number(6) pages(2), then their page numbers (4 each), zeros
 *       4096  n × 16384  the pages, with their checksums
 *
 * Invariants: D1 the file is overwritten only after the pages of the batch before were synced in place. D2 only the batch
 * that the header names is used, and only when it is newer than the last one the checkpoint knows to be in place:
 * an older copy never replaces a newer page (pitfall 25), and a page that rots later is reported instead of turned back.
 */
import { assert, present } from "../common/assert.ts";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import type { DiskFailure } from "../common/errors.ts";
import { readU16, readU32, readU48, wordsOf, writeU16, writeU32, writeU48 } from "./bytes-view.ts";
import { PAGE_SIZE } from "./page.ts";
import { checksumHolds, sealChecksum } from "./redo-block.ts";
import { pageState, type Tablespace } from "./tablespace.ts";

export const DOUBLEWRITE_PATH = "wal/doublewrite";
export const DOUBLEWRITE_HEADER_BYTES = 4096;
export const DOUBLEWRITE_PAGES_AT = 16;
const MAGIC = 0x57445754;
/** Pages of one batch: 2 MiB. */
export const BATCH_PAGES = 128;

/** A copy on its way back, during recovery. */
const COPY = Buffer.alloc(PAGE_SIZE);
const COPY_WORDS = wordsOf(COPY);

export class Doublewrite {
  /** Off (innodb_doublewrite=OFF), a page that a power loss tears is found by its checksum, and cannot be repaired. */
  enabled = true;
  #file: DiskFile | undefined;
  /** Header and pages of the batch being written: as large as the largest so far. */
  #bytes = Buffer.alloc(DOUBLEWRITE_HEADER_BYTES);
  #words = wordsOf(this.#bytes);
  readonly #pages: number[] = [];
  #batch = 0;

  open(disk: Disk, lastBatch: number): void {
    this.#file = disk.open(DOUBLEWRITE_PATH, "update");
    this.#batch = lastBatch;
  }

  get #open(): DiskFile {
    return present(this.#file, "doublewrite: open");
  }

  /** The number of the last batch. */
  get batch(): number {
    return this.#batch;
  }

  /** Adds a page image to the batch and seals its checksum. */
  add(page: number, source: Buffer, base: number): void {
    assert(this.#pages.length < BATCH_PAGES, "doublewrite: a batch has a limit");
    const at = DOUBLEWRITE_HEADER_BYTES + this.#pages.length * PAGE_SIZE;
    if (at + PAGE_SIZE > this.#bytes.length) this.#grow(Math.max(4, 2 * this.#pages.length));
    source.copy(this.#bytes, at, base, base + PAGE_SIZE);
    sealChecksum(this.#bytes, this.#words, at, PAGE_SIZE);
    this.#pages.push(page);
  }

  #grow(pages: number): void {
    const grown = Buffer.alloc(DOUBLEWRITE_HEADER_BYTES + Math.min(pages, BATCH_PAGES) * PAGE_SIZE);
    this.#bytes.copy(grown);
    this.#bytes = grown;
    this.#words = wordsOf(grown);
  }

  /** Bytes of the batch in the file. */
  get bytes(): number {
    return DOUBLEWRITE_HEADER_BYTES + this.#pages.length * PAGE_SIZE;
  }

  /** Writes the batch; written again, it gets another number. The caller syncs it. */
  write(): void {
    const count = this.#pages.length;
    this.#batch++;
    this.#bytes.fill(0, 0, DOUBLEWRITE_HEADER_BYTES);
    writeU32(this.#bytes, 4, MAGIC);
    writeU48(this.#bytes, 8, this.#batch);
    writeU16(this.#bytes, 14, count);
    for (let i = 0; i < count; i++) writeU32(this.#bytes, DOUBLEWRITE_PAGES_AT + 4 * i, this.#pages[i]!);
    sealChecksum(this.#bytes, this.#words, 0, DOUBLEWRITE_HEADER_BYTES);
    this.#open.write(0, this.#bytes.subarray(0, this.bytes));
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    this.#open.sync(done);
  }
  syncNow(): void {
    this.#open.syncNow();
  }

  /** Writes the pages of the batch in place, neighbours with one call; the caller syncs the space. */
  writeInPlace(space: Tablespace): void {
    const pages = this.#pages;
    for (let i = 0; i < pages.length; ) {
      let end = i + 1;
      while (end < pages.length && pages[end] === pages[end - 1]! + 1) end++;
      space.write(
        pages[i]!,
        this.#bytes.subarray(DOUBLEWRITE_HEADER_BYTES + i * PAGE_SIZE, DOUBLEWRITE_HEADER_BYTES + end * PAGE_SIZE),
      );
      i = end;
    }
  }

  /** The pages of the batch are in their places, synced. */
  end(): void {
    this.#pages.length = 0;
  }

  /** Recovery: puts the copies of torn pages in place and syncs them. Returns the pages repaired. */
  repair(space: Tablespace, completedBatch: number): number[] {
    const headerBytes = this.#open.read(0, this.#bytes.subarray(0, DOUBLEWRITE_HEADER_BYTES));
    const whole = headerBytes === DOUBLEWRITE_HEADER_BYTES && readU32(this.#bytes, 4) === MAGIC;
    // A torn header: its batch was not synced, so no page of it was touched in place (W13).
    if (!whole || !checksumHolds(this.#bytes, this.#words, 0, DOUBLEWRITE_HEADER_BYTES)) return [];
    const batch = readU48(this.#bytes, 8);
    if (batch <= completedBatch) return []; // D2
    this.#batch = batch;
    const repaired: number[] = [];
    const count = readU16(this.#bytes, 14);
    for (let i = 0; i < count; i++) {
      const page = readU32(this.#bytes, DOUBLEWRITE_PAGES_AT + 4 * i);
      if (space.stateOf(page) !== "whole" && this.#putBack(space, page, i)) repaired.push(page);
    }
    if (repaired.length > 0) space.syncNow();
    return repaired;
  }

  /** Writes the copy of a page, the i-th of the batch, in its place; false when it is not whole itself. */
  #putBack(space: Tablespace, page: number, i: number): boolean {
    const length = this.#open.read(DOUBLEWRITE_HEADER_BYTES + i * PAGE_SIZE, COPY);
    if (length < PAGE_SIZE || pageState(page, COPY, COPY_WORDS, 0) !== "whole") return false;
    space.write(page, COPY);
    return true;
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}
