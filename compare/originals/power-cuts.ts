/**
 * `twolog compare --power-cuts N`: cuts the power of a real ext4 under the originals, twolog's engines and the example
 * programs, N times each at a random moment, and looks whether each folder that is there after the next mount is one that
 * the models allow. Exit status 0: all are; 1: one is not; 2: this machine does not let us.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../common/errors.ts";
import { CrashPoints, imageOfTree } from "../crash-program/crash-points.ts";
import { FileTree } from "../crash-program/file-tree.ts";
import type { Recording } from "../crash-program/recording.ts";
import { type Recorder, recordingObstacle, rejectionOfTree, startRecording } from "../crash-program/strace.ts";
import { modelOf } from "../lab/models/index.ts";
import { type EngineName, POLICIES } from "../policy.ts";
import { Progress } from "../progress.ts";
import { SeededRandom } from "../random.ts";
import { checkResultFile, writeResult } from "../result-file.ts";
import { installedOriginals } from "./installed.ts";
import { misfit } from "./membership.ts";
import { ownEngine } from "./own-engine.ts";
import { CuttableDisk, powerCutObstacle } from "./power-cut.ts";
import { writeOf } from "./recorded-run.ts";
import { killRecorded, startRecorded } from "./recorded-server.ts";
import type { CrashedServer } from "./server.ts";

export interface PowerCutOptions {
  readonly cuts: number;
  readonly seed: number;
  /** Only servers of this engine, or with this policy; without both, the examples as well. */
  readonly engine?: EngineName | undefined;
  readonly policy?: string | undefined;
  readonly json?: string | undefined;
}

interface CutSubject {
  readonly name: string;
  /** Files that are not followed. */
  readonly ignore: readonly string[];
  /**
   * It is stopped before the cut, so that the record can be checked. mariadbd needs that: its threads append to the log buffer
   * while one of them writes it, and strace reads the buffer before the kernel does. It is then never cut inside a call.
   */
  readonly stopsFirst: boolean;
  /** Fills the empty folder; all of it is durable before the start. */
  prepare(folder: string): Promise<void>;
  /** Starts it on a folder, recorded, and gives it work until it has ended. */
  start(folder: string): Promise<Recorder>;
  /** When the power may fail, after the start. */
  readonly cutMs: readonly [low: number, high: number];
}

interface CutResult {
  readonly name: string;
  cuts: number;
  /** Cuts after which something acknowledged by the file system's calls, and not synced, was gone: the cut did cut. */
  losses: number;
  readonly outside: Record<string, { count: number; example: string }>;
}

const CUT_POLICIES: readonly string[] = ["always", "everysec", "1/1", "2/0"];
const MODELS = ["ext4-like", "posix-weak"] as const;
const SERVER_CUT_MS: readonly [number, number] = [20, 600];
const PROGRAM_CUT_MS: readonly [number, number] = [60, 260];
const UNMOUNT_TRIES = 50;
const ATTEMPTS = 3;
/** Threads that are in a system call end it before they stop. */
const STOP_MS = 100;
const STATUS_CANNOT = 2;

export async function runPowerCuts(options: PowerCutOptions, print: (line: string) => void): Promise<number> {
  const obstacle = recordingObstacle() ?? powerCutObstacle();
  if (obstacle !== undefined) {
    print(`--power-cuts: ${obstacle}`);
    return STATUS_CANNOT;
  }
  checkResultFile(options.json);
  const startedAt = performance.now();
  const random = new SeededRandom(options.seed);
  const subjects = await subjectsHere(options, print);
  const progress = new Progress(subjects.length * options.cuts);
  const results: CutResult[] = [];
  for (const subject of subjects) {
    const result: CutResult = { name: subject.name, cuts: 0, losses: 0, outside: {} };
    results.push(result);
    for (let cut = 0; cut < options.cuts; cut++) {
      await cutOnce(subject, random.between(...subject.cutMs), result);
      progress.advance(1, subject.name);
    }
  }
  progress.end();
  const seconds = (performance.now() - startedAt) / 1000;
  for (const result of results) print(lineOf(result));
  const cuts = results.reduce((sum, result) => sum + result.cuts, 0);
  print(`${cuts} real power cuts in ${seconds.toFixed(0)} s, seed ${options.seed}`);
  writeResult(options.json, JSON.stringify({ seconds, results }, null, 2));
  return results.every(({ outside }) => Object.keys(outside).length === 0) ? 0 : 1;
}

function lineOf({ name, cuts, losses, outside }: CutResult): string {
  const parts = MODELS.map((model) => {
    const out = outside[model];
    if (out === undefined) return `all inside ${model}`;
    return `${out.count} OUTSIDE ${model} (${out.example})`;
  });
  return `${name.padEnd(32)} ${cuts} cuts, ${losses} of which lost something unsynced: ${parts.join("; ")}`;
}

async function subjectsHere(options: PowerCutOptions, print: (line: string) => void): Promise<CutSubject[]> {
  const { engine, policy } = options;
  const wanted = POLICIES.filter(
    (one) =>
      CUT_POLICIES.includes(one.name) && (engine ?? one.engine) === one.engine && (policy ?? one.name) === one.name,
  );
  const originals = await installedOriginals(wanted);
  for (const reason of originals.missing) print(`${reason}: no power cuts under it`);
  const subjects = wanted.flatMap((one) => {
    const original = originals.servers.get(one);
    return [...(original === undefined ? [] : [serverSubject(original)]), serverSubject(ownEngine(one))];
  });
  if (engine !== undefined || policy !== undefined) return subjects;
  for (const name of ["key-value-store.js", "key-value-store-fixed.js"]) {
    const path = examplePath(name);
    if (existsSync(path)) subjects.push(programSubject(name, path));
    else print(`${path} is not installed: no power cuts under it`);
  }
  return subjects;
}

function serverSubject(server: CrashedServer): CutSubject {
  return {
    name: `${server.name} ${server.policy.name}`,
    cutMs: SERVER_CUT_MS,
    ignore: server.ignore,
    stopsFirst: server.policy.engine === "wal" && server.isOriginal,
    prepare: (folder) => server.prepare(folder),
    async start(folder) {
      const { recorder, session } = await startRecorded(server, folder);
      const work = async (): Promise<void> => {
        for (let index = 0; session !== undefined; index++) await session.set(...writeOf(index));
      };
      // It goes on until the server does not answer any more.
      void work().catch(() => session?.close());
      return recorder;
    },
  };
}

/** The examples are not compiled: they are beside the sources. */
function examplePath(name: string): string {
  const here = fileURLToPath(import.meta.url);
  const path = here.endsWith(".js") ? `../../../compare/examples/${name}` : `../examples/${name}`;
  return fileURLToPath(new URL(path, import.meta.url));
}

function programSubject(name: string, path: string): CutSubject {
  return {
    name: `examples/${name}`,
    cutMs: PROGRAM_CUT_MS,
    ignore: [],
    stopsFirst: false,
    prepare: async () => {},
    start: async (folder) =>
      startRecording({ command: process.execPath, args: [path, folder], folder, cwd: folder, ignore: [] }),
  };
}

/** Cuts, again when the record is not faithful: its gate is the one of every recording. */
async function cutOnce(subject: CutSubject, cutMs: number, result: CutResult): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) if (await tryCut(subject, cutMs, result)) return;
  throw new UsageError(`${subject.name}: the record was rejected ${ATTEMPTS} times`);
}

/** False: the record was rejected, and nothing is known. */
async function tryCut(subject: CutSubject, cutMs: number, result: CutResult): Promise<boolean> {
  const disk = new CuttableDisk();
  try {
    const folder = join(disk.path, "data");
    mkdirSync(folder);
    await subject.prepare(folder);
    disk.sync();
    const recorder = await subject.start(folder);
    await delay(cutMs);
    const stopped = subject.stopsFirst ? await stoppedTree(recorder, folder) : undefined;
    disk.cut();
    const recording = await killRecorded(recorder);
    await unmounted(disk);
    if (stopped !== undefined && rejectionOfTree(recording, stopped, subject.ignore).length > 0) return false;
    disk.mount();
    judgeFolder(subject, recording, folder, result);
    disk.unmount();
    return true;
  } finally {
    disk.remove();
  }
}

/** Stops all threads, and reads the folder as the record should have it. */
async function stoppedTree(recorder: Recorder, folder: string): Promise<FileTree> {
  const pid = recorder.pid();
  if (pid !== undefined) process.kill(pid, "SIGSTOP");
  await delay(STOP_MS);
  return FileTree.read(folder);
}

function judgeFolder(subject: CutSubject, recording: Recording, folder: string, result: CutResult): void {
  const points = new CrashPoints(recording);
  const moment = points.at(points.operations.length);
  const { store } = moment.disk;
  const real = imageOfTree(FileTree.read(folder), store, subject.ignore);
  result.cuts++;
  if (imageOfTree(recording.after, store, subject.ignore).digest !== real.digest) result.losses++;
  for (const name of MODELS) {
    const problem = misfit(modelOf(name), moment, real);
    if (problem === undefined) continue;
    result.outside[name] ??= { count: 0, example: problem };
    (result.outside[name] as { count: number }).count++;
  }
}

/** A process that was killed lets go of its files a moment later. */
async function unmounted(disk: CuttableDisk): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      disk.unmount();
      return;
    } catch (error) {
      if (tries === UNMOUNT_TRIES) throw error;
      await delay(20);
    }
  }
}
