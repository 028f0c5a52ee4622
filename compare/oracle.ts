/**
 * The judge: what was found after recovery, against what the clients had been told and what the policy promises.
 *
 * For each client there is one number j: recovery kept its first j operations and none after (model.ts finds it). From
 * these numbers everything follows:
 *
 *   1. no j fits         → half a transaction survived, or a hole (an operation is missing before one that is there), or
 *                          data that nobody wrote
 *   2. accounts          → must be what the surviving transfers give; a wrong sum is half a transfer
 *   3. lost              → acknowledged operations from j on: their number, and how long before the crash the first of
 *                          them was acknowledged. The policy says how much may be lost
 *   4. suffix            → an operation sent after a lost one had been acknowledged must not have survived
 *   5. reads (I1)        → where nothing may be lost, a value that a reply showed must not have vanished either
 *
 * An operation without a reply may or may not have survived: both are right, and it is only counted.
 */
import type { Bytes } from "../common/bytes.ts";
import { type History, isAcknowledged, type Operation, operationText } from "./history.ts";
import { addToAccounts, type Cells, effectiveCommands, isAccount, Prefix } from "./model.ts";
import { type CrashKind, type DurabilityPromise, type Policy, promiseOf, promiseText } from "./policy.ts";
import { ACCOUNTS, OPENING_BALANCE } from "./workload.ts";

/** Why a run broke a promise. */
export interface Violation {
  /** Which property: the numbers above. */
  readonly kind:
    | "torn transaction"
    | "hole"
    | "invented data"
    | "wrong sum"
    | "lost write"
    | "vanished read"
    | "refused"
    | "unstable recovery"
    | "check failed"
    /** The disk failed, and the engine acknowledged more (I6), or stopped without naming what failed. */
    | "failure hidden"
    /** The engine stopped itself although its disk worked. */
    | "stopped"
    | "binlog differs";
  /** The invariant of ARCHITECTURE §4 that a correct engine holds here. */
  readonly rule: "I1" | "I2" | "I5" | "I6" | "I7" | "I8";
  /** The crash point of CRASH-MATRIX.md. */
  readonly matrix: string;
  readonly promise: string;
  /** The command that shows it, as it was typed and acknowledged. */
  readonly command: string;
  readonly detail: string;
}

export interface Verdict {
  /** Write operations answered with success before the crash. */
  readonly acknowledged: number;
  /** Of these, how many are there after recovery. */
  readonly survived: number;
  /** Operations that nobody was told about and that are there. */
  readonly ghosts: number;
  readonly lost: number;
  /** How long before the crash the first lost operation had been acknowledged. */
  readonly lostMs: number;
  /** No transaction was torn, no sum is wrong. */
  readonly atomic: boolean;
  /** Replies of reads that were compared with what is gone (I1). */
  readonly reads: number;
  /** Recovery refused to start, for this reason. Nothing else is known then: unavailable is neither safe nor lost. */
  readonly refused: string | undefined;
  readonly violations: readonly Violation[];
}

/** One crash and what was found after it. */
export interface Evidence {
  readonly policy: Policy;
  readonly crash: CrashKind;
  /** Events of the history with a lower order happened before the crash. */
  readonly cut: number;
  readonly cutMs: number;
  /** What a sync took at most: the disk's part of the loss window. */
  readonly diskMs: number;
  readonly history: History;
  readonly setupClient: number;
  readonly matrix: string;
  /** What is there after recovery. */
  readonly found: Cells;
}

interface Survival {
  readonly writes: readonly Operation[];
  /** The first `kept` of them survived: the largest j that fits. */
  readonly kept: number;
  /** The smallest j that fits; smaller than `kept` when the operations between them changed nothing in the end. */
  readonly sure: number;
}

/** Judges one crash. */
export function judge(evidence: Evidence): Verdict {
  const promise = promiseOf(evidence.policy, evidence.crash);
  const violations: Violation[] = [];
  const report = (kind: Violation["kind"], rule: Violation["rule"], command: string, detail: string): void => {
    violations.push({ kind, rule, matrix: evidence.matrix, promise: promiseText(promise), command, detail });
  };

  const survivals = findSurvivals(evidence, report);
  if (violations.length === 0) checkAccounts(evidence, survivals, report);
  const torn = violations.some((violation) => violation.kind === "torn transaction" || violation.kind === "wrong sum");

  const lost: Operation[] = [];
  let acknowledged = 0;
  let ghosts = 0;
  for (const { writes, kept } of survivals) {
    for (let index = 0; index < writes.length; index++) {
      const operation = writes[index] as Operation;
      const told = isAcknowledged(operation, evidence.cut);
      if (told) acknowledged++;
      if (told && index >= kept) lost.push(operation);
      if (!told && index < kept) ghosts++;
    }
  }
  lost.sort((a, b) => (a.answered?.order ?? 0) - (b.answered?.order ?? 0));
  const first = lost[0];
  const lostMs = first?.answered === undefined ? 0 : evidence.cutMs - first.answered.ms;
  if (first !== undefined) {
    checkPromise(evidence, promise, first, lost.length, lostMs, report);
    checkSuffix(first, survivals, report);
  }
  checkUncommitted(evidence, survivals, report);
  const reads = promise.keeps === "everything" ? checkReads(evidence, survivals, report) : 0;
  return {
    acknowledged,
    survived: acknowledged - lost.length,
    ghosts,
    lost: lost.length,
    lostMs,
    atomic: !torn,
    reads,
    refused: undefined,
    violations,
  };
}

/** The writes that survived; undefined when what was found fits no prefix of a client's writes. */
export function survivorsOf(evidence: Evidence): ReadonlySet<Operation> | undefined {
  let fits = true;
  const survivals = findSurvivals(evidence, () => {
    fits = false;
  });
  return fits ? new Set(survivals.flatMap(({ writes, kept }) => writes.slice(0, kept))) : undefined;
}

/** The verdict on a recovery that refused to start. */
export function judgeRefusal(evidence: Omit<Evidence, "found">, reason: string): Verdict {
  const writes = evidence.history.clients.flat().filter((operation) => operation.kind !== "read");
  const acknowledged = writes.filter((operation) => isAcknowledged(operation, evidence.cut)).length;
  const none = { survived: 0, ghosts: 0, lost: 0, lostMs: 0, atomic: true, reads: 0 };
  const promise = promiseText(promiseOf(evidence.policy, evidence.crash));
  const { matrix } = evidence;
  const violation: Violation = { kind: "refused", rule: "I7", matrix, promise, command: "", detail: reason };
  return { acknowledged, ...none, refused: reason, violations: [violation] };
}

type Report = (kind: Violation["kind"], rule: Violation["rule"], command: string, detail: string) => void;

/** Splits what was found by owner, and finds each client's j. */
function findSurvivals(evidence: Evidence, report: Report): Survival[] {
  const { history, cut, setupClient } = evidence;
  const own = history.clients.map(() => new Map<Bytes, Bytes>());
  for (const [cell, value] of evidence.found) {
    if (isAccount(cell)) continue;
    const client = Number(/^c(\d+):/.exec(cell)?.[1] ?? -1);
    const cells = own[client];
    if (cells === undefined) report("invented data", "I2", "", `${cell} was never written`);
    else cells.set(cell, value);
  }
  return history.clients.map((operations, client) => {
    // A command that was answered with an error changed nothing, so it has no place in the order.
    const writes = operations.filter(
      ({ kind, sent, reply }) => kind !== "read" && sent.order < cut && !(reply instanceof Error),
    );
    if (client === setupClient) {
      const opened = evidence.found.has("bank:0");
      const kept = opened ? writes.length : 0;
      return { writes, kept, sure: kept };
    }
    return { writes, ...prefixOf(writes, own[client] ?? new Map(), evidence, report) };
  });
}

/** The largest and the smallest j that fit; reports and estimates when none does. */
function prefixOf(
  writes: readonly Operation[],
  found: Cells,
  evidence: Evidence,
  report: Report,
): { kept: number; sure: number } {
  const prefix = new Prefix(found);
  let sure = prefix.matches ? 0 : -1;
  let kept = sure;
  for (let index = 0; index < writes.length; index++) {
    prefix.apply(writes[index] as Operation);
    if (!prefix.matches) continue;
    kept = index + 1;
    if (sure < 0) sure = kept;
  }
  if (kept >= 0) return { kept, sure };
  explainMismatch(writes, found, report);
  kept = writes.filter((operation) => isAcknowledged(operation, evidence.cut)).length;
  return { kept, sure: kept };
}

/** No prefix fits: says which of the three reasons it is. */
function explainMismatch(writes: readonly Operation[], found: Cells, report: Report): void {
  const byCommand = new Prefix(found);
  const seen = new Set<string>();
  let closest: { operation: Operation; differences: Bytes[] } | undefined;
  for (const operation of writes) {
    const before = new Set(byCommand.differences());
    let isTorn = false;
    for (const command of effectiveCommands(operation)) {
      byCommand.applyCommand(command);
      isTorn ||= byCommand.matches;
    }
    const differences = byCommand.differences();
    // Of one command, too: every cell is as it was before or as it is after, and neither all nor none changed.
    if (isTorn || !differences.some((cell) => before.has(cell))) {
      report("torn transaction", "I5", operationText(operation), "a part of the transaction is there, the rest is not");
      return;
    }
    if (closest === undefined || differences.length < closest.differences.length) closest = { operation, differences };
    for (const [cell, value] of byCommand.cells) seen.add(`${cell}=${value}`);
  }
  const invented = [...found].find(([cell, value]) => !seen.has(`${cell}=${value}`));
  if (invented !== undefined) {
    report("invented data", "I2", "", `${describe(invented[0])} holds ${describe(invented[1])}, which nobody wrote`);
    return;
  }
  const cell = closest?.differences[0] ?? "";
  const writer = closest === undefined ? "" : operationText(closest.operation);
  report("hole", "I2", writer, `${describe(cell)} is from another time than the rest of its client's keys`);
}

/** The accounts must be what the surviving transfers make of them. */
function checkAccounts(evidence: Evidence, survivals: readonly Survival[], report: Report): void {
  const expected = new Map<Bytes, number>();
  for (const { writes, kept } of survivals) {
    for (const operation of writes.slice(0, kept)) addToAccounts(expected, operation);
  }
  let sum = 0;
  let wrong: Bytes | undefined;
  for (let account = 0; account < ACCOUNTS; account++) {
    const cell = `bank:${account}`;
    const balance = Number(evidence.found.get(cell) ?? 0);
    sum += balance;
    if (balance !== (expected.get(cell) ?? 0)) wrong = cell;
  }
  const isOpen = evidence.found.has("bank:0");
  const total = isOpen ? ACCOUNTS * OPENING_BALANCE : 0;
  if (sum !== total) report("wrong sum", "I5", "", `the bank holds ${sum} instead of ${total}`);
  else if (wrong !== undefined) {
    const detail = `${wrong} holds ${evidence.found.get(wrong)}, the surviving transfers give ${expected.get(wrong) ?? 0}`;
    report("hole", "I2", "", detail);
  }
}

function checkPromise(
  evidence: Evidence,
  promise: DurabilityPromise,
  first: Operation,
  count: number,
  lostMs: number,
  report: Report,
): void {
  const text = operationText(first);
  if (promise.keeps === "everything") {
    report("lost write", "I1", text, `${count} acknowledged ${count === 1 ? "write is" : "writes are"} gone`);
  } else if (promise.keeps === "all but the last" && lostMs > promise.ms + evidence.diskMs) {
    report("lost write", "I1", text, `it was acknowledged ${lostMs.toFixed(0)} ms before the crash and is gone`);
  }
}

/** Whatever was sent after a lost operation had been acknowledged comes later in the log: it must be lost too. */
function checkSuffix(first: Operation, survivals: readonly Survival[], report: Report): void {
  const lostAt = first.answered?.order ?? 0;
  for (const { writes, sure } of survivals) {
    const last = writes[sure - 1];
    if (last === undefined || last.sent.order < lostAt) continue;
    report(
      "hole",
      "I2",
      operationText(first),
      `it is gone, and ${operationText(last)}, sent after its reply, is there`,
    );
    return;
  }
}

/** A transaction whose COMMIT had not been sent is not there, nor is any part of it. */
function checkUncommitted({ cut }: Evidence, survivals: readonly Survival[], report: Report): void {
  for (const { writes, sure } of survivals) {
    const last = writes[sure - 1];
    if (last?.kind !== "interactive" || (last.completed ?? Number.POSITIVE_INFINITY) <= cut) continue;
    report("torn transaction", "I5", operationText(last), "it is there although its COMMIT had not been sent");
  }
}

/** A value that a reply showed was written by an operation that must have survived. Returns how many replies were compared. */
function checkReads(evidence: Evidence, survivals: readonly Survival[], report: Report): number {
  const wroteAt = new Map<string, { survival: Survival; index: number }>();
  for (const survival of survivals) {
    for (let index = survival.kept; index < survival.writes.length; index++) {
      const [name, key, value] = survival.writes[index]?.commands[0] ?? [];
      if (name === "SET") wroteAt.set(`${key}=${value}`, { survival, index });
    }
  }
  if (wroteAt.size === 0) return 0;
  let compared = 0;
  for (const operation of evidence.history.clients.flat()) {
    if (operation.kind !== "read" || typeof operation.reply !== "string" || !isAcknowledged(operation, evidence.cut))
      continue;
    compared++;
    const vanished = wroteAt.get(`${operation.commands[0]?.[1]}=${operation.reply}`);
    if (vanished === undefined) continue;
    const writer = vanished.survival.writes[vanished.index] as Operation;
    report(
      "vanished read",
      "I1",
      operationText(operation),
      `its reply showed what ${operationText(writer)} wrote, and that is gone`,
    );
    break;
  }
  return compared;
}

function describe(bytes: Bytes): string {
  const text = bytes.replace("\0", " field ");
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 37)}…` : text);
}
