/** Files that hold a result, as that of --json: whether it can be written is known before the work, which may take a quarter of an hour. */
import { appendFileSync, writeFileSync } from "node:fs";
import { UsageError } from "../common/errors.ts";

/** Fails where nothing can be written; what is there stays. */
export function checkResultFile(path: string | undefined): void {
  if (path !== undefined) onDisk("write", path, () => appendFileSync(path, ""));
}

export function writeResult(path: string | undefined, text: string): void {
  if (path !== undefined) onDisk("write", path, () => writeFileSync(path, `${text}\n`));
}

/** A failure is one of the command line. */
export function onDisk(what: string, path: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw new UsageError(`cannot ${what} ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}
