/**
 * Glob patterns as Redis matches them (stringmatchlen): `*`, `?`, `[abc]`, `[^a-z]`, `\x`.
 *
 * Time is at most pattern × text: a mismatch goes back to the last star only, which is enough, because what an earlier star
 * could take instead the later one can take too. Redis's corner cases are kept: an unclosed bracket is closed by the end
 * of the pattern, a reversed range is turned round, and the empty text matches the empty pattern only (callers treat the
 * pattern "*" as "everything" before they come here).
 */
import type { Bytes } from "../bytes.ts";

const STAR = 42;
const MINUS = 45;
const QUESTION = 63;
const BRACKET_OPEN = 91;
const BACKSLASH = 92;
const BRACKET_CLOSE = 93;
const CARET = 94;

/** Whether the whole text matches the pattern. */
export function globMatches(pattern: Bytes, text: Bytes): boolean {
  if (text.length === 0) return pattern.length === 0;
  let patternAt = 0;
  let textAt = 0;
  let afterStar = -1;
  let retryAt = 0;
  while (textAt < text.length) {
    if (pattern.charCodeAt(patternAt) === STAR) {
      afterStar = ++patternAt;
      retryAt = textAt;
      if (patternAt === pattern.length) return true;
      continue;
    }
    const next = patternAt < pattern.length ? matchOne(pattern, patternAt, text.charCodeAt(textAt)) : MISMATCH;
    if (next !== MISMATCH) {
      patternAt = next;
      textAt++;
    } else if (afterStar >= 0) {
      patternAt = afterStar;
      textAt = ++retryAt;
    } else return false;
  }
  while (pattern.charCodeAt(patternAt) === STAR) patternAt++;
  return patternAt >= pattern.length;
}

const MISMATCH = -1;

/** Matches one byte with the pattern's element at `at`, which is no star; returns where the next element is. */
function matchOne(pattern: Bytes, at: number, byte: number): number {
  const element = pattern.charCodeAt(at);
  if (element === QUESTION) return at + 1;
  if (element === BRACKET_OPEN) return matchClass(pattern, at + 1, byte);
  if (element === BACKSLASH && at + 1 < pattern.length) return pattern.charCodeAt(at + 1) === byte ? at + 2 : MISMATCH;
  return element === byte ? at + 1 : MISMATCH;
}

/** `at` is behind the opening bracket. */
function matchClass(pattern: Bytes, at: number, byte: number): number {
  const negated = pattern.charCodeAt(at) === CARET;
  if (negated) at++;
  let matched = false;
  for (; at < pattern.length && pattern.charCodeAt(at) !== BRACKET_CLOSE; at++) {
    let low = pattern.charCodeAt(at);
    let high = low;
    if (low === BACKSLASH && at + 1 < pattern.length) low = high = pattern.charCodeAt(++at);
    else if (at + 2 < pattern.length && pattern.charCodeAt(at + 1) === MINUS) {
      high = pattern.charCodeAt(at + 2);
      at += 2;
    }
    if (low > high) [low, high] = [high, low];
    if (byte >= low && byte <= high) matched = true;
  }
  return matched === negated ? MISMATCH : at + 1;
}
