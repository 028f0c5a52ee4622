/**
 * Really kills a server while a client writes: at the entry of a system call, by strace. The calls are those that a write
 * takes, one of each kind (to the AOF, the redo log, the binlog, the reply), chosen among those of an earlier run.
 */

import type { RecordedEvent } from "../crash-program/recording.ts";
import type { SeededRandom } from "../random.ts";
import { verdictOf, violationText } from "./crash-columns.ts";
import { leftAt, PLAIN_MODELS } from "./plain-crash.ts";
import { type Load, type RecordedRun, recordRun } from "./recorded-run.ts";
import type { CallNumber } from "./recorded-server.ts";
import type { CrashedServer } from "./server.ts";

export interface RealKill {
  readonly name: string;
  readonly policy: string;
  /** "fdatasync of binlog.000002 (number 61)". */
  readonly where: string;
  /** False: the call never came so often, and the server was killed when all was written. */
  readonly reached: boolean;
  readonly acknowledged: number;
  readonly lost: number;
  /** Of the unacknowledged write, when it is there nevertheless. */
  readonly ghosts: number;
  readonly broken: string;
}

/** A call to kill at, and what it is: "fdatasync binlog.000002", "sendto reply". */
export interface KillPlace extends CallNumber {
  readonly kind: string;
}

/** Enough for a call of the answering thread to come behind all that others do while the server starts. */
export const KILL_LOAD: Load = { writes: 160, gapMs: 0, restMs: 300, earlier: "OLD" };

/** So many replies must have left: far more than is asked of a kill, because another run may have some calls more before. */
const REPLIES_BEFORE = 20;
/** Threads of mariadbd that write pages while it starts made 30 to 46 calls in four runs: in another they may make so many more. */
const MARGIN = 40;

/**
 * A place for each kind of call, while replies come. Only calls of the thread that answers: what others do depends on the
 * clock. And only numbers that no other thread comes to, because strace counts by thread, and kills at the first.
 */
export function killPlaces(run: RecordedRun, random: SeededRandom): KillPlace[] {
  const { events } = run.recording;
  const isReply = (event: RecordedEvent): boolean => event.kind === "ack" && run.server.isWriteReply(event.text);
  const replies = events.filter(isReply);
  const [early, last] = [replies[REPLIES_BEFORE - 1], replies.at(-1)];
  if (early === undefined || last === undefined) return [];
  const others = new Map<string, number>();
  for (const { call, count, pid } of run.recording.callCounts) {
    if (pid !== early.pid) others.set(call, Math.max(count + MARGIN, others.get(call) ?? 0));
  }
  const kinds = new Map<string, KillPlace[]>();
  for (const event of events.slice(events.indexOf(early) + 1, events.indexOf(last) + 1)) {
    const { call, nth, pid } = event;
    if (pid !== early.pid || nth <= (others.get(call) ?? 0)) continue;
    const what = isReply(event) ? "reply" : changed(event);
    if (what === undefined) continue;
    const kind = `${call} ${what}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), { kind, call, nth }]);
  }
  return [...kinds.values()].map((places) => places[random.below(places.length)] as KillPlace);
}

/** The file that is written or synced. */
function changed(event: RecordedEvent): string | undefined {
  if (event.kind === "ack") return undefined;
  const { kind, path } = event.operation;
  return kind === "write" || kind === "sync-start" ? path : undefined;
}

/** Gate 1 compares the folder that the kill left with the record; the restart shows what it is worth. */
export async function killAt(server: CrashedServer, killedAt: CallNumber, workFolder: string): Promise<RealKill> {
  const run = await recordRun(server, { ...KILL_LOAD, killAt: killedAt });
  const point = run.points.operations.length;
  const restarted = await server.restart(leftAt(run.points, point, "kill"), run.recording.before, workFolder);
  const printed = run.points.printed.length;
  const verdict = verdictOf(run, { model: PLAIN_MODELS.kill, point, printed }, restarted);
  const violation = verdict.violations[0];
  return {
    name: server.name,
    policy: server.policy.name,
    where: `${killedAt.call} ${fileText(run.killedIn?.path ?? "")}(its number ${killedAt.nth})`,
    reached: run.killedIn !== undefined,
    acknowledged: printed,
    lost: verdict.lost,
    ghosts: verdict.ghosts,
    broken: violation === undefined ? "" : violationText(violation),
  };
}

function fileText(path: string): string {
  if (path === "") return "";
  return path.startsWith("socket:") ? "of a reply " : `of ${path.slice(path.lastIndexOf("/") + 1)} `;
}
