/**
 * The buffer pool: a fixed number of frames, each with one page. Everything reads and changes pages here.
 *
 * Who keeps a frame: *an operation* pins what it fetches until the next operation begins (`beginOperation`), so the
 * tree walks without pin counts and nothing can leak; *long holders* (iterators, the header page, the current undo
 * page) count pins and give them back.
 *
 * Two lists over the frames, by index: the order in which pages leave (lru-list.ts), and the dirty list in the order of each
 * page's *oldest* change, whose head bounds the checkpoint.
 *
 * Read-ahead: when pages have been read one behind the other for a while, by a scan over leaves that lie as they were
 * filled, the next ones are read with one call, into frames of clean pages.
 *
 * Invariants: B1 a pinned frame is not evicted. B2 a page is written only when the redo is durable up to its LSN (I3).
 * B3 a page is written in place only after its doublewrite copy is synced (I4); it counts as clean from the moment it was
 * copied, and stays pinned until the copy is in its place, synced (page-batch.ts). B4 nothing is written while a mini-transaction is open
 * (mini-transaction.ts M1): it finds room because at least ROOM_FRAMES frames are free when it begins. B5 a page that is
 * damaged, or that knows more than the redo log, is never served: the log's end is lost then, and what is appended there
 * would be left out by replay.
 */
import { assert } from "../common/assert.ts";
import { CorruptFile } from "../common/errors.ts";
import type { Clock } from "../common/host.ts";
import { LruList, NONE } from "./lru-list.ts";
import { Arena, PAGE_SIZE } from "./page.ts";
import { pageState, SPACE_PATH, type Tablespace } from "./tablespace.ts";

/** So many pages in a row are read one by one before the next ones are read ahead, so many at once. */
const READ_AHEAD_AFTER = 8;
const READ_AHEAD_PAGES = 32;
/** Frames at the cold end that are looked at for a clean one. */
const SCANNED_FRAMES = 512;
/** So many dirty ones met there are worth a batch in the background. */
const DIRTY_FRAMES_MIN = 16;
/** So many are written when somebody waits for frames. */
const WRITTEN_AT_ONCE = 64;
/** Frames that one mini-transaction may take: two pages for each level of a deep tree, neighbours, header. */
export const ROOM_FRAMES = 24;
export const POOL_FRAMES_MIN = 64;

/** Writes dirty pages out: the page cleaner. */
export interface PageWriter {
  /** Writes these frames, and syncs; what was on its way has arrived then, too. */
  writeFrames(frames: readonly number[]): void;
  /** The cold end is dirty (`coldDirty`): a batch of what is there is written in the background, now or as the next one. */
  writeSoon(): void;
  /** A batch is on its way in the background, its frames pinned. */
  readonly isWriting: boolean;
  /** Where the redo log ends: no page knows more. */
  readonly logEnd: number;
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
  readonly #dirtyNext: Int32Array;
  readonly #dirtyPrevious: Int32Array;
  #dirtyHead = NONE;
  #dirtyTail = NONE;
  readonly #free: number[] = [];
  #operation = 1;
  #loads = 0;
  /** The page read last, and how many in a row were. */
  #lastLoad = NONE;
  #run = 0;
  #ahead: Buffer | undefined;
  #writer: PageWriter | undefined;
  /** Which page leaves next. */
  readonly lru: LruList;
  /** During recovery: redo makes the page anew; what the file has of it, never written or half cut off, does not matter. */
  isMadeAnew = false;
  /** Recovery by force: pages that know more than the log are served. */
  acceptNewer = false;
  dirtyCount = 0;
  requests = 0;
  pagesReadAhead = 0;

  constructor(clock: Clock, space: Tablespace, frames: number) {
    assert(frames >= POOL_FRAMES_MIN, "buffer pool: at least 64 frames");
    this.#space = space;
    this.arena = new Arena(frames);
    this.#pageOf = new Uint32Array(frames);
    this.#usedBy = new Float64Array(frames);
    this.#pins = new Uint16Array(frames);
    this.#oldest = new Float64Array(frames);
    this.#newest = new Float64Array(frames);
    this.#changing = new Uint8Array(frames);
    this.lru = new LruList(clock, frames);
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
  /** Pages read from the file because somebody waited for them. */
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
    if (this.lru.isStale(frame)) this.lru.touch(frame);
    return frame;
  }

  /** A frame for a page whose old content does not matter. */
  fetchNew(page: number): number {
    const known = page < this.#frameOf.length ? this.#frameOf[page]! : NONE;
    if (known !== NONE) return this.fetch(page);
    const frame = this.#takeFree();
    this.arena.bytes.fill(0, frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
    this.#install(frame, page);
    this.#usedBy[frame] = this.#operation;
    this.lru.addYoung(frame);
    return frame;
  }

  /** Visits the frames in use, the most recently used first. */
  each(visit: (frame: number) => void): void {
    for (let frame = this.lru.warmest; frame !== NONE; frame = this.lru.colder(frame)) visit(frame);
  }

  pinsOf(frame: number): number {
    return this.#pins[frame]!;
  }

  /**
   * Forgets a page that is not part of the space any more. A dirty one stays, and is written like all others: if the
   * checkpoint passed its oldest change without that, replay would meet the later ones.
   */
  discard(page: number): void {
    const frame = page < this.#frameOf.length ? this.#frameOf[page]! : NONE;
    if (frame === NONE || this.isDirty(frame)) return;
    assert(this.#pins[frame] === 0, "buffer pool: nobody holds a page that is given up");
    this.lru.remove(frame);
    this.#frameOf[page] = NONE;
    this.#free.push(frame);
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
    // Taken off one by one, so that the array keeps its memory: setting its length is a call into the runtime.
    while (frames.length > 0) {
      const frame = frames.pop()!;
      this.#changing[frame] = 0;
      this.markChanged(frame, start, end);
    }
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

  /** Up to `count` dirty frames among those that leave next. */
  coldDirty(count: number): number[] {
    const frames: number[] = [];
    let frame = this.lru.coldest;
    for (let left = Math.min(SCANNED_FRAMES, this.frames >> 2); frame !== NONE && left > 0; left--) {
      if (this.isDirty(frame) && frames.push(frame) === count) break;
      frame = this.lru.warmer(frame);
    }
    return frames;
  }

  /** Frees frames from the cold end until `count` are free; dirty pages there are written when too few are clean. */
  freeFrames(count: number): void {
    const { lru } = this;
    while (this.#free.length < count) {
      const dirty: number[] = [];
      let frame = lru.coldest;
      for (let seen = 0; frame !== NONE && this.#free.length < count && seen < SCANNED_FRAMES; seen++) {
        const warmer = lru.warmer(frame);
        if (!this.#isPinned(frame)) {
          if (this.isDirty(frame)) dirty.push(frame);
          else this.#evict(frame);
        }
        frame = warmer;
      }
      if (this.#free.length >= count) {
        if (dirty.length >= DIRTY_FRAMES_MIN) this.#writer!.writeSoon();
        return;
      }
      if (dirty.length === 0 && frame !== NONE) this.#rotate(frame);
      else {
        const { isWriting } = this.#writer!;
        assert(dirty.length > 0 || isWriting, "buffer pool: not every frame is pinned");
        // What is on its way may be enough: it is waited for, and no more is written.
        this.#writer!.writeFrames(isWriting ? [] : dirty.slice(0, WRITTEN_AT_ONCE));
      }
    }
  }

  #isPinned(frame: number): boolean {
    return this.#pins[frame]! > 0 || this.#usedBy[frame] === this.#operation;
  }

  /** The cold end is all pinned: what is warmer than `frame` becomes the cold end. */
  #rotate(frame: number): void {
    while (this.lru.coldest !== frame) this.lru.moveToFront(this.lru.coldest);
  }

  #load(page: number): number {
    const frame = this.#takeFree();
    const base = frame * PAGE_SIZE;
    const state = this.#space.read(page, this.arena, base);
    if (state !== "whole" && !this.isMadeAnew) {
      this.#free.push(frame);
      throw this.#space.damaged(page);
    }
    if (state === "damaged") this.arena.bytes.fill(0, base, base + PAGE_SIZE);
    const lsn = this.arena.lsnOf(base);
    if (state === "whole" && this.#isTooNew(lsn)) {
      this.#free.push(frame);
      const problem = `page ${page} has changes up to LSN ${lsn}, but the redo log ends at ${this.#writer!.logEnd}, seen`;
      throw new CorruptFile(SPACE_PATH, page * PAGE_SIZE, problem); // B5
    }
    this.#loads++;
    this.#install(frame, page);
    this.#usedBy[frame] = this.#operation;
    this.lru.addRead(frame, false);
    this.#run = page === this.#lastLoad + 1 ? this.#run + 1 : 0;
    this.#lastLoad = page;
    if (this.#run >= READ_AHEAD_AFTER) this.#readAhead(page + 1);
    return frame;
  }

  #isTooNew(lsn: number): boolean {
    return !this.acceptNewer && lsn > this.#writer!.logEnd;
  }

  /** Reads the pages from `first` on that are not here yet. What is wrong with one is told when somebody asks for it. */
  #readAhead(first: number): void {
    const here = (page: number) => page < this.#frameOf.length && this.#frameOf[page] !== NONE;
    let count = 0;
    while (count < READ_AHEAD_PAGES && !here(first + count)) count++;
    const inFile = this.#space.pages - first;
    count = Math.min(count, inFile, this.arena.frames >> 3);
    const spare = Math.max(this.#free.length - ROOM_FRAMES, 0);
    if (count > spare) count = spare + this.#evictClean(count - spare);
    if (count <= 0) return;
    this.#ahead ??= Buffer.allocUnsafeSlow(READ_AHEAD_PAGES * PAGE_SIZE);
    this.#space.readRun(first, this.#ahead.subarray(0, count * PAGE_SIZE));
    for (let i = 0; i < count; i++) {
      const frame = this.#free.pop()!;
      const base = frame * PAGE_SIZE;
      this.#ahead.copy(this.arena.bytes, base, i * PAGE_SIZE, (i + 1) * PAGE_SIZE);
      const { bytes, words } = this.arena;
      if (pageState(first + i, bytes, words, base) !== "whole" || this.#isTooNew(this.arena.lsnOf(base))) {
        this.#free.push(frame);
        continue;
      }
      this.#install(frame, first + i);
      this.#usedBy[frame] = 0;
      this.lru.addRead(frame, true);
      this.pagesReadAhead++;
    }
    this.#lastLoad = first + count - 1;
  }

  /** Evicts up to `count` clean pages from the cold end, without writing anything (B4). Returns how many. */
  #evictClean(count: number): number {
    let evicted = 0;
    let frame = this.lru.coldest;
    for (let seen = 0; frame !== NONE && evicted < count && seen < SCANNED_FRAMES; seen++) {
      const warmer = this.lru.warmer(frame);
      if (!this.#isPinned(frame) && !this.isDirty(frame)) {
        this.#evict(frame);
        evicted++;
      }
      frame = warmer;
    }
    return evicted;
  }

  #install(frame: number, page: number): void {
    if (page >= this.#frameOf.length) {
      const grown = new Int32Array(Math.max(page + 1, this.#frameOf.length * 2)).fill(NONE);
      grown.set(this.#frameOf);
      this.#frameOf = grown;
    }
    this.#frameOf[page] = frame;
    this.#pageOf[frame] = page;
  }

  #takeFree(): number {
    if (this.#free.length === 0) this.freeFrames(1);
    return this.#free.pop()!;
  }

  #evict(frame: number): void {
    this.lru.evict(frame);
    this.#frameOf[this.#pageOf[frame]!] = NONE;
    this.#free.push(frame);
  }
}
