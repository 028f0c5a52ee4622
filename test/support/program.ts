/**
 * The `twolog` program as a person meets it: compiled, in a plain node, its output, its exit status.
 */
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";

export const PROGRAM = fileURLToPath(new URL("../../dist/compare/twolog.js", import.meta.url));

/** Without the loader of the tests, and without a wish for colours. */
export const PLAIN_ENV: NodeJS.ProcessEnv = {
  ...process.env,
  NODE_OPTIONS: "",
  NO_COLOR: undefined,
  FORCE_COLOR: undefined,
};

export interface Ended {
  /** Null when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program to its end. */
export function twolog(...args: readonly string[]): Ended {
  return twologIn({}, ...args);
}

/** The same, in another environment or folder. */
export function twologIn(place: { env?: NodeJS.ProcessEnv; cwd?: string }, ...args: readonly string[]): Ended {
  const options = { env: PLAIN_ENV, ...place, encoding: "utf8", maxBuffer: 1 << 28 } as const;
  const { error, status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], options);
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** `twolog server` as a child process. */
export interface Served {
  readonly port: number;
  /** Everything that it has logged so far. */
  log(): string;
  /** Ends it, and waits for that: by SIGTERM in order, by SIGKILL as a crash does. Its exit status. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null>;
  /** Its exit status, when it has ended and all that it has logged was read. */
  readonly ended: Promise<number | null>;
}

/** The one address that every machine has: no name to look up, no IPv6, no second port that must be free as well. */
export const ADDRESS = "127.0.0.1";

/** Starts a server on a port of its own and waits until it listens. It ends with the test, before the test's folder goes. */
export async function serve(t: Test, ...flags: readonly string[]): Promise<Served> {
  const child = spawn(process.execPath, [PROGRAM, "server", "--port", "0", "--bind", ADDRESS, ...flags], {
    env: PLAIN_ENV,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise<number | null>((resolve, reject) => child.once("close", resolve).once("error", reject));
  const end = (signal: "SIGTERM" | "SIGKILL") => {
    child.kill(signal);
    return ended;
  };
  t.teardown(() => end("SIGKILL"));
  let log = "";
  const port = await new Promise<number>((resolve, reject) => {
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      const found = /ready to accept connections on port (\d+)\n/.exec(log);
      if (found !== null) resolve(Number(found[1]));
    });
    ended.then((status) => reject(new Error(`the server has ended with ${status}: ${log}`)), reject);
  });
  return { port, log: () => log, end, ended };
}
