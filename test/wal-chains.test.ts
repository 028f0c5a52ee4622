/**
 * Long values at the end of the tablespace: their pages move down, so that the file becomes smaller; and nobody who reads them,
 * whatever version, meets anything but what was written.
 */
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { checkWal } from "../kv-wal/inspect.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { CrashingDisk } from "./support/crashing-disk.ts";
import { Sessions } from "./support/sessions.ts";
import { openWal } from "./support/wal-fixture.ts";

/** Long values that move, once this much in front of them has been deleted. */
const IN_FRONT = 2_500_000;
const PASSED = `"${"x".repeat(IN_FRONT)}"`;

/** A value of so many bytes that differ from page to page. */
function long(name: string, bytes: number): string {
  return `${name}.`.repeat(Math.ceil(bytes / (name.length + 1))).slice(0, bytes);
}

/** Seconds pass, in each of which the server has nothing else to do. */
function rest(sessions: Sessions, seconds = 4): void {
  sessions.host.pass(1000 * seconds);
  if (sessions.failure !== undefined) throw sessions.failure;
}

function spaceBytes(disk: MemoryDisk): number {
  return disk.open("wal/space", "read").size();
}

function moved(sessions: Sessions): number {
  return sessions.engine.storage.trimmer.pagesMoved;
}

t.test("one long value at the end does not keep the whole file", async (t) => {
  const sessions = new Sessions();
  const { memory } = sessions.host;
  const values: readonly (readonly [key: string, bytes: number])[] = [
    ["one page", 9_000],
    ["two", 17_000],
    ["many", 200_000],
    ["k".repeat(5000), 0],
  ];
  sessions.ask("S", `SET front ${PASSED}`);
  for (const [key, bytes] of values) sessions.ask("S", `SET "${key}" "${long(key, bytes)}"`);
  sessions.ask("S", `HSET hash "${"f".repeat(2000)}" "${long("of a field", 40_000)}"`);
  rest(sessions);
  const before = spaceBytes(memory);
  t.ok(before > IN_FRONT + 250_000, `${before} bytes`);
  sessions.ask("S", "DEL front");
  rest(sessions, 10);
  const after = spaceBytes(memory);
  t.ok(after < before / 2, `${after} bytes`);
  t.ok(moved(sessions) > 15, `${moved(sessions)} pages moved`);
  const problems = (disk: MemoryDisk) => {
    const engine = openWal(disk.clone());
    const { strings, hashes } = engine.keyspace.databases[0]!;
    for (const [key, bytes] of values) t.equal(strings.get(key), long(key, bytes), key.slice(0, 10));
    t.equal(hashes.get("hash", "f".repeat(2000)), long("of a field", 40_000), "a field");
    return checkWal(disk);
  };
  t.same(problems(memory), []);
  t.same(problems(memory.afterPowerLoss()), []);
});

t.test("pages that an old version refers to stay until its reader has gone", async (t) => {
  const sessions = new Sessions();
  const { memory } = sessions.host;
  const old = long("old", 60_000);
  const newer = long("newer", 50_000);
  sessions.ask("S", `SET front ${PASSED}`);
  sessions.ask("S", `SET value "${old}"`);
  sessions.ask("S", `SET expires "${old}"`);
  sessions.ask("S", "DEL front");
  sessions.ask("R", "BEGIN");
  t.equal(sessions.ask("R", "GET value"), old);
  sessions.ask("S", `SET value "${newer}"`);
  // The same chain in two versions: the expiry is in the row.
  sessions.ask("S", "EXPIRE expires 100000");
  rest(sessions, 10);
  const held = spaceBytes(memory);
  t.equal(sessions.ask("R", "GET value"), old);
  t.equal(sessions.ask("R", "GET expires"), old);
  t.equal(sessions.ask("R", "TTL expires"), ":-1");
  t.equal(sessions.ask("S", "GET value"), newer);
  sessions.ask("R", "COMMIT");
  rest(sessions, 10);
  t.ok(spaceBytes(memory) < held / 2, `${held} bytes, then ${spaceBytes(memory)}`);
  t.ok(moved(sessions) > 4, `${moved(sessions)} pages moved`);
  t.equal(sessions.ask("S", "GET value"), newer);
  t.equal(sessions.ask("S", "GET expires"), old);
  t.same(checkWal(memory.afterPowerLoss()), []);
});

t.test("what a transaction has changed and not committed is given back, wherever its pages are", async (t) => {
  for (const end of ["ROLLBACK", "COMMIT", "crash"]) {
    const sessions = new Sessions();
    const { memory } = sessions.host;
    const [old, newer] = [long("old", 80_000), long("newer", 90_000)];
    sessions.ask("S", `SET front ${PASSED}`);
    for (const key of ["changed", "deleted", "aged"]) sessions.ask("S", `SET ${key} "${old}"`);
    sessions.ask("S", "DEL front");
    sessions.ask("A", "BEGIN");
    sessions.ask("A", `SET changed "${newer}"`);
    sessions.ask("A", "DEL deleted");
    sessions.ask("A", "EXPIRE aged 100000");
    sessions.ask("A", `SET new "${newer}"`);
    rest(sessions, 10);
    if (end !== "crash") sessions.ask("A", end);
    rest(sessions, 10);
    const { strings } = openWal(memory.afterPowerLoss()).keyspace.databases[0]!;
    const isDone = end === "COMMIT";
    t.equal(strings.get("changed"), isDone ? newer : old, `${end}: changed`);
    t.equal(strings.get("deleted"), isDone ? undefined : old, `${end}: deleted`);
    t.equal(strings.get("aged"), old, `${end}: aged`);
    t.equal(strings.get("new"), isDone ? newer : undefined, `${end}: new`);
    t.same(checkWal(memory.afterPowerLoss()), [], `${end}: checked`);
    if (end !== "crash") t.ok(moved(sessions) > 4, `${end}: ${moved(sessions)} pages moved`);
  }
});

/** Looks at the disk before each operation that changes anything. */
class WatchedDisk extends CrashingDisk {
  readonly #look: () => void;
  constructor(memory: MemoryDisk, look: () => void) {
    super(memory, Number.POSITIVE_INFINITY);
    this.#look = look;
  }
  override step(): void {
    this.#look();
  }
}

type Values = ReadonlyMap<string, string>;

/** What a crash left, and what may be in it: what was answered, or that and what was being committed. */
interface Left {
  readonly disk: MemoryDisk;
  readonly allowed: readonly Values[];
}

/** Every fourth is too long for a row. */
const KEYS = Array.from({ length: 24 }, (_, n) => `${n}${n % 4 === 0 ? "k".repeat(1500) : ""}`);
const MANY_BYTES = 1_500_000;
const FEW_BYTES = 400_000;

/**
 * Random long values of three clients: S writes, A writes in transactions, to keys of its own, and R reads through a snapshot.
 * Each is held to what it must see. Now and then, before an operation on the disk, the machine is looked at as a crash at that
 * moment would leave it.
 */
class Play {
  readonly problems: string[] = [];
  readonly sessions: Sessions;
  readonly #below: (bound: number) => number;
  #committed = new Map<string, string>();
  /** What is being committed while a command runs. */
  #coming: Values | undefined;
  /** What A sees while its transaction is open; what R sees. */
  #own: Map<string, string> | undefined;
  #snapshot: Values | undefined;
  #values = 0;
  #empties = false;
  readonly #left: Left[] = [];
  crashes = 0;
  readonly #crashOneIn: number;

  constructor(seed: number, crashOneIn: number) {
    this.#below = pseudoRandom(seed);
    this.#crashOneIn = crashOneIn;
    let watched: MemoryDisk | undefined;
    this.sessions = new Sessions(new MemoryDisk(), {}, (memory) => new WatchedDisk(memory, () => this.#look(watched)));
    watched = this.sessions.host.memory;
  }

  /** `memory` is undefined until the folder is there. */
  #look(memory: MemoryDisk | undefined): void {
    if (memory === undefined || this.#below(this.#crashOneIn) > 0) return;
    const allowed = [new Map(this.#committed), ...(this.#coming === undefined ? [] : [new Map(this.#coming)])];
    this.#left.push({ disk: this.#below(2) === 0 ? memory.clone() : memory.afterPowerLoss(), allowed });
  }

  /** Recovers what crashes have left, when no operation is on its way: engines of one process share buffers. */
  #judgeCrashes(): void {
    for (const left of this.#left.splice(0)) {
      this.crashes++;
      this.#judge(left);
    }
  }

  #judge({ disk, allowed }: Left): void {
    const found = checkWal(disk);
    if (found.length > 0) this.problems.push(`crash ${this.crashes}: ${found.slice(0, 3).join("; ")}`);
    const database = openWal(disk).keyspace.databases[0]!;
    const wrong = allowed.map((values) => {
      const keys = [...values].filter(([key, value]) => database.strings.get(key) !== value).map(([key]) => key);
      return database.size === values.size ? keys : [...keys, `${database.size} keys`];
    });
    if (!wrong.some((keys) => keys.length === 0)) this.problems.push(`crash ${this.crashes}: ${wrong.join(" or ")}`);
  }

  #ask(client: string, line: string, expected?: string): void {
    const answer = this.sessions.ask(client, line);
    if (expected === undefined ? !answer.startsWith("-") : answer === expected) return;
    this.problems.push(`${client} ${line.slice(0, 30)}: ${answer.slice(0, 30)}, not ${expected?.slice(0, 30)}`);
  }

  #expectGet(client: string, key: string, values: Values): void {
    this.#ask(client, `GET "${key}"`, values.get(key) ?? "nil");
  }

  /** A change of one key: as a line, and in the model. */
  #change(prefix: string, values: Map<string, string>): string {
    const key = `${prefix}${KEYS[this.#below(KEYS.length)]}`;
    const choice = this.#below(8);
    if (choice === 0) {
      values.delete(key);
      return `DEL "${key}"`;
    }
    if (choice === 1) return `EXPIRE "${key}" 1000000`;
    if (choice === 2) return `PERSIST "${key}"`;
    const value = long(`${prefix}${this.#values++}`, 2 ** (8 + this.#below(11)) + this.#below(20_000));
    values.set(key, value);
    return `SET "${key}" "${value}"`;
  }

  /** A command that commits what is in `values` then. */
  #commit(client: string, line: string, values: Map<string, string>): void {
    this.#coming = values;
    this.#ask(client, line);
    this.#committed = values;
    this.#coming = undefined;
  }

  /** Values come until there are many, and go until there are few. */
  #write(): void {
    const values = new Map(this.#committed);
    const own = [...values.keys()].filter((key) => key.startsWith("s:"));
    const bytes = [...values.values()].reduce((sum, value) => sum + value.length, 0);
    if (bytes > MANY_BYTES) this.#empties = true;
    if (bytes < FEW_BYTES || own.length === 0) this.#empties = false;
    if (this.#empties) {
      const key = own[this.#below(own.length)]!;
      values.delete(key);
      this.#commit("S", `DEL "${key}"`, values);
    } else this.#commit("S", this.#change("s:", values), values);
  }

  #writeInTransaction(): void {
    if (this.#own === undefined) {
      this.#ask("A", "BEGIN");
      this.#own = new Map([...this.#committed].filter(([key]) => key.startsWith("a:")));
    }
    const choice = this.#below(5);
    if (choice > 1) this.#ask("A", this.#change("a:", this.#own));
    else {
      const others = [...this.#committed].filter(([key]) => !key.startsWith("a:"));
      if (choice === 0) this.#commit("A", "COMMIT", new Map([...others, ...this.#own]));
      else this.#ask("A", "ROLLBACK");
      this.#own = undefined;
    }
  }

  #read(): void {
    const key = `${this.#below(2) === 0 ? "s:" : "a:"}${KEYS[this.#below(KEYS.length)]}`;
    this.#expectGet("S", key, this.#committed);
    if (this.#snapshot === undefined) {
      this.#ask("R", "BEGIN");
      this.#snapshot = new Map(this.#committed);
    }
    this.#expectGet("R", key, this.#snapshot);
    if (this.#below(6) > 0) return;
    this.#ask("R", "COMMIT");
    this.#snapshot = undefined;
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      const choice = this.#below(10);
      if (choice < 3) this.#write();
      else if (choice < 5) this.#writeInTransaction();
      else if (choice < 7) this.#read();
      else rest(this.sessions, 1 + this.#below(3));
      this.#judgeCrashes();
    }
  }
}

t.test("random long values, readers of old versions, and crashes: nobody notices that pages move", async (t) => {
  for (let seed = 1; seed <= 2; seed++) {
    const play = new Play(seed, 40);
    play.run(300);
    t.same(play.problems, [], `seed ${seed}: ${play.crashes} crashes, ${moved(play.sessions)} pages moved`);
    t.ok(play.crashes > 5 && moved(play.sessions) > 20, `seed ${seed}`);
  }
});
