/**
 * The installed mariadbd as a peer of the commit benchmark: a data folder of its own, a local port, no grant tables, and
 * every commit durable in both of its logs. Everything else is as the server ships.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { UsageError } from "../../common/errors.ts";
import { asRoot } from "../originals/mariadb.ts";
import { MysqlClient } from "../originals/mysql-client.ts";
import { makeFolder } from "../server-process.ts";
import { freePort, type StartedProgram, startProgram } from "./peers.ts";
import { TABLE } from "./upserts.ts";

export const MARIADB_SETTINGS =
  "innodb_flush_log_at_trx_commit 1, sync_binlog 1, binlog_format ROW, log-bin, prepared statements";

export async function startMariadb(): Promise<StartedProgram> {
  const folder = makeFolder();
  const data = join(folder, "data");
  const common = ["--no-defaults", ...asRoot(), `--datadir=${data}`];
  const installed = spawnSync(
    "mariadb-install-db",
    [...common, "--auth-root-authentication-method=normal", "--skip-test-db"],
    { encoding: "utf8" },
  );
  if (installed.status !== 0)
    throw new UsageError(`mariadb-install-db failed: ${installed.stderr || installed.stdout}`);
  const port = await freePort();
  const args = [
    ...common,
    ...[
      `--socket=${join(folder, "socket")}`,
      `--pid-file=${join(folder, "pid")}`,
      `--log-error=${join(folder, "log")}`,
    ],
    ...[`--port=${port}`, "--bind-address=127.0.0.1", "--skip-grant-tables", "--skip-networking=0"],
    ...[
      "--innodb-flush-log-at-trx-commit=1",
      "--sync-binlog=1",
      "--binlog-format=ROW",
      "--log-bin=binlog",
      "--server-id=1",
    ],
  ];
  const server = await startProgram({ name: "mariadb", program: "mariadbd", args, port, folder });
  const client = await MysqlClient.open(port);
  await client.query("CREATE DATABASE twolog");
  await client.query(`CREATE TABLE twolog.${TABLE} (k VARBINARY(64) PRIMARY KEY, v VARBINARY(8000)) ENGINE=InnoDB`);
  client.close();
  return server;
}
