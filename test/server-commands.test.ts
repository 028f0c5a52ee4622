/**
 * The commands about transactions, connections and the server, on a live socket and the model engine.
 */
import t from "tap";
import { ModelServer, request } from "./support/model-server.ts";
import { expectReply, settled, started } from "./support/server-test.ts";

t.test("transactions", async (t) => {
  t.test("queue, run as one, and keep going after an error", async (t) => {
    const server = await started(t);
    const client = await server.client();
    await expectReply(t, client, "MULTI", "+OK\r\n");
    await expectReply(t, client, "SET k text", "+QUEUED\r\n");
    await expectReply(t, client, "INCR k", "+QUEUED\r\n");
    await expectReply(t, client, "GET k", "+QUEUED\r\n");
    await expectReply(t, client, "EXEC", "*3\r\n+OK\r\n-ERR value is not an integer or out of range\r\n$4\r\ntext\r\n");
    t.same(server.engine.executed, [["EXEC"]], "one execute");
    await expectReply(t, client, "EXEC", "-ERR EXEC without MULTI\r\n");
    await expectReply(t, client, "DISCARD", "-ERR DISCARD without MULTI\r\n");
  });

  t.test("are refused whole when a command was refused", async (t) => {
    const client = await (await started(t)).client();
    await expectReply(t, client, "MULTI", "+OK\r\n");
    await expectReply(t, client, "MULTI", "-ERR MULTI calls can not be nested\r\n");
    await expectReply(t, client, "WATCH k", "-ERR WATCH inside MULTI is not allowed\r\n");
    await expectReply(t, client, "SET k v", "+QUEUED\r\n");
    await expectReply(t, client, "SHUTDOWN", "-ERR Command not allowed inside a transaction\r\n");
    await expectReply(t, client, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    await expectReply(t, client, "EXISTS k", ":0\r\n");
    await expectReply(t, client, "MULTI", "+OK\r\n");
    await expectReply(t, client, "SET k v", "+QUEUED\r\n");
    await expectReply(t, client, "DISCARD", "+OK\r\n");
    await expectReply(t, client, "EXISTS k", ":0\r\n");
  });

  t.test("end with an EXEC that is refused, and so does every WATCH", async (t) => {
    const client = await (await started(t)).client();
    const refused = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n";
    await expectReply(t, client, "WATCH k", "+OK\r\n");
    await expectReply(t, client, "SET k v", "+OK\r\n");
    await expectReply(t, client, "EXEC now", refused);
    await expectReply(t, client, "MULTI", "+OK\r\n");
    await expectReply(t, client, "EXEC now", refused);
    await expectReply(t, client, "MULTI", "+OK\r\n");
    await expectReply(t, client, "EXEC", "*0\r\n");
  });

  const CHANGES: readonly [what: string, before: string[], change: string[], broken: boolean][] = [
    ["another client's write", ["SET k v"], ["SET k w"], true],
    ["a new key", [], ["SET k v"], true],
    ["another key", ["SET k v"], ["SET other v"], false],
    ["FLUSHALL with the key there", ["SET k v"], ["FLUSHALL"], true],
    ["FLUSHALL without the key", [], ["FLUSHALL"], false],
    ["FLUSHDB of another database", ["SET k v"], ["SELECT 1", "FLUSHDB"], false],
    ["SWAPDB that brings the key", [], ["SELECT 1", "SET k v", "SWAPDB 0 1"], true],
    ["SWAPDB of other databases", ["SET k v"], ["SWAPDB 1 2"], false],
    ["SWAPDB with the key in neither", [], ["SWAPDB 0 1"], false],
    ["its expiry", ["SET k v PX 20"], [], true],
    ["expiry before WATCH", ["SET k v PX 1"], ["PING"], false],
  ];
  for (const [what, before, change, broken] of CHANGES) {
    t.test(`WATCH and ${what}`, async (t) => {
      const server = await started(t);
      const client = await server.client();
      const other = await server.client();
      for (const line of before) await expectReply(t, other, line, "+OK\r\n");
      if (what === "expiry before WATCH") server.pass(2);
      await expectReply(t, client, "WATCH k", "+OK\r\n");
      for (const line of change) await other.ask(request(...line.split(" ")), "+OK\r\n");
      if (what === "its expiry") server.pass(30);
      await expectReply(t, client, "MULTI", "+OK\r\n");
      await expectReply(t, client, "ECHO x", "+QUEUED\r\n");
      await expectReply(t, client, "EXEC", broken ? "*-1\r\n" : "*1\r\n$1\r\nx\r\n");
      await expectReply(t, client, "MULTI", "+OK\r\n");
      await expectReply(t, client, "EXEC", "*0\r\n");
      t.equal(server.engine.keyspace.events.watchedCount, 0, "nothing is watched any more");
    });
  }

  t.test("UNWATCH, DISCARD and a lost connection forget what was watched", async (t) => {
    const server = await started(t);
    const client = await server.client();
    const { events } = server.engine.keyspace;
    await expectReply(t, client, "WATCH a b", "+OK\r\n");
    t.equal(events.watchedCount, 2);
    await expectReply(t, client, "UNWATCH", "+OK\r\n");
    t.equal(events.watchedCount, 0);
    await expectReply(t, client, "WATCH a", "+OK\r\n");
    client.close();
    while (events.watchedCount > 0) await settled();
    t.equal(server.running.server.clientCount, 0);
  });
});

t.test("connections", async (t) => {
  t.test("HELLO and RESP3", async (t) => {
    const client = await (await started(t)).client();
    await expectReply(t, client, "GET missing", "$-1\r\n");
    client.send(request("HELLO", "3", "SETNAME", "me"));
    const hello = await client.until((received) => received.endsWith("$7\r\nmodules\r\n*0\r\n"));
    t.match(
      hello,
      /^%7\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n\$7\r\nversion\r\n\$5\r\n7\.2\.0\r\n\$5\r\nproto\r\n:3\r\n/,
    );
    await expectReply(t, client, "GET missing", "_\r\n");
    await expectReply(t, client, "CONFIG GET hz", "%1\r\n$2\r\nhz\r\n$2\r\n10\r\n");
    await expectReply(t, client, "CLIENT GETNAME", "$2\r\nme\r\n");
    await expectReply(t, client, "HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    await expectReply(t, client, "HELLO x", "-ERR Protocol version is not an integer or out of range\r\n");
    await expectReply(t, client, "HELLO 2 AUTH", "-ERR Syntax error in HELLO option 'AUTH'\r\n");
    const wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    await expectReply(t, client, "HELLO 2 AUTH someone secret", wrong);
    await expectReply(t, client, "GET missing", "_\r\n");
    await expectReply(t, client, "RESET", "+RESET\r\n");
    await expectReply(t, client, "CLIENT GETNAME", "$-1\r\n");
  });

  t.test("QUIT answers and closes; what follows is not run", async (t) => {
    const server = await started(t);
    const client = await server.client();
    t.equal(await client.lastWords(request("QUIT") + request("SET", "k", "v")), "+OK\r\n");
    t.same(server.engine.executed, []);
  });

  t.test("CLIENT REPLY", async (t) => {
    const client = await (await started(t)).client();
    const lines = [
      ["CLIENT", "REPLY", "SKIP"],
      ["ECHO", "skipped"],
      ["ECHO", "1"],
      ["CLIENT", "REPLY", "OFF"],
      ["ECHO", "off"],
      ["NO-SUCH-COMMAND"],
      ["CLIENT", "REPLY", "SKIP"],
      ["ECHO", "off"],
      ["CLIENT", "REPLY", "ON"],
      ["ECHO", "2"],
      ["CLIENT", "REPLY", "SKIP"],
      ["CLIENT", "REPLY", "ON"],
      ["ECHO", "3"],
    ];
    const expected = "$1\r\n1\r\n+OK\r\n$1\r\n2\r\n+OK\r\n$1\r\n3\r\n";
    t.equal(await client.ask(lines.map((line) => request(...line)).join(""), expected), expected);
  });

  t.test("CLIENT LIST, INFO and KILL", async (t) => {
    const server = await started(t);
    const [first, second, third] = [await server.client(), await server.client(), await server.client()];
    await expectReply(t, first, "CLIENT ID", ":1\r\n");
    await expectReply(t, second, "CLIENT SETNAME two", "+OK\r\n");
    await expectReply(t, second, "CLIENT SETINFO lib-name test", "+OK\r\n");
    first.send(request("CLIENT", "LIST", "ID", "2"));
    const list = await first.until((received) => received.endsWith("\n\r\n"));
    t.match(list, /id=2 addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=2 name=two age=0 idle=0 flags=N db=0 /);
    t.match(list, / multi=-1 .* cmd=client\|setinfo user=default redir=-1 resp=2 lib-name=test lib-ver=\n/);
    await expectReply(t, first, "CLIENT KILL ID 2", ":1\r\n");
    t.equal(await second.until(() => false), "");
    await expectReply(t, first, `CLIENT KILL 127.0.0.1:${third.socket.localPort}`, "+OK\r\n");
    t.equal(await third.until(() => false), "");
    await expectReply(t, first, "CLIENT KILL 127.0.0.1:1", "-ERR No such client\r\n");
    await expectReply(t, first, "CLIENT KILL TYPE normal", ":0\r\n");
    await expectReply(t, first, "CLIENT KILL TYPE some TYPE", "-ERR Unknown client type 'some'\r\n");
    await expectReply(t, first, "CLIENT KILL TYPE normal TYPE", "-ERR syntax error\r\n");
    t.equal(await first.lastWords(request("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")), ":1\r\n");
  });

  t.test("CLIENT PAUSE holds back writes, or everything, and loses nothing", async (t) => {
    const server = await started(t);
    const admin = await server.client();
    const client = await server.client();
    await expectReply(t, admin, "CLIENT PAUSE 100000 WRITE", "+OK\r\n");
    t.equal(await client.ask(request("GET", "k"), "$-1\r\n"), "$-1\r\n", "reads go on");
    client.send(request("SET", "k", "v") + request("GET", "k"));
    await settled();
    t.equal(client.received, "");
    await expectReply(t, admin, "CLIENT UNPAUSE", "+OK\r\n");
    t.equal(await client.ask("", "+OK\r\n$1\r\nv\r\n"), "+OK\r\n$1\r\nv\r\n");
    await expectReply(t, admin, "CLIENT PAUSE 50", "+OK\r\n");
    await expectReply(t, client, "PING", "+PONG\r\n");
  });

  t.test("maxclients and timeout", async (t) => {
    const server = await started(t, { maxclients: "1", hz: "100" });
    const first = await server.client();
    await expectReply(t, first, "PING", "+PONG\r\n");
    t.equal(await (await server.client()).lastWords(""), "-ERR max number of clients reached\r\n");
    server.config.set([["timeout", "1"]]);
    server.pass(1001);
    t.equal(await first.until(() => false), "", "closed after a second of silence");
  });
});

t.test("the server", async (t) => {
  t.test("INFO", async (t) => {
    const client = await (await started(t)).client();
    await expectReply(t, client, "INCR k", ":1\r\n");
    await expectReply(t, client, "NOPE", "-ERR unknown command 'NOPE', with args beginning with: \r\n");
    client.send(request("INFO", "everything"));
    const info = await client.until((received) => received.includes("# Keyspace") && received.endsWith("\r\n\r\n"));
    for (const line of [
      "redis_version:7.2.0",
      "redis_mode:standalone",
      "connected_clients:1",
      "loading:0",
      "model_enabled:1",
      "role:master",
      "errorstat_ERR:count=1",
      "db0:keys=1,expires=0,avg_ttl=0",
    ]) {
      t.ok(info.includes(`\r\n${line}\r\n`), line);
    }
    t.match(info, /cmdstat_incr:calls=1,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=0,failed_calls=0\r\n/);
    await expectReply(t, client, "CONFIG RESETSTAT", "+OK\r\n");
    client.send(request("INFO", "errorstats"));
    t.equal(await client.until((received) => received.endsWith("\r\n\r\n")), "$14\r\n# Errorstats\r\n\r\n");
  });

  t.test("COMMAND INFO of what there is not is a null, no null array", async (t) => {
    const client = await (await started(t)).client();
    await expectReply(t, client, "COMMAND INFO nosuch", "*1\r\n$-1\r\n");
  });

  t.test("CONFIG SET of a name without a value", async (t) => {
    const client = await (await started(t)).client();
    await expectReply(t, client, "CONFIG SET hz 20 timeout", "-ERR syntax error\r\n");
    await expectReply(t, client, "CONFIG SET hz", "-ERR wrong number of arguments for 'config|set' command\r\n");
  });

  t.test("CONFIG REWRITE writes the file it was given", async (t) => {
    let text = "# mine\nhz 20\n";
    const configFile = {
      read: () => text,
      write: (rewritten: string) => {
        text = rewritten;
      },
    };
    const server = await ModelServer.start({ hz: "20" }, { configFile });
    t.teardown(() => server.close());
    const client = await server.client();
    await expectReply(t, client, "CONFIG SET hz 50", "+OK\r\n");
    await expectReply(t, client, "CONFIG REWRITE", "+OK\r\n");
    t.match(text, /^# mine\nhz 50\n/);
    const without = await (await started(t)).client();
    await expectReply(t, without, "CONFIG REWRITE", "-ERR The server is running without a config file\r\n");
  });
});
