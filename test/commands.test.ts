/**
 * The command layer: what a declaration derives, compared with what Redis tells about its own commands; effects; key specs.
 *
 * test/support/redis-commands.json is the answer of a real Redis 7.0 to COMMAND INFO and COMMAND DOCS for our commands;
 * UPDATE_SCRIPTS=1 asks the redis-server that is installed again.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import t from "tap";
import type { Bytes } from "../common/bytes.ts";
import { bytes, key } from "../common/command/args.ts";
import { command } from "../common/command/define.ts";
import { READONLY } from "../common/command/flags.ts";
import { findKeys, legacyRange } from "../common/command/keys.ts";
import { option, options } from "../common/command/options.ts";
import { counted, many } from "../common/command/phrases.ts";
import { COMMANDS, lookup, resolve } from "../common/commands/table.ts";
import { CommandRunner, pseudoRandom } from "./support/command-runner.ts";
import { needs } from "./support/installed.ts";
import { ModelKeyspace } from "./support/model-keyspace.ts";
import { RedisServer } from "./support/redis-server.ts";
import { formatReply, parseReply, type Reply, sortReply } from "./support/replies.ts";

type Plain = string | number | null | Plain[] | { [name: string]: Plain };

/** A reply as plain data: maps by name, sets sorted. */
function plain(reply: Reply): Plain {
  if (reply.kind === "null") return null;
  if (reply.kind === "boolean") return String(reply.value);
  if (reply.kind === "integer") return Number(reply.text);
  if (!("items" in reply)) return reply.text;
  const items = reply.items.map(plain);
  if (reply.kind === "set") return items.sort();
  if (reply.kind !== "map") return items;
  const pairs: [string, Plain][] = [];
  for (let index = 0; index < items.length; index += 2) pairs.push([String(items[index]), items[index + 1]!]);
  return Object.fromEntries(pairs);
}

/** What Redis and we are asked: every command and subcommand of ours. HELP is the same everywhere. */
const names = [...COMMANDS.values()]
  .flatMap((one) => [one, ...(one.subcommands?.values() ?? [])])
  .map((one) => one.fullName)
  .sort();

type Answers = Record<string, { info: Plain; docs: Plain }>;

async function ask(run: (args: Bytes[]) => Reply | Promise<Reply>): Promise<Answers> {
  const answers: Answers = {};
  for (const name of names) {
    const [info] = plain(await run(["COMMAND", "INFO", name])) as Plain[];
    const docs = plain(await run(["COMMAND", "DOCS", name])) as Record<string, Plain>;
    answers[name] = { info: withoutSubcommands(info!), docs: withoutProse(docs[name] ?? null) };
  }
  return answers;
}

/** Subcommands are compared on their own. */
function withoutSubcommands(info: Plain): Plain {
  return Array.isArray(info) ? info.slice(0, 9) : info;
}

/** Summaries are those of 7.2 in our case; history and the versions of single arguments we do not tell. */
function withoutProse(docs: Plain, top = true): Plain {
  if (docs === null || typeof docs !== "object" || Array.isArray(docs)) return docs;
  const kept = Object.entries(docs).filter(([field]) => !OMITTED.has(field) && (top || field !== "since"));
  return Object.fromEntries(
    kept.map(([field, value]) => [
      field,
      field === "arguments" ? (value as Plain[]).map((one) => withoutProse(one, false)) : value,
    ]),
  );
}

const OMITTED = new Set(["summary", "history", "subcommands"]);

const fixture = new URL("./support/redis-commands.json", import.meta.url);

if (process.env["UPDATE_SCRIPTS"] !== undefined || !existsSync(fixture)) {
  const redis = await RedisServer.start(t);
  await redis.run(["HELLO", "3"]);
  writeFileSync(fixture, `${JSON.stringify(await ask((args) => redis.run(args)), null, 1)}\n`);
  await redis.close();
}

/** Where two answers differ: "set.docs.arguments.3.type". */
function differences(path: string, ours: Plain | undefined, theirs: Plain | undefined): string[] {
  const composite = (value: Plain | undefined) => typeof value === "object" && value !== null;
  if (!composite(ours) || !composite(theirs)) return ours === theirs ? [] : [path];
  const [a, b] = [ours as Record<string, Plain>, theirs as Record<string, Plain>];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((name) =>
    differences(`${path}.${name}`, a[name], b[name]),
  );
}

/** Where we differ on purpose. */
const INTENDED: Readonly<Record<string, readonly string[]>> = {
  "new in Redis 7.2": ["client|no-touch.info", "client|no-touch.docs", "client|setinfo.info", "client|setinfo.docs"],
  "deprecated as of 7.2": ["psetex", "setex", "setnx", "quit"].flatMap((name) =>
    ["doc_flags", "deprecated_since", "replaced_by"].map((field) => `${name}.docs.${field}`),
  ),
  "told better by 7.2": [
    "command|getkeys.info.1",
    "command|getkeys.docs.arguments",
    "command|getkeysandflags.info.1",
    "command|getkeysandflags.docs.arguments",
    "getset.docs.replaced_by",
    "hscan.docs.complexity",
    "lcs.docs.arguments.4.name",
    "lolwut.docs.complexity",
    "config|resetstat.info.7.0",
    "config|resetstat.info.7.1",
    "config|rewrite.info.7.0",
    "config|rewrite.info.7.1",
    "config|set.docs.arguments.0.name",
    "client|list.docs.arguments.0.name",
    "client|reply.docs.arguments.0.name",
    "flushall.docs.arguments.0.name",
    "flushdb.docs.arguments.0.name",
    "hello.docs.arguments.0.arguments.1.name",
    "shutdown.docs.arguments.0.name",
  ],
  "the grammar of an argument is simpler than Redis's description": [
    "client|kill.docs.arguments.0.type",
    "client|kill.docs.arguments.0.flags",
    "client|kill.docs.arguments.0.arguments",
    "client|list.docs.arguments.1.name",
    "client|list.docs.arguments.1.type",
    "client|list.docs.arguments.1.flags.0",
    "client|list.docs.arguments.1.flags.1",
    "client|list.docs.arguments.1.arguments",
    "client|pause.docs.arguments.0.type",
    "config|get.docs.arguments.0.type",
    "config|get.docs.arguments.0.arguments",
  ],
  "not told": ["debug.docs.doc_flags"],
  "Redis has no interactive transactions": ["begin", "commit", "release", "rollback", "savepoint"],
  "of MySQL: the binary log": ["backup", "flush", "purge", "show"],
};

t.test("COMMAND INFO and DOCS are Redis's, but for these intended differences", async (t) => {
  const runner = new CommandRunner(new ModelKeyspace());
  runner.reply.version = 3;
  const ours = await ask((args) => parseReply(runner.run(...args)));
  const theirs: Answers = JSON.parse(readFileSync(fixture, "utf8"));
  const found = names.flatMap((name) => differences(name, ours[name]!, theirs[name] ?? null));
  t.same(found.sort(), Object.values(INTENDED).flat().sort());
});

t.test("every command is in the table under its own name, found in any spelling", async (t) => {
  for (const [name, one] of COMMANDS) {
    t.equal(one.name, name);
    t.equal(lookup(name.toUpperCase()), one);
    t.equal(lookup(name[0]!.toUpperCase() + name.slice(1)), one);
  }
  t.equal(lookup("nosuch"), undefined);
  t.equal(lookup("constructor"), undefined);
  t.equal(resolve(["OBJECT", "Encoding", "k"])?.fullName, "object|encoding");
  t.equal(resolve(["OBJECT", "nosuch"])?.fullName, "object");
});

t.test("effects are what Redis propagates", async (t) => {
  const now = 1_700_000_000_000;
  const at = (ms: number) => String(now + ms);
  const cases: [line: string, effects: string[]][] = [
    ["SET s v", ["SET s v"]],
    ["SET s v EX 10", [`SET s v PXAT ${at(10_000)}`]],
    ["SET s v PXAT 1800000000000", ["SET s v PXAT 1800000000000"]],
    ["SET s w KEEPTTL XX", ["SET s w KEEPTTL"]],
    ["SET s v NX", []],
    ["SET s v GET", ["SET s v"]],
    ["SETEX s 10 v", [`SET s v PXAT ${at(10_000)}`]],
    ["PSETEX s 10 v", [`SET s v PXAT ${at(10)}`]],
    ["SETNX s v", []],
    ["SETNX new v", ["SETNX new v"]],
    ["GETSET s v", ["SET s v"]],
    ["GETEX s", []],
    ["GETEX s EX 10", [`PEXPIREAT s ${at(10_000)}`]],
    ["GETEX s PERSIST", ["PERSIST s"]],
    ["GETEX s PERSIST", []],
    ["GETEX s PXAT 5", ["DEL s"]],
    ["SET s v", ["SET s v"]],
    ["GETDEL s", ["DEL s"]],
    ["GETDEL s", []],
    ["MSET a 1 b 2", ["MSET a 1 b 2"]],
    ["MSETNX a 1 c 2", []],
    ["APPEND a 0", ["APPEND a 0"]],
    ["SETRANGE a 0 7", ["SETRANGE a 0 7"]],
    ["SETRANGE a 0 \0", ["SETRANGE a 0 \0"]],
    ["INCR b", ["INCR b"]],
    ["DECRBY b 2", ["DECRBY b 2"]],
    ["INCRBYFLOAT b 0.5", ["SET b 1.5 KEEPTTL"]],
    ["INCR b", []],
    ["HSET h f 1 g 2", ["HSET h f 1 g 2"]],
    ["HSETNX h f 2", []],
    ["HINCRBY h f 2", ["HINCRBY h f 2"]],
    ["HINCRBYFLOAT h f 0.5", ["HSET h f 3.5"]],
    ["HDEL h missing", []],
    ["HDEL h g missing", ["HDEL h g missing"]],
    ["EXPIRE h 10", [`PEXPIREAT h ${at(10_000)}`]],
    ["EXPIRE h 5 GT", []],
    ["EXPIREAT h 1800000000", ["PEXPIREAT h 1800000000000"]],
    ["PEXPIRE h 10 LT", [`PEXPIREAT h ${at(10)}`]],
    ["PERSIST h", ["PERSIST h"]],
    ["PERSIST h", []],
    ["EXPIRE h -1", ["DEL h"]],
    ["RENAME a z", ["RENAME a z"]],
    ["RENAME z z", []],
    ["RENAMENX z b", []],
    ["COPY z a", ["COPY z a"]],
    ["COPY z a", []],
    ["COPY z a DB 3 REPLACE", ["COPY z a DB 3 REPLACE"]],
    ["MOVE a 3", []],
    ["MOVE a 4", ["MOVE a 4"]],
    ["UNLINK b missing", ["UNLINK b missing"]],
    ["DEL missing", []],
    ["GET z", []],
    ["SET z v EX 0", []],
    ["INCR z x", []],
  ];
  const runner = new CommandRunner(new ModelKeyspace());
  runner.keyspace.events.now = now;
  for (const [line, effects] of cases) {
    runner.run(...line.split(" "));
    t.same(runner.effectLines, effects, line);
  }
});

t.test("keys are found by place, by number and by keyword", async (t) => {
  const shared = { summary: "", since: "1.0.0", group: "generic", complexity: "O(1)", flags: READONLY } as const;
  const byNumber = command("union", {
    ...shared,
    args: [counted("numkeys", key("key", "RO ACCESS")), options({ weights: option("WEIGHT", bytes("weight")) })],
    run: (call, keys, { weights }) => call.reply.bulk(`${keys.join(",")} ${weights}`),
  });
  const byKeyword = command("sortish", {
    ...shared,
    args: [
      key("key", "RO ACCESS"),
      options({ by: option("BY", bytes("by")), store: option("STORE", key("to", "OW UPDATE")) }),
    ],
    run: (call, source, { store }) => call.reply.bulk(`${source} ${store}`),
  });
  const mixed = command("into", {
    ...shared,
    args: [key("to", "OW UPDATE"), many(key("from", "RO ACCESS"))],
    run: (call) => call.reply.ok(),
  });
  const runner = new CommandRunner(new ModelKeyspace());
  const run = (one: typeof mixed, line: string) => {
    runner.args = line.split(" ");
    runner.command = one;
    try {
      one.exec(runner);
      return plain(parseReply(runner.reply.take()));
    } catch (error) {
      return (error as Error).message;
    }
  };

  t.same([byNumber.arity, byKeyword.arity, mixed.arity], [-3, -2, -3]);
  t.same(byNumber.keysOf("union 2 a b WEIGHT 1".split(" ")), ["a", "b"]);
  t.same(legacyRange(byNumber.keySpecs), [0, 0, 0]);
  t.equal(run(byNumber, "union 2 a b WEIGHT 1"), "a,b 1");
  t.equal(run(byNumber, "union 1 a"), "a undefined");
  t.equal(run(byNumber, "union 0 a"), "ERR numkeys should be greater than 0");
  t.equal(run(byNumber, "union 3 a b"), "ERR Number of keys can't be greater than number of args");
  t.equal(run(byNumber, "union 1 a b"), "ERR syntax error");

  t.same(byKeyword.keysOf("sortish a by x store b".split(" ")), ["a", "b"]);
  t.same(byKeyword.keysOf("sortish a".split(" ")), ["a"]);
  t.equal(run(byKeyword, "sortish a STORE b"), "a b");
  t.equal(run(byKeyword, "sortish a STORE"), "ERR syntax error");

  t.same(legacyRange(mixed.keySpecs), [1, -1, 1]);
  t.same(
    findKeys(mixed.keySpecs, "into a b c".split(" ")).map((found) => `${found.key} ${found.use.access}`),
    ["a OW UPDATE", "b RO ACCESS", "c RO ACCESS"],
  );
});

t.test("random numbers, patterns and strings give what Redis gives", needs("redis-server"), async (t) => {
  const redis = await RedisServer.start(t);
  const runner = new CommandRunner(new ModelKeyspace());
  const pick = pseudoRandom(20_260_801);
  const digits = (count: number) => Array.from({ length: count }, () => pick(10)).join("");
  const letters = (alphabet: string, count: number) =>
    Array.from({ length: count }, () => alphabet[pick(alphabet.length)]).join("");
  const number = () => {
    const whole = (pick(2) === 0 ? "-" : "") + digits(1 + pick(22));
    const fraction = pick(3) === 0 ? "" : `.${digits(1 + pick(24))}`;
    return whole + fraction + (pick(4) === 0 ? `e${pick(2) === 0 ? "-" : ""}${pick(pick(3) === 0 ? 5200 : 20)}` : "");
  };
  const differing: string[] = [];
  const compare = async (...args: Bytes[]) => {
    const shown = (reply: Reply) => formatReply(args[0] === "KEYS" ? sortReply(reply, 1) : reply).join(" ");
    const ours = shown(parseReply(runner.run(...args)));
    const theirs = shown(await redis.run(args));
    if (ours !== theirs) differing.push(`${args.join(" ")}: ${ours}, Redis ${theirs}`);
  };
  for (let round = 0; round < 500; round++) {
    if (pick(3) === 0) await compare("SET", "n", number());
    await compare("INCRBYFLOAT", "n", number());
    const text = letters("abc^-]\\", pick(7));
    await compare("SET", text, "1");
    await compare("KEYS", letters("ab*?[]^-\\*c", 1 + pick(8)) + text.slice(-1));
    await compare("DEL", text);
    await compare("MSET", "x", letters("abcd", pick(20)), "y", letters("abcd", pick(20)));
    await compare("LCS", "x", "y", "IDX", "WITHMATCHLEN", "MINMATCHLEN", String(pick(4)));
    await compare("GETRANGE", "x", String(pick(50) - 25), String(pick(50) - 25));
    await compare("DEL", "x", "y");
  }
  t.same(differing, []);
});
