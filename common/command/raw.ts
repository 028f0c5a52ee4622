/**
 * Arguments beyond the grammar: a fixed word, and arguments that a command reads itself because Redis does so in its own
 * way (HELLO, CLIENT KILL). Of those, the grammar only knows their number and what COMMAND DOCS says.
 */
import type { Bytes } from "../bytes.ts";
import { CommandError } from "../errors.ts";
import type { ArgumentDoc, Phrase, Word } from "./args.ts";
import { SYNTAX } from "./errors.ts";

/** All remaining arguments, `min` at least. */
export function raw(min: number, ...docs: ArgumentDoc[]): Phrase<readonly Bytes[]> {
  return {
    kind: "phrase",
    docs,
    min,
    ...(min === 0 && { absent: Object.freeze([]) as readonly Bytes[] }),
    read: (cursor) => cursor.rest(),
  };
}

/** One argument that is one of some words, in any case; the value is the word as declared. */
export function keyword<const T extends string>(name: string, words: readonly T[], error: string = SYNTAX): Word<T> {
  const tokens = words.map((word): ArgumentDoc => ({ name: word.toLowerCase(), type: "pure-token", token: word }));
  return {
    kind: "word",
    doc: { name, type: "oneof", arguments: tokens },
    convert(text) {
      const word = words.find((candidate) => candidate === text.toUpperCase());
      if (word === undefined) throw new CommandError(error);
      return word;
    },
  };
}
