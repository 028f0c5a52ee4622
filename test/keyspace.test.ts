/**
 * The keyspace of each engine does what every keyspace must do, and what the model does: the abstract suite, then random
 * commands on both, whose replies, effects and contents must be the same.
 */
import fc from "fast-check";
import t from "tap";
import type { Bytes } from "../common/bytes.ts";
import { KeyspaceEvents } from "../common/keyspace/events.ts";
import type { Keyspace } from "../common/keyspace/keyspace.ts";
import { MemoryKeyspace } from "../kv-aof/memory/keyspace.ts";
import { CommandRunner } from "./support/command-runner.ts";
import { contentsOf } from "./support/contents.ts";
import { keyspaceSuite } from "./support/keyspace-suite.ts";
import { ModelKeyspace } from "./support/model-keyspace.ts";
import { holds } from "./support/property.ts";
import { formatReply, parseReply, sortReply } from "./support/replies.ts";
import { openRowKeyspace } from "./support/wal-fixture.ts";

const NOW = 1_700_000_000_000;

const makers: Readonly<Record<string, () => Keyspace>> = {
  model: () => new ModelKeyspace(),
  "kv-aof": () =>
    new MemoryKeyspace({
      events: new KeyspaceEvents(),
      databases: 16,
      hashSeed: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      limits: { listpackEntries: 512, listpackValue: 64 },
    }),
  "kv-wal": () => openRowKeyspace(),
};

for (const [name, make] of Object.entries(makers)) {
  t.test(name, async (t) => keyspaceSuite(t, make));
}

/** Few keys and fields, so that commands meet; values of every kind of storage. */
const key = fc.constantFrom("a", "b", "c", "", "\0", "key\xff");
const field = fc.constantFrom("f", "g", "h", "", "\0", "x".repeat(70));
const value = fc.oneof(
  fc.constantFrom("", "0", "-1", "12345", "9223372036854775807", "1.5", "abc", "\0\xff", "y".repeat(64)),
  fc.integer({ min: 0, max: 40_000 }).map((length) => "z".repeat(length)),
);
const integer = fc.constantFrom("0", "1", "-1", "5", "-7", "100", "9223372036854775807", "x");
const offset = fc.constantFrom("0", "1", "3", "70", "5000", "-1", "-4");
/** Times in ms or s from now; some have passed. */
const time = fc.constantFrom("-1", "0", "1", "2", "5", "1000");
const absolute = fc.constantFrom(-1, 0, 1, 5, 1000).map((ms) => String(NOW + ms));

const line = (...parts: (string | fc.Arbitrary<string>)[]): fc.Arbitrary<Bytes[]> =>
  fc.tuple(...parts.map((part) => (typeof part === "string" ? fc.constant(part) : part)));

const command: fc.Arbitrary<Bytes[]> = fc.oneof(
  line("SET", key, value),
  line("SET", key, value, fc.constantFrom("NX", "XX", "KEEPTTL", "GET")),
  line("SET", key, value, fc.constantFrom("PX", "EX"), time),
  line("GETEX", key, "PXAT", absolute),
  line(fc.constantFrom("GET", "STRLEN", "GETDEL", "INCR", "DECR", "TYPE", "PTTL", "PERSIST", "DEL", "UNLINK"), key),
  line(fc.constantFrom("APPEND", "GETSET", "SETNX", "INCRBYFLOAT"), key, value),
  line("INCRBY", key, integer),
  line("SETRANGE", key, offset, value),
  line("GETRANGE", key, offset, offset),
  line("MSET", key, value, key, value),
  line("MSETNX", key, value, key, value),
  line("MGET", key, key, key),
  line(fc.constantFrom("PEXPIRE", "EXPIRE"), key, time),
  line("PEXPIREAT", key, absolute, fc.constantFrom("NX", "XX", "GT", "LT")),
  line(fc.constantFrom("RENAME", "RENAMENX", "COPY"), key, key),
  line("COPY", key, key, "DB", fc.constantFrom("0", "1", "2"), "REPLACE"),
  line("MOVE", key, fc.constantFrom("0", "1", "2")),
  line("HSET", key, field, value, field, value),
  line("HSETNX", key, field, value),
  line(fc.constantFrom("HGET", "HEXISTS", "HSTRLEN", "HDEL"), key, field),
  line(fc.constantFrom("HLEN", "HGETALL", "HKEYS", "HVALS"), key),
  line("HDEL", key, field, field, field),
  line("HINCRBY", key, field, integer),
  line("HINCRBYFLOAT", key, field, value),
  line("OBJECT", "ENCODING", key),
  line("KEYS", fc.constantFrom("*", "a", "[ab]", "?")),
  line("@wait", fc.constantFrom("1", "4", "900")),
  line("@select", fc.constantFrom("0", "1", "2")),
  line("@swap", fc.constantFrom("0", "1")),
);

/** Replies whose order says nothing, and by how many elements they are grouped. */
const UNORDERED: Readonly<Record<string, number>> = { KEYS: 1, HKEYS: 1, HVALS: 1, HGETALL: 2 };

/** Runs a line and returns everything that can be seen of it. */
function observe(runner: CommandRunner, args: readonly Bytes[]): string[] {
  const [name, argument] = args;
  const { keyspace } = runner;
  if (name === "@wait") keyspace.events.now += Number(argument);
  else if (name === "@select") runner.select(Number(argument));
  else if (name === "@swap") keyspace.swap(Number(argument), 2);
  else {
    const reply = parseReply(runner.run(...args));
    const size = UNORDERED[name!];
    const shown = formatReply(size === undefined ? reply : sortReply(reply, size));
    return [...shown, ...runner.effectLines, `${keyspace.events.changes} changes`];
  }
  return [];
}

t.test("random commands do the same on every keyspace as on the model", async (t) => {
  for (const [name, make] of Object.entries(makers)) {
    if (name === "model") continue;
    holds(
      t,
      fc.property(fc.array(command, { minLength: 1, maxLength: 60 }), (lines) => {
        const expected = new CommandRunner(new ModelKeyspace());
        const actual = new CommandRunner(make());
        const expired: string[][] = [[], []];
        for (const [index, { keyspace }] of [expected, actual].entries()) {
          keyspace.events.now = NOW;
          keyspace.events.onExpired = (db, key) => expired[index]!.push(`${db} ${key}`);
        }
        for (const args of lines) {
          const seen = observe(actual, args);
          const wanted = observe(expected, args);
          if (seen.join("\n") !== wanted.join("\n")) {
            throw new Error(`${args.join(" ").slice(0, 200)}: ${seen.join(" ")} instead of ${wanted.join(" ")}`);
          }
        }
        const contents = contentsOf(actual.keyspace).join("\n");
        if (contents !== contentsOf(expected.keyspace).join("\n")) throw new Error(`contents differ: ${contents}`);
        if (expired[0]!.sort().join() !== expired[1]!.sort().join()) throw new Error("other keys expired");
      }),
      { seed: 20_260_801, numRuns: 400 },
      name,
    );
  }
});
