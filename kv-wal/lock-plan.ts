/**
 * Which locks a command needs, from its key specs: exclusive for a key that it writes, shared for one that a command which
 * writes only reads. A command that writes without naming keys locks whole databases.
 *
 * EXEC needs those of all its commands, its reads included: so a MULTI … EXEC that writes sees one state and changes it, as
 * in Redis. Commands that only read need none, but for those of a SERIALIZABLE transaction.
 *
 * Locks are asked for in the order of their names: two commands never wait for each other because each holds what the
 * other needs next; only transactions of several commands can.
 */
import type { Bytes } from "../common/bytes.ts";
import type { Call } from "../common/command/call.ts";
import type { Command } from "../common/command/define.ts";
import { WRITE } from "../common/command/flags.ts";
import { findKeys } from "../common/command/keys.ts";
import { LockMode } from "./lock-table.ts";

const { IS, IX, S, X } = LockMode;

/** SWAPDB changes what all databases are. */
export const KEYSPACE = "";

export interface PlannedLock {
  readonly name: string;
  readonly mode: LockMode;
}

export function databaseLock(index: number): string {
  return String(index);
}
export function keyLock(index: number, key: Bytes): string {
  return `${index}:${key}`;
}

/** Whether the command changes data; of EXEC, whether one of its commands does. */
export function writes(call: Call): boolean {
  if ((call.command.flags & WRITE) !== 0) return true;
  return isExec(call.command) && queueOf(call).some(({ command }) => (command.flags & WRITE) !== 0);
}

export function isExec(command: Command): boolean {
  return command.fullName === "exec";
}

/** The commands that EXEC is going to run: none when it will refuse. */
function queueOf(call: Call): readonly { readonly command: Command; readonly args: readonly Bytes[] }[] {
  const transaction = call.session.client?.transaction;
  if (transaction === undefined || transaction.failed || transaction.watcher.broken) return [];
  return transaction.queue;
}

/** The locks that the command needs before it runs; of EXEC, those of all its commands. */
export function locksOf(call: Call): PlannedLock[] {
  const plan = new LockPlan(call);
  if (!isExec(call.command)) plan.add(call.command, call.args, call.db.index);
  else {
    let index = call.db.index;
    for (const { command, args } of queueOf(call)) {
      if (command.fullName === "select") index = Number(args[1]);
      else plan.add(command, args, index);
    }
  }
  return plan.sorted();
}

class LockPlan {
  readonly #call: Call;
  readonly #modes = new Map<string, LockMode>();

  constructor(call: Call) {
    this.#call = call;
  }

  sorted(): PlannedLock[] {
    const locks = [...this.#modes].map(([name, mode]) => ({ name, mode }));
    return locks.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  add(command: Command, args: readonly Bytes[], index: number): void {
    const isWrite = (command.flags & WRITE) !== 0;
    const found = findKeys(command.keySpecs, args);
    for (const { key, use } of found) this.#key(index, key, isWrite && !use.access.startsWith("RO"));
    if (found.length === 0) this.#whole(command, index, isWrite);
    else this.#elsewhere(command, args);
  }

  #key(index: number, key: Bytes, exclusive: boolean): void {
    this.#need(databaseLock(index), exclusive ? IX : IS);
    this.#need(keyLock(index, key), exclusive ? X : S);
  }

  /** A command without keys, on a whole database or all of them; those that look at no data need nothing. */
  #whole(command: Command, index: number, isWrite: boolean): void {
    const { databases } = this.#call.keyspace;
    switch (command.fullName) {
      case "swapdb":
        this.#need(KEYSPACE, X);
        for (const database of databases) this.#need(databaseLock(database.index), X);
        break;
      case "flushall":
        for (const database of databases) this.#need(databaseLock(database.index), X);
        break;
      default:
        if (isWrite) this.#need(databaseLock(index), X);
        else if (command.about.group === "generic" || command.fullName === "dbsize") this.#need(databaseLock(index), S);
    }
  }

  /** Keys in another database than the selected one. */
  #elsewhere(command: Command, args: readonly Bytes[]): void {
    if (command.fullName === "move") this.#key(Number(args[2]), args[1]!, true);
    if (command.fullName !== "copy") return;
    const option = args.findIndex((arg, at) => at >= 3 && arg.toUpperCase() === "DB");
    if (option > 0) this.#key(Number(args[option + 1]), args[2]!, true);
  }

  #need(name: string, mode: LockMode): void {
    const other = this.#modes.get(name) ?? mode;
    this.#modes.set(name, other === mode ? mode : both(other, mode));
  }
}

/** The weakest mode that includes both. */
function both(a: LockMode, b: LockMode): LockMode {
  if (a === IS) return b;
  if (b === IS) return a;
  return a === b ? a : X;
}
