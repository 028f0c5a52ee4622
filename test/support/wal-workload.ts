/**
 * A small workload for kv-wal, for crashing it: transfers between accounts, each of which also counts itself, grows a hash and
 * replaces a value of many pages. `expected` has what must be there after each round, by doing the same without a crash.
 */
import { Effects } from "../../common/command/call.ts";
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { NO_EXPIRY } from "../../common/keyspace/keyspace.ts";
import type { WalEngine } from "../../kv-wal/engine.ts";
import { checkWal } from "../../kv-wal/inspect.ts";
import { openWal, runOn } from "./wal-fixture.ts";

const ACCOUNTS = 4;
const TOTAL = 400;
export const TRANSFERS = 14;

const account = (n: number) => `account:${n}`;

/** Runs one change as a transaction, not settled. */
function change(engine: WalEngine, run: () => void): void {
  const effects = new Effects();
  effects.push(0, ["SET", "what", "ever".repeat(100)]);
  runOn(engine, effects, run);
}

/** The accounts, with which round 0 ends. */
export function setUp(engine: WalEngine): void {
  const { strings } = engine.keyspace.databases[0]!;
  change(engine, () => {
    for (let n = 0; n < ACCOUNTS; n++) strings.set(account(n), String(TOTAL / ACCOUNTS), NO_EXPIRY);
    strings.set("round", "0", NO_EXPIRY);
  });
}

/** Round 1 and so on. */
export function transfer(engine: WalEngine, round: number): void {
  const { strings, hashes } = engine.keyspace.databases[0]!;
  const from = account(round % ACCOUNTS);
  const to = account((round * 3 + 1) % ACCOUNTS);
  change(engine, () => {
    strings.set(from, String(Number(strings.get(from)) - round), NO_EXPIRY);
    strings.set(to, String(Number(strings.get(to)) + round), NO_EXPIRY);
    strings.set("round", String(round), NO_EXPIRY);
    hashes.set("rounds", `field ${round}`, "x".repeat(round * 20));
    if (round % 5 === 0) strings.set("large", String(round % 10).repeat(20_000 + round), 1_800_000_000_000 + round);
    if (round % 7 === 0) hashes.delete("rounds", `field ${round - 1}`);
  });
}

/** Makes what was done durable as the policy promises; throws when it cannot tell at once. */
export function settle(engine: WalEngine): void {
  let settled = false;
  engine.settle((failure) => {
    settled = failure === undefined;
  });
  if (!settled) throw new Error("a small group is settled in place");
}

/** Everything in database 0, as text. */
export function dump(engine: WalEngine): string {
  const database = engine.keyspace.databases[0]!;
  const lines: string[] = [];
  const keys: string[] = [];
  database.scan(0, 1e9, (key) => keys.push(key));
  for (const key of keys.sort()) {
    const value = key === "rounds" ? "" : `${database.strings.get(key)} ${database.expiryOf(key)}`;
    lines.push(`${key} ${value}`);
  }
  const fields: string[] = [];
  database.hashes.each("rounds", (field, value) => fields.push(`${field}=${value.length}`));
  return [...lines, ...fields.sort(), `${database.size} ${database.hashes.length("rounds")}`].join("\n");
}

/** What must be there: before the accounts, after them, and after each round. */
export const expected: readonly string[] = (() => {
  const engine = openWal(new MemoryDisk());
  const states: string[] = [dump(engine)];
  setUp(engine);
  states.push(dump(engine));
  for (let round = 1; round <= TRANSFERS; round++) {
    settle(engine);
    transfer(engine, round);
    states.push(dump(engine));
  }
  return states;
})();

/** The last round that the engine has; −1: not even the accounts; −2: a state that never was. */
export function roundOf(engine: WalEngine): number {
  return Math.max(expected.lastIndexOf(dump(engine)) - 1, -2);
}

/** Recovers the disk, and says what is wrong when a round was acknowledged and `inFlight` more may be there; "" if nothing. */
export function judge(disk: MemoryDisk, acknowledged: number, inFlight = 1): string {
  const engine = openWal(disk);
  const found = roundOf(engine);
  if (found < -1) return `a state that never was: ${dump(engine).slice(0, 200)}`;
  if (found < acknowledged) return `round ${acknowledged} was acknowledged, found only ${found}`;
  if (found > Math.max(acknowledged, -1) + inFlight) return `round ${found} had not begun`;
  return checkWal(disk).join("; ");
}
