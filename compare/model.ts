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

/** One client's cells, compared with what was found while operation after operation is applied. */
export class Prefix {
  readonly #found: Cells;
  readonly #expected = new Map<Bytes, Bytes>();
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
    if (operation.kind === "read") return;
    for (const command of operation.commands) this.applyCommand(command);
  }

  applyCommand(command: readonly Bytes[]): void {
    const [name, key = "", third = "", fourth = ""] = command;
    switch (name) {
      case "SET":
        this.#set(key, third);
        break;
      case "DEL":
        this.#set(key, undefined);
        break;
      case "INCR":
        this.#set(key, String(Number(this.#expected.get(key) ?? "0") + 1));
        break;
      case "APPEND":
        this.#set(key, (this.#expected.get(key) ?? "") + third);
        break;
      case "HSET":
        this.#set(hashCell(key, third), fourth);
        break;
      case "HDEL":
        this.#set(hashCell(key, third), undefined);
        break;
      default:
        assert(name === "MSET" || name === "INCRBY" || name === "DECRBY", `the model knows the command ${name}`);
    }
  }

  #set(cell: Bytes, value: Bytes | undefined): void {
    const found = this.#found.get(cell);
    if (found !== this.#expected.get(cell)) this.#different--;
    if (value === undefined) this.#expected.delete(cell);
    else this.#expected.set(cell, value);
    if (found !== value) this.#different++;
  }

  /** The value of a cell after the operations applied so far. */
  value(cell: Bytes): Bytes | undefined {
    return this.#expected.get(cell);
  }
}

/** Adds what an operation does to the accounts. */
export function addToAccounts(balances: Map<Bytes, number>, operation: Planned): void {
  for (const command of operation.commands) {
    const sign = command[0] === "INCRBY" || command[0] === "MSET" ? 1 : command[0] === "DECRBY" ? -1 : 0;
    if (sign === 0) continue;
    for (let index = 1; index + 1 < command.length; index += 2) {
      const account = present(command[index], "an account");
      balances.set(account, (balances.get(account) ?? 0) + sign * Number(command[index + 1]));
    }
  }
}
