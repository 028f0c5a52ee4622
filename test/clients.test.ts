/**
 * The clients that people use, on both engines: redis-cli, redis-benchmark, ioredis and node-redis, in RESP2 and RESP3,
 * without a warning.
 */
import { spawn } from "node:child_process";
import { Redis } from "ioredis";
import { createClient } from "redis";
import t, { type Test } from "tap";
import { DirectiveConfig } from "../common/config.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { RealHost } from "../common/host.ts";
import { SERVER_DIRECTIVES } from "../common/server/directives.ts";
import type { Running } from "../common/server/run.ts";
import { AOF_DIRECTIVES } from "../kv-aof/directives.ts";
import { serve as serveAof } from "../kv-aof/main.ts";
import { WAL_DIRECTIVES } from "../kv-wal/directives.ts";
import { serve as serveWal } from "../kv-wal/main.ts";
import { needs } from "./support/installed.ts";

const ENGINES = {
  aof: { directives: AOF_DIRECTIVES, serve: serveAof },
  wal: { directives: WAL_DIRECTIVES, serve: serveWal },
} as const;

type EngineName = keyof typeof ENGINES;

/** A server on an engine in this process, with its disk in memory. */
async function started(test: Test, engine: EngineName): Promise<Running> {
  const { directives, serve } = ENGINES[engine];
  const config = new DirectiveConfig([SERVER_DIRECTIVES, directives], { port: "0", bind: "127.0.0.1" });
  const running = await serve({ host: new RealHost(new MemoryDisk()), config, signals: false, log: () => {} });
  test.teardown(() => running.close());
  return running;
}

interface Outcome {
  readonly out: string;
  readonly errors: string;
}

/** Runs a program with `input`; with `lines`, only until it has written so many. */
function run(program: string, args: readonly string[], input = "", lines = Infinity): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "pipe" });
    let out = "";
    let errors = "";
    child.stdout.setEncoding("latin1").on("data", (text: string) => {
      out += text;
      if (out.split("\n").length > lines) child.kill();
    });
    child.stderr.setEncoding("latin1").on("data", (text: string) => {
      errors += text;
    });
    child.once("error", reject);
    child.once("close", () => resolve({ out, errors }));
    child.stdin.on("error", () => {});
    child.stdin.end(input, "latin1");
  });
}

/** Everything that is warned of while `body` runs. */
async function warningsOf(body: () => Promise<void>): Promise<string[]> {
  const warnings: string[] = [];
  const note = (...words: unknown[]): void => {
    warnings.push(words.join(" "));
  };
  const { warn, error } = console;
  console.warn = note;
  console.error = note;
  process.on("warning", note);
  try {
    await body();
  } finally {
    console.warn = warn;
    console.error = error;
    process.off("warning", note);
  }
  return warnings;
}

const withTools = needs("redis-cli");

for (const engine of Object.keys(ENGINES) as EngineName[]) {
  t.test(`kv-${engine}: redis-cli`, withTools, async (t) => {
    const { port } = await started(t, engine);
    const cli = (args: string[], input = "", lines = Infinity): Promise<Outcome> =>
      run("redis-cli", ["-p", String(port), ...args], input, lines);

    const session = [
      "SET key value",
      "INCR counter",
      'ECHO "two words"',
      "HSET hash f v",
      "HGETALL hash",
      "NOPE",
      "QUIT",
    ];
    const expected = [
      "OK",
      "1",
      "two words",
      "1",
      "f",
      "v",
      "ERR unknown command 'NOPE', with args beginning with: ",
      "",
    ];
    t.same((await cli([], `${session.join("\n")}\n`)).out.split("\n").slice(0, 8), expected, "lines from a pipe");
    t.equal((await cli(["-3", "HGETALL", "hash"])).out, "f v\n", "RESP3");

    const bulk = Array.from({ length: 3000 }, (_, i) => {
      const name = `name${i}`;
      return `*3\r\n$3\r\nSET\r\n$${name.length}\r\n${name}\r\n$3\r\nval\r\n`;
    });
    t.match((await cli(["--pipe"], bulk.join(""))).out, /errors: 0, replies: 3000/, "--pipe");
    const scanned = (await cli(["--scan", "--pattern", "name*"])).out.trim().split("\n");
    t.equal(new Set(scanned).size, 3000, "--scan");
    const stat = await cli(["--stat", "-i", "0.05"], "", 4);
    t.match(stat.out, /keys\s+mem\s+clients\s+blocked\s+requests\s+connections\s*\n3003 /, "--stat");
    t.equal(stat.errors, "");
  });

  t.test(`kv-${engine}: redis-benchmark`, withTools, async (t) => {
    const { port } = await started(t, engine);
    const args = ["-p", String(port), "-t", "set,get,incr,mset", "-n", "2000", "-P", "4", "--csv"];
    const { out, errors } = await run("redis-benchmark", args);
    const tests = out.trim().split("\n").slice(1);
    t.same(
      tests.map((line) => line.split('"')[1]),
      ["SET", "GET", "INCR", "MSET (10 keys)"],
    );
    t.equal(errors, "", "it could read save and appendonly");
  });

  for (const protocol of [2, 3] as const) {
    t.test(`kv-${engine}: ioredis, RESP${protocol}`, async (t) => {
      const { port } = await started(t, engine);
      const warnings = await warningsOf(async () => {
        const client = new Redis({ port, host: "127.0.0.1", connectionName: "me", protocol });
        t.equal(await client.set("key", "value"), "OK");
        t.equal(await client.get("key"), "value");
        await client.hset("hash", { a: "1", b: "2" });
        t.same(await client.hgetall("hash"), { a: "1", b: "2" });
        t.same(await client.multi().incr("n").incr("n").exec(), [
          [null, 1],
          [null, 2],
        ]);
        t.match(await client.client("LIST"), /name=me .*lib-name=ioredis/);
        await t.rejects(client.incr("key"), { message: "ERR value is not an integer or out of range" });
        await client.quit();
      });
      t.same(warnings, []);
    });

    t.test(`kv-${engine}: node-redis, RESP${protocol}`, async (t) => {
      const { port } = await started(t, engine);
      const warnings = await warningsOf(async () => {
        const client = createClient({ socket: { port, host: "127.0.0.1" }, name: "me", RESP: protocol, database: 1 });
        client.on("error", (error: Error) => t.fail(error.message));
        await client.connect();
        t.equal(await client.set("key", "value", { expiration: { type: "EX", value: 100 } }), "OK");
        t.equal(await client.get("key"), "value");
        await client.hSet("hash", { a: "1", b: "2" });
        t.match(await client.hGetAll("hash"), { a: "1", b: "2" });
        t.match(await client.configGet("hz"), { hz: "10" });
        await client.watch("key");
        t.same(await client.multi().incr("n").get("key").exec(), [1, "value"]);
        t.match(await client.info("server"), /redis_version:7\.2/);
        t.equal((await client.clientInfo()).db, 1);
        await client.close();
      });
      t.same(warnings, []);
    });
  }
}
