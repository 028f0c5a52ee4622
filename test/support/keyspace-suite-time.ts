/**
 * The second half of the keyspace suite: time, events and scans.
 */
import type { Bytes } from "../../common/bytes.ts";
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
export type Test = import("tap").Test;

/** What `fresh` sets the clock to. */
export const NOW = 1_700_000_000_000;

/** A fresh keyspace at NOW, its first two databases, and what its events told. */
export type Fresh = () => {
  keyspace: Keyspace;
  events: Keyspace["events"];
  db: Database;
  other: Database;
  told: string[];
};

export function expiry(t: Test, fresh: Fresh): void {
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

export function events(t: Test, fresh: Fresh): void {
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

export function scans(t: Test, fresh: Fresh): void {
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
