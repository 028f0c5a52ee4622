/**
 * The user's check: a shell command that looks at a folder that a crash may have left, and exits with 0 when it is fine.
 *
 *     {dir}    in the command: the folder; also in $TWOLOG_DIR. The command may change it, as recovery does
 *     {acks}   a file with the lines that the program had printed when the crash came; also $TWOLOG_ACKS
 *
 * A check that does not end counts as failed.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CrashPoints, CrashState } from "./crash-points.ts";
import type { FileTree } from "./file-tree.ts";
import { materialise } from "./materialise.ts";

export interface CheckResult {
  readonly ok: boolean;
  /** Why not: the exit status, and the end of what the check said. */
  readonly reason: string;
}

const OUTPUT_CHARS = 2000;

/** Runs checks in folders of its own, one per worker. */
export class CrashCheck {
  readonly #command: string;
  readonly #workFolder: string;
  readonly #links: FileTree;
  readonly #points: CrashPoints;
  readonly #limitMs: number;
  /** Checks that were run. */
  runs = 0;

  constructor(command: string, workFolder: string, links: FileTree, points: CrashPoints, limitMs: number) {
    this.#command = command;
    this.#workFolder = workFolder;
    this.#links = links;
    this.#points = points;
    this.#limitMs = limitMs;
  }

  /** Makes the state's folder and checks it. Two calls at a time need two workers. */
  async run(state: Pick<CrashState, "image" | "printed">, worker: number): Promise<CheckResult> {
    this.runs++;
    const folder = join(this.#workFolder, `state-${worker}`);
    const acks = join(this.#workFolder, `acks-${worker}`);
    materialise(state.image, this.#links, folder);
    const lines = this.#points.printed.slice(0, state.printed);
    writeFileSync(acks, lines.map((line) => `${line}\n`).join(""));
    const command = this.#command.replaceAll("{dir}", quoted(folder)).replaceAll("{acks}", quoted(acks));
    return this.#shell(command, { TWOLOG_DIR: folder, TWOLOG_ACKS: acks });
  }

  #shell(command: string, env: Readonly<Record<string, string>>): Promise<CheckResult> {
    return new Promise((resolve) => {
      const child = spawn("/bin/sh", ["-c", command], {
        env: { ...process.env, NODE_OPTIONS: "", ...env },
        stdio: ["ignore", "pipe", "pipe"],
        // A group of its own, so that a server that the check has started ends with it.
        detached: true,
      });
      let said = "";
      const hear = (text: string): void => {
        said = (said + text).slice(-OUTPUT_CHARS);
      };
      child.stdout.setEncoding("utf8").on("data", hear);
      child.stderr.setEncoding("utf8").on("data", hear);
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        endGroup(child.pid);
      }, this.#limitMs);
      child.once("error", (error) => hear(error.message));
      child.once("close", (code, signal) => {
        clearTimeout(timer);
        endGroup(child.pid);
        const how = late ? `no end after ${this.#limitMs / 1000} s` : `exit ${signal ?? code}`;
        resolve({ ok: code === 0 && !late, reason: `${how}${said.trim() === "" ? "" : `: ${said.trim()}`}` });
      });
    });
  }
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The whole group has ended.
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
