/**
 * Applies what the binlog says to a keyspace, whatever its format was: row images through the primitives of the containers,
 * statements as commands. Point-in-time recovery runs it on an engine; the lab runs it on a keyspace in memory and compares.
 *
 * A row of kv_key is a key with its expiry, but a container exists only with its first element: the expiry waits until
 * that is there. A renamed container moves with its row of kv_key; its elements' rows are found done then.
 */
import { assert, present } from "../../common/assert.ts";
import { type Bytes, toText } from "../../common/bytes.ts";
import { acceptsCount } from "../../common/command/define.ts";
import { DetachedCall, type Surroundings } from "../../common/command/detached-call.ts";
import { invoke } from "../../common/command/invoke.ts";
import { lookup } from "../../common/commands/table.ts";
import type { Disk } from "../../common/disk/disk.ts";
import { CorruptFile } from "../../common/errors.ts";
import { type Database, KEEP_EXPIRY, type Keyspace, NO_EXPIRY, Type } from "../../common/keyspace/keyspace.ts";
import type { ChangedRow, RowImage, RowValue } from "./row-events.ts";
import { Table } from "./schema.ts";
import { BinlogChain, type BinlogPlace, isStatement, type LoggedTransaction, type Statement } from "./transactions.ts";

/** Column numbers, the same in all tables; a hash has its field before its value. */
const DB = 0;
const KEY = 1;
const EXPIRY = 3;
const VALUE = 2;
const FIELD = 2;
const FIELD_VALUE = 3;

/** A column after the change; an image after a change may lack those of the key, which are as before. */
function columnOf(before: RowImage | undefined, after: RowImage | undefined, column: number): RowValue {
  return after?.[column] ?? before?.[column];
}

export class BinlogApplier {
  readonly #keyspace: Keyspace;
  readonly #call: DetachedCall;
  /** Expiries of keys whose first element is still to come. */
  readonly #waiting = new Map<Database, Map<Bytes, number>>();

  constructor(keyspace: Keyspace, surroundings: Surroundings) {
    this.#keyspace = keyspace;
    this.#call = new DetachedCall(keyspace, surroundings);
  }

  /** Applies one transaction. Time stands still: nothing expires but by what the log says. */
  apply(transaction: LoggedTransaction): void {
    const { events } = this.#keyspace;
    const { now } = events;
    events.now = -1;
    for (const change of transaction.changes) {
      const problem = isStatement(change) ? this.#run(change) : this.#changeRow(change);
      if (problem !== undefined) throw new CorruptFile(transaction.path, transaction.position, problem);
    }
    events.now = now;
    this.#waiting.clear();
  }

  #run({ database, args }: Statement): string | undefined {
    const call = this.#call;
    const name = args[0]!;
    const command = lookup(name);
    if (command === undefined || !acceptsCount(command, args.length)) return `no command: ${toText(name.slice(0, 64))}`;
    if (this.#keyspace.databases[database] === undefined) return `there is no database ${database}`;
    call.select(database);
    const succeeded = invoke(call, command, args);
    const reply = call.reply.take();
    call.effects.clear();
    return succeeded ? undefined : `'${command.name}' failed: ${reply.slice(1).trimEnd()}`;
  }

  #changeRow({ table, before, after }: ChangedRow): string | undefined {
    const key = columnOf(before, after, KEY) as Bytes;
    const database = this.#keyspace.databases[Number(columnOf(before, after, DB))];
    if (database === undefined) return "a row of a database that is not there";
    if (table.id === Table.KEY) this.#changeKey(database, key, before, after);
    else if (table.id === Table.STRING) this.#changeString(database, key, after);
    else if (table.id === Table.HASH) this.#changeField(database, key, before, after);
    else return `rows of ${table.name} cannot be applied`;
    return undefined;
  }

  #changeKey(database: Database, key: Bytes, before: RowImage | undefined, after: RowImage | undefined): void {
    if (after === undefined) {
      database.delete(key);
      return;
    }
    const moved = before !== undefined && after[KEY] !== undefined;
    if (moved && (before[KEY] !== key || before[DB] !== database.index)) {
      this.#keyspace.databases[before[DB] as number]!.rename(before[KEY] as Bytes, database, key);
      return;
    }
    const expiry = (after[EXPIRY] ?? NO_EXPIRY) as number;
    if (before !== undefined) database.setExpiry(key, expiry);
    else if (expiry !== NO_EXPIRY) {
      if (!this.#waiting.has(database)) this.#waiting.set(database, new Map());
      this.#waiting.get(database)!.set(key, expiry);
    }
  }

  /** The expiry that a new key was given. */
  #takeWaiting(database: Database, key: Bytes): number | undefined {
    const expiry = this.#waiting.get(database)?.get(key);
    if (expiry !== undefined) this.#waiting.get(database)!.delete(key);
    return expiry;
  }

  #changeString(database: Database, key: Bytes, after: RowImage | undefined): void {
    if (after === undefined) database.delete(key);
    else database.strings.set(key, after[VALUE] as Bytes, this.#takeWaiting(database, key) ?? KEEP_EXPIRY);
  }

  #changeField(database: Database, key: Bytes, before: RowImage | undefined, after: RowImage | undefined): void {
    const { hashes } = database;
    if (after === undefined) {
      if (database.typeOf(key) === Type.HASH) hashes.delete(key, before![FIELD] as Bytes);
      return;
    }
    const field = columnOf(before, after, FIELD) as Bytes;
    const value = present(after[FIELD_VALUE], "binlog: a changed field has a value") as Bytes;
    if (hashes.get(key, field) !== value) hashes.set(key, field, value);
    const expiry = this.#takeWaiting(database, key);
    if (expiry !== undefined) database.setExpiry(key, expiry);
  }
}

/** Applies the whole binlog of a folder, or what is behind a place, to a keyspace. Returns the number of transactions. */
export function applyBinlog(disk: Disk, keyspace: Keyspace, surroundings: Surroundings, from?: BinlogPlace): number {
  const chain = new BinlogChain(disk);
  const applier = new BinlogApplier(keyspace, surroundings);
  let count = 0;
  assert(chain.numbers.length > 0, "binlog: an index names a file");
  chain.each(from ?? { file: chain.numbers[0]!, position: 0 }, (transaction) => {
    applier.apply(transaction);
    count++;
    return true;
  });
  return count;
}
