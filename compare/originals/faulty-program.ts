/** A program on a disk that fails or is slow, as the program sees it: strace interferes with chosen calls to one file. */
import { childOf } from "../crash-program/strace.ts";
import { type RunningProcess, run } from "./server.ts";

export interface CallFault {
  readonly call: "write" | "pwrite64" | "fdatasync" | "fsync";
  readonly path: string;
  /** What happens to the call, in strace's words: "error=EIO:when=5+" (numbers of one thread's calls to this file). */
  readonly effect: string;
}

/** Starts it. Only its calls to that file are looked at. */
export function runFaulty(command: string, args: readonly string[], { call, path, effect }: CallFault): RunningProcess {
  const inject = [`--trace=${call}`, `--inject=${call}:${effect}`];
  return run("strace", ["-f", "-qq", "-o", "/dev/null", "-P", path, ...inject, "--", command, ...args]);
}

/** Kills the program; strace ends with it. */
export async function killFaulty({ child, ended }: RunningProcess): Promise<void> {
  const pid = childOf(child.pid);
  if (pid !== undefined) process.kill(pid, "SIGKILL");
  await ended;
}
