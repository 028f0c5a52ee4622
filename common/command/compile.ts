/**
 * Turns a grammar and a `run` into one function of a call.
 *
 * A command with up to three arguments runs without an array, a spread or an object of its own; a phrase that is not there
 * (the options of a plain SET) costs one comparison.
 */
import { assert } from "../assert.ts";
import type { Arg } from "./args.ts";
import type { Call } from "./call.ts";
import { cursor } from "./cursor.ts";
import { readArg } from "./phrases.ts";

type Run = (call: Call, ...values: unknown[]) => void;
type Reader = (call: Call) => unknown;

/** The function that reads the arguments from `base` on and runs. The number of arguments has been checked. */
export function compile(args: readonly Arg<unknown>[], run: Run, base: number): (call: Call) => void {
  if (args.every((arg) => arg.kind === "word" && arg.convert === undefined))
    return compilePlain(args.length, run, base);
  const readers = args.map((arg, index) => readerOf(args, arg, index, base));
  const [first, second, third] = readers;
  switch (readers.length) {
    case 1:
      return (call) => run(call, first!(call));
    case 2:
      return (call) => run(call, first!(call), second!(call));
    case 3:
      return (call) => run(call, first!(call), second!(call), third!(call));
    default:
      return (call) => run(call, ...readers.map((read) => read(call)));
  }
}

/** Only plain words: the values are the arguments themselves. */
function compilePlain(count: number, run: Run, base: number): (call: Call) => void {
  switch (count) {
    case 0:
      return (call) => run(call);
    case 1:
      return (call) => run(call, call.args[base]);
    case 2:
      return (call) => run(call, call.args[base], call.args[base + 1]);
    default:
      return (call) => run(call, ...call.args.slice(base));
  }
}

/** Reads one argument. Words before the first phrase have a fixed place; the rest follows the cursor. */
function readerOf(args: readonly Arg<unknown>[], arg: Arg<unknown>, index: number, base: number): Reader {
  const firstPhrase = args.findIndex((other) => other.kind === "phrase");
  const isLast = index === args.length - 1;
  const at = base + index;
  if (arg.kind === "word" && (firstPhrase < 0 || index < firstPhrase)) {
    const { convert } = arg;
    if (convert === undefined) return (call) => call.args[at];
    return (call) => convert(call.args[at]!, call);
  }
  if (index === firstPhrase && isLast && arg.kind === "phrase") {
    const { absent } = arg;
    assert("absent" in arg || arg.min > 0, "grammar: a phrase that may be missing has a value for it");
    return (call) => {
      if (call.args.length === at) return absent;
      cursor.begin(call, at);
      const value = arg.read(cursor);
      cursor.finish();
      return value;
    };
  }
  return (call) => {
    if (index === firstPhrase) cursor.begin(call, at);
    const value = readArg(arg, cursor);
    if (isLast) cursor.finish();
    return value;
  };
}
