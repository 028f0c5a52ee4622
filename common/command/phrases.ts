/**
 * Phrases: arguments that repeat or may be missing. Options have a file of their own (options.ts).
 */
import type { Bytes } from "../bytes.ts";
import { CommandError } from "../errors.ts";
import type { Arg, ArgumentDoc, Phrase, PhraseKeys, Word } from "./args.ts";
import type { Cursor } from "./cursor.ts";

/** The values of a grammar, in order. */
export type Values<A extends readonly Arg<unknown>[]> = {
  -readonly [I in keyof A]: A[I] extends Arg<infer T> ? T : never;
};

/** Reads one argument of the grammar at the cursor. */
export function readArg<T>(arg: Arg<T>, cursor: Cursor): T {
  if (arg.kind === "phrase") {
    if (cursor.left === 0 && "absent" in arg) return arg.absent as T;
    return arg.read(cursor);
  }
  const text = cursor.next();
  return arg.convert === undefined ? (text as T) : arg.convert(text, cursor.call);
}

/** What the grammar says about an argument to COMMAND DOCS. */
export function docsOf(arg: Arg<unknown>): readonly ArgumentDoc[] {
  return arg.kind === "word" ? [arg.doc] : arg.docs;
}

/** `word [word …]`: one or more, up to the end. */
export function many(word: Word<Bytes>): Phrase<readonly Bytes[]> {
  return {
    kind: "phrase",
    docs: [{ ...word.doc, multiple: true }],
    keys: repeatedKeys(word, 1),
    min: 1,
    read: (cursor) => cursor.rest(),
  };
}

/** `[word …]`: none or more, up to the end. */
export function any(word: Word<Bytes>): Phrase<readonly Bytes[]> {
  return {
    ...many(word),
    docs: [{ ...word.doc, optional: true, multiple: true }],
    min: 0,
    absent: Object.freeze([]) as readonly Bytes[],
  };
}

/** `first second [first second …]`, as one flat list; an odd number of them is a wrong number of arguments, or `odd`. */
export function pairs(
  name: string,
  first: Word<Bytes>,
  second: Word<Bytes>,
  odd?: () => CommandError,
): Phrase<readonly Bytes[]> {
  return {
    kind: "phrase",
    docs: [{ name, type: "block", multiple: true, arguments: [first.doc, second.doc] }],
    keys: repeatedKeys(first, 2),
    min: 2,
    read(cursor) {
      if (cursor.left % 2 !== 0) throw odd?.() ?? cursor.incomplete();
      return cursor.rest();
    },
  };
}

/** `numkeys word [word …]`: a count and that many words. */
export function counted(name: string, word: Word<Bytes>): Phrase<readonly Bytes[]> {
  return {
    kind: "phrase",
    docs: [
      { name, type: "integer" },
      { ...word.doc, multiple: true },
    ],
    keys: word.key === undefined ? [] : [{ use: word.key, find: { type: "keynum", step: 1 } }],
    min: 2,
    read(cursor) {
      const text = cursor.next();
      const count = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0;
      if (count === 0) throw new CommandError("ERR numkeys should be greater than 0");
      if (count > cursor.left) throw new CommandError("ERR Number of keys can't be greater than number of args");
      const words = cursor.args.slice(cursor.at, cursor.at + count);
      cursor.at += count;
      return words;
    },
  };
}

/** `[word]`. */
export function optional<T>(word: Word<T>): Phrase<T | undefined> {
  return {
    kind: "phrase",
    docs: [{ ...word.doc, optional: true }],
    min: 0,
    absent: undefined,
    read: (cursor) => readArg(word, cursor),
  };
}

/** `[a b …]`: a whole grammar that may be missing. */
export function optionalGroup<const A extends readonly Arg<unknown>[]>(
  name: string,
  ...args: A
): Phrase<Values<A> | undefined> {
  return {
    kind: "phrase",
    docs: [{ name, type: "block", optional: true, arguments: args.flatMap(docsOf) }],
    min: 0,
    absent: undefined,
    read: (cursor) => args.map((arg) => readArg(arg, cursor)) as Values<A>,
  };
}

function repeatedKeys(word: Word<Bytes>, step: number): readonly PhraseKeys[] {
  return word.key === undefined ? [] : [{ use: word.key, find: { type: "range", last: -1, step } }];
}
