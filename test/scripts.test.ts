/**
 * Golden scripts (test/scripts/*.txt) on the model, on both engines' keyspaces and on a real Redis. The expected replies come
 * from Redis: UPDATE_SCRIPTS=1 writes them anew.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import t from "tap";
import { COMMANDS } from "../common/commands/table.ts";
import { isInstalled } from "./support/installed.ts";
import { RedisServer } from "./support/redis-server.ts";
import { expectedFor, formatScript, parseScript, runBlock, type Target } from "./support/scripts.ts";
import { aofTarget, modelTarget, RedisTarget, walTarget } from "./support/targets.ts";

const folder = new URL("./scripts/", import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));
const targets: Target[] = [modelTarget(), aofTarget(), walTarget()];
if (isInstalled("redis-server")) targets.unshift(new RedisTarget(await RedisServer.start(t)));
t.teardown(() => Promise.all(targets.map((target) => target.close())));

if (process.env["UPDATE_SCRIPTS"] !== undefined) {
  for (const name of names) {
    const file = new URL(name, folder);
    const blocks = [];
    for (const block of parseScript(readFileSync(file, "latin1"))) {
      blocks.push({ block, replies: await runBlock(block, targets[0]!) });
    }
    writeFileSync(file, formatScript(blocks), "latin1");
  }
}

for (const target of targets) {
  t.test(target.name, async (t) => {
    for (const name of names) {
      t.test(name, async (t) => {
        for (const block of parseScript(readFileSync(new URL(name, folder), "latin1"))) {
          const title = block.comments[0]?.slice(2) ?? `line ${block.line}`;
          t.same(await runBlock(block, target), expectedFor(block, target.dialect), `${name}:${block.line} ${title}`);
          const loss = await target.afterBlock?.();
          if (loss !== undefined) t.fail(`${name}:${block.line} ${title}: recovery: ${loss}`);
        }
      });
    }
  });
}

if (!targets.some((target) => target.dialect === "redis")) {
  t.test("redis", { skip: "redis-server is not installed" }, async () => {});
}

t.test("every command on strings, hashes and keys has its place in a script", async (t) => {
  const texts = names.map((name) => readFileSync(new URL(name, folder), "latin1"));
  const commands = texts.flatMap((text) => parseScript(text).flatMap((block) => block.commands));
  const used = new Set(
    commands.map((line) =>
      line
        .replace(/^~\d* /, "")
        .split(" ")[0]!
        .toLowerCase(),
    ),
  );
  const groups = ["string", "hash", "generic"];
  const ours = [...COMMANDS.values()].filter((command) => groups.includes(command.about.group));
  t.same(
    ours.map((command) => command.name).filter((name) => !used.has(name)),
    [],
  );
});
