/**
 * Walks through an append-only file and says how it ends. Recovery, `check` and `dump` share it.
 *
 * How a file may end, and what recovery makes of the last file's end:
 *
 *     whole         behind a whole command                                               nothing to do
 *     torn          inside a command: the write was cut short                            cut
 *     zeros         nothing but zero bytes from somewhere in a command to the end:       cut (Redis refuses, redis#5177)
 *                   some file systems leave them after a power loss
 *     transaction   behind whole commands, but a MULTI has no EXEC                       cut, from the MULTI on
 *     corrupt       anything else                                                        refused, with the offset
 *
 * A damaged length can look like a torn end: it claims more bytes than the file has. Cutting there would silently lose
 * all that follows. So if a whole, known command follows a "torn" one, the end is corrupt (Redis cuts). The price: a torn value
 * that itself contains such text is refused, too. Damage inside a value shows in the sum of its group (aof-file.ts), if a
 * line ends the group: that line is corrupt then.
 */
import type { Bytes } from "../common/bytes.ts";
import type { DiskFile } from "../common/disk/disk.ts";
import { AofReader } from "./aof-reader.ts";
import { commandProblem } from "./replay.ts";

export type AofEnding = "whole" | "torn" | "zeros" | "transaction" | "corrupt";

export interface AofWalk {
  readonly ending: AofEnding;
  /** Behind the last whole command that is not in an open transaction. */
  readonly validBytes: number;
  readonly fileBytes: number;
  /** Whole commands visited, SELECT, MULTI and EXEC counted. */
  readonly commands: number;
  /** Of a corrupt file. */
  readonly problem: string;
  readonly problemAt: number;
}

/** Told about every command; answers what is wrong with it, if anything. */
export type AofVisitor = (args: Bytes[], offset: number) => string | undefined;

const CHUNK_BYTES = 1024 * 1024;
/** Places that look like a command and are tried, in the search behind a torn one. */
const CANDIDATES_MAX = 256;

/** Visits the commands of `file` from `start` on, up to the first problem. */
export function walkAof(file: DiskFile, start: number, visit: AofVisitor): AofWalk {
  const reader = new AofReader(file, start);
  const fileBytes = file.size();
  let validBytes = start;
  let transactionOpen = false;
  let commands = 0;
  const end = (ending: AofEnding, problem = "", problemAt = 0): AofWalk => {
    return { ending, validBytes, fileBytes, commands, problem, problemAt };
  };
  for (;;) {
    switch (reader.next()) {
      case "command": {
        const problem = visit(reader.args, reader.commandAt);
        if (problem !== undefined) return end("corrupt", problem, reader.commandAt);
        commands++;
        if (reader.args.length === 1) transactionOpen = isOpenAfter(reader.args[0]!, transactionOpen);
        if (!transactionOpen) validBytes = reader.position;
        break;
      }
      case "end":
        if (transactionOpen) return end("transaction");
        validBytes = reader.position;
        return end("whole");
      case "torn": {
        const follower = findCommand(file, reader.commandAt + 1);
        if (follower === undefined) return end("torn");
        const problem = `a length reaches beyond the end of the file, although a command follows at offset ${follower},`;
        return end("corrupt", problem, reader.commandAt);
      }
      case "corrupt":
        if (reader.problemAt >= trailingZerosFrom(file)) return end("zeros");
        return end("corrupt", reader.problem, reader.problemAt);
    }
  }
}

function isOpenAfter(name: Bytes, openBefore: boolean): boolean {
  if (name.length > 5) return openBefore;
  const upper = name.toUpperCase();
  if (upper === "MULTI") return true;
  return upper === "EXEC" ? false : openBefore;
}

/** The offset from which the file has only zero bytes; its size when the last byte is not zero. */
function trailingZerosFrom(file: DiskFile): number {
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (let end = file.size(); end > 0; ) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const bytes = chunk.subarray(0, end - start);
    file.read(start, bytes);
    for (let at = bytes.length - 1; at >= 0; at--) if (bytes[at] !== 0) return start + at + 1;
    end = start;
  }
  return 0;
}

/** The offset of the first whole, known command at or behind `from`; undefined when there is none. */
function findCommand(file: DiskFile, from: number): number | undefined {
  const size = file.size();
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  const reader = new AofReader(file, from);
  let candidates = 0;
  // Chunks overlap by one byte: a command begins behind a line feed, which may be the last byte of a chunk.
  for (let start = from; start + 1 < size; start += CHUNK_BYTES - 1) {
    const bytes = chunk.subarray(0, file.read(start, chunk));
    for (let at = bytes.indexOf("\n*"); at >= 0; at = bytes.indexOf("\n*", at + 1)) {
      if (++candidates > CANDIDATES_MAX) return undefined;
      reader.seek(start + at + 1);
      if (reader.next() === "command" && commandProblem(reader.args) === undefined) return start + at + 1;
    }
  }
  return undefined;
}
