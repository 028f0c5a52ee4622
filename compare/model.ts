/**
 * What the workload's commands do, in as few lines as possible: an implementation that shares nothing with the engines.
 *
 * Data is a map of cells: "key" for a string, "key NUL field" for a hash field. Because a client's keys are its own, the
 * cells after its first j operations are known for every j; the question is which j, if any, the recovered data shows.
 * Bank accounts belong to all clients, but what is done to them only adds, so their sum over the operations is enough.
 */
import { assert, present } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import type { Planned } from "./workload.ts";

/** Cell → value. */
export type Cells = ReadonlyMap<Bytes, Bytes>;

export function hashCell(key: Bytes, field: Bytes): Bytes {
  return `${key}\0${field}`;
}

/** The cell of a key's expiry: absolute milliseconds. */
export function expiryCell(key: Bytes): Bytes {
  return `${key}\x01`;
}

/** The accounts are the only keys that are changed by adding. */
export function isAccount(cell: Bytes): boolean {
  return cell.startsWith("bank:");
}

type Fields = Map<Bytes, Bytes>;

/** One client's keys as its commands make them: nothing but the documented behaviour, one command a line or two. */
class Keys {
  readonly #strings = new Map<Bytes, Bytes>();
  readonly #hashes = new Map<Bytes, Fields>();
  readonly #expiries = new Map<Bytes, Bytes>();
  /** Is told every cell that changes. */
  readonly #changed: (cell: Bytes, value: Bytes | undefined) => void;

  constructor(changed: (cell: Bytes, value: Bytes | undefined) => void) {
    this.#changed = changed;
  }

  has(key: Bytes): boolean {
    return this.#strings.has(key) || this.#hashes.has(key);
  }

  text(key: Bytes): Bytes {
    return this.#strings.get(key) ?? "";
  }

  /** Keeps the expiry. */
  write(key: Bytes, value: Bytes): void {
    this.#strings.set(key, value);
    this.#changed(key, value);
  }

  field(key: Bytes, field: Bytes): Bytes | undefined {
    return this.#hashes.get(key)?.get(field);
  }

  writeField(key: Bytes, field: Bytes, value: Bytes): void {
    const fields: Fields = this.#hashes.get(key) ?? new Map();
    this.#hashes.set(key, fields.set(field, value));
    this.#changed(hashCell(key, field), value);
  }

  removeField(key: Bytes, field: Bytes): void {
    const fields = this.#hashes.get(key);
    if (fields === undefined || !fields.delete(field)) return;
    this.#changed(hashCell(key, field), undefined);
    if (fields.size === 0) this.remove(key);
  }

  expire(key: Bytes, at: Bytes | undefined): void {
    if (!this.has(key) || this.#expiries.get(key) === at) return;
    if (at === undefined) this.#expiries.delete(key);
    else this.#expiries.set(key, at);
    this.#changed(expiryCell(key), at);
  }

  remove(key: Bytes): void {
    this.expire(key, undefined);
    if (this.#strings.delete(key)) this.#changed(key, undefined);
    for (const field of this.#hashes.get(key)?.keys() ?? []) this.#changed(hashCell(key, field), undefined);
    this.#hashes.delete(key);
  }

  copy(from: Bytes, to: Bytes): void {
    const text = this.#strings.get(from);
    const fields = [...(this.#hashes.get(from) ?? [])];
    const expiry = this.#expiries.get(from);
    this.remove(to);
    if (text !== undefined) this.write(to, text);
    for (const [field, value] of fields) this.writeField(to, field, value);
    this.expire(to, expiry);
  }

  clear(): void {
    for (const key of [...this.#strings.keys(), ...this.#hashes.keys()]) this.remove(key);
  }
}

type Apply = (keys: Keys, key: Bytes, args: readonly Bytes[]) => void;

function add(keys: Keys, key: Bytes, amount: number): void {
  keys.write(key, String(Number(keys.text(key)) + amount));
}

function pairs(args: readonly Bytes[], visit: (first: Bytes, second: Bytes) => void): void {
  for (let index = 0; index + 1 < args.length; index += 2) visit(args[index] ?? "", args[index + 1] ?? "");
}

/** What each command of the lab's workloads does; `args` are those behind the key. */
const COMMANDS: Readonly<Record<string, Apply>> = {
  SET: (keys, key, [value = ""]) => {
    keys.remove(key);
    keys.write(key, value);
  },
  DEL: (keys, key, others) => {
    for (const each of [key, ...others]) keys.remove(each);
  },
  INCR: (keys, key) => add(keys, key, 1),
  INCRBY: (keys, key, [amount]) => add(keys, key, Number(amount)),
  DECRBY: (keys, key, [amount]) => add(keys, key, -Number(amount)),
  APPEND: (keys, key, [value = ""]) => keys.write(key, keys.text(key) + value),
  SETRANGE: (keys, key, [offset, value = ""]) => {
    const text = keys.text(key).padEnd(Number(offset), "\0");
    keys.write(key, text.slice(0, Number(offset)) + value + text.slice(Number(offset) + value.length));
  },
  MSET: (keys, key, args) =>
    pairs([key, ...args], (each, value) => {
      keys.remove(each);
      keys.write(each, value);
    }),
  HSET: (keys, key, args) => pairs(args, (field, value) => keys.writeField(key, field, value)),
  HDEL: (keys, key, fields) => {
    for (const field of fields) keys.removeField(key, field);
  },
  HINCRBY: (keys, key, [field = "", amount]) =>
    keys.writeField(key, field, String(Number(keys.field(key, field) ?? 0) + Number(amount))),
  PEXPIREAT: (keys, key, [at]) => keys.expire(key, at),
  PERSIST: (keys, key) => keys.expire(key, undefined),
  RENAME: (keys, key, [to = ""]) => {
    if (!keys.has(key) || key === to) return;
    keys.copy(key, to);
    keys.remove(key);
  },
  FLUSHALL: (keys) => keys.clear(),
  BGREWRITEAOF: () => {},
};

/** Commands that the model knows: what a script may use. */
export const MODELLED: ReadonlySet<string> = new Set(Object.keys(COMMANDS));

/** One client's cells, compared with what was found while operation after operation is applied. */
export class Prefix {
  readonly #found: Cells;
  readonly #expected = new Map<Bytes, Bytes>();
  readonly #keys = new Keys((cell, value) => this.#set(cell, value));
  #different: number;

  /** `found` holds the client's own cells only. */
  constructor(found: Cells) {
    this.#found = found;
    this.#different = found.size;
  }

  /** True when the operations applied so far give exactly what was found. */
  get matches(): boolean {
    return this.#different === 0;
  }

  /** The cells that differ now. */
  differences(): Bytes[] {
    const cells = new Set([...this.#found.keys(), ...this.#expected.keys()]);
    return [...cells].filter((cell) => this.#found.get(cell) !== this.#expected.get(cell));
  }

  apply(operation: Planned): void {
    for (const command of effectiveCommands(operation)) this.applyCommand(command);
  }

  applyCommand(command: readonly Bytes[]): void {
    const [name = "", key = ""] = command;
    const apply = COMMANDS[name];
    assert(apply !== undefined, `the model knows the command ${name}`);
    if (!isAccount(key)) apply(this.#keys, key, command.slice(2));
  }

  /** The value of a cell after the operations applied so far. */
  value(cell: Bytes): Bytes | undefined {
    return this.#expected.get(cell);
  }

  /** All cells after the operations applied so far. */
  get cells(): Cells {
    return this.#expected;
  }

  #set(cell: Bytes, value: Bytes | undefined): void {
    const found = this.#found.get(cell);
    if (found !== this.#expected.get(cell)) this.#different--;
    if (value === undefined) this.#expected.delete(cell);
    else this.#expected.set(cell, value);
    if (found !== value) this.#different++;
  }
}

/** The commands that change something when the operation is done: what was rolled back is not among them. */
export function effectiveCommands({ kind, commands }: Planned): readonly (readonly Bytes[])[] {
  if (kind === "read") return [];
  if (kind !== "interactive") return commands;
  let kept: (readonly Bytes[])[] = [];
  const savepoints = new Map<Bytes, number>();
  for (const command of commands) {
    const [name, to = "", savepoint = to] = command;
    if (name === "BEGIN" || name === "COMMIT") continue;
    if (name === "SAVEPOINT") savepoints.set(to, kept.length);
    else if (name === "ROLLBACK") kept = to === "" ? [] : kept.slice(0, savepoints.get(savepoint));
    else kept.push(command);
  }
  return kept;
}

/** Adds what an operation does to the accounts. */
export function addToAccounts(balances: Map<Bytes, number>, operation: Planned): void {
  for (const command of effectiveCommands(operation)) {
    const sign = command[0] === "INCRBY" || command[0] === "MSET" ? 1 : command[0] === "DECRBY" ? -1 : 0;
    if (sign === 0 || !isAccount(command[1] ?? "")) continue;
    for (let index = 1; index + 1 < command.length; index += 2) {
      const account = present(command[index], "an account");
      balances.set(account, (balances.get(account) ?? 0) + sign * Number(command[index + 1]));
    }
  }
}
