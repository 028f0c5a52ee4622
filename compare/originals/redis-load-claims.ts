/**
 * What the installed redis-server shows of claims A1, A5 to A9 and A12: loads and single turns of its event loop, recorded; and
 * restarts on what crashes would have left.
 */
import { connect, type Socket } from "node:net";
import { encodeCommand } from "../in-process.ts";
import type { CrashKind } from "../policy.ts";
import { INCREMENT, replyPoint } from "./observed-cells.ts";
import { leftAt } from "./plain-crash.ts";
import {
  type Load,
  type RecordedRun,
  type RecordedScene,
  recordScene,
  type SceneServer,
  writeOf,
} from "./recorded-run.ts";
import type { Observing, Scenario, Scenarios, Seen } from "./scenario.ts";
import { type Loss, lossText, worstLoss } from "./worst-loss.ts";

/** "1 s": the second, the timer that looks ten times in it, and the sync itself. */
const ABOUT_A_SECOND_MS = 1250;
/** A client that waits for so much longer than it means to cannot show what a second is. */
const STALL_MS = 150;
/** For 9 s; a sync that is fast is over before the next write, also where the disk adds its own time. */
const FAST_LOAD: Load = { writes: 30, gapMs: 300, restMs: 300, earlier: "OLD", slowSyncMs: 10 };
/** For 9 s, too; each sync takes longer than the time between two writes. */
const SLOW_LOAD: Load = { writes: 90, gapMs: 100, restMs: 300, earlier: "OLD" };

/** No sync was still running when the next write came, and the client never waited long. */
function isFast({ points, from }: RecordedRun): boolean {
  let written = 0;
  for (const [at, operation] of points.operations.entries()) {
    if (at < from || !("path" in operation) || !INCREMENT.test(operation.path)) continue;
    if (operation.kind === "write") written++;
    if (operation.kind === "sync-end" && points.printedAt(at) > written) return false;
  }
  return points.printedMs.every((ms, index) => ms - (points.printedMs[index - 1] ?? ms) <= FAST_LOAD.gapMs + STALL_MS);
}

function recordedEverysec(observing: Observing, slowSyncMs: number): Promise<RecordedRun> {
  if (slowSyncMs === FAST_LOAD.slowSyncMs) return observing.recorded("everysec", FAST_LOAD, isFast);
  return observing.recorded("everysec", { ...SLOW_LOAD, slowSyncMs });
}

function everysecLoss(crash: CrashKind, slowSyncMs: number, words: (loss: Loss) => string): Scenario {
  return async (observing) => {
    const loss = await worstLoss(await recordedEverysec(observing, slowSyncMs), crash, observing.folder);
    return { shows: words(loss), figure: lossText(loss) };
  };
}

const boundText = ({ ms }: Loss): string => (ms <= ABOUT_A_SECOND_MS ? "about 1 s at most" : "more than 1 s");
const lostText = ({ writes }: Loss): string => (writes === 0 ? "nothing lost" : "writes lost");

const ALWAYS_LOAD: Load = { writes: 40, gapMs: 7, restMs: 300, earlier: "OLD" };

function alwaysLoss(crash: CrashKind): Scenario {
  return async (observing) => {
    const loss = await worstLoss(await observing.recorded("always", ALWAYS_LOAD), crash, observing.folder);
    return loss.writes === 0 ? "nothing lost" : lossText(loss);
  };
}

const NO_SYNC_LOAD: Load = { writes: 88, gapMs: 500, restMs: 300, earlier: "OLD" };

function noSyncLoss(crash: CrashKind): Scenario {
  return async (observing) => {
    const run = await observing.recorded("no", NO_SYNC_LOAD);
    const loss = await worstLoss(run, crash, observing.folder, [run.points.operations.length]);
    const shows = loss.writes === 0 ? "nothing is lost" : "acknowledged writes are gone";
    return { shows, figure: lossText(loss) };
  };
}

/** While a background sync of three seconds runs: does a reply leave before its command is written? */
async function replyDuringSlowSync(observing: Observing): Promise<Seen> {
  const { points, from } = await recordedEverysec(observing, 3000);
  let earliestMs = 0;
  for (const [index, ms] of points.printedMs.entries()) {
    const text = writeOf(index)[1];
    const written = points.recorded.find(
      ({ operation }, at) => at >= from && operation.kind === "write" && Buffer.from(operation.bytes).includes(text),
    );
    earliestMs = Math.max(earliestMs, (written?.ms ?? 0) - ms);
  }
  if (earliestMs <= 0) return "reply after write";
  return { shows: "reply before write", figure: `up to ${(earliestMs / 1000).toFixed(2)} s before` };
}

/** One command each of several clients, which the stopped server finds all at once when it goes on. */
async function oneTurn({ folder, pid }: SceneServer, commands: readonly (readonly string[])[]): Promise<void> {
  const serverPid = pid();
  if (serverPid === undefined) throw new Error("the server has ended");
  const sockets: Socket[] = [];
  for (const _ of commands) sockets.push(await opened(`${folder}.sock`));
  // One more: then the turn that read the last of them is over, and the next reads them in the order in which commands come.
  const other = await opened(`${folder}.sock`);
  process.kill(serverPid, "SIGSTOP");
  for (const [index, socket] of sockets.entries()) await sent(socket, commands[index] ?? []);
  const answers = sockets.map((socket) => new Promise<void>((resolve) => socket.once("data", () => resolve())));
  process.kill(serverPid, "SIGCONT");
  await Promise.all(answers);
  // Another round: the calls that wrote the answers have returned, and are in the record.
  const last = await opened(`${folder}.sock`);
  for (const socket of [...sockets, other, last]) socket.destroy();
}

/** Connected, and known to the server: it has answered. */
function opened(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path).once("error", reject);
    socket.once("data", () => resolve(socket));
    socket.write(encodeCommand(["PING"]));
  });
}

/** Resolves when the operating system has the command. */
function sent(socket: Socket, words: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(encodeCommand(words), (error) => (error ? reject(error) : resolve()));
  });
}

function recordTurn(
  observing: Observing,
  policy: string,
  commands: readonly (readonly string[])[],
  slowSyncMs?: number,
): Promise<RecordedScene> {
  return recordScene(observing.server(policy), {
    earlier: "OLD",
    ...(slowSyncMs !== undefined && { slowSyncMs }),
    act: (running) => oneTurn(running, commands),
  });
}

const THREE_SETS = [
  ["SET", "a", "1"],
  ["SET", "b", "2"],
  ["SET", "c", "3"],
];

/** What a turn asks of the disk and tells its clients, in order. */
async function turnSteps(observing: Observing): Promise<string[]> {
  const { recording } = await recordTurn(observing, "always", THREE_SETS);
  const steps = recording.events.flatMap((event) => {
    if (event.kind === "ack") return event.text === "+OK\r\n" ? ["reply"] : [];
    const { kind, path } = event.operation;
    if (!INCREMENT.test(path)) return [];
    return kind === "write" ? ["write"] : kind === "sync-end" ? ["fsync"] : [];
  });
  return steps;
}

async function orderOfTurn(observing: Observing): Promise<string> {
  return [...new Set(await turnSteps(observing))].join(" → ");
}

async function countsOfTurn(observing: Observing): Promise<string> {
  const steps = await turnSteps(observing);
  const count = (name: string): number => steps.filter((step) => step === name).length;
  return `${count("write")} write, ${count("fsync")} fsync, ${count("reply")} replies`;
}

/** Longer than a turn: no sync in the background has ended when its replies leave. */
const SLOW_SYNC_MS = 500;

/** A reader in the turn of the write: is what it was shown there after a power loss right behind its reply? */
function readerAfterPowerLoss(policy: string): Scenario {
  return async (observing) => {
    const [key] = writeOf(0);
    const commands = [
      ["SET", key, "NEW"],
      ["GET", key],
    ];
    const { points, recording, server } = await recordTurn(observing, policy, commands, SLOW_SYNC_MS);
    const reply = points.printed.indexOf("$3\r\nNEW\r\n");
    if (reply < 0) return "the reader was not shown it";
    const image = leftAt(points, replyPoint(points, reply), "power");
    const { cells, refused } = await server.restart(image, recording.before, observing.folder);
    return refused ?? (cells.get(key) === "NEW" ? "the value seen stays" : "the value seen is gone");
  };
}

export const REDIS_LOAD_SCENARIOS: Scenarios = {
  A1: {
    "always, on disk": orderOfTurn,
    "always, the three of one turn": countsOfTurn,
    "everysec, a background fsync running": replyDuringSlowSync,
  },
  A5: {
    "an fsync takes 10 ms": everysecLoss("power", 10, boundText),
    "an fsync takes 0.5 s": everysecLoss("power", 500, boundText),
    "an fsync takes 1.5 s": everysecLoss("power", 1500, boundText),
    "an fsync takes 3 s": everysecLoss("power", 3000, boundText),
    "an fsync takes 5 s": everysecLoss("power", 5000, boundText),
  },
  A6: {
    "an fsync takes 10 ms": everysecLoss("kill", 10, lostText),
    "an fsync takes 3 s": everysecLoss("kill", 3000, lostText),
  },
  A7: {
    "under load, killed at each event": alwaysLoss("kill"),
    "under load, power loss at each event": alwaysLoss("power"),
  },
  A8: {
    "power loss after 44 s of load": noSyncLoss("power"),
    "killed after 44 s of load": noSyncLoss("kill"),
  },
  A9: { "memory first, everysec, power loss": readerAfterPowerLoss("everysec") },
  A12: { always: readerAfterPowerLoss("always"), everysec: readerAfterPowerLoss("everysec") },
};
