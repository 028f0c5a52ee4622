/**
 * One server under strace, killed at the end. Its client does what a scene says (`recordScene`), or writes values one after the
 * other, each when the one before is acknowledged, and rests (`recordRun`): then what it knows is a `History` for the lab's
 * judge. An acknowledgement stands in the record where the server wrote it to the connection.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { UsageError } from "../../common/errors.ts";
import { CrashPoints } from "../crash-program/crash-points.ts";
import type { InterruptedCall, Recording } from "../crash-program/recording.ts";
import { rejectionOf } from "../crash-program/strace.ts";
import { History } from "../history.ts";
import { makeFolder, removeFolder } from "../server-process.ts";
import type { Planned } from "../workload.ts";
import { type Interference, killRecorded, startRecorded } from "./recorded-server.ts";
import { type CrashedServer, run, type Session, whenReady } from "./server.ts";

export interface Load extends Interference {
  readonly writes: number;
  /** Between two writes. */
  readonly gapMs: number;
  /** After the last one, and before the first. */
  readonly restMs: number;
  /** An earlier, clean life of the server has written this value to the first key: its folder is there, and durable. */
  readonly earlier?: string;
}

/** The running server, as a scene sees it. */
export interface SceneServer {
  readonly session: Session;
  readonly folder: string;
  readonly pid: () => number | undefined;
  readonly hasEnded: () => boolean;
}

/** Something that clients do to a server while it is recorded. */
export interface Scene extends Interference, Pick<Load, "earlier"> {
  /** The server is killed when it resolves. */
  act(server: SceneServer): Promise<void>;
}

/** A scene that was recorded. */
export interface RecordedScene {
  readonly server: CrashedServer;
  readonly recording: Recording;
  /** With all that was written to clients as lines printed. */
  readonly points: CrashPoints;
  /** The first crash point at which the client was connected. */
  readonly from: number;
}

/** A load that was recorded: `points` has the acknowledgements of its writes only. */
export interface RecordedRun extends RecordedScene {
  readonly history: History;
  /** Writes of an earlier life: the first operations of the history. */
  readonly earlierWrites: number;
  readonly longestSyncMs: number;
  /** The call at which it was killed; undefined: it was killed when all was over. */
  readonly killedIn: InterruptedCall | undefined;
}

const SLOTS = 8;
const CLOSE_MS = 1000;
/** A background thread may have been writing in the moment of the kill: then the record lacks a part, and is made again. */
const ATTEMPTS = 3;

/** The n-th write of the workload: keys come round, values are written once. */
export function writeOf(index: number): readonly [key: string, value: string] {
  return [`c0:s${index % SLOTS}`, `0.${index}=`.padEnd(index % 5 === 4 ? 700 : 40, "v")];
}

export async function recordRun(server: CrashedServer, load: Load): Promise<RecordedRun> {
  const scene = await recordScene(server, { ...load, act: (running) => drive(running, load) });
  return runOf(scene, load);
}

export async function recordScene(server: CrashedServer, scene: Scene): Promise<RecordedScene> {
  for (let attempt = 1; ; attempt++) {
    const parent = makeFolder();
    try {
      const { reasons, recorded } = await recordOnce(server, scene, join(parent, "data"));
      if (reasons.length === 0) return recorded;
      if (attempt === ATTEMPTS)
        throw new UsageError(`${server.name}: the recording is rejected: ${reasons.join("; ")}`);
    } finally {
      removeFolder(parent);
    }
  }
}

async function recordOnce(
  server: CrashedServer,
  scene: Scene,
  folder: string,
): Promise<{ reasons: readonly string[]; recorded: RecordedScene }> {
  mkdirSync(folder);
  await server.prepare(folder);
  if (scene.earlier !== undefined) await earlierLife(server, folder, scene.earlier);
  const { recorder, session } = await startRecorded(server, folder, scene);
  if (session === undefined && scene.killAt === undefined) {
    const { said: words } = await recorder.done;
    throw new UsageError(`${server.name} does not start under strace: ${words.trim().slice(-500)}`);
  }
  const connectedAt = Date.now();
  let isOver = false;
  void recorder.done.then(() => {
    isOver = true;
  });
  // Without a session the kill came while the server started.
  if (session !== undefined) await scene.act({ session, folder, pid: recorder.pid, hasEnded: () => isOver });
  const recording = await killRecorded(recorder);
  session?.close();
  const points = new CrashPoints(recording);
  const from = pointAt(points, connectedAt - recording.startedAtMs);
  return { reasons: rejectionOf(recording, folder, server.ignore), recorded: { server, recording, points, from } };
}

/** The first point whose next operation is not over by then. */
function pointAt(points: CrashPoints, sinceMs: number): number {
  const first = points.recorded.findIndex(({ ms }) => ms >= sinceMs);
  return first < 0 ? points.operations.length : first;
}

/** Writes until all is written, or the server was killed. */
async function drive({ session, hasEnded }: SceneServer, { writes, gapMs, restMs }: Load): Promise<void> {
  await delay(restMs);
  for (let index = 0; index < writes && !hasEnded(); index++) {
    const done = await session.set(...writeOf(index)).then(
      () => true,
      () => false,
    );
    if (!done) break;
    if (gapMs > 0) await delay(gapMs);
  }
  await delay(restMs);
}

/** The server is started, given a value, and ended as it should be. */
async function earlierLife(server: CrashedServer, folder: string, value: string): Promise<void> {
  const { command, args } = server.commandFor(folder);
  const running = run(command, args);
  const session = await whenReady(running.ended, () => server.connect(folder, running.said()));
  if (session === undefined) throw new UsageError(`${server.name} does not start: ${running.said().trim()}`);
  await session.set(writeOf(0)[0], value);
  session.close();
  running.child.kill("SIGTERM");
  await Promise.race([running.ended, delay(CLOSE_MS)]);
  // twolog's own child goes on after it has closed its engine, as long as its input is open.
  running.child.stdin?.end();
  await running.ended;
}

function runOf(scene: RecordedScene, load: Load): RecordedRun {
  const { server, recording } = scene;
  const events = recording.events.filter((event) => event.kind === "operation" || server.isWriteReply(event.text));
  const points = new CrashPoints({ ...recording, events });
  if (load.killAt === undefined && points.printed.length !== load.writes) {
    throw new UsageError(`${server.name}: ${load.writes} writes, and ${points.printed.length} replies in the record`);
  }
  return {
    ...scene,
    points,
    history: historyOf(points, load),
    earlierWrites: load.earlier === undefined ? 0 : 1,
    longestSyncMs: longestSync(points),
    killedIn: recording.interrupted.find(({ call, nth }) => call === load.killAt?.call && nth === load.killAt.nth),
  };
}

/** Operation i is sent at order 2i and answered at 2i + 1: when k are answered, all before order 2k + 1 has happened. */
function historyOf(points: CrashPoints, { earlier, writes }: Load): History {
  const history = new History();
  const send = (value: readonly [string, string], ms: number) =>
    history.send(0, { kind: "write", commands: [["SET", ...value]] } satisfies Planned, ms);
  if (earlier !== undefined) history.answer(send([writeOf(0)[0], earlier], 0), "OK", 0);
  for (const [index, ms] of points.printedMs.entries()) {
    history.answer(send(writeOf(index), points.printedMs[index - 1] ?? 0), "OK", ms);
  }
  const unanswered = points.printed.length;
  if (unanswered < writes) send(writeOf(unanswered), points.printedMs.at(-1) ?? 0);
  return history;
}

function longestSync(points: CrashPoints): number {
  const startedAt = new Map<number, number>();
  let longest = 0;
  for (const { operation, ms } of points.recorded) {
    if (operation.kind === "sync-start") startedAt.set(operation.sync, ms);
    if (operation.kind === "sync-end") longest = Math.max(longest, ms - (startedAt.get(operation.sync) ?? ms));
  }
  return longest;
}
