/** What the installed mariadbd and its tools show of claims about the binlog: W23, W24 and W33. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { modelOf } from "../lab/models/index.ts";
import { type MariadbLife, startMariadb } from "./mariadb-life.ts";
import { MysqlClient, type Rows } from "./mysql-client.ts";
import { BINLOG, findOperation } from "./observed-cells.ts";
import { recordScene } from "./recorded-run.ts";
import type { Observing, Scenario, Scenarios, Seen } from "./scenario.ts";

const OUTPUT_MAX = 2 ** 28;

/** Applies one server's binlogs to another, as a person would: mariadb-binlog, and mariadb. */
function applyBinlog(from: string, to: MariadbLife): void {
  const files = readdirSync(from).filter((name) => BINLOG.test(name));
  const paths = files.sort().map((name) => join(from, name));
  const read = spawnSync("mariadb-binlog", ["--no-defaults", ...paths], { maxBuffer: OUTPUT_MAX });
  if (read.status !== 0) throw new Error(`mariadb-binlog failed: ${String(read.stderr ?? read.error).trim()}`);
  const applied = spawnSync("mariadb", ["--no-defaults", "-uroot", `--socket=${to.folder}.sock`], {
    input: read.stdout,
  });
  if (applied.status !== 0) throw new Error(`mariadb failed: ${String(applied.stderr ?? applied.error).trim()}`);
}

/** Two servers with these rows; statements run on the first. */
async function twoServers(
  observing: Observing,
  format: string,
  rows: string,
  statements: readonly string[],
): Promise<{ source: MariadbLife; target: MariadbLife }> {
  const more = [`--binlog-format=${format}`];
  const source = await startMariadb(observing, { more, name: "source" });
  const target = await startMariadb(observing, { more: ["--skip-log-bin"], name: "target" });
  for (const { client } of [source, target]) {
    await client.query("SET sql_log_bin = 0");
    if (rows !== "") await client.query(`INSERT INTO twolog.entries VALUES ${rows}`);
    await client.query("SET sql_log_bin = 1");
  }
  for (const statement of statements) await source.client.query(statement);
  return { source, target };
}

const INCREMENT_TWICE = Array.from({ length: 2 }, () => "UPDATE twolog.entries SET v = v + 1 WHERE k = 'n'");
const SET_ONCE = ["INSERT INTO twolog.entries VALUES ('n', '7') ON DUPLICATE KEY UPDATE v = '7'"];

/** A server's binlog, applied to another once and again. */
function appliedTwice(format: string, statements: readonly string[]): Scenario {
  return async (observing): Promise<Seen> => {
    const { source, target } = await twoServers(observing, format, "('n', '0')", statements);
    const values: string[] = [];
    for (let time = 1; time <= 2; time++) {
      applyBinlog(source.folder, target);
      values.push(String((await target.client.query("SELECT v FROM twolog.entries"))[0]?.[0]));
    }
    const made = String((await source.client.query("SELECT v FROM twolog.entries"))[0]?.[0]);
    await source.kill();
    await target.kill();
    const [once, twice] = values;
    if (once !== made) throw new Error(`the binlog makes ${once}, the server has ${made}`);
    return { shows: once === twice ? "the same" : "another value", figure: `${once}, then ${twice}` };
  };
}

function load(): string[] {
  const statements: string[] = [];
  for (let turn = 0; turn < 60; turn++) {
    const [key, value] = [`'k${turn % 7}'`, `'v${turn}'`];
    statements.push(`INSERT INTO twolog.entries VALUES (${key}, ${value}) ON DUPLICATE KEY UPDATE v = ${value}`);
    statements.push("UPDATE twolog.entries SET v = v + 1 WHERE k = 'n'");
    if (turn % 5 === 0) statements.push(`DELETE FROM twolog.entries WHERE k = 'k${turn % 3}'`);
  }
  return statements;
}

/** A load's binlog, applied to a server that has nothing of it. */
function appliedElsewhere(format: string): Scenario {
  return async (observing) => {
    const { source, target } = await twoServers(observing, format, "('n', '0')", load());
    applyBinlog(source.folder, target);
    const [theirs, ours] = await Promise.all([source, target].map(({ client }) => allRows(client)));
    await source.kill();
    await target.kill();
    return JSON.stringify(theirs) === JSON.stringify(ours) ? "the same data" : "other data";
  };
}

function allRows(client: MysqlClient): Promise<Rows> {
  return client.query("SELECT k, v FROM twolog.entries ORDER BY k");
}

const PART = "PART".padEnd(700, ".");
const ROWS = 60;

/** A transaction larger than the binlog cache, killed in each of its binlog's writes. */
async function tornGroup(observing: Observing): Promise<string> {
  const { points, recording, server, from } = await recordScene(
    observing.server("1/1").with("--binlog-cache-size=4096"),
    {
      earlier: "OLD",
      async act({ folder }) {
        const client = await MysqlClient.open(`${folder}.sock`);
        await client.query("BEGIN");
        for (let row = 0; row < ROWS; row++)
          await client.query(`INSERT INTO twolog.entries VALUES ('row${row}', '${PART}')`);
        await client.query("COMMIT");
        client.close();
      },
    },
  );
  const outcomes = new Set<string>();
  const synced = findOperation(points, from, "sync-start", BINLOG) ?? points.operations.length;
  for (let point = from; point < synced; point++) {
    const next = points.operations[point];
    if (next?.kind !== "write" || !BINLOG.test(next.path) || next.bytes.length < PART.length) continue;
    const [space] = modelOf("kill").spaces(points.at(point));
    const cuts = space?.dimensions[0]?.values.length ?? 0;
    // The last cut of the dimension: most of the group is in the file.
    if (space === undefined || cuts < 2) continue;
    const { cells, refused } = await server.restart(space.build([cuts - 1]), recording.before, observing.folder);
    if (refused !== undefined) return "the restart fails";
    const left = readFileSync(join(observing.folder, "mariadb", next.path), "latin1").includes(PART);
    const isHalf = [...cells.keys()].some((key) => key.startsWith("row"));
    outcomes.add(`${isHalf ? "half there" : "rolled back"}, the part ${left ? "stays in the binlog" : "is cut"}`);
  }
  return [...outcomes].join("; ");
}

export const MARIADB_BINLOG_SCENARIOS: Scenarios = {
  W23: {
    "ROW, INCR": appliedTwice("ROW", INCREMENT_TWICE),
    "STATEMENT, INCR": appliedTwice("STATEMENT", INCREMENT_TWICE),
    "STATEMENT, SET": appliedTwice("STATEMENT", SET_ONCE),
  },
  W24: {
    ROW: appliedElsewhere("ROW"),
    STATEMENT: appliedElsewhere("STATEMENT"),
    MIXED: appliedElsewhere("MIXED"),
  },
  W33: { "1/1": tornGroup },
};
