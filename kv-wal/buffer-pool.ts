/**
 * The buffer pool: a fixed number of frames, each with one page. Everything reads and changes pages here.
 *
 * Who keeps a frame: *an operation* pins what it fetches until the next operation begins (`beginOperation`), so the
 * tree walks without pin counts and nothing can leak; *long holders* (iterators, the header page, the current undo
 * page) count pins and give them back.
 *
 * Two lists over the frames, by index: LRU order, in which a page moves to the front only when it has sunk below the
 * first quarter (so that hot pages cost nothing), and the dirty list in the order of each page's *oldest* change, whose
 * head bounds the checkpoint.
 *
 * Invariants: B1 a pinned frame is not evicted. B2 a page is written only when the redo is durable up to its LSN (I3).
 * B3 a page is written in place only after its doublewrite copy is synced (I4); it counts as clean from the moment it was
 * copied, and stays pinned until the copy is in its place, synced (page-batch.ts). B4 nothing is written while a mini-transaction is open (mini-transaction.ts M1): it finds room because at least
 * ROOM_FRAMES frames are free when it begins.
 */
import { assert } from "../common/assert.ts";
import { Arena, PAGE_SIZE } from "./page.ts";
import type { PageState, Tablespace } from "./tablespace.ts";

const NONE = -1;
/** Frames that one mini-transaction may take: two pages for each level of a deep tree, neighbours, header. */
export const ROOM_FRAMES = 24;
export const POOL_FRAMES_MIN = 64;

/** Writes dirty pages out: the page cleaner. */
export interface PageWriter {
  /** Writes these frames, and syncs; what was on its way has arrived then, too. */
  writeFrames(frames: readonly number[]): void;
  /** A batch is on its way in the background, its frames pinned. */
  readonly isWriting: boolean;
  /** The redo log is nearly full or frames are short: writes what is needed and moves the checkpoint. */
  makeRoom(): void;
}

export class BufferPool {
  readonly arena: Arena;
  readonly #space: Tablespace;
  #frameOf = new Int32Array(1024).fill(NONE);
  readonly #pageOf: Uint32Array;
  readonly #usedBy: Float64Array;
  readonly #pins: Uint16Array;
  readonly #oldest: Float64Array;
  readonly #newest: Float64Array;
  readonly #changing: Uint8Array;
  readonly #touchedAt: Float64Array;
  readonly #newer: Int32Array;
  readonly #older: Int32Array;
  readonly #dirtyNext: Int32Array;
  readonly #dirtyPrevious: Int32Array;
  #mostRecent = NONE;
  #leastRecent = NONE;
  #dirtyHead = NONE;
  #dirtyTail = NONE;
  readonly #free: number[] = [];
  #operation = 1;
  #loads = 0;
  #writer: PageWriter | undefined;
  /** Until recovery has ended: pages that were never written come as empty ones. */
  acceptAbsent = false;
  dirtyCount = 0;
  requests = 0;
  evictions = 0;

  constructor(space: Tablespace, frames: number) {
    assert(frames >= POOL_FRAMES_MIN, "buffer pool: at least 64 frames");
    this.#space = space;
    this.arena = new Arena(frames);
    this.#pageOf = new Uint32Array(frames);
    this.#usedBy = new Float64Array(frames);
    this.#pins = new Uint16Array(frames);
    this.#oldest = new Float64Array(frames);
    this.#newest = new Float64Array(frames);
    this.#changing = new Uint8Array(frames);
    this.#touchedAt = new Float64Array(frames);
    this.#newer = new Int32Array(frames).fill(NONE);
    this.#older = new Int32Array(frames).fill(NONE);
    this.#dirtyNext = new Int32Array(frames).fill(NONE);
    this.#dirtyPrevious = new Int32Array(frames).fill(NONE);
    for (let frame = frames - 1; frame >= 0; frame--) this.#free.push(frame);
  }

  /** Set once: the writer needs the pool, and the pool the writer. */
  writeThrough(writer: PageWriter): void {
    this.#writer = writer;
  }

  get frames(): number {
    return this.arena.frames;
  }
  get usedFrames(): number {
    return this.arena.frames - this.#free.length;
  }
  /** Pages read from the file since the start. */
  get loads(): number {
    return this.#loads;
  }
  /** The LSN before which every change is in the file: the oldest change of a dirty page, if there is one. */
  get oldestChange(): number | undefined {
    return this.#dirtyHead === NONE ? undefined : this.#oldest[this.#dirtyHead]!;
  }
  get needsRoom(): boolean {
    return this.#free.length < ROOM_FRAMES;
  }
  makeRoom(): void {
    this.#writer!.makeRoom();
  }

  pageIn(frame: number): number {
    return this.#pageOf[frame]!;
  }
  newestChange(frame: number): number {
    return this.#newest[frame]!;
  }
  /** Whether a page lives in the frame. */
  isInUse(frame: number): boolean {
    return this.#frameOf[this.#pageOf[frame]!] === frame;
  }
  /** The oldest change of a dirty frame. */
  oldestChangeOf(frame: number): number {
    return this.#oldest[frame]!;
  }

  /** Ends the operation before: frames that it fetched may go. */
  beginOperation(): void {
    this.#operation++;
  }

  /** The frame that holds `page`, read from the file if need be; pinned until the next `beginOperation`. */
  fetch(page: number): number {
    this.requests++;
    const frame = page < this.#frameOf.length ? this.#frameOf[page]! : NONE;
    if (frame === NONE) return this.#load(page);
    this.#usedBy[frame] = this.#operation;
    if (this.#loads - this.#touchedAt[frame]! > this.arena.frames >> 2) this.#moveToFront(frame);
    return frame;
  }

  /** A frame for a page whose old content does not matter. */
  fetchNew(page: number): number {
    const known = page < this.#frameOf.length ? this.#frameOf[page]! : NONE;
    if (known !== NONE) return this.fetch(page);
    const frame = this.#takeFree();
    this.arena.bytes.fill(0, frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
    this.#install(frame, page);
    return frame;
  }

  pin(frame: number): void {
    this.#pins[frame]!++;
    assert(this.#pins[frame]! < 0xffff, "buffer pool: pins are given back");
  }

  unpin(frame: number): void {
    assert(this.#pins[frame]! > 0, "buffer pool: a pin is given back once");
    this.#pins[frame]!--;
  }

  /** The open mini-transaction changes the frame: it is listed in `changed` once. */
  willChange(frame: number, changed: number[]): void {
    if (this.#changing[frame] !== 0) return;
    this.#changing[frame] = 1;
    changed.push(frame);
  }

  /** The mini-transaction [start, end) has changed these frames; the list is emptied. */
  changed(frames: number[], start: number, end: number): void {
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i]!;
      this.#changing[frame] = 0;
      this.markChanged(frame, start, end);
    }
    frames.length = 0;
  }

  /** Stamps the page with LSN `end`; it becomes dirty since `start`. */
  markChanged(frame: number, start: number, end: number): void {
    this.arena.setLsn(frame * PAGE_SIZE, end);
    this.#newest[frame] = end;
    if (this.#oldest[frame] !== 0) return;
    assert(start > 0, "buffer pool: LSN 0 means clean");
    this.#oldest[frame] = start;
    this.#dirtyPrevious[frame] = this.#dirtyTail;
    this.#dirtyNext[frame] = NONE;
    if (this.#dirtyTail === NONE) this.#dirtyHead = frame;
    else this.#dirtyNext[this.#dirtyTail] = frame;
    this.#dirtyTail = frame;
    this.dirtyCount++;
  }

  /** The page was copied, and the copy is going to be written. */
  markClean(frame: number): void {
    assert(this.#oldest[frame] !== 0, "buffer pool: only a dirty page becomes clean");
    const next = this.#dirtyNext[frame]!;
    const previous = this.#dirtyPrevious[frame]!;
    if (previous === NONE) this.#dirtyHead = next;
    else this.#dirtyNext[previous] = next;
    if (next === NONE) this.#dirtyTail = previous;
    else this.#dirtyPrevious[next] = previous;
    this.#oldest[frame] = 0;
    this.dirtyCount--;
  }

  isDirty(frame: number): boolean {
    return this.#oldest[frame] !== 0;
  }

  /** Up to `count` dirty frames, the oldest change first, as far as it lies before `lsn`. */
  oldestDirty(count: number, lsn: number): number[] {
    const frames: number[] = [];
    let frame = this.#dirtyHead;
    while (frame !== NONE && frames.length < count && this.#oldest[frame]! < lsn) {
      frames.push(frame);
      frame = this.#dirtyNext[frame]!;
    }
    return frames;
  }

  /** Frees frames from the cold end until `count` are free; dirty pages there are written first, in batches. */
  freeFrames(count: number): void {
    while (this.#free.length < count) {
      const dirty: number[] = [];
      let frame = this.#leastRecent;
      for (let seen = 0; frame !== NONE && this.#free.length < count && seen < 512; seen++) {
        const warmer = this.#newer[frame]!;
        if (!this.#isPinned(frame)) {
          if (this.isDirty(frame)) dirty.push(frame);
          else this.#evict(frame);
        }
        frame = warmer;
      }
      if (this.#free.length >= count) return;
      if (dirty.length === 0 && frame !== NONE) this.#rotate(frame);
      else {
        assert(dirty.length > 0 || this.#writer!.isWriting, "buffer pool: not every frame is pinned");
        this.#writer!.writeFrames(dirty);
      }
    }
  }

  #isPinned(frame: number): boolean {
    return this.#pins[frame]! > 0 || this.#usedBy[frame] === this.#operation;
  }

  /** The cold end is all pinned: what is warmer than `frame` becomes the cold end. */
  #rotate(frame: number): void {
    while (this.#leastRecent !== frame) this.#moveToFront(this.#leastRecent);
  }

  #load(page: number): number {
    const frame = this.#takeFree();
    const state: PageState = this.#space.read(page, this.arena, frame * PAGE_SIZE);
    if (state === "damaged" || (state === "absent" && !this.acceptAbsent)) {
      this.#free.push(frame);
      throw this.#space.damaged(page);
    }
    this.#loads++;
    this.#install(frame, page);
    return frame;
  }

  #install(frame: number, page: number): void {
    if (page >= this.#frameOf.length) {
      const grown = new Int32Array(Math.max(page + 1, this.#frameOf.length * 2)).fill(NONE);
      grown.set(this.#frameOf);
      this.#frameOf = grown;
    }
    this.#frameOf[page] = frame;
    this.#pageOf[frame] = page;
    this.#usedBy[frame] = this.#operation;
    this.#pushFront(frame);
  }

  #takeFree(): number {
    if (this.#free.length === 0) this.freeFrames(1);
    return this.#free.pop()!;
  }

  #evict(frame: number): void {
    this.evictions++;
    this.#unlink(frame);
    this.#frameOf[this.#pageOf[frame]!] = NONE;
    this.#free.push(frame);
  }

  #moveToFront(frame: number): void {
    this.#unlink(frame);
    this.#pushFront(frame);
  }

  #pushFront(frame: number): void {
    this.#touchedAt[frame] = this.#loads;
    this.#newer[frame] = NONE;
    this.#older[frame] = this.#mostRecent;
    if (this.#mostRecent === NONE) this.#leastRecent = frame;
    else this.#newer[this.#mostRecent] = frame;
    this.#mostRecent = frame;
  }

  #unlink(frame: number): void {
    const newer = this.#newer[frame]!;
    const older = this.#older[frame]!;
    if (newer === NONE) this.#mostRecent = older;
    else this.#older[newer] = older;
    if (older === NONE) this.#leastRecent = newer;
    else this.#newer[older] = newer;
  }
}
