/**
 * What the clients of the lab do. Each client has keys of its own, so that the order of the writes to a key is the order
 * in which one connection sent them, and takes part in the bank, whose sum no transfer changes.
 *
 *     c3:s0 … c3:s7   strings, SET and now and then DEL; every value is written once only and names its command
 *     c3:n            a counter, INCR
 *     c3:log          APPEND: holds the numbers of the commands that wrote it
 *     c3:h            a hash, HSET and HDEL
 *     c3:t            the client's last transfer, SET inside the transfer's MULTI … EXEC
 *     bank:0 … 7      accounts, moved by DECRBY / INCRBY in a MULTI … EXEC
 *
 * A client also reads strings of the others: what a reply showed must not vanish (I1).
 */
import type { Bytes } from "../common/bytes.ts";
import { SeededRandom } from "./random.ts";

/**
 * One thing to send: a command, the body of one MULTI … EXEC, or all commands from BEGIN to COMMIT or ROLLBACK, which are
 * sent one by one so that those of other clients come in between.
 */
export interface Planned {
  readonly kind: "write" | "transaction" | "interactive" | "read";
  readonly commands: readonly (readonly Bytes[])[];
  /** In a script: how long the client waits before it sends this. */
  readonly afterMs?: number;
}

export const ACCOUNTS = 8;
export const OPENING_BALANCE = 1000;
const SLOTS = 8;
const FIELDS = 6;

/** The name that starts all keys of a client. */
export function ownPrefix(client: number): Bytes {
  return `c${client}:`;
}

/** Before everything else: the accounts are opened, by a client of its own. */
export const SETUP: Planned = {
  kind: "write",
  commands: [["MSET", ...Array.from({ length: ACCOUNTS }, (_, n) => [`bank:${n}`, String(OPENING_BALANCE)]).flat()]],
};

/** On a disk with an earlier life's data: everything goes, and the accounts are opened, in one transaction. */
export const SETUP_AGAIN: Planned = { kind: "transaction", commands: [["FLUSHALL"], ...SETUP.commands] };

/** All keys that the workload of so many clients can write. */
export function workloadKeys(clients: number): {
  readonly strings: readonly Bytes[];
  readonly hashes: readonly Bytes[];
} {
  const strings = Array.from({ length: ACCOUNTS }, (_, n) => `bank:${n}`);
  const hashes: Bytes[] = [];
  for (let client = 0; client < clients; client++) {
    const own = ownPrefix(client);
    for (let slot = 0; slot < SLOTS; slot++) strings.push(`${own}s${slot}`);
    strings.push(`${own}n`, `${own}log`, `${own}t`);
    hashes.push(`${own}h`);
  }
  return { strings, hashes };
}

/** The endless plan of one client. */
export class Workload {
  readonly #client: number;
  readonly #clients: number;
  readonly #random: SeededRandom;
  #sequence = 0;

  constructor(seed: number, client: number, clients: number) {
    this.#client = client;
    this.#clients = clients;
    this.#random = new SeededRandom(seed * 64 + client);
  }

  next(): Planned {
    const own = ownPrefix(this.#client);
    const id = `${this.#client}.${++this.#sequence}`;
    const random = this.#random;
    const write = (...command: Bytes[]): Planned => ({ kind: "write", commands: [command] });
    const roll = random.below(20);
    if (roll < 7) return write("SET", `${own}s${random.below(SLOTS)}`, this.#value(id));
    if (roll < 8) return write("DEL", `${own}s${random.below(SLOTS)}`);
    if (roll < 10) return write("INCR", `${own}n`);
    if (roll < 11) return write("APPEND", `${own}log`, `${id};`);
    if (roll < 13) return write("HSET", `${own}h`, `f${random.below(FIELDS)}`, this.#value(id));
    if (roll < 14) return write("HDEL", `${own}h`, `f${random.below(FIELDS)}`);
    if (roll < 17) return this.#transfer(own, id);
    return { kind: "read", commands: [["GET", `${ownPrefix(random.below(this.#clients))}s${random.below(SLOTS)}`]] };
  }

  #transfer(own: Bytes, id: Bytes): Planned {
    const from = this.#random.below(ACCOUNTS);
    const to = (from + 1 + this.#random.below(ACCOUNTS - 1)) % ACCOUNTS;
    const amount = String(1 + this.#random.below(50));
    return {
      kind: "transaction",
      commands: [
        ["DECRBY", `bank:${from}`, amount],
        ["SET", `${own}t`, id],
        ["INCRBY", `bank:${to}`, amount],
      ],
    };
  }

  /** Mostly short, sometimes larger than a sector, seldom larger than a page of the operating system. */
  #value(id: Bytes): Bytes {
    const random = this.#random;
    const length = random.oneIn(40) ? 5000 : random.oneIn(6) ? 700 : random.below(60);
    return `${id}=`.padEnd(length, "v");
  }
}
