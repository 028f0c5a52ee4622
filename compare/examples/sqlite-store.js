/**
 * SQLite, through better-sqlite3 (npm install --no-save better-sqlite3@12.11.1): rows are inserted one by one, each commit is printed. The
 * second argument is the journal mode, the third `synchronous`:
 *
 *     twolog crash --dir /tmp/db --check 'node check-sqlite.js {dir} {acks}' -- node sqlite-store.js /tmp/db delete extra
 *     twolog crash --dir /tmp/db --ignore '*-shm' --check '…' -- node sqlite-store.js /tmp/db wal full
 *
 * In WAL mode the -shm file is shared memory, which is rebuilt after a crash whatever it holds: it is left out. In delete
 * mode `full` is not enough for the last commit: the journal's removal is the commit, and only `extra` syncs the folder.
 */
import { join } from "node:path";
import Database from "better-sqlite3";

const [folder, mode = "delete", synchronous = "full"] = process.argv.slice(2);
const database = new Database(join(folder, "store.db"));
database.pragma(`journal_mode = ${mode}`);
database.pragma(`synchronous = ${synchronous}`);
database.exec("CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, text TEXT)");
const insert = database.prepare("INSERT INTO entries VALUES (?, ?)");
for (let number = 1; number <= 5; number++) {
  insert.run(number, `text ${number} `.repeat(100));
  console.log(number);
}
