/**
 * Rebuilds the measured cells of truth.ts from a recording of one change (OLD to NEW), restarts the installed program on
 * each, and compares.
 */
import type { CrashPoints } from "../crash-program/crash-points.ts";
import { modelOf } from "../lab/models/index.ts";
import { type RecordedRun, writeOf } from "./recorded-run.ts";
import type { Restarted } from "./server.ts";
import { MARIADB_TRUTH, REDIS_TRUTH, type TruthRow } from "./truth.ts";

export interface TruthResult {
  readonly row: TruthRow;
  /** What the cell is here; "no such moment" when the recording has no such call. */
  readonly observed: string;
  readonly agrees: boolean;
}

/** A crash point, and how many replies the client had got. */
interface Place {
  readonly point: number;
  readonly printed: number;
}

type Finder = (run: RecordedRun, name: string) => Place | undefined;

/** The cells of one policy. `run` holds one write, over an earlier value OLD. */
export async function checkTruth(run: RecordedRun, workFolder: string): Promise<TruthResult[]> {
  const isRedis = run.server.policy.engine === "aof";
  const rows = (isRedis ? REDIS_TRUTH : MARIADB_TRUTH).filter(({ policy }) => policy === run.server.policy.name);
  const find: Finder = isRedis ? redisPlace : mariadbPlace;
  const { points, recording, server } = run;
  const before = await server.restart(points.base, recording.before, workFolder);
  const known = new Map<number, Restarted>();
  const results: TruthResult[] = [];
  for (const row of rows) {
    const place = find(run, row.point);
    if (place === undefined) {
      results.push({ row, observed: "no such moment", agrees: false });
      continue;
    }
    const [space] = modelOf(row.crash === "kill" ? "kill" : "dropped").spaces(points.at(place.point));
    const image = space?.build([]);
    if (image === undefined) continue;
    const restarted = known.get(image.digest) ?? (await server.restart(image, recording.before, workFolder));
    known.set(image.digest, restarted);
    results.push(compare(row, place, before, restarted));
  }
  return results;
}

function compare(row: TruthRow, place: Place, before: Restarted, restarted: Restarted): TruthResult {
  const [key, value] = writeOf(0);
  const cell = restarted.cells.get(key);
  const found = cell === value ? "NEW" : cell === before.cells.get(key) ? "OLD" : "neither";
  const binlog = restarted.inBinlog === undefined ? undefined : restarted.inBinlog > (before.inBinlog ?? 0);
  const acknowledged = place.printed > 0;
  const agrees =
    restarted.refused === undefined &&
    found === row.found &&
    binlog === row.binlog &&
    (row.acknowledged === undefined || acknowledged === row.acknowledged);
  const told = acknowledged ? "acknowledged" : "not acknowledged";
  const logged = binlog === undefined ? "" : `, ${binlog ? "in" : "not in"} the binlog`;
  return { row, observed: restarted.refused ?? `${told}, ${found}${logged}`, agrees };
}

/** The first operation from `from` on that is of this kind, to a file with such a name. */
function findOperation(points: CrashPoints, from: number, kind: string, file: RegExp): number | undefined {
  const index = points.operations.findIndex(
    (operation, at) => at >= from && operation.kind === kind && file.test(operation.path),
  );
  return index < 0 ? undefined : index;
}

/** The point at which the reply leaves: everything before it is done. */
function replyPoint(points: CrashPoints): number {
  let point = 0;
  while (point < points.operations.length && points.printedAt(point) === 0) point++;
  return point;
}

/** A moment at the entry of a call: what was told before it counts. */
function atEntry(points: CrashPoints, point: number | undefined): Place | undefined {
  return point === undefined ? undefined : { point, printed: points.printedAt(point) };
}

const redisPlace: Finder = ({ points, from }, name) => {
  const aof = /\.incr\.aof$/;
  const write = findOperation(points, from, "write", aof);
  const sync = write === undefined ? undefined : findOperation(points, write, "sync-start", aof);
  const reply = replyPoint(points);
  switch (name) {
    case "aof-write":
      return atEntry(points, write);
    case "fdatasync":
      return atEntry(points, sync);
    case "reply-write":
      return { point: reply, printed: 0 };
    case "replied":
      return { point: reply, printed: 1 };
    default:
      return { point: points.operations.length, printed: 1 };
  }
};

const mariadbPlace: Finder = ({ points, from, server }, name) => {
  const redo = /^ib_logfile0$/;
  const binlog = /^binlog\.\d+$/;
  const decided = findOperation(points, from, "write", binlog);
  if (decided === undefined) return undefined;
  const reply = replyPoint(points);
  const isSynced = server.policy.name.endsWith("/1");
  const synced = findOperation(points, decided, "sync-end", binlog);
  const prepare = points.operations.findLastIndex(
    (operation, at) => at < decided && operation.kind === "write" && redo.test(operation.path),
  );
  switch (name) {
    case "P0":
      return atEntry(points, prepare);
    case "P1":
      return atEntry(points, findOperation(points, prepare, "sync-start", redo));
    case "P2":
      return atEntry(points, decided);
    case "P3":
      return atEntry(points, findOperation(points, decided, "sync-start", binlog));
    case "P4": {
      const done = isSynced ? synced : decided;
      return done === undefined ? undefined : { point: done + 1, printed: 0 };
    }
    case "P4b":
      return atEntry(points, findOperation(points, decided, "write", redo));
    case "P5":
      return { point: reply, printed: 0 };
    case "P6":
      return { point: reply, printed: 1 };
    default:
      return { point: points.operations.length, printed: 1 };
  }
};
