/**
 * The relational schema that the binlog's row events speak of: what the keyspace would be as SQL tables. A table per data
 * type, and `kv_key` for what every key has. Strings and hashes are logged today; the other tables are fixed now, so that the
 * data types which come fill them in.
 *
 *     kv_key     db, k → type, expire_at (ms since 1970, or NULL)      one row per key
 *     kv_string  db, k → v                                             one row per string
 *     kv_hash    db, k, f → v                                          one row per field; how many there are is not logged
 *     kv_list    db, k, position → v                                   ascending from the left end; gaps are allowed
 *     kv_set     db, k, member
 *     kv_zset    db, k, member → score
 *     kv_stream  db, k, ms, seq, position → f, v                       one row per field of an entry
 *
 * Values of a row image (little-endian): SMALLINT 2 bytes, BIGINT and DOUBLE 8, ENUM 1 (the number of the type,
 * common/keyspace/keyspace.ts), LONGBLOB its length (4) and its bytes.
 *
 * Two changes of whole databases are calls of procedures that belong to the schema: flushdb(db) and swapdb(a, b).
 *
 * Keys and values are LONGBLOB because Redis allows 512 MiB for each. A primary key over blobs names how many bytes count:
 * InnoDB takes 3,072 in all. Two keys that agree in all of those could not both be inserted into a real table; the log
 * itself and our reader have no such limit.
 */
import type { Bytes } from "../../common/bytes.ts";

export const SCHEMA = "twolog";
export const Table = { KEY: 1, STRING: 2, HASH: 3, LIST: 4, SET: 5, ZSET: 6, STREAM: 7 } as const;
export type Table = (typeof Table)[keyof typeof Table];

/** How a column is written in row images. */
export type ColumnKind = "smallint" | "bigint" | "double" | "enum" | "blob";

export interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
  readonly sql: string;
  readonly nullable: boolean;
}

export interface TableSchema {
  readonly id: Table;
  readonly name: string;
  readonly columns: readonly Column[];
  /** How many of the columns, from the first on, are the primary key. */
  readonly keyColumns: number;
  /** The primary key in SQL, with the prefixes of blobs. */
  readonly primaryKey: string;
}

/** In the order of the numbers of types. */
const TYPE_ENUM = "ENUM('string', 'list', 'set', 'zset', 'hash', 'stream')";

const SQL_TYPES: Readonly<Record<ColumnKind, string>> = {
  smallint: "SMALLINT UNSIGNED",
  bigint: "BIGINT UNSIGNED",
  double: "DOUBLE",
  enum: TYPE_ENUM,
  blob: "LONGBLOB",
};

function column(name: string, kind: ColumnKind, nullable = false): Column {
  return { name, kind, sql: `${SQL_TYPES[kind]}${nullable ? " NULL" : " NOT NULL"}`, nullable };
}

const DB = column("db", "smallint");
const K = column("k", "blob");
const V = column("v", "blob");

function table(
  id: Table,
  name: string,
  columns: readonly Column[],
  keyColumns: number,
  primaryKey: string,
): TableSchema {
  return { id, name, columns, keyColumns, primaryKey };
}

export const TABLES: readonly TableSchema[] = [
  table(Table.KEY, "kv_key", [DB, K, column("type", "enum"), column("expire_at", "bigint", true)], 2, "db, k(3070)"),
  table(Table.STRING, "kv_string", [DB, K, V], 2, "db, k(3070)"),
  table(Table.HASH, "kv_hash", [DB, K, column("f", "blob"), V], 3, "db, k(1535), f(1535)"),
  table(Table.LIST, "kv_list", [DB, K, column("position", "bigint"), V], 3, "db, k(3062), position"),
  table(Table.SET, "kv_set", [DB, K, column("member", "blob")], 3, "db, k(1535), member(1535)"),
  table(
    Table.ZSET,
    "kv_zset",
    [DB, K, column("member", "blob"), column("score", "double")],
    3,
    "db, k(1535), member(1535)",
  ),
  table(
    Table.STREAM,
    "kv_stream",
    [DB, K, column("ms", "bigint"), column("seq", "bigint"), column("position", "bigint"), column("f", "blob"), V],
    5,
    "db, k(3046), ms, seq, position",
  ),
];

export function tableOf(id: number): TableSchema | undefined {
  return TABLES[id - 1];
}

/** MySQL's number of a column type in TABLE_MAP events, and the metadata that goes with it. */
const TYPE_CODES: Readonly<Record<ColumnKind, { readonly code: number; readonly metadata: readonly number[] }>> = {
  smallint: { code: 2, metadata: [] },
  double: { code: 5, metadata: [8] },
  bigint: { code: 8, metadata: [] },
  blob: { code: 252, metadata: [4] },
  enum: { code: 254, metadata: [247, 1] },
};

/** The body of a table's TABLE_MAP event, behind table id and flags. */
export function tableMapBody({ name, columns }: TableSchema): Buffer {
  const counted = (text: Bytes) => Buffer.from(`${String.fromCharCode(text.length)}${text}\0`, "latin1");
  const metadata = columns.flatMap(({ kind }) => TYPE_CODES[kind].metadata);
  let nullable = 0;
  columns.forEach((each, index) => {
    if (each.nullable) nullable |= 1 << index;
  });
  return Buffer.concat([
    counted(SCHEMA),
    counted(name),
    Buffer.from([columns.length, ...columns.map(({ kind }) => TYPE_CODES[kind].code)]),
    Buffer.from([metadata.length, ...metadata, nullable]),
  ]);
}

/** The statements for changes of whole databases. */
export function flushCall(database: number): string {
  return `CALL ${SCHEMA}.flushdb(${database})`;
}
export function swapCall(a: number, b: number): string {
  return `CALL ${SCHEMA}.swapdb(${a}, ${b})`;
}

/** One of these statements as the command that it stands for, with its database; undefined for other text. */
export function readCall(text: string): { database: number; args: string[] } | undefined {
  const flush = /^CALL twolog\.flushdb\((\d+)\)$/.exec(text);
  if (flush !== null) return { database: Number(flush[1]), args: ["FLUSHDB"] };
  const swap = /^CALL twolog\.swapdb\((\d+), (\d+)\)$/.exec(text);
  if (swap === null) return undefined;
  return { database: Number(swap[1]), args: ["SWAPDB", swap[1]!, swap[2]!] };
}

/** A number that no database has: what is exchanged waits there, so that no primary key is met twice. */
const NO_DB = 65535;

function proceduresAsSql(): string[] {
  const each = (statement: (name: string) => string) => TABLES.map(({ name }) => `  ${statement(name)};`);
  return [
    "DELIMITER //",
    "CREATE PROCEDURE flushdb(gone SMALLINT UNSIGNED) BEGIN",
    ...each((name) => `DELETE FROM ${name} WHERE db = gone`),
    "END //",
    "CREATE PROCEDURE swapdb(a SMALLINT UNSIGNED, b SMALLINT UNSIGNED) BEGIN",
    ...each((name) => `UPDATE ${name} SET db = ${NO_DB} WHERE db = a`),
    ...each((name) => `UPDATE ${name} SET db = a WHERE db = b`),
    ...each((name) => `UPDATE ${name} SET db = b WHERE db = ${NO_DB}`),
    "END //",
    "DELIMITER ;",
  ];
}

/**
 * Tables and procedures as SQL: a MySQL or MariaDB that has run this can run what mariadb-binlog makes of the binlog in ROW
 * format.
 */
export function schemaAsSql(): string[] {
  const lines = [`CREATE DATABASE IF NOT EXISTS ${SCHEMA};`, `USE ${SCHEMA};`];
  for (const { name, columns, primaryKey } of TABLES) {
    lines.push(`CREATE TABLE ${name} (`);
    for (const each of columns) lines.push(`  ${each.name.padEnd(9)} ${each.sql},`);
    lines.push(`  PRIMARY KEY (${primaryKey})`, ") ENGINE = InnoDB;");
  }
  return [...lines, ...proceduresAsSql()];
}
