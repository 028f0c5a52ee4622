/**
 * `twolog crash`: records any program's file operations, and checks the folders that a kill or a power loss may leave. The
 * flags are in crash-command.ts.
 *
 * Exit status: 0 the check accepted every folder; 1 it refused one; 2 the command line was wrong, or this machine cannot
 * record, or the check cannot be run; 3 the recording was rejected: replaying it does not give the real folder, or something
 * was not seen.
 */
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { UsageError } from "../../common/errors.ts";
import { modelOf } from "../lab/models/index.ts";
import { Progress } from "../progress.ts";
import { checkResultFile, onDisk, writeResult } from "../result-file.ts";
import { makeFolder, removeFolder } from "../server-process.ts";
import { fitted, terminalWidth } from "../terminal-lines.ts";
import { CrashCheck } from "./crash-check.ts";
import { CrashPoints } from "./crash-points.ts";
import { crashJson, crashLines } from "./crash-report.ts";
import { runCrashes } from "./crash-run.ts";
import { recordingObstacle, rejectionOf, startRecording } from "./strace.ts";

export interface CrashFlags {
  readonly dir: string;
  readonly check: string;
  readonly model: string;
  readonly states: number;
  readonly seed: number;
  readonly jobs: number;
  readonly ignore?: readonly string[];
  readonly timeout: number;
  readonly quiet?: boolean;
  readonly json?: string;
}

const STATUS_PASSED = 0;
const STATUS_FAILED = 1;
const STATUS_CANNOT = 2;
const STATUS_REJECTED = 3;
const REASONS_SHOWN = 12;

/** The exit status. */
export async function runCrash(command: string, args: readonly string[], flags: CrashFlags): Promise<number> {
  try {
    return await crash(command, args, flags);
  } catch (error) {
    // Not 1: that is a folder that the check refused.
    process.stderr.write(`twolog: ${error instanceof UsageError ? error.message : (error as Error).stack}\n`);
    return STATUS_CANNOT;
  }
}

/** Records, checks, reports. */
async function crash(command: string, args: readonly string[], flags: CrashFlags): Promise<number> {
  const obstacle = recordingObstacle();
  if (obstacle !== undefined) throw new UsageError(obstacle);
  const models = flags.model.split(",").map(modelOf);
  const folder = resolve(flags.dir);
  onDisk("make the folder", folder, () => mkdirSync(folder, { recursive: true }));
  checkResultFile(flags.json);
  const ignore = flags.ignore ?? [];
  const onOutput = flags.quiet === true ? () => {} : (text: string) => process.stdout.write(text);
  const recording = await startRecording({ command, args, folder, cwd: process.cwd(), ignore, onOutput }).done;
  const reasons = rejectionOf(recording, folder, ignore);
  if (reasons.length > 0) {
    process.stderr.write(`twolog: the recording is rejected:\n${rejectionText(reasons)}\n`);
    return STATUS_REJECTED;
  }
  if (ignore.length > 0)
    process.stdout.write(`ignored: ${ignore.join(", ")} (not recorded, and in no checked folder)\n`);
  const points = new CrashPoints(recording);
  if (points.operations.length === 0) throw new UsageError(`the program changed nothing below ${folder}`);
  const work = makeFolder();
  try {
    const check = new CrashCheck(flags.check, work, recording.before, points, flags.timeout * 1000);
    await mustRun(check, points);
    const plan = { models, states: flags.states, seed: flags.seed, workers: flags.jobs };
    const run = await runCrashes(points, check, plan, new Progress(flags.states));
    const lines = crashLines(points, recording, run).flatMap((line) => fitted(line, terminalWidth()));
    process.stdout.write(`${lines.join("\n")}\n`);
    writeResult(flags.json, JSON.stringify(crashJson(points, recording, run, flags.seed), null, 2));
    return run.failed === 0 ? STATUS_PASSED : STATUS_FAILED;
  } finally {
    removeFolder(work);
  }
}

/** What the shell answers for a command that is not there, or is no program. */
const NOT_RUN = /^exit 12[67]\b/;

/** Of a check that is not found every folder is bad: that is no bug of the program. */
async function mustRun(check: CrashCheck, points: CrashPoints): Promise<void> {
  const { operations, printed } = points;
  const whole = { image: points.at(operations.length).disk.liveImage(), printed: printed.length };
  const { reason } = await check.run(whole, 0);
  if (NOT_RUN.test(reason)) throw new UsageError(`the check cannot be run: ${reason}`);
}

const ADVICE: readonly (readonly [pattern: RegExp, advice: string])[] = [
  [/mapped into memory/, "leave the file out with --ignore if a crash may take it as a whole, else switch mmap off"],
  [/native AIO/, "switch it off in the program (InnoDB: innodb_use_native_aio=0)"],
  [/io_uring/, "switch it off in the program (Node: UV_USE_IO_URING=0 is set already)"],
];

function rejectionText(reasons: readonly string[]): string {
  const lines = reasons.slice(0, REASONS_SHOWN).map((reason) => `  ${reason}`);
  if (reasons.length > REASONS_SHOWN) lines.push(`  … and ${reasons.length - REASONS_SHOWN} more`);
  for (const [pattern, advice] of ADVICE) {
    if (reasons.some((reason) => pattern.test(reason))) lines.push(`  advice: ${advice}`);
  }
  return lines.join("\n");
}
