/**
 * Options: `[NX | XX] [GET] [EX seconds | …]`, in any order, each introduced by a token.
 *
 *     options({ condition: choice("NX", "XX"), get: flag("GET"), expiration: expiry("EX", "PX") })
 *
 * yields an object with a property per rule, `undefined` when the option was not given, and one shared frozen object when
 * none was: a plain SET allocates nothing. Two different tokens of one rule clash (a syntax error); the same token twice
 * is accepted and the last one counts, as in Redis. Values are judged after all tokens: a syntax error comes first.
 */
import type { Bytes } from "../bytes.ts";
import { CommandError } from "../errors.ts";
import { parseInteger } from "../keyspace/integer.ts";
import { EXPIRY_MAX, KEEP_EXPIRY, NO_EXPIRY } from "../keyspace/keyspace.ts";
import type { ArgumentDoc, Phrase, PhraseKeys, Word } from "./args.ts";
import type { Call } from "./call.ts";
import type { Cursor } from "./cursor.ts";
import { expireTimeError, NOT_AN_INTEGER, syntaxError } from "./errors.ts";

/** One option. `T` is the value when it was given. */
export interface Rule<T> {
  readonly tokens: readonly string[];
  doc(name: string): ArgumentDoc;
  readonly keys?: PhraseKeys;
  /** Reads behind the token, which has been read. `before` is the value of an earlier token of this rule. */
  read(cursor: Cursor, token: string, before: unknown): unknown;
  /** Turns what `read` gave into the value, when all options have been read. */
  finish?(raw: never, call: Call): T;
  /** Only for inference. */
  readonly value?: T;
  /** Different tokens may be given together; `read` gets the value before. */
  readonly combines?: boolean;
}

type Rules = Readonly<Record<string, Rule<unknown>>>;

export type OptionValues<R extends Rules> = {
  readonly [K in keyof R]?: (R[K] extends Rule<infer T> ? T : never) | undefined;
};

interface TokenEntry {
  readonly name: string;
  readonly rule: Rule<unknown>;
  readonly token: string;
}

/** The option block that ends a command. `unknown` makes the error for a word that is no option. */
export function options<const R extends Rules>(
  rules: R,
  unknown: (text: Bytes) => CommandError = syntaxError,
): Phrase<OptionValues<R>> {
  const tokens = tokenTable(rules);
  const finishers = Object.entries(rules).filter(([, rule]) => rule.finish !== undefined);
  const template: Record<string, unknown> = Object.fromEntries(Object.keys(rules).map((name) => [name, undefined]));
  return {
    kind: "phrase",
    docs: Object.entries(rules).map(([name, rule]) => ({ ...rule.doc(docName(name)), optional: true })),
    keys: Object.values(rules).flatMap((rule) => (rule.keys === undefined ? [] : [rule.keys])),
    min: 0,
    absent: Object.freeze({ ...template }) as OptionValues<R>,
    read(cursor) {
      const found = { ...template };
      readTokens(cursor, tokens, found, unknown);
      for (const [name, rule] of finishers) {
        if (found[name] !== undefined) found[name] = rule.finish!(found[name] as never, cursor.call);
      }
      return found as OptionValues<R>;
    },
  };
}

function readTokens(
  cursor: Cursor,
  tokens: ReadonlyMap<string, TokenEntry>,
  found: Record<string, unknown>,
  unknown: (text: Bytes) => CommandError,
): void {
  const seen = new Map<Rule<unknown>, string>();
  while (cursor.left > 0) {
    const text = cursor.args[cursor.at]!;
    const entry = tokens.get(text) ?? tokens.get(text.toUpperCase());
    if (entry === undefined) throw unknown(text);
    const { name, rule, token } = entry;
    if (rule.combines !== true && (seen.get(rule) ?? token) !== token) throw syntaxError();
    seen.set(rule, token);
    cursor.at++;
    found[name] = rule.read(cursor, token, found[name]);
  }
}

/** Tokens in upper and in lower case; other spellings are folded by the reader. */
function tokenTable(rules: Rules): Map<string, TokenEntry> {
  const table = new Map<string, TokenEntry>();
  for (const [name, rule] of Object.entries(rules)) {
    for (const token of rule.tokens) {
      table.set(token, { name, rule, token });
      table.set(token.toLowerCase(), { name, rule, token });
    }
  }
  return table;
}

/** `withValues` → "withvalues": COMMAND DOCS writes names in lower case. */
function docName(property: string): string {
  return property.toLowerCase();
}

/** A token alone: true when given. */
export function flag(token: string): Rule<true> {
  return {
    tokens: [token],
    doc: (name) => ({ name, type: "pure-token", token }),
    read: () => true,
  };
}

/** One of several tokens; the value is the token. */
export function choice<const T extends string>(...tokens: T[]): Rule<T> {
  return { tokens, doc: oneOf(tokens), read: (_cursor, token) => token };
}

/** Any of several tokens; the value is the list of those given. */
export function choices<const T extends string>(...tokens: T[]): Rule<readonly T[]> {
  return {
    tokens,
    combines: true,
    doc: oneOf(tokens),
    read: (_cursor, token, before) => [...((before as T[] | undefined) ?? []), token as T],
  };
}

/** A token and a value: `COUNT 10`. */
export function option<T>(token: string, word: Word<T>): Rule<T> {
  return {
    tokens: [token],
    doc: () => ({ ...word.doc, token }),
    ...(word.key !== undefined && {
      keys: { use: word.key, find: { type: "keyword", word: token, last: 0, step: 1 } } as const,
    }),
    read: (cursor) => {
      const text = cursor.next();
      return word.convert === undefined ? text : word.convert(text, cursor.call);
    },
  };
}

function oneOf(tokens: readonly string[]) {
  return (name: string): ArgumentDoc => ({
    name,
    type: "oneof",
    arguments: tokens.map((token) => ({ name: token.toLowerCase(), type: "pure-token", token })),
  });
}

/** The units of an expiry: how it is described, its factor to ms, and whether it counts from now. */
const EXPIRY_TOKENS = {
  EX: { name: "seconds", type: "integer", factor: 1000, relative: true },
  PX: { name: "milliseconds", type: "integer", factor: 1, relative: true },
  EXAT: { name: "unix-time-seconds", type: "unix-time", factor: 1000, relative: false },
  PXAT: { name: "unix-time-milliseconds", type: "unix-time", factor: 1, relative: false },
} as const;

type TimedToken = keyof typeof EXPIRY_TOKENS;

/** An expiry: absolute ms, KEEP_EXPIRY (KEEPTTL) or NO_EXPIRY (PERSIST). Times up to 0 or beyond EXPIRY_MAX are invalid. */
export function expiry(...tokens: (TimedToken | "KEEPTTL" | "PERSIST")[]): Rule<number> {
  return {
    tokens,
    doc: (name) => ({
      name,
      type: "oneof",
      arguments: tokens.map((token) =>
        token === "KEEPTTL" || token === "PERSIST"
          ? { name: token.toLowerCase(), type: "pure-token", token }
          : { name: EXPIRY_TOKENS[token].name, type: EXPIRY_TOKENS[token].type, token },
      ),
    }),
    read(cursor, token) {
      if (token === "KEEPTTL") return KEEP_EXPIRY;
      if (token === "PERSIST") return NO_EXPIRY;
      return [token, cursor.next()];
    },
    finish: absoluteExpiry,
  };
}

/** An expiry as it was given. */
export type GivenExpiry = number | readonly [TimedToken, Bytes];

/** As `expiry`, but the command judges the time itself, by `absoluteExpiry`. */
export function givenExpiry(...tokens: Parameters<typeof expiry>): Rule<GivenExpiry> {
  const { doc, read } = expiry(...tokens);
  return { tokens, doc, read };
}

export function absoluteExpiry(given: GivenExpiry, call: Call): number {
  if (typeof given === "number") return given;
  const { factor, relative } = EXPIRY_TOKENS[given[0]];
  return positiveExpiry(given[1], factor, relative ? call.now : 0, call.command.fullName);
}

/** `text` in units of `factor` ms, counted from `base`, as absolute ms; it must lie behind `base`. */
export function positiveExpiry(text: Bytes, factor: number, base: number, command: string): number {
  const value = parseInteger(text);
  if (value === undefined) throw new CommandError(NOT_AN_INTEGER);
  const at = Number(value) * factor + base;
  if (value <= 0 || at > EXPIRY_MAX) throw expireTimeError(command);
  return at;
}
