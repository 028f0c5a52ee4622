/**
 * A disk that fails while the engine runs: one call, the n-th of its kind, ends with an error, is done in part, or takes long;
 * everything before and after it works. The run goes on as far as the engine lets it, is crashed at every moment from the
 * fault on, and the disk, which works again, is recovered. What must hold:
 *
 *     1. what was acknowledged, before the fault or after, is there as the policy promises (oracle.ts)
 *     2. recovery starts: an error of one call is no damage
 *     3. an engine that stops names the call and the file; one that goes on after a failed sync of its log acknowledges no
 *        write any more (I6). A write that failed may be made again: whether it was, a kill tells
 *
 * One thing is shown and not promised: `isServedFromMemory`.
 *
 * A failed sync leaves its data undurable, and the next sync succeeds: what tempts a program into pitfall 39.
 */
import type { Disk } from "../../common/disk/disk.ts";
import { type Fault, type FaultyCall, FaultyDisk } from "../../common/disk/faulty-disk.ts";
import { DiskFailure, UsageError } from "../../common/errors.ts";
import { operationText } from "../history.ts";
import type { Violation } from "../oracle.ts";
import type { EngineName } from "../policy.ts";
import { type RunPlan, type SimulatedRun, simulate } from "../simulated-run.ts";
import { ORDINARY_SYNCS, type RecordMoment } from "../simulator.ts";
import { PAGE_BYTES } from "./page-store.ts";

export interface FaultKind {
  readonly name: string;
  readonly call: FaultyCall;
  /** The error; without it the call only takes long. */
  readonly code?: string;
  /** Of a write, how many bytes reach the disk before it fails: in place only whole pages of the cache, as when it is killed. */
  readonly written?: number;
  readonly meaning: string;
}

const SLOW_SYNC_MS = 3000;

export const FAULT_KINDS: readonly FaultKind[] = [
  { name: "write-EIO", call: "write", code: "EIO", meaning: "a write fails, and nothing of it is there" },
  { name: "write-ENOSPC", call: "write", code: "ENOSPC", meaning: "the disk is full" },
  {
    name: "short-write",
    call: "write",
    code: "ENOSPC",
    written: 10,
    meaning: "the disk is full after 10 bytes of a file that grows",
  },
  {
    name: "long-write",
    call: "write",
    code: "EIO",
    written: 5000,
    meaning: "a write fails when a part, or all, is written",
  },
  { name: "sync-EIO", call: "sync", code: "EIO", meaning: "a sync fails: its data did not become durable" },
  { name: "slow-sync", call: "sync", meaning: `a sync takes ${SLOW_SYNC_MS / 1000} s` },
  { name: "truncate-EIO", call: "truncate", code: "EIO", meaning: "the size of a file cannot be set" },
  { name: "read-EIO", call: "read", code: "EIO", meaning: "a read fails" },
  { name: "open-EMFILE", call: "open", code: "EMFILE", meaning: "no more files can be opened" },
  { name: "make-dir-ENOSPC", call: "make-dir", code: "ENOSPC", meaning: "a folder cannot be made" },
  { name: "sync-dir-EIO", call: "sync-dir", code: "EIO", meaning: "the sync of a folder fails" },
  { name: "rename-EIO", call: "rename", code: "EIO", meaning: "a rename fails" },
  { name: "remove-EIO", call: "remove", code: "EIO", meaning: "a removal fails" },
];

/** What is not promised: see `isServedFromMemory`. */
export const SERVED_FROM_MEMORY =
  "while a write of the AOF fails, under everysec and no, writes are refused and reads are served from memory; a kill before " +
  "the write was made again takes what they showed; Redis does the same";

/** kv-aof shows reads what a failed write has not brought to the kernel. */
export function isServedFromMemory(engine: EngineName, fault: string, kind: string): boolean {
  const call = FAULT_KINDS.find(({ name }) => name === fault)?.call;
  return engine === "aof" && call === "write" && kind === "vanished read";
}

/** One fault: the `nth` call of its kind, counted from 1. */
export interface InjectedFault {
  readonly kind: FaultKind;
  readonly nth: number;
}

/** "sync-EIO@5". */
export function faultText({ kind, nth }: InjectedFault): string {
  return `${kind.name}@${nth}`;
}

export function parseFault(text: string): InjectedFault {
  const [name, nth = ""] = text.split("@");
  const kind = FAULT_KINDS.find((candidate) => candidate.name === name);
  if (kind === undefined || !/^[1-9]\d*$/.test(nth)) {
    const names = FAULT_KINDS.map((candidate) => candidate.name).join(", ");
    throw new UsageError(`'${text}' is no fault: NAME@N, the N-th call that it can hit; names are ${names}`);
  }
  return { kind, nth: Number(nth) };
}

/** Where the fault hit: what had happened until then, and which file. */
interface Hit extends RecordMoment {
  readonly path: string;
}

/** The plan on a disk that fails so; `hit` is told when. Nothing is remembered between two runs of the plan. */
export function withFault(plan: RunPlan, injected: InjectedFault, hit: (where: Hit) => void = () => {}): RunPlan {
  const { kind, nth } = injected;
  const { call, code, written } = kind;
  const fault = faultText(injected);
  if (code === undefined) {
    return { ...plan, fault, timing: { ...(plan.timing ?? ORDINARY_SYNCS), slow: { nth, ms: SLOW_SYNC_MS } } };
  }
  return {
    ...plan,
    fault,
    wrapDisk(disk, later, now): Disk {
      let seen = 0;
      const rule: Fault = {
        call,
        nth,
        code,
        ...(written !== undefined && { written: partOf(written) }),
        // Asked once for every such call.
        path(path) {
          if (++seen === nth) hit({ ...now(), path });
          return true;
        },
      };
      return new FaultyDisk(disk, [rule], later);
    },
  };
}

/** A file that grows may end at any byte; what is overwritten is written page by page. */
function partOf(bytes: number): Exclude<Fault["written"], number | undefined> {
  return (at, length, size) => {
    const end = at + Math.min(bytes, length);
    return (end > size ? end : Math.max(at, end - (end % PAGE_BYTES))) - at;
  };
}

/** The calls of each kind that the plan's run makes, by their files: a run with a fault is the same until it hits. */
function callsOf(plan: RunPlan): ReadonlyMap<FaultyCall, readonly string[]> {
  const calls = new Map<FaultyCall, string[]>(FAULT_KINDS.map(({ call }) => [call, []]));
  const listeners = [...calls].map(([call, paths]): Fault => {
    const path = (path: string): boolean => {
      paths.push(path);
      return false;
    };
    return { call, nth: 1, path };
  });
  simulate({ ...plan, wrapDisk: (disk, later) => new FaultyDisk(disk, listeners, later) });
  return calls;
}

/** Every fault that can hit the run. */
export function faultsOf(plan: RunPlan): InjectedFault[] {
  const calls = callsOf(plan);
  return FAULT_KINDS.flatMap((kind) => (calls.get(kind.call) ?? []).map((_, index) => ({ kind, nth: index + 1 })));
}

/**
 * The faults of the same kind that can hit another run on such a file, the one whose number is nearest first: a run with
 * fewer commands makes fewer calls, and the one that failed has another number there.
 */
export function faultsLike({ kind, nth }: InjectedFault, path: string, plan: RunPlan): InjectedFault[] {
  const numbers = (callsOf(plan).get(kind.call) ?? []).flatMap((other, index) =>
    pathPattern(other) === pathPattern(path) ? [index + 1] : [],
  );
  numbers.sort((a, b) => Math.abs(a - nth) - Math.abs(b - nth));
  return numbers.map((number) => ({ kind, nth: number }));
}

/** A path without the numbers that files of one sequence differ in. */
export function pathPattern(path: string): string {
  return path.replace(/\d+/g, "#");
}

/** How a run with a fault ended. */
export type FaultEnd = "stopped" | "refused writes" | "went on";

export interface FaultedRun {
  readonly run: SimulatedRun;
  readonly end: FaultEnd;
  /** The event after which crashes are new: what was before happened without the fault, too. */
  readonly from: number;
  /** The file whose call failed; undefined: the fault hit nothing. */
  readonly path: string | undefined;
  /** What rule 3 says against it. */
  readonly violation: Violation | undefined;
}

/** Runs the plan with the fault. */
export function runFaulted(plan: RunPlan, fault: InjectedFault): FaultedRun {
  let hit: Hit | undefined;
  const run = simulate(withFault(plan, fault, (where) => (hit ??= where)));
  const where = hit ?? slowHit(run, fault);
  const refused = run.history.clients
    .flat()
    .some(({ reply, answered }) => reply instanceof Error && (answered?.order ?? 0) >= (where?.order ?? 0));
  const end: FaultEnd = run.failure !== undefined ? "stopped" : refused ? "refused writes" : "went on";
  const from = Math.max(0, (where?.events ?? 0) - 1);
  return { run, end, from, path: where?.path, violation: hit && violationOf(run, fault, hit) };
}

/** A slow sync hits nothing: it begins. */
function slowHit(run: SimulatedRun, { nth }: InjectedFault): Hit | undefined {
  let seen = 0;
  for (const [events, event] of run.timeline.entries()) {
    if (event.kind === "disk" && event.operation.kind === "sync-start" && ++seen === nth) {
      return { events, order: event.order, path: event.operation.path };
    }
  }
  return undefined;
}

/** The files of the logs: what their failure leaves undone was promised. */
const LOGS = /^(appendonlydir\/.*\.incr\.aof|wal\/(redo\.|binlog\.\d).*)$/;

/** A file that is given up after its failure was not needed: the one that a rewrite was about to begin. */
function isUsedAfter({ timeline }: SimulatedRun, { events, path }: Hit): boolean {
  return timeline
    .slice(events)
    .some((event) => event.kind === "disk" && event.operation.kind === "write" && event.operation.path === path);
}

/** Answered without being in a log. */
const LOGGED_NOWHERE: ReadonlySet<string> = new Set(["BGREWRITEAOF"]);

function violationOf(run: SimulatedRun, fault: InjectedFault, hit: Hit): Violation | undefined {
  const { failure } = run;
  const isAof = run.plan.policy.engine === "aof";
  const about = {
    kind: "failure hidden",
    rule: "I6",
    matrix: isAof ? "A6" : "W21",
    promise: "after a failed fsync nothing is acknowledged, and the engine says what failed",
  } as const;
  if (failure !== undefined && !(failure instanceof DiskFailure)) {
    return { ...about, command: "", detail: `${faultText(fault)} of ${hit.path}: it stopped with ${String(failure)}` };
  }
  if (fault.kind.call !== "sync" || !LOGS.test(hit.path) || !isUsedAfter(run, hit)) return undefined;
  const later = run.history.clients.flat().find(({ kind, commands, sent, answered, reply }) => {
    const isDone = answered !== undefined && !(reply instanceof Error);
    const isWrite = kind !== "read" && !commands.some(([name = ""]) => LOGGED_NOWHERE.has(name));
    return isWrite && isDone && sent.order > hit.order;
  });
  if (later === undefined) return undefined;
  const detail = `${faultText(fault)} of ${hit.path}, and it was acknowledged afterwards`;
  return { ...about, command: operationText(later), detail };
}
