/**
 * Visits rows in key order where pages may be damaged (force-recovery): what is below a damaged page is passed over.
 *
 * A damaged leaf cannot say which leaf comes next, so the way goes by the nodes: the key that begins the next subtree is known
 * from above, whatever has become of this one.
 */
import { CorruptFile } from "../../common/errors.ts";
import type { BufferPool } from "../buffer-pool.ts";
import { PAGE_SIZE } from "../page.ts";
import { ROOT_PAGE } from "../space-header.ts";
import { type Key, keyAt } from "../tree-key.ts";

/** The leaf where a key belongs, −1 when it or a page above it is damaged; and the key with which the next subtree begins. */
interface Place {
  readonly frame: number;
  readonly next: Key | undefined;
}

/** Calls `visit` for every row from `from` on that can be read, until it answers false. */
export function walkPastDamage(pool: BufferPool, from: Key, visit: (record: number) => boolean): void {
  const { arena } = pool;
  let key: Key | undefined = from;
  while (key !== undefined) {
    const { frame, next } = placeOf(pool, key);
    if (frame >= 0 && !visitLeaf(pool, frame, key, visit)) return;
    key = next;
  }
  arena.forgetRange();
}

/** Only a damaged root is thrown: nothing can be read then. */
function placeOf(pool: BufferPool, key: Key): Place {
  const { arena } = pool;
  const [hi, mid, low] = key.words;
  pool.beginOperation();
  arena.forgetRange();
  let next: Key | undefined;
  let frame = pool.fetch(ROOT_PAGE);
  for (let level = arena.levelOf(frame * PAGE_SIZE); level > 0; level--) {
    const base = frame * PAGE_SIZE;
    const slot = arena.childSlot(base, hi, mid, low, key.tail);
    if (slot + 1 < arena.countOf(base)) next = keyAt(arena, arena.recordAt(base, slot + 1));
    const child = fetchWhole(pool, arena.childOf(arena.recordAt(base, slot)));
    if (child < 0) return { frame: -1, next };
    frame = child;
  }
  return { frame, next };
}

function fetchWhole(pool: BufferPool, page: number): number {
  try {
    return pool.fetch(page);
  } catch (error) {
    if (!(error instanceof CorruptFile)) throw error;
    return -1;
  }
}

function visitLeaf(pool: BufferPool, frame: number, from: Key, visit: (record: number) => boolean): boolean {
  const { arena } = pool;
  const base = frame * PAGE_SIZE;
  const [hi, mid, low] = from.words;
  pool.pin(frame);
  let goesOn = true;
  for (let slot = arena.lowerBound(base, hi, mid, low, from.tail); goesOn && slot < arena.countOf(base); slot++) {
    goesOn = visit(arena.recordAt(base, slot));
  }
  pool.unpin(frame);
  return goesOn;
}
