/**
 * Records a program with strace. The program runs as it always does, 2–7 times slower; only the calls that change files
 * stop it (--seccomp-bpf).
 *
 * The record is rejected (`rejectionOf`) unless replaying all of its operations gives the real folder byte for byte. That gate
 * finds whatever the recorder does not see.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../common/errors.ts";
import { makeFolder, removeFolder } from "../server-process.ts";
import { FileTree, type TreeNode } from "./file-tree.ts";
import { isIgnored } from "./ignored.ts";
import { Interpreter, RAW_CALLS, REPLY_CALLS, TRACED_CALLS } from "./interpreter.ts";
import type { Recording } from "./recording.ts";
import { StraceReader } from "./strace-lines.ts";

export interface RecordPlan {
  readonly command: string;
  readonly args: readonly string[];
  /** The folder whose files are watched. It must exist. */
  readonly folder: string;
  /** Where the program starts. */
  readonly cwd: string;
  /** Files that are not followed, as globs relative to the folder. */
  readonly ignore: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What counts as an acknowledgement; "lines" without it. */
  readonly acknowledgedBy?: "lines" | "replies";
  /** The program's standard input stays open until it ends; without it, it is empty. */
  readonly keepInput?: boolean;
  /** What strace does to the program's calls: "fdatasync:signal=KILL:when=3". */
  readonly inject?: string;
  /** Takes what the program prints, while it runs. */
  readonly onOutput?: (text: string) => void;
}

/** A program that is being recorded. */
export interface Recorder {
  readonly child: ChildProcess;
  /** The traced program's process; undefined when it has not begun or has ended. */
  readonly pid: () => number | undefined;
  /** Resolves when the program and all its children have ended. */
  readonly done: Promise<Recording>;
}

/** A write longer than this is cut by strace, and the record rejected. */
const STRING_BYTES_MAX = 64 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;
const LAST_WORDS = 2000;

/** Says why this machine cannot record, or nothing. */
export function recordingObstacle(): string | undefined {
  if (process.platform !== "linux") return `recording needs strace, which is for Linux; this is ${process.platform}`;
  const trial = spawnSync("strace", ["-f", "--seccomp-bpf", "-e", "trace=write", "-o", "/dev/null", "true"], {
    encoding: "utf8",
  });
  if (trial.error !== undefined) return "recording needs strace, which is not installed (apt-get install strace)";
  if (trial.status === 0) return undefined;
  const reason = trial.stderr.trim().split("\n")[0] ?? "";
  if (/not permitted|PTRACE/i.test(trial.stderr)) {
    return `ptrace is not permitted here, so strace cannot record (${reason}). In a container: --cap-add SYS_PTRACE`;
  }
  return `strace does not work here: ${reason}`;
}

/** Starts a program under strace. */
export function startRecording(plan: RecordPlan): Recorder {
  const obstacle = recordingObstacle();
  if (obstacle !== undefined) throw new UsageError(obstacle);
  const traceFolder = makeFolder();
  const trace = join(traceFolder, "trace");
  const before = FileTree.read(plan.folder, (path) => isIgnored(plan.ignore, path));
  const startedAt = performance.now();
  const calls = plan.acknowledgedBy === "replies" ? `${TRACED_CALLS},${REPLY_CALLS}` : TRACED_CALLS;
  const options = [
    ...["-f", "-y", "-xx", "-ttt", "-T", "-s", String(STRING_BYTES_MAX), "-o", trace, "-e", "signal=none"],
    ...["-e", `trace=${calls}`, "-e", `raw=${RAW_CALLS}`],
    // strace injects nothing into calls that it lets seccomp choose.
    plan.inject === undefined ? "--seccomp-bpf" : `--inject=${plan.inject}`,
  ];
  const child = spawn("strace", [...options, "--", plan.command, ...plan.args], {
    cwd: plan.cwd,
    // libuv would use io_uring where it can, which strace does not see.
    env: { ...process.env, NODE_OPTIONS: "", UV_USE_IO_URING: "0", ...plan.env },
    stdio: [plan.keepInput === true ? "pipe" : "ignore", "pipe", "pipe"],
  });
  const stop = (): void => void child.kill("SIGKILL");
  process.once("exit", stop);
  let said = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => plan.onOutput?.(text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-LAST_WORDS);
  });
  const done = new Promise<Recording>((resolve, reject) => {
    child.once("error", (error) => reject(new UsageError(`cannot run strace: ${error.message}`)));
    child.once("close", (code, signal) => {
      process.removeListener("exit", stop);
      try {
        resolve(interpret(plan, trace, before, { status: signal ?? code ?? 0, startedAt, said }));
      } catch (error) {
        reject(error);
      } finally {
        removeFolder(traceFolder);
      }
    });
  });
  return { child, done, pid: () => childOf(child.pid) };
}

/** The first child of a process. */
export function childOf(pid: number | undefined): number | undefined {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
    return first === undefined || first === "" ? undefined : Number(first);
  } catch {
    return undefined;
  }
}

interface Ending {
  readonly status: number | NodeJS.Signals;
  readonly startedAt: number;
  readonly said: string;
}

function interpret(plan: RecordPlan, trace: string, before: FileTree, ending: Ending): Recording {
  const after = FileTree.copy(before);
  const interpreter = new Interpreter(after, realpathSync(plan.cwd), {
    ignored: (path) => isIgnored(plan.ignore, path),
    acknowledgedBy: plan.acknowledgedBy ?? "lines",
  });
  const reader = new StraceReader((event) => interpreter.event(event));
  for (const line of linesOf(trace)) reader.line(line);
  const { startedAt } = interpreter;
  if (startedAt === undefined) throw new UsageError(`the program could not be started: ${ending.said.trim()}`);
  return {
    events: interpreter.record.events,
    before,
    after,
    blindSpots: [...before.problems, ...interpreter.record.blindSpots],
    remarks: [...interpreter.record.remarks],
    interrupted: interpreter.interrupted,
    callCounts: interpreter.callCounts,
    startedAtMs: startedAt * 1000,
    status: ending.status,
    said: ending.said,
    seconds: (performance.now() - ending.startedAt) / 1000,
  };
}

/** The lines of a file that may be larger than the longest string. */
function* linesOf(path: string): Generator<string> {
  const file = openSync(path, "r");
  try {
    const chunk = Buffer.allocUnsafe(READ_BYTES);
    let parts: string[] = [];
    for (let count = readSync(file, chunk); count > 0; count = readSync(file, chunk)) {
      let start = 0;
      for (let end = chunk.indexOf(10); end >= 0 && end < count; end = chunk.indexOf(10, start)) {
        yield parts.join("") + chunk.toString("latin1", start, end);
        parts = [];
        start = end + 1;
      }
      parts.push(chunk.toString("latin1", start, count));
    }
    yield parts.join("");
  } finally {
    closeSync(file);
  }
}

/** Gate 1: why a record is not to be trusted, line by line; nothing when replaying it gives `folder` as it is now. */
export function rejectionOf(recording: Recording, folder: string, ignore: readonly string[]): string[] {
  return rejectionOfTree(
    recording,
    FileTree.read(folder, (path) => isIgnored(ignore, path)),
    ignore,
  );
}

/** The same, of a folder that was read when the record ended. */
export function rejectionOfTree(recording: Recording, tree: FileTree, ignore: readonly string[]): string[] {
  const expected = contentsOf(recording.after, ignore);
  const real = contentsOf(tree, ignore);
  const reasons = [...new Set([...recording.blindSpots, ...tree.problems])];
  for (const [path, node] of real) {
    const replayed = expected.get(path);
    if (replayed === undefined) reasons.push(`${path} is there, and no recorded operation made it`);
    else if (replayed.kind !== node.kind)
      reasons.push(`${path} is a ${node.kind}, and the record makes it a ${replayed.kind}`);
    else reasons.push(...differenceOf(path, replayed, node));
  }
  for (const path of expected.keys()) if (!real.has(path)) reasons.push(`${path} is recorded, and is not there`);
  return reasons;
}

function contentsOf(tree: FileTree, ignore: readonly string[]): Map<string, TreeNode> {
  const nodes = new Map<string, TreeNode>();
  for (const { path, node } of tree.walk()) if (!isIgnored(ignore, path)) nodes.set(path, node);
  return nodes;
}

function differenceOf(path: string, replayed: TreeNode, real: TreeNode): string[] {
  if (replayed.kind !== "file" || real.kind !== "file") return [];
  const [a, b] = [replayed.content, real.content];
  if (a.size !== b.size) return [`${path} has ${b.size} B, and replaying the record gives ${a.size} B`];
  const [left, right] = [Buffer.alloc(a.size), Buffer.alloc(b.size)];
  a.read(0, left);
  b.read(0, right);
  if (left.equals(right)) return [];
  const at = left.findIndex((byte, index) => byte !== right[index]);
  return [`${path} differs from what replaying the record gives, first at byte ${at}`];
}
