/**
 * The grammar of arguments, from which everything else is derived: arity, key specs, COMMAND DOCS, the reader, and the
 * TypeScript types of a command's `run`.
 *
 * A grammar is a list of `Arg`s. A `Word` takes exactly one argument, a `Phrase` any number of them:
 *
 *     key("key", "RW UPDATE")   bytes("value")   integer("offset")                 words
 *     options({ … })   many(bytes("field"))   pairs(…)   optional(…)               phrases (phrases.ts, options.ts)
 */
import type { Bytes } from "../bytes.ts";
import { CommandError } from "../errors.ts";
import { type Int64, parseInteger } from "../keyspace/integer.ts";
import type { Database } from "../keyspace/keyspace.ts";
import type { Call } from "./call.ts";
import type { Cursor } from "./cursor.ts";
import { NOT_AN_INTEGER } from "./errors.ts";

/** One argument as COMMAND DOCS describes it. */
export interface ArgumentDoc {
  readonly name: string;
  readonly type: "key" | "string" | "integer" | "double" | "pattern" | "unix-time" | "pure-token" | "oneof" | "block";
  readonly token?: string;
  readonly optional?: boolean;
  readonly multiple?: boolean;
  readonly arguments?: readonly ArgumentDoc[];
  /** Of a key: the place of its key spec. Filled in by `command`. */
  readonly keySpecIndex?: number;
}

/** What a command does with a key: `RO`, `RW`, `OW` or `RM`, then Redis's words (ACCESS, UPDATE, INSERT, DELETE, …). */
export interface KeyUse {
  readonly access: string;
  readonly notes?: string;
}

/** One argument. Without `convert` the value is the argument itself. */
export interface Word<T> {
  readonly kind: "word";
  readonly doc: ArgumentDoc;
  readonly key?: KeyUse;
  readonly convert: ((text: Bytes, call: Call) => T) | undefined;
}

/** Keys inside a phrase, relative to its first argument; see KeySpec (keys.ts). */
export interface PhraseKeys {
  readonly use: KeyUse;
  readonly find:
    | { readonly type: "range"; readonly last: number; readonly step: number }
    | { readonly type: "keynum"; readonly step: number }
    | { readonly type: "keyword"; readonly word: string; readonly last: number; readonly step: number };
}

/** Any number of arguments, `min` at least. */
export interface Phrase<T> {
  readonly kind: "phrase";
  readonly docs: readonly ArgumentDoc[];
  readonly keys?: readonly PhraseKeys[];
  readonly min: number;
  /** Takes exactly `min` arguments, so that the arity is exact. */
  readonly fixed?: boolean;
  /** The value when nothing is left to read (min = 0). */
  readonly absent?: T;
  read(cursor: Cursor): T;
}

export type Arg<T> = Word<T> | Phrase<T>;

/** A key. `access` as in `KeyUse`, e.g. "RW ACCESS UPDATE". */
export function key(name: string, access: string, notes?: string): Word<Bytes> {
  const use = notes === undefined ? { access } : { access, notes };
  return { kind: "word", doc: { name, type: "key" }, key: use, convert: undefined };
}

/** Any byte string. */
export function bytes(name: string): Word<Bytes> {
  return { kind: "word", doc: { name, type: "string" }, convert: undefined };
}

/** A glob pattern (glob.ts). */
export function pattern(name: string): Word<Bytes> {
  return { kind: "word", doc: { name, type: "pattern" }, convert: undefined };
}

export interface IntegerLimits {
  /** Inclusive; without it, that of 64 bits. */
  readonly min?: number;
  readonly max?: number;
  /** The error text for a number outside the limits. */
  readonly rangeError?: string;
  /** The error text for what is no integer. */
  readonly error?: string;
}

/** An integer as a double: exact up to 2^53, close beyond (fit for offsets and counts, which are cut to a length anyway). */
export function integer(name: string, limits: IntegerLimits = {}): Word<number> {
  const { min = -Infinity, max = Infinity, error = NOT_AN_INTEGER, rangeError = error } = limits;
  const convert = (text: Bytes): number => {
    const value = parseInteger(text);
    if (value === undefined) throw new CommandError(error);
    const number = Number(value);
    if (number < min || number > max) throw new CommandError(rangeError);
    return number;
  };
  return { kind: "word", doc: { name, type: "integer" }, convert };
}

/** An integer of 32 bits, as Redis reads numbers of databases. `error` replaces both texts of its errors. */
export function integer32(name: string, error?: string): Word<number> {
  const min = -0x80000000;
  const max = 0x7fffffff;
  if (error !== undefined) return integer(name, { min, max, error });
  return integer(name, { min, max, rangeError: `ERR value is out of range, value must between ${min} and ${max}` });
}

/** The number of a database, which must exist. */
export function database(name: string): Word<Database> {
  const index = integer32(name);
  return { ...index, convert: (text, call) => databaseAt(call, index.convert!(text, call)) };
}

export function databaseAt(call: Call, index: number): Database {
  const database = call.keyspace.databases[index];
  if (database === undefined) throw new CommandError("ERR DB index is out of range");
  return database;
}

/** An integer of 64 bits, exactly. */
export function integer64(name: string): Word<Int64> {
  const convert = (text: Bytes): Int64 => {
    const value = parseInteger(text);
    if (value === undefined) throw new CommandError(NOT_AN_INTEGER);
    return value;
  };
  return { kind: "word", doc: { name, type: "integer" }, convert };
}

/** The same word, described to COMMAND DOCS as something else ("double", "unix-time"). */
export function described<T>(type: ArgumentDoc["type"], word: Word<T>): Word<T> {
  return { ...word, doc: { ...word.doc, type } };
}
