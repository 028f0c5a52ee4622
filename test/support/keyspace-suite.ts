/**
 * What every keyspace must do (common/keyspace/keyspace.ts), as one suite for the model and both engines.
 */
import type { Bytes } from "../../common/bytes.ts";
import { CommandError } from "../../common/errors.ts";
import { type Database, type Keyspace, NO_EXPIRY, Type } from "../../common/keyspace/keyspace.ts";
import { pseudoRandom } from "./command-runner.ts";
import { keysOf } from "./contents.ts";
import { events, expiry, type Fresh, NOW, scans, type Test } from "./keyspace-suite-time.ts";

/** A large value: more than a page, and no run of one byte. */
const LARGE = Array.from({ length: 50_000 }, (_, index) => String.fromCharCode((index * 7 + (index >> 8)) & 0xff)).join(
  "",
);

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
