/**
 * Programs of others, which judge our files and replies: redis-server, redis-cli, mariadbd, mariadb-binlog. On a person's
 * machine one may be missing, and its tests are skipped by name; in CI it must be there.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function isInstalled(program: string): boolean {
  const found = spawnSync(program, ["--version"]).status === 0;
  if (!found && process.env["CI"] !== undefined) throw new Error(`${program} is not installed, and this is CI`);
  return found;
}

/** The options of a test that needs a program. */
export function needs(program: string): { readonly skip: string | false } {
  return { skip: isInstalled(program) ? false : `${program} is not installed` };
}

/** As much of a Unix socket's path as the name of a folder and of the socket leave of its 107 bytes. */
const PARENT_LENGTH_MAX = 70;

/** A new folder for a program that makes a Unix socket in it: never as deep as the test's own folder may be. */
export function socketFolder(prefix: string): string {
  const parent = tmpdir().length <= PARENT_LENGTH_MAX ? tmpdir() : "/tmp";
  return mkdtempSync(join(parent, prefix));
}
