/**
 * The installed mariadbd, as the lab records and crashes it: its own data folder, its own socket, no grant tables.
 *
 * strace sees all of its file operations when it is told to use neither native AIO nor O_DIRECT; gate 1 proves it. The
 * temporary tablespace is made anew at every start, so it is not followed. The table is there before the first crash point.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Bytes, fromText } from "../../common/bytes.ts";
import { UsageError } from "../../common/errors.ts";
import type { FileTree } from "../crash-program/file-tree.ts";
import { materialise } from "../crash-program/materialise.ts";
import type { DiskImage } from "../lab/disk-image.ts";
import type { Cells } from "../model.ts";
import type { Policy } from "../policy.ts";
import { makeFolder } from "../server-process.ts";
import { committedIn } from "./binlog-count.ts";
import { isWriteReply, MysqlClient } from "./mysql-client.ts";
import { type CrashedServer, type OriginalServer, type Restarted, restartProgram, run, whenReady } from "./server.ts";

const TABLE = "CREATE TABLE twolog.entries (k VARBINARY(64) PRIMARY KEY, v VARBINARY(8000)) ENGINE=InnoDB";
const FILES = ["--innodb-log-file-size=4M", "--innodb-data-file-path=ibdata1:10M:autoextend"];
/** Of temporary tables; made anew at every start. */
const IGNORED = ["ibtmp1"];

export function mariadbVersion(): string | undefined {
  const { stdout } = spawnSync("mariadbd", ["--no-defaults", "--version"], { encoding: "utf8" });
  return /Ver (\d+\.\d+\.\d+)/.exec(stdout ?? "")?.[1];
}

function argsFor(folder: string, policy: Policy): string[] {
  const [flush = "1", syncBinlog = "1"] = policy.name.split("/");
  return [
    ...["--no-defaults", ...asRoot(), `--datadir=${folder}`, `--socket=${folder}.sock`, `--pid-file=${folder}.pid`],
    ...[`--tmpdir=${makeTemporary(folder)}`, "--skip-networking", "--skip-grant-tables", "--performance-schema=0"],
    ...["--innodb-use-native-aio=0", "--innodb-flush-method=fsync", "--innodb-buffer-pool-size=8M", ...FILES],
    ...["--innodb-buffer-pool-dump-at-shutdown=0", "--innodb-buffer-pool-load-at-startup=0"],
    ...[`--innodb-flush-log-at-trx-commit=${flush}`, `--sync-binlog=${syncBinlog}`],
    ...["--log-bin=binlog", "--binlog-format=ROW", "--server-id=1"],
  ];
}

/** mariadbd does not run as root without being told to, and knows no other user's name. */
export function asRoot(): string[] {
  return process.getuid?.() === 0 ? ["--user=root"] : [];
}

function makeTemporary(folder: string): string {
  const path = `${folder}.tmp`;
  mkdirSync(path, { recursive: true });
  return path;
}

/** A data folder with the system tables and the workload's table, shut down cleanly. */
export async function makeMariadbTemplate(): Promise<string> {
  const folder = join(makeFolder(), "data");
  const made = spawnSync(
    "mariadb-install-db",
    [
      "--no-defaults",
      ...asRoot(),
      `--datadir=${folder}`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      // Two servers with one temporary folder delete each other's tables.
      `--tmpdir=${makeTemporary(folder)}`,
      ...FILES,
    ],
    { encoding: "utf8" },
  );
  if (made.status !== 0) throw new UsageError(`mariadb-install-db failed: ${(made.stderr || made.stdout).trim()}`);
  const server = run("mariadbd", [...argsFor(folder, { name: "1/1" } as Policy), "--skip-log-bin"]);
  const client = await whenReady(server.ended, () => MysqlClient.open(`${folder}.sock`));
  if (client === undefined) throw new UsageError(`mariadbd does not start: ${server.said().trim()}`);
  await client.query("CREATE DATABASE twolog");
  await client.query(TABLE);
  await client.query("SHUTDOWN");
  await server.ended;
  client.close();
  return folder;
}

export function mariadbServer(
  policy: Policy,
  version: string,
  template: string,
  more: readonly string[] = [],
): OriginalServer {
  const commandFor = (folder: string) => ({ command: "mariadbd", args: [...argsFor(folder, policy), ...more] });
  return {
    name: `mariadbd ${version}`,
    policy,
    isOriginal: true,
    ignore: IGNORED,
    prepare: async (folder) => cpSync(template, folder, { recursive: true }),
    commandFor,
    async connect(folder) {
      const client = await MysqlClient.open(`${folder}.sock`);
      return {
        async set(key, value) {
          const [k, v] = [quoted(key), quoted(value)];
          await client.query(`INSERT INTO twolog.entries VALUES (${k}, ${v}) ON DUPLICATE KEY UPDATE v = ${v}`);
        },
        close: () => client.close(),
      };
    },
    isWriteReply,
    with: (...extra) => mariadbServer(policy, version, template, [...more, ...extra]),
    restart: (image, links, workFolder) => restartMariadb(commandFor, image, links, join(workFolder, "mariadb")),
  };
}

function quoted(bytes: Bytes): string {
  return `'${bytes.replace(/['\\]/g, "\\$&")}'`;
}

async function restartMariadb(
  commandFor: CrashedServer["commandFor"],
  image: DiskImage,
  links: FileTree,
  folder: string,
): Promise<Restarted> {
  materialise(image, links, folder);
  const found = await restartProgram({
    ...commandFor(folder),
    open: () => MysqlClient.open(`${folder}.sock`),
    read: readAll,
    reasonIn: (said) => {
      const error = said.split("\n").find((line) => line.includes("[ERROR]"));
      return error?.replace(/^.*\[ERROR\] /, "") ?? said.slice(-200);
    },
  });
  return { ...found, inBinlog: found.refused === undefined ? committedIn(folder) : undefined };
}

async function readAll(client: MysqlClient): Promise<Cells> {
  const rows = await client.query("SELECT k, v FROM twolog.entries");
  client.close();
  return new Map(rows.map(([key, value]) => [fromText(key ?? ""), fromText(value ?? "")]));
}
