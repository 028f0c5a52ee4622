/**
 * Key specs: where the keys are among a command's arguments (https://redis.io/docs/reference/key-specs).
 *
 * Derived from the grammar; COMMAND INFO shows them, WATCH, COMMAND GETKEYS and the locks of kv-wal use them.
 */
import { assert } from "../assert.ts";
import type { Bytes } from "../bytes.ts";
import type { Arg, KeyUse } from "./args.ts";

export interface KeySpec {
  readonly use: KeyUse;
  /** Where the search begins: at an argument, or behind the first argument (from `from` on) that is `word`. */
  readonly begin:
    | { readonly type: "index"; readonly index: number }
    | { readonly type: "keyword"; readonly word: string; readonly from: number };
  /** range: every `step`-th up to `last` behind the begin (negative: from the end). keynum: the begin says how many. */
  readonly find:
    | { readonly type: "range"; readonly last: number; readonly step: number }
    | { readonly type: "keynum"; readonly step: number };
}

/** A key of a command line, and what the command does with it. */
export interface FoundKey {
  readonly key: Bytes;
  readonly use: KeyUse;
}

/** The key specs of a grammar whose first argument is at `base`, and for each argument that is a key, which one finds it. */
export function keySpecsOf(
  args: readonly Arg<unknown>[],
  base: number,
): { readonly keySpecs: readonly KeySpec[]; readonly indexes: readonly number[] } {
  const specs: KeySpec[] = [];
  let index = base;
  let behindPhrase = false;
  for (const arg of args) {
    if (arg.kind === "word") {
      assert(arg.key === undefined || !behindPhrase, "key specs: a single key stands before every phrase");
      if (arg.key !== undefined) {
        specs.push({ use: arg.key, begin: { type: "index", index }, find: { type: "range", last: 0, step: 1 } });
      }
      index++;
      continue;
    }
    for (const { use, find } of arg.keys ?? []) {
      if (find.type === "keyword") {
        const begin = { type: "keyword", word: find.word, from: index } as const;
        specs.push({ use, begin, find: { type: "range", last: find.last, step: find.step } });
      } else {
        assert(!behindPhrase, "key specs: repeated keys stand before every other phrase");
        specs.push({ use, begin: { type: "index", index }, find });
      }
    }
    behindPhrase = true;
  }
  return mergeNeighbours(specs);
}

/** Two neighbouring single keys with the same use are one range (LCS key1 key2), as Redis describes them. */
function mergeNeighbours(specs: readonly KeySpec[]): { keySpecs: KeySpec[]; indexes: number[] } {
  const keySpecs: KeySpec[] = [];
  const indexes: number[] = [];
  for (const spec of specs) {
    const merged = merge(keySpecs.at(-1), spec);
    if (merged === undefined) keySpecs.push(spec);
    else keySpecs[keySpecs.length - 1] = merged;
    indexes.push(keySpecs.length - 1);
  }
  return { keySpecs, indexes };
}

function merge(before: KeySpec | undefined, spec: KeySpec): KeySpec | undefined {
  if (before === undefined || before.use.access !== spec.use.access) return undefined;
  if (before.begin.type !== "index" || spec.begin.type !== "index") return undefined;
  if (before.find.type !== "range" || spec.find.type !== "range") return undefined;
  if (before.find.last < 0 || spec.find.last !== 0) return undefined;
  if (spec.begin.index !== before.begin.index + before.find.last + 1) return undefined;
  return { ...before, find: { type: "range", last: before.find.last + 1, step: 1 } };
}

/** The keys of a command line, in the order of the specs. Positions beyond the arguments are no keys. */
export function findKeys(specs: readonly KeySpec[], args: readonly Bytes[]): FoundKey[] {
  const found: FoundKey[] = [];
  for (const spec of specs) {
    let at = beginOf(spec, args);
    if (at < 0) continue;
    const { step } = spec.find;
    let end: number;
    if (spec.find.type === "keynum") {
      end = at + Number(args[at]) * step;
      at++;
    } else end = spec.find.last < 0 ? args.length + spec.find.last : at + spec.find.last;
    for (; at <= end && at < args.length; at += step) found.push({ key: args[at]!, use: spec.use });
  }
  return found;
}

function beginOf(spec: KeySpec, args: readonly Bytes[]): number {
  if (spec.begin.type === "index") return spec.begin.index;
  for (let at = spec.begin.from; at < args.length; at++) {
    if (args[at]!.toUpperCase() === spec.begin.word) return at + 1;
  }
  return -1;
}

/** The old description of keys: first, last (negative: from the end) and step; zeros when there are none. */
export function legacyRange(specs: readonly KeySpec[]): readonly [first: number, last: number, step: number] {
  const [first, ...others] = specs;
  if (first === undefined || first.begin.type !== "index" || first.find.type !== "range") return [0, 0, 0];
  const { index } = first.begin;
  const { last: end, step } = first.find;
  let last = end < 0 ? end : index + end;
  for (const other of others) {
    if (other.begin.type !== "index" || other.find.type !== "range" || last < 0) break;
    if (other.begin.index !== last + 1) break;
    last = other.find.last < 0 ? other.find.last : other.begin.index + other.find.last;
  }
  return [index, last, step];
}
