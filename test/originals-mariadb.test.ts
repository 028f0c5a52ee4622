/** The installed mariadbd, restarted on every crash point that was measured, and really killed while a client commits. */
import t from "tap";
import { installedOriginals } from "../compare/originals/installed.ts";
import { ONE_CHANGE, observeCells, shownText } from "../compare/originals/observed-cells.ts";
import { KILL_LOAD, killAt, killPlaces } from "../compare/originals/real-kills.ts";
import { recordRun } from "../compare/originals/recorded-run.ts";
import { POLICIES, type Policy } from "../compare/policy.ts";
import { SeededRandom } from "../compare/random.ts";
import { makeFolder } from "../compare/server-process.ts";

const STRICT = POLICIES.find(({ engine, name }) => engine === "wal" && name === "1/1") as Policy;

t.test("mariadbd: every measured crash point again, and killed at redo, binlog and reply", async (t) => {
  const { servers, missing } = await installedOriginals([STRICT]);
  t.same(missing, []);
  const server = servers.get(STRICT);
  if (server === undefined) return;
  const cells = await observeCells(await recordRun(server, { ...ONE_CHANGE, restMs: 300 }), makeFolder());
  t.equal(cells.length, 16);
  for (const { cell, outcome, agrees } of cells)
    t.ok(agrees, `${cell.point} ${cell.crash}: ${shownText(cell, outcome)}`);
  const places = killPlaces(await recordRun(server, KILL_LOAD), new SeededRandom(1));
  // Not at pwrite64: how many pages its other threads write depends on how long all of it takes, and strace counts by thread.
  for (const kind of ["fdatasync ib_logfile0", "fdatasync binlog.000002", "sendto reply"]) {
    const place = places.find((one) => one.kind === kind);
    if (place === undefined) {
      t.fail(`no ${kind} among the calls of a commit`);
      continue;
    }
    const kill = await killAt(server, place, makeFolder());
    const { where, acknowledged } = kill;
    t.match(kill, { reached: true, lost: 0, broken: "" }, `${where}: ${acknowledged} acknowledged`);
    t.ok(acknowledged >= 3, "while a client writes");
  }
});
