/**
 * What every keyspace must do (common/keyspace/keyspace.ts), as one suite for the model and both engines.
 */
import type { Bytes } from "../../common/bytes.ts";
import { CommandError } from "../../common/errors.ts";
import {
  type Database,
  EXPIRY_MAX,
  KEEP_EXPIRY,
  type Keyspace,
  MISSING,
  NO_EXPIRY,
  Type,
} from "../../common/keyspace/keyspace.ts";
import { pseudoRandom } from "./command-runner.ts";
import { keysOf } from "./contents.ts";

/** The part of tap's `t` that the suite needs. */
type Test = import("tap").Test;

/** A large value: more than a page, and no run of one byte. */
const LARGE = Array.from({ length: 50_000 }, (_, index) => String.fromCharCode((index * 7 + (index >> 8)) & 0xff)).join(
  "",
);
const NOW = 1_700_000_000_000;

/** Keys as bytes: empty, binary, long, prefixes of one another. */
const ODD_KEYS: readonly Bytes[] = [
  "",
  "\0",
  "\0\0",
  "\xff",
  "a",
  "a\0",
  "ab",
  "k".repeat(300),
  "\r\n",
  "é".slice(0, 1),
];

/** Runs everything on keyspaces that `makeKeyspace` makes, each empty. */
export function keyspaceSuite(t: Test, makeKeyspace: () => Keyspace): void {
  /** A fresh keyspace at NOW, its first database, and what its events told. */
  const fresh = () => {
    const keyspace = makeKeyspace();
    const told: string[] = [];
    const { events } = keyspace;
    events.now = NOW;
    events.watchedCount = 1;
    events.onModified = (db, key) => told.push(`modified ${db} ${key}`);
    events.onFlushed = (db) => told.push(`flushed ${db}`);
    events.onExpired = (db, key) => told.push(`expired ${db} ${key}`);
    return { keyspace, events, db: keyspace.databases[0]!, other: keyspace.databases[1]!, told };
  };
  strings(t, fresh);
  hashes(t, fresh);
  keys(t, fresh);
  expiry(t, fresh);
  events(t, fresh);
  scans(t, fresh);
}

type Fresh = () => {
  keyspace: Keyspace;
  events: Keyspace["events"];
  db: Database;
  other: Database;
  told: string[];
};

function strings(t: Test, fresh: Fresh): void {
  t.test("strings are bytes of any length", async (t) => {
    const { db } = fresh();
    for (const key of ODD_KEYS) {
      for (const value of ["", "\0", "v", "-9223372036854775808", "x".repeat(200), LARGE]) {
        db.strings.set(key, value, NO_EXPIRY);
        t.equal(db.strings.get(key), value);
        t.equal(db.strings.length(key), value.length);
        t.equal(db.strings.getRange(key, 0, value.length), value);
      }
    }
    t.equal(db.size, ODD_KEYS.length);
    t.same(keysOf(db), [...ODD_KEYS].sort());
  });

  t.test("a missing string is empty", async (t) => {
    const { db } = fresh();
    t.equal(db.strings.get("k"), undefined);
    t.equal(db.strings.length("k"), 0);
    t.equal(db.strings.getRange("k", 0, 0), "");
    t.equal(db.typeOf("k"), Type.NONE);
    t.equal(db.size, 0, "and reading makes no key");
  });

  t.test("ranges, overwriting and appending", async (t) => {
    const { db } = fresh();
    t.equal(db.strings.append("k", "Hello"), 5);
    t.equal(db.strings.append("k", " World"), 11);
    t.equal(db.strings.setRange("k", 6, "Redis"), 11);
    t.equal(db.strings.get("k"), "Hello Redis");
    t.equal(db.strings.setRange("k", 13, "!"), 14);
    t.equal(db.strings.get("k"), "Hello Redis\0\0!", "a gap is zeros");
    t.equal(db.strings.setRange("gap", 3, "x"), 4);
    t.equal(db.strings.get("gap"), "\0\0\0x");
    t.equal(db.strings.getRange("k", 4, 7), "o R");
    t.equal(db.strings.getRange("k", 14, 14), "");
    db.strings.set("n", "12", NO_EXPIRY);
    t.equal(db.strings.append("n", "3"), 3, "what is stored as a number is appended to as text");
    t.equal(db.strings.get("n"), "123");
    db.strings.set("n", "12", NO_EXPIRY);
    t.equal(db.strings.setRange("n", 1, "\0"), 2);
    t.equal(db.strings.get("n"), "1\0");
  });

  t.test("large values grow and shrink in place", async (t) => {
    const { db } = fresh();
    db.strings.set("k", LARGE, NO_EXPIRY);
    t.equal(db.strings.append("k", LARGE), LARGE.length * 2);
    t.equal(db.strings.setRange("k", LARGE.length - 2, "abcd"), LARGE.length * 2);
    const expected = `${LARGE.slice(0, -2)}abcd${LARGE.slice(2)}`;
    t.ok(db.strings.get("k") === expected);
    t.equal(
      db.strings.getRange("k", LARGE.length - 3, LARGE.length + 3),
      expected.slice(-LARGE.length - 3).slice(0, 6),
    );
    t.equal(db.strings.setRange("k", LARGE.length * 3, "end"), LARGE.length * 3 + 3);
    t.ok(db.strings.get("k") === `${expected.padEnd(LARGE.length * 3, "\0")}end`);
    db.strings.set("k", "small", NO_EXPIRY);
    t.equal(db.strings.get("k"), "small");
    t.equal(db.size, 1);
  });
}

function hashes(t: Test, fresh: Fresh): void {
  const contents = (db: Database, key: Bytes) => {
    const pairs: [Bytes, Bytes][] = [];
    db.hashes.each(key, (field, value) => pairs.push([field, value]));
    return pairs.sort();
  };

  t.test("fields are bytes of any length", async (t) => {
    const { db } = fresh();
    for (const field of ODD_KEYS) {
      t.equal(db.hashes.set("h", field, "1"), true);
      for (const value of ["", "\0", "2", "x".repeat(200), LARGE]) {
        t.equal(db.hashes.set("h", field, value), false);
        t.equal(db.hashes.get("h", field), value);
        t.equal(db.hashes.valueLength("h", field), value.length);
        t.equal(db.hashes.has("h", field), true);
      }
    }
    t.equal(db.hashes.length("h"), ODD_KEYS.length);
    t.equal(db.size, 1);
    t.same(contents(db, "h"), ODD_KEYS.map((field) => [field, LARGE]).sort());
  });

  t.test("a missing hash is empty", async (t) => {
    const { db } = fresh();
    t.equal(db.hashes.get("h", "f"), undefined);
    t.equal(db.hashes.has("h", "f"), false);
    t.equal(db.hashes.length("h"), 0);
    t.equal(db.hashes.valueLength("h", "f"), 0);
    t.equal(db.hashes.delete("h", "f"), false);
    t.same(contents(db, "h"), []);
    t.equal(
      db.hashes.scan("h", 0, 10, () => t.fail("nothing to visit")),
      0,
    );
    t.equal(
      db.hashes.randomField("h", () => 0),
      undefined,
    );
    t.equal(db.size, 0, "and reading makes no key");
  });

  t.test("a hash that becomes empty is gone with its key and expiry", async (t) => {
    const { db } = fresh();
    db.hashes.set("h", "a", "1");
    db.hashes.set("h", "b", "2");
    db.setExpiry("h", NOW + 1000);
    t.equal(db.hashes.delete("h", "a"), true);
    t.equal(db.hashes.delete("h", "a"), false);
    t.equal(db.hashes.delete("h", "b"), true);
    t.equal(db.typeOf("h"), Type.NONE);
    t.equal(db.size, 0);
    t.equal(db.expiringCount, 0);
    db.hashes.set("h", "a", "1");
    t.equal(db.expiryOf("h"), NO_EXPIRY);
  });

  t.test("many fields, and neighbours that share a prefix", async (t) => {
    const { db } = fresh();
    const count = 3000;
    for (let index = 0; index < count; index++) db.hashes.set("h", `f${index}`, `v${index}`);
    db.hashes.set("h2", "f0", "other");
    db.hashes.set("g", "f0", "other");
    db.strings.set("h1", "string", NO_EXPIRY);
    t.equal(db.hashes.length("h"), count);
    t.equal(db.hashes.get("h", "f2999"), "v2999");
    for (let index = 0; index < count; index += 2) db.hashes.delete("h", `f${index}`);
    t.equal(db.hashes.length("h"), count / 2);
    t.equal(contents(db, "h").length, count / 2);
    db.delete("h");
    t.equal(db.hashes.length("h"), 0);
    t.same(contents(db, "h2"), [["f0", "other"]]);
    t.same(contents(db, "g"), [["f0", "other"]]);
    t.equal(db.strings.get("h1"), "string");
  });

  t.test("a random field is one of the hash, and every one comes", async (t) => {
    const { db } = fresh();
    const pick = pseudoRandom(3);
    for (const size of [5, 600]) {
      const key = `h${size}`;
      for (let index = 0; index < size; index++) db.hashes.set(key, `f${index}`, "v");
      const seen = new Set<Bytes>();
      for (let draw = 0; draw < size * 30; draw++) seen.add(db.hashes.randomField(key, pick)!);
      t.equal(seen.size, size);
      t.ok([...seen].every((field) => db.hashes.has(key, field)));
    }
  });

  t.test("a string is no hash and a hash no string", async (t) => {
    const { db, told } = fresh();
    db.strings.set("s", "v", NO_EXPIRY);
    db.hashes.set("h", "f", "v");
    told.length = 0;
    const wrong = [
      () => db.strings.get("h"),
      () => db.strings.length("h"),
      () => db.strings.getRange("h", 0, 0),
      () => db.strings.setRange("h", 0, "x"),
      () => db.strings.append("h", "x"),
      () => db.hashes.get("s", "f"),
      () => db.hashes.set("s", "f", "v"),
      () => db.hashes.delete("s", "f"),
      () => db.hashes.has("s", "f"),
      () => db.hashes.length("s"),
      () => db.hashes.valueLength("s", "f"),
      () => db.hashes.each("s", () => {}),
      () => db.hashes.scan("s", 0, 10, () => {}),
      () => db.hashes.randomField("s", () => 0),
    ];
    for (const operation of wrong) {
      const message = "WRONGTYPE Operation against a key holding the wrong kind of value";
      t.throws(operation, new CommandError(message), operation.toString());
    }
    t.same(told, [], "and nothing was changed");
    db.strings.set("h", "v", NO_EXPIRY);
    t.equal(db.strings.get("h"), "v", "but SET replaces a hash");
    t.equal(db.size, 2);
  });
}

function keys(t: Test, fresh: Fresh): void {
  t.test("rename and copy take value and expiry along", async (t) => {
    const { db, other } = fresh();
    for (const target of [db, other]) {
      db.strings.set("s", "v", NOW + 5000);
      target.hashes.set("t", "f", "old");
      db.rename("s", target, "t");
      t.equal(db.typeOf("s"), Type.NONE);
      t.equal(target.strings.get("t"), "v");
      t.equal(target.expiryOf("t"), NOW + 5000);
      for (let index = 0; index < 700; index++) db.hashes.set("h", `f${index}`, `v${index}`);
      db.copy("h", target, "t");
      target.hashes.set("t", "f0", "changed");
      t.equal(target.hashes.length("t"), 700);
      t.equal(target.expiryOf("t"), NO_EXPIRY, "the old expiry is gone");
      t.equal(db.hashes.get("h", "f0"), "v0", "a copy shares nothing");
      db.rename("h", target, "t");
      t.equal(target.hashes.get("t", "f0"), "v0");
      t.equal(target.hashes.length("t"), 700);
      target.delete("t");
      t.equal(db.size + other.size, 0);
      t.equal(db.expiringCount + other.expiringCount, 0);
    }
  });

  t.test("databases are apart, and swap exchanges contents", async (t) => {
    const { keyspace, db, other } = fresh();
    db.strings.set("k", "zero", NOW + 5000);
    db.hashes.set("h", "f", "zero");
    other.strings.set("k", "one", NO_EXPIRY);
    keyspace.swap(0, 1);
    t.equal(keyspace.databases[0], db, "the objects stay");
    t.equal(db.strings.get("k"), "one");
    t.equal(other.strings.get("k"), "zero");
    t.equal(other.hashes.get("h", "f"), "zero");
    t.same([db.size, db.expiringCount, other.size, other.expiringCount], [1, 0, 2, 1]);
    other.clear();
    t.same([db.size, other.size, other.expiringCount], [1, 0, 0]);
    t.equal(other.hashes.length("h"), 0);
    other.strings.set("k", "again", NO_EXPIRY);
    t.same(keysOf(other), ["k"]);
    t.equal(keyspace.databases.length, 16);
    t.same(
      keyspace.databases.map((database) => database.index),
      keyspace.databases.map((_, index) => index),
    );
  });

  t.test("a random key is one of the database, and every one comes", async (t) => {
    const { db } = fresh();
    const pick = pseudoRandom(4);
    t.equal(db.randomKey(pick), undefined);
    for (let index = 0; index < 50; index++) db.strings.set(`k${index}`, "v", NO_EXPIRY);
    const seen = new Set<Bytes>();
    for (let draw = 0; draw < 3000; draw++) seen.add(db.randomKey(pick)!);
    t.equal(seen.size, 50);
    t.ok([...seen].every((key) => db.typeOf(key) === Type.STRING));
  });

  t.test("encodings have Redis's names", async (t) => {
    const { db } = fresh();
    db.strings.set("int", "123", NO_EXPIRY);
    db.strings.set("embstr", "x".repeat(44), NO_EXPIRY);
    db.strings.set("raw", "x".repeat(45), NO_EXPIRY);
    db.hashes.set("listpack", "f", "v");
    db.hashes.set("hashtable", "f", "x".repeat(65));
    for (const key of ["int", "embstr", "raw", "listpack", "hashtable"]) t.equal(db.encodingOf(key), key);
  });

  t.test("idle time is seconds since the last access, or untold", async (t) => {
    const { db, events } = fresh();
    db.strings.set("k", "v", NO_EXPIRY);
    events.now += 10_000;
    t.ok([10, undefined].includes(db.idleSecondsOf("k")));
    db.strings.get("k");
    t.ok([0, undefined].includes(db.idleSecondsOf("k")));
  });
}

function expiry(t: Test, fresh: Fresh): void {
  t.test("an expiry is set, kept, replaced and removed", async (t) => {
    const { db } = fresh();
    t.equal(db.expiryOf("k"), MISSING);
    db.strings.set("k", "v", NO_EXPIRY);
    t.equal(db.expiryOf("k"), NO_EXPIRY);
    db.setExpiry("k", NOW + 1000);
    t.equal(db.expiryOf("k"), NOW + 1000);
    db.strings.set("k", "w", KEEP_EXPIRY);
    t.equal(db.expiryOf("k"), NOW + 1000);
    db.strings.append("k", "x");
    db.strings.setRange("k", 5, "y");
    t.equal(db.expiryOf("k"), NOW + 1000);
    db.setExpiry("k", EXPIRY_MAX);
    t.equal(db.expiryOf("k"), EXPIRY_MAX);
    t.equal(db.expiringCount, 1);
    db.setExpiry("k", NO_EXPIRY);
    t.equal(db.expiryOf("k"), NO_EXPIRY);
    t.equal(db.expiringCount, 0);
    db.strings.set("k", "v", NOW + 1000);
    db.strings.set("k", "v", NO_EXPIRY);
    t.equal(db.expiryOf("k"), NO_EXPIRY);
    db.strings.set("new", "v", KEEP_EXPIRY);
    t.equal(db.expiryOf("new"), NO_EXPIRY);
    db.hashes.set("h", "f", "v");
    db.setExpiry("h", NOW + 1000);
    db.hashes.set("h", "g", "v");
    t.equal(db.expiryOf("h"), NOW + 1000);
    t.equal(db.expiringCount, 1);
  });

  t.test("a key is gone at its time, whoever looks first", async (t) => {
    const looks: ((db: Database, other: Database) => unknown)[] = [
      (db) => db.typeOf("k"),
      (db) => db.expiryOf("k"),
      (db) => db.delete("k"),
      (db) => db.strings.get("k"),
      (db) => db.strings.length("k"),
      (db) => db.strings.getRange("k", 0, 0),
      (db) => db.hashes.get("k", "f"),
      (db) => db.hashes.has("k", "f"),
      (db) => db.hashes.length("k"),
      (db) => db.hashes.valueLength("k", "f"),
      (db) => db.hashes.delete("k", "f"),
      (db) => db.hashes.each("k", () => t.fail("it has expired")),
      (db) => db.hashes.scan("k", 0, 10, () => t.fail("it has expired")),
      (db) => db.hashes.randomField("k", () => 0),
    ];
    for (const look of looks) {
      const { db, other, events, told } = fresh();
      db.hashes.set("k", "f", "v");
      db.setExpiry("k", NOW + 10);
      events.now = NOW + 9;
      t.equal(db.typeOf("k"), Type.HASH, "a millisecond before, it is there");
      events.now = NOW + 10;
      told.length = 0;
      const changes = events.changes;
      look(db, other);
      t.same(told, ["modified 0 k", "expired 0 k"], look.toString());
      t.equal(events.changes, changes, "which is no change made by the command");
      t.same([db.size, db.expiringCount], [0, 0]);
    }
  });

  t.test("what is written over an expired key starts anew", async (t) => {
    const writes: [(db: Database) => unknown, Bytes][] = [
      [(db) => db.strings.set("k", "w", KEEP_EXPIRY), "w"],
      [(db) => db.strings.set("k", "w", NO_EXPIRY), "w"],
      [(db) => db.strings.append("k", "w"), "w"],
      [(db) => db.strings.setRange("k", 1, "w"), "\0w"],
      [(db) => db.rename("from", db, "k"), "source"],
      [(db) => db.copy("from", db, "k"), "source"],
    ];
    for (const [write, expected] of writes) {
      const { db, events } = fresh();
      db.strings.set("from", "source", NO_EXPIRY);
      db.strings.set("k", "before", NOW + 10);
      events.now = NOW + 10;
      write(db);
      t.equal(db.strings.get("k"), expected, write.toString());
      t.equal(db.expiryOf("k"), NO_EXPIRY);
      t.equal(db.expiringCount, 0);
    }
    const { db, events } = fresh();
    db.hashes.set("k", "f", "v");
    db.setExpiry("k", NOW + 10);
    events.now = NOW + 10;
    t.equal(db.hashes.set("k", "g", "w"), true);
    t.equal(db.hashes.length("k"), 1);
    t.equal(db.expiryOf("k"), NO_EXPIRY);
  });

  t.test("while a log is replayed nothing expires", async (t) => {
    const { db, events } = fresh();
    events.now = -1;
    db.strings.set("k", "v", 5);
    t.equal(db.strings.get("k"), "v");
    t.same(keysOf(db), ["k"]);
    t.same(db.findExpired(10), []);
    events.now = NOW;
    t.equal(db.strings.get("k"), undefined);
  });

  t.test("findExpired finds all of them, in the end", async (t) => {
    const { db, events } = fresh();
    for (let index = 0; index < 500; index++) db.strings.set(`k${index}`, "v", NOW + 1 + (index % 100));
    for (let index = 0; index < 500; index++) db.strings.set(`s${index}`, "v", NO_EXPIRY);
    t.same(db.findExpired(10), []);
    events.now = NOW + 50;
    let found = 0;
    for (let empty = 0; empty < 200; ) {
      const keys = db.findExpired(16);
      if (keys.length > 16) t.fail(`${keys.length} keys`);
      empty = keys.length === 0 ? empty + 1 : 0;
      for (const key of keys) {
        // Looking removes it; it must really have been due.
        if (db.typeOf(key) !== Type.NONE) t.fail(`${key} is not due`);
        found++;
      }
    }
    t.equal(found, 250);
    t.equal(db.expiringCount, 250);
  });
}

function events(t: Test, fresh: Fresh): void {
  t.test("every change is told once per key", async (t) => {
    const { keyspace, db, other, told, events } = fresh();
    const expectTold = (what: () => unknown, ...expected: string[]) => {
      told.length = 0;
      const before = events.changes;
      what();
      t.same(told.sort(), expected.sort(), what.toString());
      t.equal(events.changes - before, expected.length);
    };
    expectTold(() => db.strings.set("a", "1", NO_EXPIRY), "modified 0 a");
    expectTold(() => db.strings.set("a", "1", NOW + 5), "modified 0 a");
    expectTold(() => db.strings.append("a", "1"), "modified 0 a");
    expectTold(() => db.strings.append("new", "1"), "modified 0 new");
    expectTold(() => db.strings.setRange("a", 0, "1"), "modified 0 a");
    expectTold(() => db.setExpiry("a", NO_EXPIRY), "modified 0 a");
    expectTold(() => db.hashes.set("h", "f", "1"), "modified 0 h");
    expectTold(() => db.hashes.set("h", "f", "1"), "modified 0 h");
    expectTold(() => db.rename("a", db, "b"), "modified 0 a", "modified 0 b");
    expectTold(() => db.rename("b", other, "b"), "modified 0 b", "modified 1 b");
    expectTold(() => db.copy("h", other, "i"), "modified 1 i");
    expectTold(() => db.hashes.delete("h", "f"), "modified 0 h");
    expectTold(() => db.delete("new"), "modified 0 new");
    expectTold(() => keyspace.swap(0, 1), "flushed 0", "flushed 1");
    expectTold(() => db.clear(), "flushed 0");
    const silent = [
      () => db.delete("missing"),
      () => db.hashes.delete("missing", "f"),
      () => db.strings.get("missing"),
      () => db.typeOf("missing"),
      () => keysOf(db),
    ];
    for (const what of silent) expectTold(what);
  });
}

function scans(t: Test, fresh: Fresh): void {
  t.test("a scan without changes visits every key once", async (t) => {
    for (const size of [0, 1, 9, 100, 2000]) {
      const { db } = fresh();
      const names = Array.from({ length: size }, (_, index) => `k${index}`);
      for (const name of names) {
        if (name.endsWith("7")) db.hashes.set(name, "f", "v");
        else db.strings.set(name, "v", NO_EXPIRY);
      }
      for (const count of size > 100 ? [10, 5000] : [1, 10]) {
        const visited: Bytes[] = [];
        let cursor = 0;
        do {
          cursor = db.scan(cursor, count, (key, type) => {
            visited.push(key);
            if (type !== (key.endsWith("7") ? Type.HASH : Type.STRING)) t.fail(`${key} has type ${type}`);
          });
          if (!Number.isSafeInteger(cursor) || cursor < 0) t.fail(`${cursor} is no cursor`);
        } while (cursor !== 0);
        t.same(visited.sort(), [...names].sort(), `${size} keys, ${count} at a time`);
      }
    }
  });

  t.test("a scan does not visit what has expired, and takes any cursor", async (t) => {
    const { db, events } = fresh();
    db.strings.set("a", "v", NOW + 5);
    db.strings.set("b", "v", NO_EXPIRY);
    events.now = NOW + 5;
    t.same(keysOf(db), ["b"]);
    const pick = pseudoRandom(5);
    for (let draw = 0; draw < 20; draw++) t.equal(db.randomKey(pick), "b", "nor is it a random key");
    for (const cursor of [1, 12345, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
      const next = db.scan(cursor, 10, () => {});
      t.ok(Number.isSafeInteger(next) && next >= 0, `cursor ${cursor}`);
    }
  });

  t.test("what is there during a whole scan is visited, whatever else happens", async (t) => {
    const pick = pseudoRandom(11);
    for (let round = 0; round < 8; round++) {
      const { db } = fresh();
      const stable = Array.from({ length: 1 + pick(300) }, (_, index) => `stable${index}`);
      for (const key of stable) db.strings.set(key, "v", NO_EXPIRY);
      const noise = [50, 2000][round % 2]!;
      const visited = new Set<Bytes>();
      let cursor = 0;
      do {
        cursor = db.scan(cursor, 1 + pick(20), (key) => visited.add(key));
        // Grow first, shrink later, so that tables are resized both ways under the scan.
        for (let change = pick(noise / 2); change > 0; change--) {
          const key = `noise${pick(noise)}`;
          if (pick(10) < (visited.size < stable.length / 2 ? 8 : 2)) db.strings.set(key, "v", NO_EXPIRY);
          else db.delete(key);
        }
        if (pick(4) === 0) db.strings.set(stable[pick(stable.length)]!, "longer than before", NO_EXPIRY);
      } while (cursor !== 0);
      t.same(
        stable.filter((key) => !visited.has(key)),
        [],
        `round ${round}`,
      );
    }
  });

  t.test("the same for the fields of a hash", async (t) => {
    const pick = pseudoRandom(12);
    for (let round = 0; round < 6; round++) {
      const { db } = fresh();
      const stable = Array.from({ length: 1 + pick(700) }, (_, index) => `stable${index}`);
      for (const field of stable) db.hashes.set("h", field, field);
      const visited = new Set<Bytes>();
      let cursor = 0;
      do {
        cursor = db.hashes.scan("h", cursor, 1 + pick(20), (field, value) => {
          visited.add(field);
          if (field.startsWith("stable") && value !== field) t.fail(`${field} has value ${value}`);
        });
        for (let change = pick(500); change > 0; change--) {
          const field = `noise${pick(1500)}`;
          if (pick(10) < (visited.size < stable.length / 2 ? 8 : 2)) db.hashes.set("h", field, "v");
          else db.hashes.delete("h", field);
        }
      } while (cursor !== 0);
      t.same(
        stable.filter((field) => !visited.has(field)),
        [],
        `round ${round}`,
      );
    }
  });

  t.test("a scan of a hash without changes visits every field once", async (t) => {
    for (const size of [1, 100, 512, 513, 3000]) {
      const { db } = fresh();
      for (let index = 0; index < size; index++) db.hashes.set("h", `f${index}`, `v${index}`);
      const visited: Bytes[] = [];
      let cursor = 0;
      do {
        cursor = db.hashes.scan("h", cursor, 10, (field, value) => visited.push(`${field}=${value}`));
      } while (cursor !== 0);
      t.equal(visited.length, size);
      t.equal(new Set(visited).size, size);
    }
  });
}
