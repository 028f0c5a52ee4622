/**
 * Servers as child processes, and their folders. Whatever ends the lab (its own end, Ctrl-C, SIGTERM, an exception), no
 * child and no folder stays behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EngineName } from "./policy.ts";

export interface ChildPlan {
  readonly engine: EngineName;
  readonly policy: string;
  readonly folder: string;
  readonly directives: Readonly<Record<string, string>>;
  readonly killAt?: { readonly step: string; readonly nth: number };
}

const children = new Set<ChildProcess>();
const folders = new Set<string>();
let isWatching = false;

const REMOVALS_MAX = 100;
const REMOVAL_PAUSE_MS = 10;

function cleanUp(): void {
  for (const child of children) child.kill("SIGKILL");
  for (const folder of folders) remove(folder);
}

/** A process that has been killed may finish the call that it is in, and make a file where all have just been removed. */
function remove(folder: string): void {
  for (let removal = 1; ; removal++) {
    try {
      rmSync(folder, { recursive: true, force: true });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOTEMPTY" || removal === REMOVALS_MAX) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, REMOVAL_PAUSE_MS);
    }
  }
}

/** From the first child or folder on, every way to end cleans up. */
function watchForEnd(): void {
  if (isWatching) return;
  isWatching = true;
  process.on("exit", cleanUp);
  process.once("SIGINT", () => process.exit(130));
  process.once("SIGTERM", () => process.exit(143));
  process.once("SIGHUP", () => process.exit(129));
}

/** A new folder that is removed at the end at the latest. */
export function makeFolder(): string {
  watchForEnd();
  const folder = mkdtempSync(join(tmpdir(), "twolog-"));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  remove(folder);
  folders.delete(folder);
}

export interface ServerProcess {
  readonly port: number;
  /** Resolves when the process has gone. */
  readonly exited: Promise<void>;
  kill(): void;
}

/** A server that did not start: what it said. */
export class StartRefused extends Error {}

/** The child's program is compiled: TypeScript sources run it from dist/, as tests do. */
export function childProgram(): string {
  const here = fileURLToPath(import.meta.url);
  if (here.endsWith(".js")) return fileURLToPath(new URL("./child.js", import.meta.url));
  return fileURLToPath(new URL("../dist/compare/child.js", import.meta.url));
}

/** Starts a server and waits until it listens; throws `StartRefused` when it ends before. */
export async function startServer(plan: ChildPlan): Promise<ServerProcess> {
  watchForEnd();
  const child = spawn(process.execPath, [childProgram(), JSON.stringify(plan)], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  children.add(child);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-2000);
  });
  child.stdin.on("error", () => {});
  const exited = new Promise<void>((resolve) => {
    child.once("close", () => {
      children.delete(child);
      resolve();
    });
  });
  const port = await new Promise<number | undefined>((resolve) => {
    child.stdout.setEncoding("utf8").once("data", (text: string) => resolve(Number.parseInt(text, 10)));
    void exited.then(() => resolve(undefined));
  });
  if (port === undefined) throw new StartRefused(said.trim() || "it ended without a word");
  return { port, exited, kill: () => child.kill("SIGKILL") };
}
