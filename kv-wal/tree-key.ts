/** A key of the tree, as checks and inspectors handle it. */
import { type Bytes, sliceBytes, toText } from "../common/bytes.ts";
import { type Arena, RECORD_TAIL_AT } from "./page.ts";

export interface Key {
  readonly words: readonly [hi: number, mid: number, low: number];
  readonly tail: Bytes;
}

/** The key of the record at `record` in the arena. */
export function keyAt(arena: Arena, record: number): Key {
  const { words } = arena;
  const at = record >> 2;
  const from = record + RECORD_TAIL_AT;
  return {
    words: [words[at]!, words[at + 1]!, words[at + 2]!],
    tail: sliceBytes(arena.bytes, from, from + arena.tailLength(record)),
  };
}

export function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < 3; i++) if (a.words[i] !== b.words[i]) return a.words[i]! - b.words[i]!;
  return a.tail < b.tail ? -1 : a.tail > b.tail ? 1 : 0;
}

/** "(01000000 00000000 9f3c01aa key)" */
export function showKey(key: Key): string {
  const words = key.words.map((word) => word.toString(16).padStart(8, "0")).join(" ");
  return `(${words} ${toText(key.tail.slice(0, 40))})`;
}
