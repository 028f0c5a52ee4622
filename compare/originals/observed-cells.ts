/**
 * The cells of the measured crash matrix (claims/measured.ts) on a server that runs: each is rebuilt from a recording of one
 * change, OLD to NEW, and the server is restarted on it. So the original must still show what was measured on it by really
 * killing it, and its twin must show the same.
 */
import { CELLS, type Cell, type Outcome, outcomeText, seenAt } from "../claims/measured.ts";
import type { CrashPoints } from "../crash-program/crash-points.ts";
import type { DiskImage } from "../lab/disk-image.ts";
import { whyCellDiffers } from "./explanations.ts";
import { leftAt } from "./plain-crash.ts";
import { type Load, type RecordedRun, writeOf } from "./recorded-run.ts";
import type { Restarted } from "./server.ts";

export interface ObservedCell {
  readonly cell: Cell;
  /** Undefined: the recording has no such moment. */
  readonly outcome: Outcome | undefined;
  readonly agrees: boolean;
  /** Why it does not, where that is known. */
  readonly why: string | undefined;
}

/** The once-a-second work of a server with nothing to do is over by then. */
const QUIET_MS = 3200;
export const INCREMENT = /\.incr\.aof$/;
/** The logs of MariaDB and of kv-wal. */
export const REDO = /^(ib_logfile0|wal\/redo\.\d+)$/;
export const BINLOG = /^(wal\/)?binlog\.\d+$/;
/** Of the workload's table in MariaDB. */
export const PAGES = /^twolog\/entries\.ibd$/;
/** What is recorded for the cells. */
export const ONE_CHANGE: Load = { writes: 1, gapMs: 0, restMs: QUIET_MS, earlier: "OLD" };

/** A crash point, and how many replies the client had got. */
interface Place {
  readonly point: number;
  readonly printed: number;
}

type Finder = (run: RecordedRun, name: string) => Place | undefined;

/** The cells of the server's policy. `run` holds one write, over an earlier value OLD. */
export async function observeCells(run: RecordedRun, workFolder: string): Promise<ObservedCell[]> {
  const { points, recording, server } = run;
  const find: Finder = server.policy.engine === "aof" ? aofPlace : walPlace;
  const before = await server.restart(points.base, recording.before, workFolder);
  const evidence = { isOriginal: server.isOriginal, syncedBeforeReply: isSyncedBeforeReply(run) };
  const known = new Map<DiskImage["digest"], Restarted>();
  const observed: ObservedCell[] = [];
  for (const cell of CELLS.filter(({ policy }) => policy === server.policy)) {
    const place = placeAtReply(points, cell.point) ?? find(run, cell.point);
    if (place === undefined) {
      observed.push({ cell, outcome: undefined, agrees: false, why: undefined });
      continue;
    }
    const image = leftAt(points, place.point, cell.crash);
    const restarted = known.get(image.digest) ?? (await server.restart(image, recording.before, workFolder));
    known.set(image.digest, restarted);
    const outcome = seenAt(cell, outcomeOf(place, before, restarted));
    const agrees = shownText(cell, outcome) === shownText(cell, cell.measured);
    const why = agrees ? undefined : whyCellDiffers(cell, outcome, evidence);
    observed.push({ cell, outcome, agrees, why });
  }
  return observed;
}

/** What was seen at a cell, in words. */
export function shownText({ policy }: Cell, outcome: Outcome | undefined): string {
  return outcome === undefined ? "no such moment" : outcomeText(policy, outcome);
}

function outcomeOf(place: Place, before: Restarted, restarted: Restarted): Outcome {
  const [key, value] = writeOf(0);
  const found = restarted.cells.get(key);
  const isOld = found === before.cells.get(key);
  return {
    told: place.printed > 0,
    inBinlog: (restarted.inBinlog ?? 0) > (before.inBinlog ?? 0),
    value: restarted.refused ?? (found === value ? "NEW" : isOld ? "OLD" : "neither"),
  };
}

/** The first operation from `from` on that is of this kind, to a file with such a name. */
export function findOperation(points: CrashPoints, from: number, kind: string, file: RegExp): number | undefined {
  const index = points.operations.findIndex(
    (operation, at) => at >= from && operation.kind === kind && file.test(operation.path),
  );
  return index < 0 ? undefined : index;
}

/** The point at which the first reply leaves, or the one with this index: everything before it is done. */
export function replyPoint(points: CrashPoints, index = 0): number {
  let point = 0;
  while (point < points.operations.length && points.printedAt(point) <= index) point++;
  return point;
}

/** A moment at the entry of a call: what was told before it counts. */
function atEntry(points: CrashPoints, point: number | undefined): Place | undefined {
  return point === undefined ? undefined : { point, printed: points.printedAt(point) };
}

/** Whether the AOF's sync behind the write had ended when the reply left. */
function isSyncedBeforeReply({ points, from }: RecordedRun): boolean {
  const write = findOperation(points, from, "write", INCREMENT);
  const synced = write === undefined ? undefined : findOperation(points, write, "sync-end", INCREMENT);
  return synced !== undefined && synced < replyPoint(points);
}

/** Before the reply, after it, and seconds later; undefined: the point is another. */
function placeAtReply(points: CrashPoints, name: string): Place | undefined {
  switch (name) {
    case "R2":
    case "P5":
      return { point: replyPoint(points), printed: 0 };
    case "R3":
    case "P6":
      return { point: replyPoint(points), printed: 1 };
    case "R4":
    case "P7":
      return { point: points.operations.length, printed: 1 };
    default:
      return undefined;
  }
}

/** R0, and before the sync: R1, R5. */
const aofPlace: Finder = ({ points, from }, name) => {
  const write = findOperation(points, from, "write", INCREMENT);
  const sync = write === undefined ? undefined : findOperation(points, write, "sync-start", INCREMENT);
  return atEntry(points, name === "R0" ? write : sync);
};

/** P0 to P4b. */
const walPlace: Finder = ({ points, from, server }, name) => {
  const decided = findOperation(points, from, "write", BINLOG);
  if (decided === undefined) return undefined;
  const isSynced = server.policy.name.endsWith("/1");
  const synced = findOperation(points, decided, "sync-end", BINLOG);
  const prepare = points.operations.findLastIndex(
    (operation, at) => at < decided && operation.kind === "write" && REDO.test(operation.path),
  );
  if (prepare < 0 && (name === "P0" || name === "P1")) return undefined;
  switch (name) {
    case "P0":
      return atEntry(points, prepare);
    case "P1":
      return atEntry(points, findOperation(points, prepare, "sync-start", REDO));
    case "P2":
      return atEntry(points, decided);
    case "P3":
      return atEntry(points, findOperation(points, decided, "sync-start", BINLOG));
    case "P4": {
      const done = isSynced ? synced : decided;
      return done === undefined ? undefined : { point: done + 1, printed: 0 };
    }
    default:
      return atEntry(points, findOperation(points, decided, "write", REDO));
  }
};
