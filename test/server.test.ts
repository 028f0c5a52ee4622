/**
 * The server on a live socket: bad input, flow, the order of replies and settles, start and end. The engine is a
 * model (support/model-server.ts): what engines do is tested with them.
 */
import { once } from "node:events";
import { connect } from "node:net";
import t from "tap";
import { AssertionError } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import { COMMANDS } from "../common/commands/table.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { RealHost } from "../common/host.ts";
import { runServer } from "../common/server/run.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { ModelEngine, ModelServer, request } from "./support/model-server.ts";
import { expectReply, settled, started, whenItRests } from "./support/server-test.ts";

t.test("bad input", async (t) => {
  t.test("random bytes end the connection, or are unknown commands; the server lives", async (t) => {
    const server = await started(t);
    const pick = pseudoRandom(7);
    for (let round = 0; round < 40; round++) {
      const client = await server.client();
      const bytes = Array.from({ length: 300 }, () => String.fromCharCode(pick(256))).join("");
      client.socket.end(`${round % 2 === 0 ? "*" : ""}${bytes}\r\n`, "latin1");
      const replies = (await client.until(() => false)).split("\r\n").slice(0, -1);
      const others = replies.filter((reply) => !/^-(ERR|WRONG)/.test(reply));
      t.same(others, [], "each reply is an error; then the connection is closed");
    }
    const client = await server.client();
    await expectReply(t, client, "PING", "+PONG\r\n");
    t.same(server.failures, []);
  });

  t.test("a broken request is answered, and the connection closed", async (t) => {
    const server = await started(t, { "proto-max-bulk-len": "1mb" });
    const cases: [Bytes, Bytes][] = [
      ["*1\r\n$2147483648\r\n", "-ERR Protocol error: invalid bulk length\r\n"],
      ["*2\r\n$4\r\nECHO\r\n$1048577\r\n", "-ERR Protocol error: invalid bulk length\r\n"],
      ["*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"],
      [`${request("PING")}*1\r\n:1\r\nPING\r\n`, "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n"],
      ["x".repeat(70_000), "-ERR Protocol error: too big inline request\r\n"],
    ];
    for (const [bytes, words] of cases) t.equal(await (await server.client()).lastWords(bytes), words);
  });

  t.test("HTTP is no protocol of ours", async (t) => {
    const server = await started(t);
    const body = request("SET", "stolen", "yes");
    t.equal(await (await server.client()).lastWords(`POST / HTTP/1.1\r\nHost: x\r\n\r\n${body}`), "");
    t.same(server.engine.executed, []);
  });

  t.test("a negative array is nothing; a value at the limit is taken", async (t) => {
    const server = await started(t, { "proto-max-bulk-len": "1mb" });
    const client = await server.client();
    t.equal(await client.ask(`*-1\r\n*0\r\n${request("PING")}`, "+PONG\r\n"), "+PONG\r\n");
    const value = "v".repeat(1024 * 1024);
    t.ok((await client.ask(request("ECHO", value), `$1048576\r\n${value}\r\n`)) === `$1048576\r\n${value}\r\n`);
  });

  t.test("a million arguments", async (t) => {
    const client = await (await started(t)).client();
    client.send(`*1000001\r\n$3\r\nDEL\r\n${"$1\r\nx\r\n".repeat(1_000_000)}`);
    t.equal(await client.until((received) => received.endsWith("\r\n")), ":0\r\n");
  });

  t.test("beyond client-query-buffer-limit the connection is closed", async (t) => {
    const server = await started(t, { "client-query-buffer-limit": "1mb" });
    t.equal(await (await server.client()).lastWords(`*2\r\n$3\r\nGET\r\n$2000000\r\n${"x".repeat(1_500_000)}`), "");
    const queueing = await server.client();
    t.match(await queueing.lastWords(request("MULTI") + request("ECHO", "x".repeat(400_000)).repeat(4)), /^\+OK\r\n/);
    t.match(server.log.join("\n"), /client-query-buffer-limit/);
  });
});

t.test("requests and replies", async (t) => {
  t.test("cut anywhere, pipelined, inline", async (t) => {
    const client = await (await started(t)).client();
    const bytes = `${request("SET", "key", "a\r\nb")}GET key\r\nECHO "x y"\n${request("STRLEN", "key")}`;
    const replies = "+OK\r\n$4\r\na\r\nb\r\n$3\r\nx y\r\n:4\r\n";
    for (let cut = 1; cut < bytes.length; cut += 7) {
      client.send(bytes.slice(0, cut));
      await settled();
      t.equal(await client.ask(bytes.slice(cut), replies), replies);
    }
  });

  t.test("unknown commands and wrong numbers of arguments", async (t) => {
    const client = await (await started(t)).client();
    await expectReply(
      t,
      client,
      "foo bar baz",
      "-ERR unknown command 'foo', with args beginning with: 'bar' 'baz' \r\n",
    );
    await expectReply(t, client, "GET", "-ERR wrong number of arguments for 'get' command\r\n");
    await expectReply(t, client, "CONFIG get", "-ERR wrong number of arguments for 'config|get' command\r\n");
    await expectReply(t, client, "config foo", "-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n");
    const long = "y".repeat(300);
    await expectReply(
      t,
      client,
      `${long} ${long} z`,
      `-ERR unknown command '${long.slice(0, 128)}', with args beginning with: '${long.slice(0, 128)}' \r\n`,
    );
  });

  t.test("a client that does not read stalls instead of filling memory, and loses nothing", async (t) => {
    const server = await started(t);
    const client = await server.client();
    const value = "v".repeat(100_000);
    await client.ask(request("SET", "big", value), "+OK\r\n");
    client.socket.pause();
    const count = 1000;
    client.send(request("GET", "big").repeat(count));
    const executed = await whenItRests(() => server.engine.executed.length);
    // However much the operating system takes off the server's hands, it is not a hundred megabytes.
    t.ok(executed < count, `${executed} of ${count} commands were run before the client read`);
    client.socket.resume();
    const expected = (value.length + `$${value.length}\r\n\r\n`.length) * count;
    t.equal((await client.until((received) => received.length >= expected)).length, expected);
  });

  t.test("what comes while a command waits for a lock runs behind it, however much it is", async (t) => {
    const server = await started(t);
    const client = await server.client();
    server.engine.lockedKey = "locked";
    client.send(request("SET", "locked", "1"));
    const count = 20_000;
    client.send(request("INCR", "counter").repeat(count));
    while (server.engine.waiting.length === 0) await settled();
    for (let turn = 0; turn < 10; turn++) await settled();
    t.equal(server.engine.waiting.length, 1, "it waits");
    t.equal(server.engine.executed.length, 0, "so does all that was sent behind it");
    server.engine.lockedKey = undefined;
    server.engine.waiting[0]!.unblock();
    const received = await client.until((received) => received.endsWith(`:${count}\r\n`));
    t.match(received, /^\+OK\r\n:1\r\n:2\r\n/);
  });

  t.test("who leaves while his command waits for a lock is noticed at once", async (t) => {
    const server = await started(t);
    const [leaving, staying] = [await server.client(), await server.client()];
    server.engine.lockedKey = "locked";
    leaving.send(request("SET", "locked", "1"));
    while (server.engine.waiting.length === 0) await settled();
    leaving.socket.end();
    await leaving.until(() => false);
    t.ok(leaving.ended, "the server has closed the connection");
    const clients = await staying.ask(request("CLIENT", "LIST"), "$1\r\n\r\n");
    t.notMatch(clients, /id=\d+ .* cmd=set/);
    t.same(server.engine.executed, [], "and its command never runs");
  });

  t.test("client-output-buffer-limit closes a client that does not read", async (t) => {
    const server = await started(t, { "client-output-buffer-limit": "normal 1000000 0 0" });
    const client = await server.client();
    const value = "v".repeat(20_000_000);
    await client.ask(request("SET", "big", value), "+OK\r\n");
    client.socket.pause();
    // However much the operating system takes off the server's hands: in the end there is too much.
    while (server.running.server.clientCount > 0) {
      client.send(request("GET", "big"));
      await settled();
    }
    t.match(server.log.join("\n"), /client-output-buffer-limit/);
  });

  t.test("a huge pipeline does not keep others waiting", async (t) => {
    const server = await started(t);
    const greedy = await server.client();
    const modest = await server.client();
    greedy.send("*1\r\n$4\r\nPING\r\n".repeat(400_000));
    await expectReply(t, modest, "ECHO now", "$3\r\nnow\r\n");
    t.ok(greedy.received.length < 400_000 * 7, "the others were not served first");
    await greedy.until((received) => received.length >= 400_000 * 7);
  });

  t.test("a client that has said its last word still gets the replies", async (t) => {
    const client = await (await started(t)).client();
    client.socket.end(request("ECHO", "bye"), "latin1");
    t.equal(await client.until(() => false), "$3\r\nbye\r\n");
  });
});

t.test("settles (I1, I6)", async (t) => {
  t.test("a read waits for the write it may have seen; replies come in order", async (t) => {
    const server = await started(t);
    const writer = await server.client();
    const reader = await server.client();
    server.engine.holdSettles = true;
    writer.send(request("SET", "k", "v"));
    while (!server.engine.executed.some(([name]) => name === "SET")) await settled();
    reader.send(request("GET", "k"));
    while (!server.engine.executed.some(([name]) => name === "GET")) await settled();
    t.equal(writer.received + reader.received, "", "both were executed, none answered");
    server.engine.holdSettles = false;
    for (const done of server.engine.held.splice(0)) done(undefined);
    t.equal(await writer.until((received) => received !== ""), "+OK\r\n");
    t.equal(await reader.until((received) => received !== ""), "$1\r\nv\r\n");
  });

  t.test("while nothing gets durable a client that only writes is not read without end", async (t) => {
    const server = await started(t);
    const client = await server.client();
    const value = "v".repeat(100_000);
    const count = 400;
    server.engine.holdSettles = true;
    client.send(request("SET", "first", "v"));
    while (server.engine.executed.length === 0) await settled();
    client.send(request("SET", "big", value).repeat(count));
    const executed = await whenItRests(() => server.engine.executed.length);
    t.ok(executed > 10 && executed < 120, `${executed} of ${count} writes of 100 kB were taken`);
    server.engine.holdSettles = false;
    for (const done of server.engine.held.splice(0)) done(undefined);
    const replies = await client.until((received) => received.length >= 5 * (count + 1));
    t.equal(replies, "+OK\r\n".repeat(count + 1), "then all of them are");
  });

  t.test("a failed settle closes its connections without a reply; others are served", async (t) => {
    const server = await started(t);
    const writer = await server.client();
    server.engine.holdSettles = true;
    writer.send(request("SET", "k", "v"));
    while (!server.engine.executed.some(([name]) => name === "SET")) await settled();
    server.engine.holdSettles = false;
    for (const done of server.engine.held.splice(0)) done(new Error("disk full"));
    t.equal(await writer.until(() => false), "");
    await expectReply(t, await server.client(), "PING", "+PONG\r\n");
  });

  t.test("a broken engine is fatal: no reply, also not to those before in the turn", async (t) => {
    const server = await started(t);
    const client = await server.client();
    server.engine.breakage = new AssertionError("a rule does not hold");
    client.send(request("ECHO", "before") + request("SET", "k", "v"));
    while (server.failures.length === 0) await settled();
    t.match(server.failures, [{ name: "AssertionError" }]);
    client.send(request("PING"));
    await settled();
    t.equal(client.received, "");
  });

  t.test("an engine that refuses writes still reads", async (t) => {
    const server = await started(t);
    const client = await server.client();
    const refusal = "MISCONF Errors writing to the AOF file: No space left on device";
    await expectReply(t, client, "SET k v", "+OK\r\n");
    await expectReply(t, client, "MULTI", "+OK\r\n");
    await expectReply(t, client, "SET k w", "+QUEUED\r\n");
    server.engine.writeRefusal = refusal;
    await expectReply(t, client, "EXEC", `-EXECABORT Transaction discarded because of: ${refusal}\r\n`);
    await expectReply(t, client, "SET k w", `-${refusal}\r\n`);
    await expectReply(t, client, "GET k", "$1\r\nv\r\n");
  });
});

t.test("the server", async (t) => {
  t.test("SHUTDOWN ends it in order", async (t) => {
    const server = await started(t);
    const client = await server.client();
    await expectReply(t, client, "SHUTDOWN ABORT", "-ERR No shutdown in progress.\r\n");
    await expectReply(t, client, "SHUTDOWN SAVE NOSAVE", "-ERR syntax error\r\n");
    t.equal(await client.lastWords(request("SHUTDOWN", "NOSAVE")), "");
    await server.running.closed;
    t.ok(server.engine.closed);
    const refused = connect({ port: server.port, host: "127.0.0.1" });
    t.match(await once(refused, "error"), [{ code: "ECONNREFUSED" }]);
  });

  t.test("a timer waits for more than 24 days, too (CLIENT PAUSE)", async (t) => {
    const { clock } = new RealHost(new MemoryDisk());
    let early = 0;
    const cancels = [2 ** 31, 1e12, Number.POSITIVE_INFINITY].map((delayMs) => clock.after(delayMs, () => early++));
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (const cancel of cancels) cancel();
    t.equal(early, 0);
  });

  t.test("a port in use, and a folder in use, are told plainly", async (t) => {
    const server = await started(t);
    await t.rejects(ModelServer.start({ port: String(server.port) }), {
      name: "UsageError",
      message: `cannot listen on 127.0.0.1 port ${server.port}: the port is in use`,
    });
    const host = new RealHost(new MemoryDisk());
    const options = { commands: COMMANDS, signals: false, log: () => {} };
    const first = await runServer(new ModelEngine(), host, server.config, options);
    t.teardown(() => first.close());
    await t.rejects(runServer(new ModelEngine(), host, server.config, options), {
      name: "UsageError",
      message: /the data folder is in use/,
    });
    await first.close();
    const again = await runServer(new ModelEngine(), host, server.config, options);
    await again.close();
  });
});
