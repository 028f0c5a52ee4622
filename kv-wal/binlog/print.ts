/**
 * Shows what the binlog says to people: transactions with place, time and XID; rows as SQL, statements as commands. Or as
 * JSON, one transaction a line, in which a byte is the character of the same number.
 */
import type { Bytes } from "../../common/bytes.ts";
import { TYPE_NAMES, type Type } from "../../common/keyspace/keyspace.ts";
import type { ChangedRow, RowImage, RowValue } from "./row-events.ts";
import type { ColumnKind, TableSchema } from "./schema.ts";
import { type Change, isStatement, type LoggedTransaction } from "./transactions.ts";

export type Print = (line: string) => void;

export function printTransaction(transaction: LoggedTransaction, print: Print): void {
  const { path, position, end, xid, seconds, changes } = transaction;
  print(`# ${path}:${position} – ${end}, ${timeText(seconds)}, XID ${xid}`);
  for (const change of changes) print(describeChange(change));
  print("COMMIT;");
}

export function transactionAsJson({ path, position, end, xid, seconds, changes }: LoggedTransaction): string {
  const time = new Date(seconds * 1000).toISOString();
  return JSON.stringify({ file: path, position, end, time, xid, changes: changes.map(changeAsJson) });
}

/** Local time, as commands that take a time read it. */
export function timeText(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** One change: a row as SQL, or a command. */
export function describeChange(change: Change): string {
  if (!isStatement(change)) return describeRow(change);
  const [name = "", ...rest] = change.args;
  return `${[name, ...rest.map(quoteArgument)].join(" ")}   -- in database ${change.database}`;
}

function describeRow({ table, before, after }: ChangedRow): string {
  if (before === undefined) return `INSERT INTO ${table.name} SET ${assignments(table, after!, ", ")};`;
  const where = assignments(table, before, " AND ", "IS NULL");
  if (after === undefined) return `DELETE FROM ${table.name} WHERE ${where};`;
  return `UPDATE ${table.name} SET ${assignments(table, after, ", ")} WHERE ${where};`;
}

function assignments({ columns }: TableSchema, image: RowImage, separator: string, isNull = "= NULL"): string {
  return columns
    .flatMap(({ name, kind }, index) => {
      const value = image[index];
      if (value === undefined) return [];
      return value === null ? [`${name} ${isNull}`] : [`${name} = ${literal(kind, value)}`];
    })
    .join(separator);
}

/** A value as SQL; bytes that are not printable ASCII as hexadecimal. */
function literal(kind: ColumnKind, value: NonNullable<RowValue>): string {
  if (kind === "enum") return `'${TYPE_NAMES[value as Type] ?? value}'`;
  if (typeof value === "number") return String(value);
  if (/^[\x20-\x7e]*$/.test(value)) return `'${value.replace(/[\\']/g, "\\$&")}'`;
  return `X'${Buffer.from(value, "latin1").toString("hex")}'`;
}

function quoteArgument(bytes: Bytes): string {
  const escaped = bytes.replace(/[\\"]/g, "\\$&");
  const plain = escaped.replace(/[^\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return `"${plain}"`;
}

function changeAsJson(change: Change): object {
  if (isStatement(change)) return { db: change.database, command: change.args };
  const { table, before, after } = change;
  return { table: table.name, before: imageAsJson(table, before), after: imageAsJson(table, after) };
}

function imageAsJson({ columns }: TableSchema, image: RowImage | undefined): object | undefined {
  if (image === undefined) return undefined;
  return Object.fromEntries(columns.map(({ name }, index) => [name, image[index]]));
}
