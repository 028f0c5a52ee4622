/** Counts what is committed in binlogs, with MariaDB's own reader. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const OUTPUT_MAX = 2 ** 28;

/** Transactions that are whole, in the files `binlog.NUMBER` of a folder. */
export function committedIn(folder: string): number {
  const files = readdirSync(folder).filter((name) => /^binlog\.\d+$/.test(name));
  if (files.length === 0) return 0;
  const paths = files.sort().map((name) => join(folder, name));
  const options = ["--no-defaults", "--base64-output=decode-rows"];
  const { stdout } = spawnSync("mariadb-binlog", [...options, ...paths], { encoding: "utf8", maxBuffer: OUTPUT_MAX });
  return (stdout ?? "").match(/\tXid = \d+/g)?.length ?? 0;
}
