/**
 * The request reader: what clients send, cut anywhere; Redis's limits and protocol errors; and the reply writer's parts.
 */
import { deepStrictEqual } from "node:assert/strict";
import fc from "fast-check";
import RedisParser from "redis-parser";
import t from "tap";
import { BYTES_LENGTH_MAX, type Bytes } from "../common/bytes.ts";
import { ReplyWriter } from "../common/resp/reply-writer.ts";
import { BROKEN, COMMAND, NEED_MORE, RequestReader } from "../common/resp/request-reader.ts";
import { splitArguments } from "../common/resp/split-arguments.ts";
import { request } from "./support/model-server.ts";
import { holds } from "./support/property.ts";

const LIMITS = { bulkLengthMax: 512 * 1024 * 1024, queryBufferMax: 1024 * 1024 * 1024 };

function reader(limits: Partial<typeof LIMITS> = {}): RequestReader {
  return new RequestReader({ ...LIMITS, ...limits });
}

/** Feeds chunks, overwriting each behind the reader as a shared read buffer is; what was read, and the problem, if any. */
function read(chunks: readonly Bytes[], target = reader()): { requests: Bytes[][]; problem: Bytes | undefined } {
  const requests: Bytes[][] = [];
  for (const text of chunks) {
    const chunk = Buffer.from(text, "latin1");
    target.feed(chunk);
    for (;;) {
      const outcome = target.next();
      if (outcome === BROKEN) return { requests, problem: target.problem };
      if (outcome === NEED_MORE) break;
      requests.push([...target.args]);
    }
    chunk.fill(0);
  }
  return { requests, problem: undefined };
}

function problemOf(text: Bytes, limits: Partial<typeof LIMITS> = {}): Bytes | undefined {
  return read([text], reader(limits)).problem;
}

const binary = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const requests = fc.array(fc.array(binary, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 });

t.test("requests", async (t) => {
  t.test("cut at every byte are those that redis-parser reads", async (t) => {
    holds(
      t,
      fc.property(requests, (sent) => {
        const text = sent.map((args) => request(...args)).join("");
        const expected: Bytes[][] = [];
        const oracle = new RedisParser({
          returnBuffers: true,
          returnReply: (reply: Buffer[]) => expected.push(reply.map((arg) => arg.toString("latin1"))),
          returnError: (error: Error) => {
            throw error;
          },
        });
        oracle.execute(Buffer.from(text, "latin1"));
        for (let cut = 0; cut <= text.length; cut++) {
          deepStrictEqual(read([text.slice(0, cut), text.slice(cut)]).requests, expected);
        }
        deepStrictEqual(read([...text]).requests, expected);
      }),
      { seed: 1, numRuns: 25 },
    );
  });

  t.test("a value in many chunks", async (t) => {
    const value = "0123456789abcdef".repeat(256 * 1024);
    const text = request("SET", "key", value) + request("PING");
    const chunks = text.match(/[\s\S]{1,60000}/g)!;
    t.ok(read(chunks).requests[0]![2] === value);
    t.equal(read(chunks).requests.length, 2);
  });

  t.test("a million arguments", async (t) => {
    const text = `*1000000\r\n${"$1\r\nx\r\n".repeat(1_000_000)}${request("PING")}`;
    const found = read(text.match(/[\s\S]{1,65536}/g)!).requests;
    t.equal(found[0]!.length, 1_000_000);
    t.same(found[1], ["PING"]);
  });

  t.test("a hostile announcement costs nothing", async (t) => {
    const target = reader();
    const used = () => process.memoryUsage().heapUsed + process.memoryUsage().external;
    const before = used();
    t.same(read(["*2147483647\r\n$536870000\r\nabc"], target), { requests: [], problem: undefined });
    t.ok(used() - before < 64 * 1024 * 1024, "neither the array nor the value is allocated");
    t.equal(target.bufferedBytes, 3);
  });

  t.test("an empty array is no request", async (t) => {
    t.same(read(["*0\r\n*-1\r\n*-5\r\n", request("PING")]).requests, [["PING"]]);
  });

  t.test("stopping early and letting the chunk go loses nothing", async (t) => {
    const target = reader();
    const chunk = Buffer.from(request("ONE", "1") + request("TWO", "2") + request("THREE").slice(0, 7));
    target.feed(chunk);
    t.equal(target.next(), COMMAND);
    target.keep();
    chunk.fill(0);
    t.same(target.args, ["ONE", "1"], "the arguments stay until the next request");
    t.equal(target.next(), COMMAND);
    t.same(target.args, ["TWO", "2"]);
    t.same(read([request("THREE").slice(7)], target).requests, [["THREE"]]);
  });
});

t.test("inline requests", async (t) => {
  t.test("mixed with arrays, with and without CR, empty lines ignored", async (t) => {
    const text = `PING\r\n\r\n\n${request("GET", "a")}SET  key   value\n`;
    for (let cut = 0; cut <= text.length; cut++) {
      t.same(read([text.slice(0, cut), text.slice(cut)]).requests, [["PING"], ["GET", "a"], ["SET", "key", "value"]]);
    }
  });

  t.test("quotes and escapes", async (t) => {
    const lines: [Bytes, Bytes[] | undefined][] = [
      [`set "a b" 'c d'`, ["set", "a b", "c d"]],
      [String.raw`x "\x41\xff\n\r\t\b\a\"\\\q"`, ["x", 'A\xff\n\r\t\b\x07"\\q']],
      [String.raw`x "\xzz" 'it\'s' '\n'`, ["x", "xzz", "it's", "\\n"]],
      [`""`, [""]],
      [`pre"fix" x`, ["prefix", "x"]],
      [`"a"b`, undefined],
      [`"open`, undefined],
      [`'open`, undefined],
      [`"\\`, undefined],
      ["   ", []],
      ["a\0b c", ["a"]],
    ];
    for (const [line, expected] of lines) t.same(splitArguments(line), expected, JSON.stringify(line));
  });
});

t.test("protocol errors have Redis's texts", async (t) => {
  const huge = "9".repeat(70_000);
  t.equal(problemOf("*abc\r\n"), "Protocol error: invalid multibulk length");
  t.equal(problemOf("*2147483648\r\n"), "Protocol error: invalid multibulk length");
  t.equal(problemOf("*99999999999999999999\r\n"), "Protocol error: invalid multibulk length");
  t.equal(problemOf("*\r\n"), "Protocol error: invalid multibulk length");
  t.equal(problemOf("*01\r\n"), "Protocol error: invalid multibulk length");
  t.equal(problemOf(`*${huge}`), "Protocol error: too big mbulk count string");
  t.equal(problemOf("*1\r\n+PING\r\n"), "Protocol error: expected '$', got '+'");
  t.equal(problemOf("*1\r\n$abc\r\n"), "Protocol error: invalid bulk length");
  t.equal(problemOf("*1\r\n$-1\r\n"), "Protocol error: invalid bulk length");
  t.equal(problemOf("*1\r\n$\r\n"), "Protocol error: invalid bulk length");
  t.equal(problemOf("*1\r\n$2147483648\r\n"), "Protocol error: invalid bulk length");
  t.equal(problemOf("*1\r\n$1025\r\n", { bulkLengthMax: 1024 }), "Protocol error: invalid bulk length");
  t.equal(problemOf("*1\r\n$1024\r\n", { bulkLengthMax: 1024 }), undefined);
  t.equal(problemOf(`*1\r\n$${BYTES_LENGTH_MAX + 1}\r\n`), "Protocol error: invalid bulk length", "V8's limit");
  t.equal(problemOf(`*1\r\n$${huge}`), "Protocol error: too big bulk count string");
  t.equal(problemOf("x".repeat(70_000)), "Protocol error: too big inline request");
  t.equal(problemOf('GET "a\r\n'), "Protocol error: unbalanced quotes in request");

  t.test("and end the reading", async (t) => {
    const { requests, problem } = read([`${request("PING")}*1\r\n!\r\n${request("PING")}`]);
    t.same(requests, [["PING"]]);
    t.equal(problem, "Protocol error: expected '$', got '!'");
  });

  t.test("beyond client-query-buffer-limit there is not even a text", async (t) => {
    t.equal(problemOf("*2\r\n$3\r\nSET\r\n$2000\r\n" + "x".repeat(1500), { queryBufferMax: 1000 }), "");
    t.equal(problemOf(`*100\r\n${"$0\r\n\r\n".repeat(99)}`, { queryBufferMax: 1000 }), "", "arguments cost memory too");
  });

  t.test("random bytes never throw", async (t) => {
    const start = fc.constantFrom("", "*", "*1\r\n", "*1\r\n$", "*2\r\n$3\r\nGET\r\n$");
    holds(
      t,
      fc.property(start, fc.array(binary, { maxLength: 8 }), (first, rest) => {
        const { problem } = read([first, ...rest]);
        return problem === undefined || problem.startsWith("Protocol error: ");
      }),
      { seed: 2, numRuns: 2000 },
    );
  });
});

t.test("replies longer than a string can be", async (t) => {
  const value = "v".repeat(40 * 1024 * 1024);
  const writer = new ReplyWriter();
  writer.array(3);
  for (let i = 0; i < 3; i++) writer.bulk(value);
  t.ok(writer.hasParts);
  const length = writer.mark;
  const mark = writer.mark;
  writer.bulk(value);
  writer.error("ERR and back");
  writer.rewind(mark);
  t.equal(writer.mark, length, "rewound across a part");
  const parts = [...writer.takeParts(), writer.take()];
  t.equal(
    parts.reduce((sum, part) => sum + part.length, 0),
    length,
  );
  const element = `$${value.length}\r\n${value}\r\n`;
  t.ok(parts.join("") === `*3\r\n${element.repeat(3)}`);
  t.equal(writer.mark, 0);
});
