/**
 * A keyspace that is obviously right: Maps of Maps, nothing clever. The oracle for both engines' keyspaces, and the
 * keyspace on which tests of commands run.
 *
 * Scans: every key (and field) has a place, a number that depends on nothing but its name; a scan goes from the lowest
 * place to the highest and a cursor is the place to go on with. So what is there during the whole scan is visited once.
 */
import { assert, present } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { CommandError } from "../../common/errors.ts";
import { KeyspaceEvents } from "../../common/keyspace/events.ts";
import { parseInteger } from "../../common/keyspace/integer.ts";
import {
  type Database,
  type Hashes,
  KEEP_EXPIRY,
  type Keyspace,
  MISSING,
  NO_EXPIRY,
  type Strings,
  Type,
} from "../../common/keyspace/keyspace.ts";

interface StringEntry {
  readonly type: typeof Type.STRING;
  value: Bytes;
  /** It was changed in place: stored raw however short it is. */
  edited: boolean;
  expiry: number;
}

interface HashEntry {
  readonly type: typeof Type.HASH;
  fields: Map<Bytes, Bytes>;
  /** Once too large for a listpack, never one again. */
  large: boolean;
  expiry: number;
}

type Entry = StringEntry | HashEntry;

const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
const EMBEDDED_LENGTH_MAX = 44;
const LISTPACK_ENTRIES_MAX = 512;
const LISTPACK_VALUE_MAX = 64;

export class ModelKeyspace implements Keyspace {
  readonly events = new KeyspaceEvents();
  readonly databases: readonly ModelDatabase[];

  constructor(databases = 16) {
    this.databases = Array.from({ length: databases }, (_, index) => new ModelDatabase(index, this.events));
  }

  swap(a: number, b: number): void {
    const [first, second] = [this.databases[a]!, this.databases[b]!];
    [first.entries, second.entries] = [second.entries, first.entries];
    this.events.flushed(a);
    this.events.flushed(b);
  }
}

class ModelDatabase implements Database {
  readonly index: number;
  readonly strings: Strings;
  readonly hashes: Hashes;
  readonly events: KeyspaceEvents;
  entries = new Map<Bytes, Entry>();

  constructor(index: number, events: KeyspaceEvents) {
    this.index = index;
    this.events = events;
    this.strings = new ModelStrings(this);
    this.hashes = new ModelHashes(this);
  }

  get size(): number {
    return this.entries.size;
  }

  get expiringCount(): number {
    return [...this.entries.values()].filter((entry) => entry.expiry !== NO_EXPIRY).length;
  }

  /** The entry of a key that has not expired. */
  find(key: Bytes): Entry | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined || !this.#isExpired(entry)) return entry;
    this.entries.delete(key);
    this.events.expired(this.index, key);
    return undefined;
  }

  modified(key: Bytes): void {
    this.events.modified(this.index, key);
  }

  typeOf(key: Bytes): Type {
    return this.find(key)?.type ?? Type.NONE;
  }

  expiryOf(key: Bytes): number {
    return this.find(key)?.expiry ?? MISSING;
  }

  setExpiry(key: Bytes, at: number): void {
    present(this.find(key), "the key exists").expiry = at;
    this.modified(key);
  }

  delete(key: Bytes): boolean {
    if (this.find(key) === undefined) return false;
    this.entries.delete(key);
    this.modified(key);
    return true;
  }

  rename(from: Bytes, target: Database, to: Bytes): void {
    assert(target instanceof ModelDatabase, "the target is of this keyspace");
    const entry = present(this.find(from), "the key exists");
    this.entries.delete(from);
    target.entries.set(to, entry);
    this.modified(from);
    target.modified(to);
  }

  copy(from: Bytes, target: Database, to: Bytes): void {
    assert(target instanceof ModelDatabase, "the target is of this keyspace");
    const entry = present(this.find(from), "the key exists");
    target.entries.set(to, entry.type === Type.HASH ? { ...entry, fields: new Map(entry.fields) } : { ...entry });
    target.modified(to);
  }

  randomKey(pick: (bound: number) => number): Bytes | undefined {
    const alive = [...this.entries].filter(([, entry]) => !this.#isExpired(entry));
    return alive.length === 0 ? undefined : alive[pick(alive.length)]![0];
  }

  scan(cursor: number, count: number, visit: (key: Bytes, type: Type) => void): number {
    return scanMap(this.entries, cursor, count, (key, entry) => {
      if (!this.#isExpired(entry)) visit(key, entry.type);
    });
  }

  findExpired(count: number): Bytes[] {
    const expired = [...this.entries].filter(([, entry]) => this.#isExpired(entry));
    return expired.slice(0, count).map(([key]) => key);
  }

  encodingOf(key: Bytes): Bytes {
    const entry = present(this.find(key), "the key exists");
    if (entry.type === Type.HASH) return entry.large ? "hashtable" : "listpack";
    if (entry.edited) return "raw";
    if (parseInteger(entry.value) !== undefined) return "int";
    return entry.value.length <= EMBEDDED_LENGTH_MAX ? "embstr" : "raw";
  }

  idleSecondsOf(): undefined {
    return undefined;
  }

  clear(): void {
    this.entries.clear();
    this.events.flushed(this.index);
  }

  #isExpired(entry: Entry): boolean {
    return entry.expiry !== NO_EXPIRY && entry.expiry <= this.events.now;
  }
}

class ModelStrings implements Strings {
  readonly #database: ModelDatabase;

  constructor(database: ModelDatabase) {
    this.#database = database;
  }

  #find(key: Bytes): StringEntry | undefined {
    const entry = this.#database.find(key);
    if (entry !== undefined && entry.type !== Type.STRING) throw new CommandError(WRONG_TYPE);
    return entry;
  }

  get(key: Bytes): Bytes | undefined {
    return this.#find(key)?.value;
  }

  set(key: Bytes, value: Bytes, expiry: number): void {
    const before = this.#database.find(key);
    const kept = expiry === KEEP_EXPIRY ? (before?.expiry ?? NO_EXPIRY) : expiry;
    this.#database.entries.set(key, { type: Type.STRING, value, edited: false, expiry: kept });
    this.#database.modified(key);
  }

  length(key: Bytes): number {
    return this.#find(key)?.value.length ?? 0;
  }

  getRange(key: Bytes, start: number, end: number): Bytes {
    return (this.get(key) ?? "").slice(start, end);
  }

  setRange(key: Bytes, offset: number, value: Bytes): number {
    const before = this.get(key) ?? "";
    return this.#edit(key, before.padEnd(offset, "\0").slice(0, offset) + value + before.slice(offset + value.length));
  }

  append(key: Bytes, value: Bytes): number {
    const before = this.get(key);
    if (before !== undefined) return this.#edit(key, before + value);
    this.set(key, value, NO_EXPIRY);
    return value.length;
  }

  #edit(key: Bytes, value: Bytes): number {
    this.set(key, value, KEEP_EXPIRY);
    this.#find(key)!.edited = true;
    return value.length;
  }
}

class ModelHashes implements Hashes {
  readonly #database: ModelDatabase;

  constructor(database: ModelDatabase) {
    this.#database = database;
  }

  #find(key: Bytes): HashEntry | undefined {
    const entry = this.#database.find(key);
    if (entry !== undefined && entry.type !== Type.HASH) throw new CommandError(WRONG_TYPE);
    return entry;
  }

  get(key: Bytes, field: Bytes): Bytes | undefined {
    return this.#find(key)?.fields.get(field);
  }

  set(key: Bytes, field: Bytes, value: Bytes): boolean {
    let entry = this.#find(key);
    if (entry === undefined) {
      entry = { type: Type.HASH, fields: new Map(), large: false, expiry: NO_EXPIRY };
      this.#database.entries.set(key, entry);
    }
    const isNew = !entry.fields.has(field);
    entry.fields.set(field, value);
    entry.large ||= entry.fields.size > LISTPACK_ENTRIES_MAX;
    entry.large ||= Math.max(field.length, value.length) > LISTPACK_VALUE_MAX;
    this.#database.modified(key);
    return isNew;
  }

  delete(key: Bytes, field: Bytes): boolean {
    const entry = this.#find(key);
    if (entry === undefined || !entry.fields.delete(field)) return false;
    if (entry.fields.size === 0) this.#database.entries.delete(key);
    this.#database.modified(key);
    return true;
  }

  has(key: Bytes, field: Bytes): boolean {
    return this.#find(key)?.fields.has(field) ?? false;
  }

  length(key: Bytes): number {
    return this.#find(key)?.fields.size ?? 0;
  }

  valueLength(key: Bytes, field: Bytes): number {
    return this.get(key, field)?.length ?? 0;
  }

  each(key: Bytes, visit: (field: Bytes, value: Bytes) => void): void {
    for (const [field, value] of this.#find(key)?.fields ?? []) visit(field, value);
  }

  scan(key: Bytes, cursor: number, count: number, visit: (field: Bytes, value: Bytes) => void): number {
    const entry = this.#find(key);
    if (entry === undefined) return 0;
    const atOnce = entry.large ? count : entry.fields.size;
    return scanMap(entry.fields, entry.large ? cursor : 0, atOnce, visit);
  }

  randomField(key: Bytes, pick: (bound: number) => number): Bytes | undefined {
    const fields = [...(this.#find(key)?.fields.keys() ?? [])];
    return fields.length === 0 ? undefined : fields[pick(fields.length)];
  }
}

/** Visits about `count` entries from the place `cursor` on; returns the place of the next one, 0 when there is none. */
function scanMap<V>(
  map: ReadonlyMap<Bytes, V>,
  cursor: number,
  count: number,
  visit: (key: Bytes, value: V) => void,
): number {
  const rest = [...map].map(([key, value]) => ({ place: placeOf(key), key, value }));
  const ahead = rest.filter(({ place }) => place >= cursor).sort((a, b) => a.place - b.place);
  let place = 0;
  for (const [index, entry] of ahead.entries()) {
    // Keys that share a place are visited together.
    if (index >= count && entry.place !== place) return entry.place;
    place = entry.place;
    visit(entry.key, entry.value);
  }
  return 0;
}

/** FNV-1a, 32 bits, from 1 on. */
function placeOf(key: Bytes): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return (hash >>> 0) + 1;
}
