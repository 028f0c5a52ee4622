/**
 * Real power cuts of a real ext4 (root, and a loop device): what is left then is what the models of the lab allow. Where the
 * machine does not let us, it says so; `twolog compare --power-cuts N` cuts more often, and under more servers.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { FileTree } from "../compare/crash-program/file-tree.ts";
import { CuttableDisk, powerCutObstacle } from "../compare/originals/power-cut.ts";
import { runPowerCuts } from "../compare/originals/power-cuts.ts";

t.test("a real power cut takes what was not synced, or the machine does not let us and we say so", async (t) => {
  const obstacle = powerCutObstacle();
  if (obstacle !== undefined) {
    t.match(obstacle, /^real power cuts /, obstacle);
    return;
  }
  const disk = new CuttableDisk();
  mkdirSync(join(disk.path, "synced"));
  disk.sync();
  mkdirSync(join(disk.path, "unsynced"));
  disk.cut();
  disk.unmount();
  disk.mount();
  const names = [...FileTree.read(disk.path).walk()].map(({ path }) => path);
  disk.unmount();
  disk.remove();
  t.ok(names.includes("synced"));
  t.notOk(names.includes("unsynced"));
});

t.test("what a real power cut leaves of servers that sync, the models allow", async (t) => {
  for (const policy of ["always", "1/1"]) {
    const lines: string[] = [];
    const status = await runPowerCuts({ cuts: 1, seed: 1, policy }, (line) => lines.push(line));
    if (status === 2) t.match(lines[0], /^--power-cuts: /, lines[0] ?? "");
    else {
      t.equal(status, 0, lines.join("\n"));
      t.equal(lines.filter((line) => line.includes("all inside ext4-like; all inside posix-weak")).length, 2);
    }
  }
});
