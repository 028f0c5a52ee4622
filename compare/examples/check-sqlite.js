/** Checks a folder of sqlite-store.js: the database is sound, and every row whose number had been printed is there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";

const [folder, acks] = process.argv.slice(2);
const printed = readFileSync(acks, "utf8").split("\n").filter(Boolean).map(Number);
const file = join(folder, "store.db");
if (!existsSync(file) && printed.length === 0) process.exit(0);
const database = new Database(file);
const sound = database.pragma("integrity_check", { simple: true });
const hasTable = database.prepare("SELECT count(*) FROM sqlite_master WHERE name = 'entries'").pluck().get() === 1;
const rows = hasTable ? database.prepare("SELECT number FROM entries ORDER BY number").pluck().all() : [];
const lost = printed.filter((number) => !rows.includes(number));
if (sound !== "ok" || lost.length > 0) {
  console.log(`integrity: ${sound}; committed and gone: ${lost.join(", ") || "none"}`);
  process.exit(1);
}
