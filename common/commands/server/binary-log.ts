/**
 * Commands about the binary log, with MySQL's words: PURGE, SHOW, FLUSH and BACKUP. Only kv-wal has one.
 */
import { type Bytes, toText } from "../../bytes.ts";
import type { Call } from "../../command/call.ts";
import { servicesOf } from "../../command/context.ts";
import { parseDateTime } from "../../command/date-time.ts";
import { command } from "../../command/define.ts";
import { syntaxError } from "../../command/errors.ts";
import { ADMIN, DANGEROUS, NO_MULTI, NOSCRIPT, STALE } from "../../command/flags.ts";
import { raw } from "../../command/raw.ts";
import type { BinaryLogs } from "../../command/session.ts";
import { CommandError } from "../../errors.ts";

const FLAGS = ADMIN | DANGEROUS | NOSCRIPT | NO_MULTI | STALE;

function logsOf(call: Call): BinaryLogs {
  const logs = servicesOf(call).binaryLogs;
  if (logs === undefined)
    throw new CommandError("ERR You are not using binary logging: only the engine kv-wal has a binary log");
  return logs;
}

/** The arguments as one line of upper-case words, but for the last `kept`, which are given back as they are. */
function phraseOf(given: readonly Bytes[], kept: number): string {
  return given
    .slice(0, given.length - kept)
    .join(" ")
    .toUpperCase();
}

export const purge = command("purge", {
  summary: "Removes binary log files: PURGE BINARY LOGS TO name, or BEFORE 'YYYY-MM-DD hh:mm:ss'.",
  since: "7.2.0",
  group: "server",
  complexity: "O(N) where N is the number of files",
  flags: FLAGS,
  args: [raw(4)],
  run(call, given) {
    const phrase = phraseOf(given, 1).replace(/^MASTER /, "BINARY ");
    const argument = given.at(-1)!;
    const logs = logsOf(call);
    if (phrase === "BINARY LOGS TO") logs.purgeTo(argument);
    else if (phrase === "BINARY LOGS BEFORE") {
      const time = parseDateTime(argument);
      if (time === undefined) throw new CommandError("ERR Incorrect DATETIME value: use 'YYYY-MM-DD hh:mm:ss'");
      logs.purgeBefore(time);
    } else throw syntaxError();
    call.reply.ok();
  },
});

export const backup = command("backup", {
  summary: "BACKUP TO folder: copies the data, in the background, while writes go on; INFO wal tells how far it is.",
  since: "7.2.0",
  group: "server",
  complexity: "O(N) where N is the size of the data",
  flags: FLAGS,
  args: [raw(2)],
  run(call, given) {
    if (phraseOf(given, 1) !== "TO") throw syntaxError();
    logsOf(call).backUp(toText(given[1]!));
    call.reply.simple("Background backup started");
  },
});

export const show = command("show", {
  summary: "SHOW BINARY LOGS: names and sizes; SHOW BINARY LOG STATUS (or MASTER STATUS): the last file and its end.",
  since: "7.2.0",
  group: "server",
  complexity: "O(N) where N is the number of files",
  flags: FLAGS & ~DANGEROUS,
  args: [raw(2)],
  run(call, given) {
    const phrase = phraseOf(given, 0);
    const isList = phrase === "BINARY LOGS" || phrase === "MASTER LOGS";
    if (!isList && phrase !== "BINARY LOG STATUS" && phrase !== "MASTER STATUS") throw syntaxError();
    const files = logsOf(call).list();
    const shown = isList ? files : files.slice(-1);
    if (isList) call.reply.array(shown.length);
    for (const { name, size } of shown) {
      call.reply.array(2);
      call.reply.bulk(name);
      call.reply.integer(size);
    }
  },
});

export const flush = command("flush", {
  summary: "FLUSH BINARY LOGS: begins a new binary log file.",
  since: "7.2.0",
  group: "server",
  complexity: "O(1)",
  flags: FLAGS,
  args: [raw(1)],
  run(call, given) {
    const phrase = phraseOf(given, 0);
    if (phrase !== "BINARY LOGS" && phrase !== "LOGS") throw syntaxError();
    logsOf(call).rotate();
    call.reply.ok();
  },
});
