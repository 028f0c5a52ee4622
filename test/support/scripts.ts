/**
 * Golden scripts: test/scripts/*.txt. A script is a list of blocks, each on empty data:
 *
 *     # what the block shows
 *     SET k "a b"                     a command, with redis-cli's quoting
 *     ~ KEYS *                        its reply is sorted first; ~2 sorts pairs (HGETALL)
 *     @wait 20                        so many ms pass
 *     @resp3                          from here on, RESP3
 *     ---
 *     OK                              the replies, as redis-cli prints them
 *     1) "k"
 *     redis: (integer) 2147483647     an intended difference: what Redis says here
 *     twolog: (integer) 1             … and what we say
 *
 * An empty line ends a block.
 */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { formatReply, type Reply, sortReply } from "./replies.ts";

export interface Block {
  /** The line of the script at which it begins, from 1. */
  readonly line: number;
  readonly comments: readonly string[];
  readonly commands: readonly string[];
  readonly expected: readonly string[];
}

/** Whom a script is run on. */
export interface Target {
  readonly name: string;
  /** Redis itself, which is the measure, or one of ours. */
  readonly dialect: "redis" | "twolog";
  /** Empty data, database 0, RESP2. */
  reset(): Promise<void>;
  run(args: readonly Bytes[]): Promise<Reply>;
  /** Speaks RESP3 from now on. */
  useResp3(): Promise<void>;
  /** Lets time pass. */
  wait(durationMs: number): Promise<void>;
  /** What is wrong with what the block left behind. */
  afterBlock?(): Promise<string | undefined>;
  close(): Promise<void>;
}

export function parseScript(text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    if (lines[at] === "") {
      at++;
      continue;
    }
    const end = lines.indexOf("", at) < 0 ? lines.length : lines.indexOf("", at);
    const block = lines.slice(at, end);
    const bar = block.indexOf("---") < 0 ? block.length : block.indexOf("---");
    const head = block.slice(0, bar);
    blocks.push({
      line: at + 1,
      comments: head.filter((line) => line.startsWith("#")),
      commands: head.filter((line) => !line.startsWith("#")),
      expected: block.slice(bar + 1),
    });
    at = end;
  }
  return blocks;
}

/** The expected lines in one dialect. */
export function expectedFor(block: Block, dialect: Target["dialect"]): string[] {
  const other = dialect === "redis" ? "twolog: " : "redis: ";
  const own = `${dialect}: `;
  return block.expected
    .filter((line) => !line.startsWith(other))
    .map((line) => (line.startsWith(own) ? line.slice(own.length) : line));
}

/**
 * Runs a block and returns the replies as lines. All commands between two waits are sent at once: no TTL is a second shorter
 * because this process had to wait for a processor.
 */
export async function runBlock(block: Block, target: Target): Promise<string[]> {
  await target.reset();
  const lines: string[] = [];
  let sent: Promise<string[]>[] = [];
  const collect = async () => {
    lines.push(...(await Promise.all(sent)).flat());
    sent = [];
  };
  for (const command of block.commands) {
    const wait = /^@wait (\d+)$/.exec(command);
    if (wait !== null) {
      await collect();
      await target.wait(Number(wait[1]));
    } else if (command === "@resp3") {
      await collect();
      await target.useResp3();
    } else sent.push(runLine(command, target));
  }
  await collect();
  return lines;
}

async function runLine(line: string, target: Target): Promise<string[]> {
  const sorted = /^~(\d*) (.*)$/.exec(line);
  const reply = await target.run(splitArguments(sorted === null ? line : sorted[2]!));
  return formatReply(sorted === null ? reply : sortReply(reply, Number(sorted[1] || "1")));
}

/** The script's text with these replies. Blocks with intended differences are kept as they are. */
export function formatScript(blocks: readonly { block: Block; replies: readonly string[] }[]): string {
  return blocks
    .map(({ block, replies }) => {
      const kept = block.expected.some((line) => /^(redis|twolog): /.test(line));
      return [...block.comments, ...block.commands, "---", ...(kept ? block.expected : replies), ""].join("\n");
    })
    .join("\n");
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };

/** The words of a command line, quoted as for redis-cli: "a\x00b", 'a b'. */
export function splitArguments(line: string): Bytes[] {
  const args: Bytes[] = [];
  const words = /"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g;
  for (const [, double, single, plain] of line.matchAll(words)) {
    if (double !== undefined) args.push(withoutEscapes(double));
    else args.push(single ?? plain!);
  }
  assert(args.length > 0, `a command in ${JSON.stringify(line)}`);
  return args;
}

function withoutEscapes(text: string): Bytes {
  return text.replace(/\\(x[0-9a-fA-F]{2}|.)/g, (_, code: string) =>
    code.length === 3 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : (ESCAPES[code] ?? code),
  );
}
