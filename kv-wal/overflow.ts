/**
 * Values that do not fit into a row: a chain of overflow pages, linked by `previous` and `next`, full but for the last.
 *
 *     page     32 … 43: key words of the row, hi mid low (3 × 4) · 44 … 16383: 16,340 bytes of the chain's content
 *     row      the value ends with a reference: first page(4) last page(4) key bytes(4) body bytes(4)
 *
 * The content is the key, when it is too long for a row (rows/layout.ts), and the body behind it.
 *
 * A chain belongs to one version of one row, and to those versions after it that differ in the head only. It is built
 * before the row changes, under an undo record that owns it until then (undo-log.ts NEW_CHAIN), and freed, whole, by purge
 * when no transaction can want the last of these versions back.
 *
 * Links and key words are for those who come from a page (chain-mover.ts): everybody else comes from a reference. Once a
 * chain is freed they mean nothing any more.
 */
import { type Bytes, sliceBytes, writeBytes } from "../common/bytes.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { readU32, writeU32 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { PAGE_BODY_AT, PAGE_NEXT_AT, PAGE_PREVIOUS_AT, PAGE_SIZE, PageType } from "./page.ts";
import { Redo } from "./redo-records.ts";
import type { SpaceHeader } from "./space-header.ts";

/** Where the key words of the row are, and where the content begins. */
export const OVERFLOW_OWNER_AT = PAGE_BODY_AT;
export const OVERFLOW_CONTENT_AT = OVERFLOW_OWNER_AT + 12;
export const OVERFLOW_PAYLOAD = PAGE_SIZE - OVERFLOW_CONTENT_AT;
export const REFERENCE_BYTES = 16;

/** Where a chain is, as a row keeps it. */
export interface Chain {
  readonly first: number;
  readonly last: number;
  readonly keyBytes: number;
  readonly bodyBytes: number;
}

export function chainPages(contentBytes: number): number {
  return Math.ceil(contentBytes / OVERFLOW_PAYLOAD);
}

export function readReference(bytes: Uint8Array, at: number): Chain {
  return {
    first: readU32(bytes, at),
    last: readU32(bytes, at + 4),
    keyBytes: readU32(bytes, at + 8),
    bodyBytes: readU32(bytes, at + 12),
  };
}

const scratch = Buffer.alloc(REFERENCE_BYTES);

/** A reference as a byte string, ready to be the end of a row's value. */
export function referenceOf(chain: Chain): Bytes {
  writeU32(scratch, 0, chain.first);
  writeU32(scratch, 4, chain.last);
  writeU32(scratch, 8, chain.keyBytes);
  writeU32(scratch, 12, chain.bodyBytes);
  return sliceBytes(scratch, 0, REFERENCE_BYTES);
}

/** The row that a chain is made for: the words of its key. */
export interface ChainOwner {
  readonly hi: number;
  readonly mid: number;
  readonly low: number;
}

/** Adds one page with `content` behind page `last` (0: it is the first), in the mini-transaction. Returns its number. */
export function appendPage(
  pool: BufferPool,
  mini: MiniTransaction,
  header: SpaceHeader,
  owner: ChainOwner,
  last: number,
  content: Bytes,
): number {
  const frame = header.allocate(PageType.OVERFLOW, 0);
  const at = mini.open(Redo.PATCH, frame, PAGE_PREVIOUS_AT, OVERFLOW_CONTENT_AT - PAGE_PREVIOUS_AT + content.length);
  const { buffer } = mini;
  writeU32(buffer, at, last);
  writeU32(buffer, at + PAGE_NEXT_AT - PAGE_PREVIOUS_AT, 0);
  const ownerAt = at + OVERFLOW_OWNER_AT - PAGE_PREVIOUS_AT;
  writeU32(buffer, ownerAt, owner.hi);
  writeU32(buffer, ownerAt + 4, owner.mid);
  writeU32(buffer, ownerAt + 8, owner.low);
  writeBytes(buffer, content, ownerAt + 12);
  mini.apply();
  const page = pool.pageIn(frame);
  if (last !== 0) mini.patchU32(pool.fetch(last), PAGE_NEXT_AT, page);
  return page;
}

/** Bytes [start, end) of a chain's content. */
export function readChain(pool: BufferPool, chain: Chain, start: number, end: number): Bytes {
  const parts: Bytes[] = [];
  let page = chain.first;
  for (let at = 0; at < end; at += OVERFLOW_PAYLOAD) {
    pool.beginOperation();
    const base = pool.fetch(page) * PAGE_SIZE;
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, OVERFLOW_PAYLOAD);
    const contentAt = base + OVERFLOW_CONTENT_AT;
    if (from < to) parts.push(sliceBytes(pool.arena.bytes, contentAt + from, contentAt + to));
    page = pool.arena.nextOf(base);
  }
  return parts.join("");
}

/** One page's part of key + body, without joining the two. */
export function contentPart(key: Bytes, body: Bytes, start: number): Bytes {
  const end = start + OVERFLOW_PAYLOAD;
  const part = start < key.length ? key.slice(start, end) : "";
  const rest = end - key.length;
  return rest <= 0 ? part : part + body.slice(Math.max(start - key.length, 0), rest);
}
