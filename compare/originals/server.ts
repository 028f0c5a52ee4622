/**
 * A server that the lab records and crashes from outside, whatever is in it: the originals, and twolog's own engines beside
 * them. All get the same workload and are judged by the same rules.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Bytes } from "../../common/bytes.ts";
import type { FileTree } from "../crash-program/file-tree.ts";
import type { DiskImage } from "../lab/disk-image.ts";
import type { Cells } from "../model.ts";
import type { Policy } from "../policy.ts";

/** What was found after a restart. */
export interface Restarted {
  readonly cells: Cells;
  /** Why it did not start. */
  readonly refused: string | undefined;
  /** How many of the writes the binlog holds whole; undefined where there is no binlog. */
  readonly inBinlog: number | undefined;
}

/** A client's connection. */
export interface Session {
  /** Writes one value, and waits until it is acknowledged. */
  set(key: Bytes, value: Bytes): Promise<void>;
  close(): void;
}

export interface CrashedServer {
  /** "redis-server 7.0.15", "kv-aof". */
  readonly name: string;
  /** What is promised: twolog's policies have the originals' names and promises. */
  readonly policy: Policy;
  readonly isOriginal: boolean;
  /** Files that are not followed, and why not. */
  readonly ignore: readonly string[];
  /** Fills the empty data folder with what is there before the server starts for the first time. */
  prepare(folder: string): Promise<void>;
  /** How it is started. */
  commandFor(folder: string): { readonly command: string; readonly args: readonly string[] };
  /** Connects to the server that was started on `folder` and has printed `said` so far; retried until it works. */
  connect(folder: string, said: string): Promise<Session>;
  /** True for what the server writes to its client when a write is acknowledged. */
  isWriteReply(reply: string): boolean;
  /** Starts the server on what a crash has left, reads everything, ends it. */
  restart(image: DiskImage, links: FileTree, workFolder: string): Promise<Restarted>;
}

/** An installed original, which can be given more arguments than its policy asks for. */
export interface OriginalServer extends CrashedServer {
  with(...more: readonly string[]): OriginalServer;
}

export const NO_CELLS: Cells = new Map();

const RETRY_MS = 5;
const START_LIMIT_MS = 120_000;
const LAST_WORDS = 4000;

/** A process that must not outlive the lab. */
export interface RunningProcess {
  readonly child: ChildProcess;
  readonly said: () => string;
  readonly ended: Promise<void>;
}

export function run(command: string, args: readonly string[]): RunningProcess {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, NODE_OPTIONS: "" } });
  const stop = (): void => void child.kill("SIGKILL");
  process.once("exit", stop);
  let text = "";
  const hear = (chunk: string): void => {
    text = (text + chunk).slice(-LAST_WORDS);
  };
  child.stdout.setEncoding("utf8").on("data", hear);
  child.stderr.setEncoding("utf8").on("data", hear);
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => hear(error.message));
    child.once("close", () => {
      process.removeListener("exit", stop);
      resolve();
    });
  });
  return { child, said: () => text, ended };
}

/** How a program is started again on what a crash has left, and asked what it finds. */
export interface RestartPlan<C> {
  readonly command: string;
  readonly args: readonly string[];
  /** Connects; fails until the program serves. */
  open(): Promise<C>;
  /** Reads everything, and closes the connection. */
  read(client: C): Promise<Cells>;
  /** Of its last words, those that say why it did not start. */
  reasonIn(said: string): string;
}

/** Starts it, asks it, kills it. */
export async function restartProgram<C>(plan: RestartPlan<C>): Promise<Omit<Restarted, "inBinlog">> {
  const running = run(plan.command, plan.args);
  const client = await whenReady(running.ended, plan.open);
  if (client === undefined) {
    running.child.kill("SIGKILL");
    await running.ended;
    return { cells: NO_CELLS, refused: plan.reasonIn(running.said()) };
  }
  const cells = await plan.read(client);
  running.child.kill("SIGKILL");
  await running.ended;
  return { cells, refused: undefined };
}

/** Tries until it works; gives up, with undefined, when the server has ended or takes too long. */
export async function whenReady<T>(ended: Promise<unknown>, attempt: () => Promise<T>): Promise<T | undefined> {
  let hasEnded = false;
  void ended.finally(() => {
    hasEnded = true;
  });
  const limit = performance.now() + START_LIMIT_MS;
  while (!hasEnded && performance.now() < limit) {
    try {
      return await attempt();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
  return undefined;
}
