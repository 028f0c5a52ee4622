/**
 * A thousand clients with random transactions on a few keys, judged by a model of committed and uncommitted values: every reply
 * is the one that the client's isolation level allows, nobody hangs, no lock is lost, and money is neither made nor lost.
 */
import t, { type Test } from "tap";
import type { IsolationLevel } from "../common/command/transactions.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { binlogContents } from "./support/binlog-contents.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { contentsOf } from "./support/contents.ts";
import { Sessions, type TestSession } from "./support/sessions.ts";
import { openWal } from "./support/wal-fixture.ts";

const ACCOUNTS = Array.from({ length: 10 }, (_, n) => `account:${n}`);
const COUNTERS = Array.from({ length: 100 }, (_, n) => `counter:${n}`);
const HASHES = ["h:0", "h:1", "h:2"];
const FIELDS = ["f", "g", "h"];
const BALANCE = 100;
/** Mostly those that do not lock what they read: a thousand clients have to get somewhere. */
const LEVELS: readonly IsolationLevel[] = [
  ...(["READ UNCOMMITTED", "SERIALIZABLE"] as const),
  ...(["READ COMMITTED", "READ COMMITTED", "READ COMMITTED"] as const),
  ...(["REPEATABLE READ", "REPEATABLE READ", "REPEATABLE READ", "REPEATABLE READ"] as const),
];

/**
 * What the rows of kv-wal hold: a value by key; for a hash the number of its incarnation by key, and a value by "incarnation
 * field". A transaction sees the rows of its snapshot and those that it has changed itself, as they are since.
 */
type Values = Map<string, number>;

interface OpenTransaction {
  readonly level: IsolationLevel;
  /** What it has changed; undefined: deleted. */
  changes: Map<string, number | undefined>;
  snapshot: Values | undefined;
  savepoint: Map<string, number | undefined> | undefined;
}

interface Asked {
  readonly words: readonly string[];
  /** Judges the reply and changes the model; not called for an error of locks. */
  readonly judge: (reply: string) => void;
}

class Bank {
  readonly sessions: Sessions;
  readonly pick: (bound: number) => number;
  readonly committed: Values = new Map(ACCOUNTS.map((account) => [account, BALANCE]));
  readonly clients: Client[] = [];
  readonly problems: string[] = [];
  deadlocks = 0;
  timeouts = 0;
  judged = 0;
  incarnations = 0;

  constructor(seed: number, clients: number, directives: Record<string, string>) {
    this.sessions = new Sessions(new MemoryDisk(), directives);
    this.pick = pseudoRandom(seed);
    this.sessions.ask("setup", `MSET ${ACCOUNTS.map((account) => `${account} ${BALANCE}`).join(" ")}`);
    for (let n = 0; n < clients; n++) this.clients.push(new Client(this, n));
  }

  one<T>(of: readonly T[]): T {
    return of[this.pick(of.length)]!;
  }
}

class Client {
  readonly #bank: Bank;
  readonly #name: string;
  transaction: OpenTransaction | undefined;
  asked: Asked | undefined;
  /** What comes next, if it is not left to chance. */
  #planned: (() => void)[] = [];

  constructor(bank: Bank, n: number) {
    this.#bank = bank;
    this.#name = `client ${n}`;
    this.#attach();
  }

  get session(): TestSession {
    return this.#bank.sessions.of(this.#name);
  }

  /** Replies are judged in the order in which they leave the server: that is the order in which the commands ran. */
  #attach(): void {
    const { session } = this;
    session.write = (output) => {
      session.received += output;
      if (session.received.endsWith("\r\n")) this.#answer(session.take());
    };
  }

  #answer(reply: string): void {
    const asked = this.asked!;
    const bank = this.#bank;
    bank.judged++;
    if (reply.startsWith("-ERR Deadlock")) {
      bank.deadlocks++;
      this.transaction = undefined;
      this.#planned = [];
    } else if (reply.startsWith("-ERR Lock wait timeout")) {
      bank.timeouts++;
      if (this.#planned.length > 0) this.#planned = [() => this.end(false)];
    } else asked.judge(reply);
    this.asked = undefined;
  }

  #ask(judge: (reply: string) => void, ...words: string[]): void {
    this.asked = { words, judge };
    this.session.send(...words);
    this.#bank.sessions.host.settle();
  }

  #expect(found: string, expected: string): void {
    if (found === expected) return;
    this.#bank.problems.push(
      `${this.#name} ${this.transaction?.level}: ${this.asked?.words} ${found}, not ${expected}`,
    );
  }

  /** What a read of this client shows; undefined for READ UNCOMMITTED, which may show anything. */
  #seen(): Values | undefined {
    const { transaction } = this;
    const { committed } = this.#bank;
    if (transaction === undefined) return committed;
    if (transaction.level === "READ UNCOMMITTED") return undefined;
    if (transaction.level === "REPEATABLE READ") transaction.snapshot ??= new Map(committed);
    return withChanges(transaction.snapshot ?? committed, transaction.changes);
  }

  /** What a write of this client works on. */
  #newest(cell: string): number | undefined {
    const { transaction } = this;
    if (transaction?.changes.has(cell) === true) return transaction.changes.get(cell);
    return this.#bank.committed.get(cell);
  }

  #put(cell: string, value: number | undefined): void {
    if (this.transaction !== undefined) this.transaction.changes.set(cell, value);
    else put(this.#bank.committed, cell, value);
  }

  #add(cell: string, amount: number): number {
    const value = (this.#newest(cell) ?? 0) + amount;
    this.#put(cell, value);
    return value;
  }

  #addToField(hash: string, field: string, amount: number): number {
    const incarnation = this.#newest(hash) ?? this.#bank.incarnations++;
    this.#put(hash, incarnation);
    return this.#add(`${incarnation} ${field}`, amount);
  }

  #delete(key: string): void {
    const value = this.#newest(key);
    if (value === undefined) return;
    this.#put(key, undefined);
    if (HASHES.includes(key)) for (const field of FIELDS) this.#put(`${value} ${field}`, undefined);
  }

  step(): void {
    const bank = this.#bank;
    const next = this.#planned.shift();
    if (next !== undefined) next();
    else if (bank.pick(400) === 0) this.leave();
    else if (this.transaction === undefined && bank.pick(3) > 0) this.#begin();
    else if (this.transaction !== undefined && bank.pick(4) === 0) this.end(bank.pick(5) > 0);
    else this.#work(bank.pick(10));
  }

  #begin(): void {
    const level = this.#bank.one(LEVELS);
    const begun = { level, changes: new Map(), snapshot: undefined, savepoint: undefined };
    this.#ask(
      () => {
        this.transaction = begun;
      },
      "BEGIN",
      "ISOLATION",
      "LEVEL",
      ...level.split(" "),
    );
  }

  end(commits: boolean): void {
    this.#ask(
      (reply) => {
        this.#expect(reply, "+OK");
        const { transaction } = this;
        this.transaction = undefined;
        if (commits) for (const [cell, value] of transaction!.changes) put(this.#bank.committed, cell, value);
      },
      commits ? "COMMIT" : "ROLLBACK",
    );
  }

  leave(): void {
    this.session.leave();
    this.transaction = undefined;
    this.asked = undefined;
    this.#planned = [];
    this.#attach();
  }

  #work(kind: number): void {
    const bank = this.#bank;
    const counter = bank.one(COUNTERS);
    const hash = bank.one(HASHES);
    const field = bank.one(FIELDS);
    const amount = bank.pick(100) - 50;
    switch (kind) {
      case 0:
        this.#readAccounts();
        break;
      case 1:
        if (bank.pick(2) === 0) this.#ask((reply) => this.#judgeCount(reply), "DBSIZE");
        else this.#ask((reply) => this.#judgeKeys(reply), "KEYS", "*");
        break;
      case 2:
        this.#ask((reply) => this.#judgeField(reply, hash, field), "HGET", hash, field);
        break;
      case 3:
        this.#ask((reply) => this.#judgeValue(reply, counter), "GET", counter);
        break;
      case 4:
        this.#ask(
          (reply) => this.#expect(reply, `:${this.#addToField(hash, field, amount)}`),
          "HINCRBY",
          hash,
          field,
          String(amount),
        );
        break;
      case 5:
        this.#ask(() => this.#delete(counter), "DEL", counter);
        break;
      case 6:
        this.#ask(() => this.#delete(hash), "DEL", hash);
        break;
      case 7:
        this.#savepoint();
        break;
      case 8:
        this.#askToAdd(counter, amount);
        break;
      default:
        this.#transfer(amount);
    }
  }

  #readAccounts(): void {
    this.#ask(
      (reply) => {
        const seen = this.#seen();
        if (seen === undefined) return;
        const found = reply.split(" ").slice(1).map(Number);
        const expected = ACCOUNTS.map((account) => seen.get(account));
        this.#expect(String(found), String(expected));
        this.#expect(String(found.reduce((sum, balance) => sum + balance, 0)), String(BALANCE * ACCOUNTS.length));
      },
      "MGET",
      ...ACCOUNTS,
    );
  }

  #judgeValue(reply: string, cell: string): void {
    const seen = this.#seen();
    if (seen !== undefined) this.#expect(reply, String(seen.get(cell) ?? "nil"));
  }

  #judgeField(reply: string, hash: string, field: string): void {
    const seen = this.#seen();
    if (seen !== undefined) this.#expect(reply, String(seen.get(`${seen.get(hash)} ${field}`) ?? "nil"));
  }

  #judgeCount(reply: string): void {
    const seen = this.#seen();
    if (seen !== undefined) this.#expect(reply, `:${keysOf(seen).length}`);
  }

  #judgeKeys(reply: string): void {
    const seen = this.#seen();
    if (seen !== undefined) this.#expect(String(reply.split(" ").slice(1).sort()), String(keysOf(seen)));
  }

  #savepoint(): void {
    const { transaction } = this;
    if (transaction === undefined) return;
    const { savepoint } = transaction;
    if (savepoint === undefined || this.#bank.pick(2) === 0) {
      this.#ask(
        () => {
          transaction.savepoint = new Map(transaction.changes);
        },
        "SAVEPOINT",
        "s",
      );
      return;
    }
    this.#ask(
      (reply) => {
        this.#expect(reply, "+OK");
        transaction.changes = new Map(savepoint);
      },
      "ROLLBACK",
      "TO",
      "s",
    );
  }

  /** In a transaction of its own, step by step, with others in between; or in one EXEC. */
  #transfer(amount: number): void {
    const from = this.#bank.one(ACCOUNTS);
    const to = this.#bank.one(ACCOUNTS);
    if (from === to || this.transaction !== undefined) return;
    if (this.#bank.pick(2) === 0) {
      this.#begin();
      this.#planned.push(
        () => this.#askToAdd(from, -amount),
        () => this.#askToAdd(to, amount),
        () => this.end(this.#bank.pick(4) > 0),
      );
      return;
    }
    this.#ask(() => {}, "MULTI");
    this.#ask(() => {}, "INCRBY", from, String(-amount));
    this.#ask(() => {}, "INCRBY", to, String(amount));
    this.#ask((reply) => this.#expect(reply, `*2 :${this.#add(from, -amount)} :${this.#add(to, amount)}`), "EXEC");
  }

  #askToAdd(cell: string, amount: number): void {
    this.#ask((reply) => this.#expect(reply, `:${this.#add(cell, amount)}`), "INCRBY", cell, String(amount));
  }
}

/** The keys of some values, sorted. */
function keysOf(values: Values): string[] {
  return [...values.keys()].filter((cell) => !cell.includes(" ")).sort();
}

function put(values: Values, cell: string, value: number | undefined): void {
  if (value === undefined) values.delete(cell);
  else values.set(cell, value);
}

function withChanges(values: Values, changes: Map<string, number | undefined>): Values {
  const seen = new Map(values);
  for (const [cell, value] of changes) put(seen, cell, value);
  return seen;
}

/** Ends what is open, until nobody waits. */
function finish(t: Test, bank: Bank): void {
  for (
    let rounds = 0;
    bank.clients.some(({ asked, transaction }) => asked !== undefined || transaction !== undefined);
  ) {
    for (const client of bank.clients) {
      if (client.asked === undefined && client.transaction !== undefined) client.end(bank.pick(2) === 0);
    }
    if (++rounds > bank.clients.length) {
      t.fail(`${bank.clients.filter(({ asked }) => asked !== undefined).length} clients hang`);
      return;
    }
  }
}

function stored(values: Values): string[] {
  const lines = keysOf(values)
    .filter((key) => !HASHES.includes(key))
    .map((key) => `${key} = ${values.get(key)}`);
  for (const hash of HASHES) {
    for (const field of FIELDS) {
      const value = values.get(`${values.get(hash)} ${field}`);
      if (value !== undefined) lines.push(`${hash} ${field} = ${value}`);
    }
  }
  return lines.sort();
}

/** The values of a keyspace, as the model has them. */
function valuesOf(lines: readonly string[]): string[] {
  return lines
    .flatMap((line) => {
      const [, key, value] = /^0 "([^"]*)" (.*)$/.exec(line)!;
      if (!value!.startsWith("{")) return [`${key} = ${value!.slice(1, -1)}`];
      return [...value!.matchAll(/"([^"]*)": "([^"]*)"/g)].map(([, field, number]) => `${key} ${field} = ${number}`);
    })
    .sort();
}

/** The power goes, with whatever is open: what was committed is there, and nothing else. */
function judgeCrash(bank: Bank, step: number): void {
  const disk = bank.sessions.host.memory.afterPowerLoss();
  const { keyspace, storage } = openWal(disk);
  const found = valuesOf(contentsOf(keyspace));
  const expected = stored(bank.committed);
  if (found.join() !== expected.join()) bank.problems.push(`crash after step ${step}: ${found}, not ${expected}`);
  const told = valuesOf(binlogContents(disk));
  if (found.join() !== told.join())
    bank.problems.push(`crash after step ${step}: ${found}, but the binlog says ${told}`);
  if (storage.versions.inUse !== 0) bank.problems.push(`crash after step ${step}: somebody is still there`);
}

function play(
  t: Test,
  seed: number,
  clients: number,
  steps: number,
  crashEvery: number,
  directives: Record<string, string> = {},
): Bank {
  const bank = new Bank(seed, clients, directives);
  const { host, engine } = bank.sessions;
  for (let step = 0; step < steps && bank.problems.length === 0; step++) {
    const client = bank.one(bank.clients);
    if (client.asked === undefined) client.step();
    if (step % 100 === 99) host.pass(25);
    if (step % crashEvery === crashEvery - 1) judgeCrash(bank, step);
    if (step % 2000 === 1999) bank.problems.push(...engine.transactions.locks.check());
    if (bank.sessions.failure !== undefined) throw bank.sessions.failure;
  }
  finish(t, bank);
  t.same(bank.problems, [], "every reply is one that the isolation level allows");
  const { locks } = engine.transactions;
  t.equal(locks.size, 0, "no lock is lost");
  t.equal(locks.waiters, 0, "nobody waits");
  t.same(
    valuesOf(contentsOf(engine.keyspace)),
    stored(bank.committed),
    "what is there was committed, and nothing else",
  );
  host.pass(1000);
  t.equal(engine.storage.versions.markedRows, 0, "purge has removed every row with a delete mark");
  return bank;
}

t.test("a thousand clients", async (t) => {
  const bank = play(t, 1, 1000, 12_000, 4000);
  const { engine, host } = bank.sessions;
  t.ok(bank.deadlocks > 10, `${bank.deadlocks} deadlocks`);
  t.ok(engine.transactions.locks.waits > 1000, `${engine.transactions.locks.waits} waits`);
  t.comment(`${bank.judged} replies judged`);
  await engine.close();
  t.same(checkWal(host.disk), [], "the checker finds nothing");
  t.same(valuesOf(contentsOf(openWal(host.disk).keyspace)), stored(bank.committed), "and so it is after a restart");
});

t.test("few clients, many seeds, with lock timeouts, in all binlog formats", async (t) => {
  for (let seed = 100; seed < 115; seed++) {
    const format = ["ROW", "STATEMENT", "MIXED"][seed % 3]!;
    const bank = play(t, seed, 12, 1500, 250, { "lock-wait-timeout": "1", "binlog-format": format });
    t.same(checkWal(bank.sessions.host.disk), [], `seed ${seed}: the checker finds nothing in what a crash leaves`);
  }
});
