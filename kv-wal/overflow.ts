/**
 * Values that do not fit into a row: a chain of overflow pages, linked by `next`, full but for the last.
 *
 *     page     32 … 16383: 16,352 bytes of the chain's content
 *     row      the value ends with a reference: first page(4) last page(4) key bytes(4) body bytes(4)
 *
 * The content is the key, when it is too long for a row (rows/layout.ts), and the body behind it.
 *
 * A chain belongs to one version of one row. It is built before the row changes, under an undo record that owns it
 * until then (undo-log.ts NEW_CHAIN), and freed, whole, by purge when no transaction can want that version back.
 */
import { type Bytes, sliceBytes, writeBytes } from "../common/bytes.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { readU32, writeU32 } from "./bytes-view.ts";
import type { MiniTransaction } from "./mini-transaction.ts";
import { PAGE_BODY_AT, PAGE_NEXT_AT, PAGE_SIZE, PageType } from "./page.ts";
import { Redo } from "./redo-records.ts";
import type { SpaceHeader } from "./space-header.ts";

export const OVERFLOW_PAYLOAD = PAGE_SIZE - PAGE_BODY_AT;
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

/** Adds one page with `content` behind page `last` (0: it is the first), in the mini-transaction. Returns its number. */
export function appendPage(
  pool: BufferPool,
  mini: MiniTransaction,
  header: SpaceHeader,
  last: number,
  content: Bytes,
): number {
  const frame = header.allocate(PageType.OVERFLOW, 0);
  const at = mini.open(Redo.PATCH, frame, PAGE_BODY_AT, content.length);
  writeBytes(mini.buffer, content, at);
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
    if (from < to) parts.push(sliceBytes(pool.arena.bytes, base + PAGE_BODY_AT + from, base + PAGE_BODY_AT + to));
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
