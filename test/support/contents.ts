/**
 * Everything a keyspace holds, as sorted lines of text: two keyspaces with the same contents give the same lines. And all that
 * a file holds.
 */
import type { Bytes } from "../../common/bytes.ts";
import type { Disk } from "../../common/disk/disk.ts";
import { type Database, type Keyspace, Type } from "../../common/keyspace/keyspace.ts";
import { quote } from "./replies.ts";

/** One line per key: database, key, value, and the expiry if there is one. */
export function contentsOf(keyspace: Keyspace): string[] {
  return keyspace.databases.flatMap((database) =>
    keysOf(database).map((key) => {
      const expiry = database.expiryOf(key);
      return `${database.index} ${quote(key)} ${shownValue(database, key)}${expiry < 0 ? "" : ` @${expiry}`}`;
    }),
  );
}

/** All keys, sorted. */
export function keysOf(database: Database): Bytes[] {
  const keys = new Set<Bytes>();
  let cursor = 0;
  do {
    cursor = database.scan(cursor, 100, (key) => keys.add(key));
  } while (cursor !== 0);
  return [...keys].sort();
}

function shownValue(database: Database, key: Bytes): string {
  if (database.typeOf(key) === Type.STRING) return quote(database.strings.get(key)!);
  const pairs: string[] = [];
  database.hashes.each(key, (field, value) => pairs.push(`${quote(field)}: ${quote(value)}`));
  return `{${pairs.sort().join(", ")}}`;
}

/** A file. */
export function bytesOf(disk: Disk, path: string): Buffer {
  const file = disk.open(path, "read");
  const bytes = Buffer.alloc(file.size());
  file.read(0, bytes);
  file.close();
  return bytes;
}
