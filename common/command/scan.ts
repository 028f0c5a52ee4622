/**
 * What SCAN and its twins for one container (HSCAN …) share: the cursor, MATCH and COUNT.
 */
import type { Bytes } from "../bytes.ts";
import { CommandError } from "../errors.ts";
import { globMatches } from "../keyspace/glob.ts";
import { integer, pattern, type Word } from "./args.ts";
import { SYNTAX } from "./errors.ts";
import { option } from "./options.ts";

export const SCAN_COUNT_DEFAULT = 10;

/** A cursor as an earlier reply gave it. */
export function scanCursor(): Word<number> {
  return {
    kind: "word",
    doc: { name: "cursor", type: "integer" },
    convert(text) {
      const cursor = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
      if (!Number.isSafeInteger(cursor)) throw new CommandError("ERR invalid cursor");
      return cursor;
    },
  };
}

/** The option rules MATCH and COUNT. */
export const scanRules = {
  match: option("MATCH", pattern("pattern")),
  count: option("COUNT", integer("count", { min: 1, rangeError: SYNTAX })),
} as const;

/** The test for MATCH; undefined when everything matches. */
export function matcherOf(pattern: Bytes | undefined): ((text: Bytes) => boolean) | undefined {
  if (pattern === undefined || pattern === "*") return undefined;
  return (text) => globMatches(pattern, text);
}
