/**
 * What kv-aof keeps off the JavaScript heap: slabs, dictionary, expiry index, packed and large hashes. Random histories are
 * compared with a Map; SCAN's guarantee is tried while the table grows and shrinks under it.
 */
import fc from "fast-check";
import t from "tap";
import type { Bytes } from "../common/bytes.ts";
import { CommandError } from "../common/errors.ts";
import { KeyspaceEvents } from "../common/keyspace/events.ts";
import { KEEP_EXPIRY, MISSING, NO_EXPIRY, Type } from "../common/keyspace/keyspace.ts";
import type { MemoryDatabase } from "../kv-aof/memory/database.ts";
import { MemoryKeyspace } from "../kv-aof/memory/keyspace.ts";
import { SipHash } from "../kv-aof/memory/sip-hash.ts";
import { Slabs } from "../kv-aof/memory/slabs.ts";
import { pseudoRandom } from "./support/command-runner.ts";
import { holds } from "./support/property.ts";

function keyspace(limits = { listpackEntries: 8, listpackValue: 16 }): MemoryKeyspace {
  return new MemoryKeyspace({ events: new KeyspaceEvents(), databases: 16, hashSeed: Buffer.from("8 bytes!"), limits });
}

function database(): MemoryDatabase {
  return keyspace().databases[0]!;
}

/** All keys, by SCAN. */
function scanned(db: MemoryDatabase, count = 10): Bytes[] {
  const keys = new Set<Bytes>();
  let cursor = 0;
  do {
    cursor = db.scan(cursor, count, (key) => keys.add(key));
  } while (cursor !== 0);
  return [...keys].sort();
}

type Value = string | Map<Bytes, Bytes>;

/** Does the same to a database and to a Map. Lengths cross every border: packed, cell, large. */
class Pair {
  readonly real: MemoryDatabase;
  readonly model = new Map<Bytes, Value>();
  readonly pick: (bound: number) => number;

  constructor(real: MemoryDatabase, seed: number) {
    this.real = real;
    this.pick = pseudoRandom(seed);
  }

  text(): Bytes {
    const length = [3, 17, 60, 300, 5000, 16_370, 40_000][Math.min(this.pick(7), this.pick(7))]! + this.pick(12);
    return String.fromCharCode(this.pick(256)).repeat(length);
  }

  /** One random operation; returns the key it was about. */
  step(keys: number): Bytes {
    const { real, model } = this;
    const key = `key:${this.pick(keys)}`;
    const value = model.get(key);
    const isHash = value instanceof Map;
    switch (this.pick(9)) {
      case 0:
      case 1: {
        const text = this.text();
        real.strings.set(key, text, NO_EXPIRY);
        model.set(key, text);
        break;
      }
      case 2:
        if (real.delete(key) !== model.delete(key)) throw new Error("delete");
        break;
      case 3:
        if (!isHash) this.append(key, value ?? "");
        break;
      case 4:
        if (!isHash) this.setRange(key, value ?? "");
        break;
      case 5:
      case 6:
        if (typeof value !== "string") this.setFields(key, value ?? new Map());
        break;
      case 7:
        if (isHash) this.deleteFields(key, value);
        break;
      default:
        if (value !== undefined) this.moveOrCopy(key, `key:${this.pick(keys)}`, value);
    }
    if (this.pick(10) === 0) this.real.maintain();
    return key;
  }

  append(key: Bytes, before: Bytes): void {
    const added = this.text();
    if (before.length > 200_000) return;
    if (this.real.strings.append(key, added) !== before.length + added.length) throw new Error("append");
    this.model.set(key, before + added);
  }

  setRange(key: Bytes, before: Bytes): void {
    const text = this.text();
    const offset = this.pick(2) === 0 ? this.pick(before.length + 1) : before.length + this.pick(400);
    const after = before.padEnd(offset, "\0");
    const expected = after.slice(0, offset) + text + after.slice(offset + text.length);
    if (this.real.strings.setRange(key, offset, text) !== expected.length) throw new Error("setRange");
    this.model.set(key, expected);
  }

  setFields(key: Bytes, hash: Map<Bytes, Bytes>): void {
    for (let count = 1 + this.pick(6); count > 0; count--) {
      const field = `f${this.pick(this.pick(3) === 0 ? 200 : 12)}`;
      const text = "v".repeat(this.pick(this.pick(8) === 0 ? 400 : 20));
      if (this.real.hashes.set(key, field, text) === hash.has(field)) throw new Error("hashes.set");
      hash.set(field, text);
    }
    this.model.set(key, hash);
  }

  deleteFields(key: Bytes, hash: Map<Bytes, Bytes>): void {
    for (const field of [...hash.keys()]) {
      if (this.pick(3) === 0) continue;
      if (!this.real.hashes.delete(key, field)) throw new Error("hashes.delete");
      hash.delete(field);
    }
    if (hash.size === 0) this.model.delete(key);
  }

  moveOrCopy(key: Bytes, to: Bytes, value: Value): void {
    if (key === to) return;
    if (this.pick(2) === 0) {
      this.real.rename(key, this.real, to);
      this.model.delete(key);
    } else this.real.copy(key, this.real, to);
    this.model.set(to, value instanceof Map ? new Map(value) : value);
  }

  check(key: Bytes): void {
    const { real, model } = this;
    const value = model.get(key);
    if (real.size !== model.size) throw new Error(`size ${real.size}, not ${model.size}`);
    if (typeof value === "string") {
      if (real.strings.get(key) !== value || real.strings.length(key) !== value.length)
        throw new Error(`value of ${key}`);
    } else if (value !== undefined) {
      if (real.hashes.length(key) !== value.size) throw new Error(`length of ${key}`);
      const fields = new Map<Bytes, Bytes>();
      real.hashes.each(key, (field, text) => fields.set(field, text));
      for (const [field, text] of value) if (fields.get(field) !== text) throw new Error(`field ${field} of ${key}`);
      if (fields.size !== value.size) throw new Error(`fields of ${key}`);
    } else if (real.typeOf(key) !== Type.NONE) throw new Error(`${key} is still there`);
  }

  checkAll(): void {
    for (const key of this.model.keys()) this.check(key);
    if (scanned(this.real).join() !== [...this.model.keys()].sort().join()) throw new Error("scan");
  }
}

t.test("random histories give what a Map gives", async (t) => {
  for (const [seed, keys] of [
    [1, 20],
    [2, 300],
    [3, 5000],
  ] as const) {
    const pair = new Pair(database(), seed);
    const history = () => {
      for (let i = 0; i < 30_000; i++) pair.check(pair.step(keys));
      pair.checkAll();
    };
    t.doesNotThrow(history, `${keys} keys, seed ${seed}`);
    t.ok(pair.model.size > keys / 10, `${pair.model.size} of ${keys} keys are there in the end`);
  }
});

t.test("short random histories (fast-check finds the shortest that differs)", async (t) => {
  const property = fc.property(
    fc.integer(),
    fc.integer({ min: 1, max: 200 }),
    fc.integer({ min: 1, max: 6 }),
    (seed, steps, keys) => {
      const pair = new Pair(database(), seed);
      for (let i = 0; i < steps; i++) pair.check(pair.step(keys));
      pair.checkAll();
    },
  );
  holds(t, property, { seed: 4, numRuns: 150 });
});

t.test("SCAN visits every key that is there throughout, whatever else comes and goes", async (t) => {
  // `stay` keys are never touched; between the calls, `change` others come or go: the table grows or shrinks meanwhile.
  const change = fc.record({ add: fc.boolean(), count: fc.integer({ min: 0, max: 2000 }) });
  const property = fc.property(
    fc.integer({ min: 0, max: 200 }),
    fc.integer({ min: 0, max: 3000 }),
    fc.integer({ min: 1, max: 50 }),
    fc.array(change, { minLength: 1, maxLength: 8 }),
    (stay, before, count, changes) => {
      const db = database();
      for (let i = 0; i < stay; i++) db.strings.set(`stay:${i}`, "", NO_EXPIRY);
      let others = 0;
      const add = (n: number): void => {
        for (let i = 0; i < n; i++) db.strings.set(`other:${others++}`, "", NO_EXPIRY);
      };
      const drop = (n: number): void => {
        for (let i = 0; i < n && others > 0; i++) db.delete(`other:${--others}`);
      };
      add(before);
      const seen = new Set<Bytes>();
      let cursor = 0;
      let call = 0;
      do {
        cursor = db.scan(cursor, count, (key) => seen.add(key));
        const { add: adds, count: n } = changes[call++ % changes.length]!;
        if (call > 40) continue;
        if (adds) add(n);
        else drop(n);
      } while (cursor !== 0);
      for (let i = 0; i < stay; i++) if (!seen.has(`stay:${i}`)) throw new Error(`stay:${i} was missed`);
    },
  );
  holds(t, property, { seed: 5, numRuns: 150 });
});

t.test("HSCAN gives the same guarantee while the hash grows and shrinks", async (t) => {
  const db = database();
  const pick = pseudoRandom(6);
  for (let i = 0; i < 300; i++) db.hashes.set("h", `stay:${i}`, "");
  const seen = new Set<Bytes>();
  let cursor = 0;
  let others = 0;
  let calls = 0;
  do {
    cursor = db.hashes.scan("h", cursor, 5, (field) => seen.add(field));
    for (let i = 0; i < 200 && calls < 60; i++) {
      if (pick(3) > 0 === calls < 30) db.hashes.set("h", `other:${others++}`, "");
      else if (others > 0) db.hashes.delete("h", `other:${--others}`);
    }
    calls++;
  } while (cursor !== 0);
  t.equal([...seen].filter((field) => field.startsWith("stay:")).length, 300);
});

t.test("a SCAN from any cursor ends, and COUNT is roughly kept", async (t) => {
  const db = database();
  for (let i = 0; i < 1000; i++) db.strings.set(`k${i}`, "", NO_EXPIRY);
  for (const from of [1, 12345, 2 ** 31, 2 ** 32 - 1, 2 ** 52]) {
    let calls = 0;
    let most = 0;
    for (let cursor = from; calls === 0 || (cursor !== 0 && calls < 1000); calls++) {
      let visited = 0;
      cursor = db.scan(cursor, 10, () => visited++);
      most = Math.max(most, visited);
    }
    t.ok(calls < 1000, `${calls} calls from ${from}`);
    t.ok(most < 40, `up to ${most} keys a call`);
  }
});

t.test("memory", async (t) => {
  t.test("overwriting with changing sizes for long does not leak", async (t) => {
    const space = keyspace();
    const db = space.databases[0]!;
    const pick = pseudoRandom(8);
    for (let round = 0; round < 12; round++) {
      // Every round favours another size, so that cells of the last one are left over, everywhere a few.
      const size = 24 + round * 40;
      for (let i = 0; i < 100_000; i++) db.strings.set(`k${pick(100_000)}`, "x".repeat(size + pick(8)), NO_EXPIRY);
      while (space.maintain());
    }
    let stored = 0;
    for (const key of scanned(db)) stored += 24 + key.length + db.strings.length(key);
    t.ok(space.reservedBytes < stored * 1.6, `${space.reservedBytes} bytes for ${stored}`);
  });

  t.test("what is deleted is given back", async (t) => {
    const space = keyspace();
    const db = space.databases[0]!;
    for (let i = 0; i < 50_000; i++) db.strings.set(`k${i}`, "x".repeat(64), NO_EXPIRY);
    const full = space.reservedBytes;
    for (let i = 0; i < 50_000; i++) if (i % 50 !== 0) db.delete(`k${i}`);
    while (space.maintain());
    t.ok(space.reservedBytes < full / 8, `${space.reservedBytes} of ${full} bytes`);
    t.equal(scanned(db).length, 1000);
  });

  t.test("compaction moves fields and keys with an expiry, too", async (t) => {
    const space = keyspace();
    const db = space.databases[0]!;
    for (let i = 0; i < 100_000; i++) db.hashes.set("h", `field${i}`, "value");
    for (let i = 0; i < 100_000; i++) db.strings.set(`k${i}`, "value", 1000 + i);
    for (let i = 0; i < 100_000; i++) {
      if (i % 50 === 0) continue;
      db.hashes.delete("h", `field${i}`);
      db.delete(`k${i}`);
    }
    const before = space.reservedBytes;
    while (space.maintain());
    t.ok(space.reservedBytes < before / 2);
    for (let i = 0; i < 100_000; i += 50) {
      if (db.hashes.get("h", `field${i}`) !== "value" || db.expiryOf(`k${i}`) !== 1000 + i) t.fail(`lost ${i}`);
    }
    space.events.now = 500_000;
    let removed = 0;
    for (let found = db.findExpired(100); found.length > 0; found = db.findExpired(100)) {
      for (const key of found) if (db.typeOf(key) === Type.NONE) removed++;
    }
    t.equal(removed, 2000);
    t.equal(db.size, 1);
  });

  t.test("an empty database has no slabs, and FLUSHDB gives them all back", async (t) => {
    const space = keyspace();
    t.equal(space.reservedBytes, 0);
    space.databases[3]!.strings.set("a", "1", NO_EXPIRY);
    t.ok(space.reservedBytes > 0);
    space.databases[3]!.clear();
    t.equal(space.reservedBytes, 0);
  });

  t.test("a cell freed twice is noticed", async (t) => {
    const slabs = new Slabs();
    const cell = slabs.allocate(100);
    slabs.words[cell >>> 15]![((cell & 0x7fff) << 1) + 3] = 1;
    slabs.free(cell);
    t.throws(() => slabs.free(cell), /a cell is freed once/);
  });

  t.test("keys may be as long as values", async (t) => {
    const db = database();
    const long = "k".repeat(300_000);
    db.strings.set(long, "1", 77);
    db.hashes.set(`${long}h`, long, long);
    t.equal(db.strings.append(long, "2".repeat(20_000)), 20_001);
    t.equal(db.hashes.get(`${long}h`, long), long);
    db.rename(long, db, "short");
    t.same([db.strings.length("short"), db.expiryOf("short"), db.size], [20_001, 77, 2]);
    t.ok(db.delete(`${long}h`));
  });
});

t.test("expiry", async (t) => {
  const space = keyspace();
  const db = space.databases[0]!;
  const expired: Bytes[] = [];
  space.events.onExpired = (_db, key) => expired.push(key);
  space.events.now = 100;
  db.strings.set("a", "1", 101);
  db.strings.set("b", "1", 200);
  db.strings.set("b", "2", KEEP_EXPIRY);
  db.strings.set("c", "1", 200);
  db.strings.set("c", "2", NO_EXPIRY);
  t.same([db.expiryOf("a"), db.expiryOf("b"), db.expiryOf("c"), db.expiryOf("d")], [101, 200, NO_EXPIRY, MISSING]);
  t.equal(db.expiringCount, 2);
  space.events.now = 101;
  t.same(scanned(db), ["b", "c"], "a scan does not show an expired key, and does not remove it");
  t.equal(db.size, 3);
  const changes = space.events.changes;
  t.equal(db.strings.get("a"), undefined);
  t.same(
    [expired, db.size, space.events.changes],
    [["a"], 2, changes],
    "a read does, and that is no change by a command",
  );
  db.setExpiry("c", 101);
  t.same(db.findExpired(10), ["c"]);
  space.events.now = 1000;
  t.equal(db.randomKey(pseudoRandom(1)), undefined, "a random key is never an expired one");
  t.same([expired.slice().sort(), db.size, db.expiringCount], [["a", "b", "c"], 0, 0]);
  space.events.now = -1;
  db.strings.set("old", "1", 5);
  t.equal(db.strings.get("old"), "1", "nothing expires during a replay");
});

t.test("every expired key is found within one lap of the index", async (t) => {
  const space = keyspace();
  const db = space.databases[0]!;
  for (let i = 0; i < 100_000; i++) db.strings.set(`k${i}`, "", i < 300 ? 10 : 1_000_000);
  space.events.now = 10;
  let found = 0;
  for (let call = 0; call < 20; call++) {
    for (const key of db.findExpired(50)) if (db.typeOf(key) === Type.NONE) found++;
  }
  t.equal(found, 300);
});

t.test("encodings are those of Redis", async (t) => {
  const db = database();
  const cases: [value: Bytes, encoding: string][] = [
    ["0", "int"],
    ["-1", "int"],
    ["9223372036854775807", "int"],
    ["9223372036854775808", "embstr"],
    ["-9223372036854775808", "int"],
    ["01", "embstr"],
    ["-0", "embstr"],
    ["1.5", "embstr"],
    ["", "embstr"],
    ["x".repeat(44), "embstr"],
    ["x".repeat(45), "raw"],
    ["x".repeat(100_000), "raw"],
  ];
  for (const [value, encoding] of cases) {
    db.strings.set("k", value, NO_EXPIRY);
    t.equal(db.encodingOf("k"), encoding, value.slice(0, 20));
  }
  db.strings.set("k", "1", NO_EXPIRY);
  db.strings.append("k", "2");
  t.equal(db.encodingOf("k"), "raw", "changed in place");
  db.strings.set("k", "1", NO_EXPIRY);
  t.equal(db.encodingOf("k"), "int");
  for (let i = 0; i < 8; i++) db.hashes.set("h", `f${i}`, "v");
  t.equal(db.encodingOf("h"), "listpack");
  db.hashes.set("h", "f1", "v".repeat(16));
  t.equal(db.encodingOf("h"), "listpack", "a full packed hash takes a new value for an old field");
  db.hashes.set("h", "f8", "v");
  t.equal(db.encodingOf("h"), "hashtable");
  db.hashes.set("g", "f", "v".repeat(17));
  t.equal(db.encodingOf("g"), "hashtable");
});

t.test("the wrong type is refused before anything changes", async (t) => {
  const db = database();
  db.strings.set("s", "1", NO_EXPIRY);
  db.hashes.set("h", "f", "v");
  for (const call of [
    () => db.strings.get("h"),
    () => db.strings.append("h", "x"),
    () => db.strings.setRange("h", 0, "x"),
    () => db.hashes.set("s", "f", "v"),
    () => db.hashes.length("s"),
  ]) {
    t.throws(call, CommandError);
  }
  t.same([db.strings.get("s"), db.hashes.get("h", "f")], ["1", "v"]);
  db.strings.set("h", "now a string", NO_EXPIRY);
  t.equal(db.strings.get("h"), "now a string");
});

t.test("swap exchanges contents; rename and copy cross databases", async (t) => {
  const space = keyspace();
  const [a, b] = [space.databases[0]!, space.databases[1]!];
  a.strings.set("s", "x".repeat(50_000), 99);
  for (let i = 0; i < 20; i++) a.hashes.set("h", `f${i}`, "v");
  a.hashes.set("small", "f", "v");
  for (const key of ["s", "h", "small"]) a.copy(key, b, `${key}2`);
  a.rename("h", b, "h");
  t.same(scanned(a), ["s", "small"]);
  t.same(scanned(b), ["h", "h2", "s2", "small2"]);
  t.same([b.hashes.length("h"), b.hashes.length("h2"), b.expiryOf("s2"), b.encodingOf("h")], [20, 20, 99, "hashtable"]);
  t.equal(b.strings.get("s2"), "x".repeat(50_000));
  space.swap(0, 1);
  t.same(scanned(a), ["h", "h2", "s2", "small2"]);
  t.equal(a.index, 0);
});

t.test("idle time is that of the last access; looking at a key is none", async (t) => {
  const space = keyspace();
  const db = space.databases[0]!;
  space.events.now = 1_700_000_000_000;
  db.strings.set("k", "1", NO_EXPIRY);
  space.events.now += 65_000;
  db.typeOf("k");
  t.equal(db.idleSecondsOf("k"), 65);
  db.strings.get("k");
  t.equal(db.idleSecondsOf("k"), 0);
});

t.test("the hash is HalfSipHash-1-2: seeded, and every byte counts", async (t) => {
  const one = new SipHash(Buffer.from("seed one"));
  const two = new SipHash(Buffer.from("seed two"));
  const texts = ["", "a", "b", "ab", "ba", "abc", "abcd", "abcde", "a\0", "a\0\0", "\xff", "abcdefgh", "abcdefgi"];
  t.equal(new Set(texts.map((text) => one.of(text))).size, texts.length);
  t.equal(texts.filter((text) => one.of(text) === two.of(text)).length, 0);
  const buckets = new Int32Array(1024);
  for (let i = 0; i < 102_400; i++) buckets[one.of(`key:${i}`) & 1023]!++;
  t.ok(Math.max(...buckets) < 160 && Math.min(...buckets) > 50, "100 on average in each bucket");
});
