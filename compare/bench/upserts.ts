/**
 * Single-row upserts, each durable when it has been answered: the same small interface over kv-wal, MariaDB and stores that
 * live in the program. The clients of the servers may send the next before the last is answered. Packages are imported by
 * name when they are wanted: none of them is needed otherwise.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import Parser from "redis-parser";
import { corkForTurn } from "../cork-for-turn.ts";
import { MysqlClient } from "../originals/mysql-client.ts";

/** The table of the peers that have tables. */
export const TABLE = "entries";
const UPSERT_MARIADB = `INSERT INTO ${TABLE} VALUES (?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v)`;
const UPSERT_SQLITE = `INSERT INTO ${TABLE} VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v`;

export interface Upserts {
  /** Gives a key a value; durable when it returns, or resolves. */
  upsert(key: string, value: string): Promise<void> | void;
  /** The same for many keys, as fast as it goes. */
  fill(keys: readonly string[], value: string): Promise<void>;
  close(): Promise<void> | void;
}

/** Packages that embedded stores come in, with the versions that this was tried with. */
export const PACKAGES = {
  sqlite: "better-sqlite3@12.11.1",
  lmdb: "lmdb@3.5.6",
  leveldb: "classic-level@3.0.0",
} as const;
export type EmbeddedName = keyof typeof PACKAGES;

/** Whether a package is there; a reason when it is not, or does not load. */
export async function whyNotInstalled(name: EmbeddedName): Promise<string | undefined> {
  try {
    await load(name);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason =
      code === "ERR_MODULE_NOT_FOUND" ? "not installed" : `does not load (${code ?? (error as Error).message})`;
    return `${reason}: npm install --no-save ${PACKAGES[name]}`;
  }
}

async function load(name: EmbeddedName): Promise<Record<string, unknown>> {
  const [packageName] = PACKAGES[name].split("@");
  return (await import(packageName!)) as Record<string, unknown>;
}

/** Opens a store of the package, in this folder. */
export function embedded(name: EmbeddedName, folder: string): Promise<Upserts> {
  return { sqlite: openSqlite, lmdb: openLmdb, leveldb: openLevel }[name](folder);
}

export async function openRedis(port: number): Promise<Upserts> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  const waiting: ((error?: Error) => void)[] = [];
  const answered = (error?: Error) => waiting.shift()?.(error);
  const parser = new Parser({ returnReply: () => answered(), returnError: (error: Error) => answered(error) });
  socket.on("data", (chunk) => parser.execute(chunk));
  socket.on("close", () => {
    while (waiting.length > 0) answered(new Error("the server closed the connection"));
  });
  const ask = (words: readonly string[]): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting.push((error) => (error === undefined ? resolve() : reject(error)));
      const text = words.map((word) => `$${word.length}\r\n${word}\r\n`).join("");
      corkForTurn(socket);
      socket.write(`*${words.length}\r\n${text}`, "latin1");
    });
  return {
    upsert: (key, value) => ask(["SET", key, value]),
    fill: (keys, value) => ask(["MSET", ...keys.flatMap((key) => [key, value])]),
    close: () => void socket.destroy(),
  };
}

export async function openMariadb(port: number): Promise<Upserts> {
  const client = await MysqlClient.open(port);
  await client.query("USE twolog");
  const statement = await client.prepare(UPSERT_MARIADB);
  return {
    upsert: (key, value) => client.execute(statement, [key, value]),
    async fill(keys, value) {
      const rows = keys.map((key) => `('${key}', '${value}')`).join(", ");
      await client.query(`REPLACE INTO ${TABLE} VALUES ${rows}`);
    },
    close: () => client.close(),
  };
}

interface Sqlite {
  pragma(text: string): unknown;
  exec(sql: string): void;
  prepare(sql: string): { run(...values: unknown[]): void };
  close(): void;
}

async function openSqlite(folder: string): Promise<Upserts> {
  const { default: Database } = (await load("sqlite")) as { default: new (path: string) => Sqlite };
  const database = new Database(join(folder, "sqlite.db"));
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.exec(`CREATE TABLE IF NOT EXISTS ${TABLE} (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID`);
  const statement = database.prepare(UPSERT_SQLITE);
  const upsert = (key: string, value: string) =>
    statement.run(Buffer.from(key, "latin1"), Buffer.from(value, "latin1"));
  return {
    upsert,
    async fill(keys, value) {
      database.exec("BEGIN");
      for (const key of keys) upsert(key, value);
      database.exec("COMMIT");
    },
    close: () => database.close(),
  };
}

interface Lmdb {
  putSync(key: string, value: Buffer): void;
  transactionSync(run: () => void): void;
  close(): Promise<void>;
}

async function openLmdb(folder: string): Promise<Upserts> {
  const { open } = (await load("lmdb")) as { open: (options: object) => Lmdb };
  // Without overlappingSync a transaction is synced when it returns.
  const database = open({ path: join(folder, "lmdb"), overlappingSync: false, encoding: "binary" });
  return {
    upsert: (key, value) => database.putSync(key, Buffer.from(value, "latin1")),
    async fill(keys, value) {
      database.transactionSync(() => {
        for (const key of keys) database.putSync(key, Buffer.from(value, "latin1"));
      });
    },
    close: () => database.close(),
  };
}

interface Level {
  open(): Promise<void>;
  put(key: string, value: Buffer, options: { sync: boolean }): Promise<void>;
  batch(operations: readonly object[], options: { sync: boolean }): Promise<void>;
  close(): Promise<void>;
}

async function openLevel(folder: string): Promise<Upserts> {
  const { ClassicLevel } = (await load("leveldb")) as { ClassicLevel: new (path: string, options: object) => Level };
  const database = new ClassicLevel(join(folder, "leveldb"), { keyEncoding: "utf8", valueEncoding: "buffer" });
  await database.open();
  return {
    upsert: (key, value) => database.put(key, Buffer.from(value, "latin1"), { sync: true }),
    fill: (keys, value) =>
      database.batch(
        keys.map((key) => ({ type: "put", key, value: Buffer.from(value, "latin1") })),
        { sync: true },
      ),
    close: () => database.close(),
  };
}
