/** A program on a disk that fails, as the program sees it: strace answers chosen calls to one file with an error. */
import { childOf } from "../crash-program/strace.ts";
import { type RunningProcess, run } from "./server.ts";

export interface CallFault {
  readonly call: "write" | "pwrite64" | "fdatasync" | "fsync";
  readonly error: "EIO" | "ENOSPC";
  /** Of the calls of a thread to this file those that fail, as strace counts them: "5", "5+". */
  readonly when: string;
  readonly path: string;
}

/** Starts it. Only its calls to that file are looked at. */
export function runFaulty(command: string, args: readonly string[], fault: CallFault): RunningProcess {
  const { call, error, when, path } = fault;
  const inject = [`--trace=${call}`, `--inject=${call}:error=${error}:when=${when}`];
  return run("strace", ["-f", "-qq", "-o", "/dev/null", "-P", path, ...inject, "--", command, ...args]);
}

/** Kills the program; strace ends with it. */
export async function killFaulty({ child, ended }: RunningProcess): Promise<void> {
  const pid = childOf(child.pid);
  if (pid !== undefined) process.kill(pid, "SIGKILL");
  await ended;
}
