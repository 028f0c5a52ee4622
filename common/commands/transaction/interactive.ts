/**
 * BEGIN, COMMIT, ROLLBACK and savepoints: interactive transactions, in the words of MySQL. Each command inside is answered at
 * once, sees the transaction's snapshot and its own changes, and can be undone.
 *
 * MULTI … EXEC is something else: nothing runs before EXEC, then everything runs, and a command that fails does not undo the
 * others. So the two do not mix: no MULTI inside BEGIN, no BEGIN inside MULTI.
 *
 * As in MySQL, BEGIN inside a transaction commits that one first, names of savepoints are the same in upper and lower
 * case, and a name that is used again moves. Unlike MySQL, COMMIT and ROLLBACK without BEGIN are errors.
 */
import type { Bytes } from "../../bytes.ts";
import { bytes } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { syntaxError } from "../../command/errors.ts";
import { FAST, NO_MULTI, NOSCRIPT } from "../../command/flags.ts";
import { keyword, raw } from "../../command/raw.ts";
import {
  type BeginOptions,
  ISOLATION_LEVELS,
  type IsolationLevel,
  type TransactionControl,
} from "../../command/transactions.ts";
import { CommandError } from "../../errors.ts";

const FLAGS = NOSCRIPT | NO_MULTI | FAST;
/** The version of Redis that these commands were made for; Redis itself has none of them. */
const SINCE = "7.2.0";

function controlOf(call: Call): TransactionControl {
  const { transactions } = call.server;
  if (transactions !== undefined) return transactions;
  throw new CommandError(
    `ERR ${call.command.name.toUpperCase()} needs the engine kv-wal: this one cannot undo a command that it has answered. ` +
      "MULTI and EXEC are its transactions",
  );
}

/** Throws when an interactive transaction is open: MULTI and WATCH are not for its inside. */
export function refuseInside(call: Call): void {
  if (call.server.transactions?.isOpen(call.session) !== true) return;
  throw new CommandError(`ERR ${call.command.name.toUpperCase()} is not allowed between BEGIN and COMMIT`);
}

/** `[READ ONLY | READ WRITE] [ISOLATION LEVEL …]`, in any order, each once. */
function readOptions(words: readonly Bytes[]): BeginOptions {
  let readOnly: boolean | undefined;
  let isolation: IsolationLevel | undefined;
  const left = words.map((word) => word.toUpperCase());
  const takes = (...expected: string[]) => {
    if (expected.some((word, i) => left[i] !== word)) return false;
    left.splice(0, expected.length);
    return true;
  };
  while (left.length > 0) {
    if (readOnly === undefined && takes("READ", "ONLY")) readOnly = true;
    else if (readOnly === undefined && takes("READ", "WRITE")) readOnly = false;
    else if (isolation === undefined && takes("ISOLATION", "LEVEL")) {
      isolation = ISOLATION_LEVELS.find((level) => takes(...level.split(" ")));
      if (isolation === undefined) throw syntaxError();
    } else throw syntaxError();
  }
  return { readOnly: readOnly ?? false, isolation };
}

export const begin = command("begin", {
  summary: "Starts an interactive transaction.",
  since: SINCE,
  group: "transactions",
  complexity: "O(1)",
  flags: FLAGS,
  args: [
    raw(
      0,
      { name: "access", type: "string", optional: true },
      { name: "level", type: "string", token: "ISOLATION LEVEL", optional: true },
    ),
  ],
  run(call, words) {
    controlOf(call).begin(call, readOptions(words));
    call.reply.ok();
  },
});

export const commit = command("commit", {
  summary: "Makes the changes of the interactive transaction permanent.",
  since: SINCE,
  group: "transactions",
  complexity: "O(N) where N is the number of changes.",
  flags: FLAGS,
  args: [],
  run(call) {
    controlOf(call).commit(call);
    call.reply.ok();
  },
});

export const rollback = command("rollback", {
  summary: "Undoes the changes of the interactive transaction, all of them or those since a savepoint.",
  since: SINCE,
  group: "transactions",
  complexity: "O(N) where N is the number of changes to undo.",
  flags: FLAGS,
  args: [raw(0, { name: "savepoint", type: "string", token: "TO", optional: true })],
  run(call, words) {
    const control = controlOf(call);
    const [to, ...rest] = words;
    if (to === undefined) control.rollback(call);
    else {
      const name = rest.length === 2 && rest[0]!.toUpperCase() === "SAVEPOINT" ? rest[1] : rest[0];
      if (to.toUpperCase() !== "TO" || name === undefined || rest.at(-1) !== name) throw syntaxError();
      control.rollbackTo(call, name);
    }
    call.reply.ok();
  },
});

export const savepoint = command("savepoint", {
  summary: "Names a place in the interactive transaction to which ROLLBACK TO can go back.",
  since: SINCE,
  group: "transactions",
  complexity: "O(1)",
  flags: FLAGS,
  args: [bytes("name")],
  run(call, name) {
    controlOf(call).savepoint(call, name);
    call.reply.ok();
  },
});

export const release = command("release", {
  summary: "Forgets a savepoint.",
  since: SINCE,
  group: "transactions",
  complexity: "O(1)",
  flags: FLAGS,
  args: [keyword("what", ["SAVEPOINT"]), bytes("name")],
  run(call, _what, name) {
    controlOf(call).release(call, name);
    call.reply.ok();
  },
});
