/**
 * The store of key-value-store.js without its bug: after the rename it syncs the folder, because a name is on the disk only
 * when its folder is.
 *
 *     twolog crash --dir /tmp/store --check 'node check-store.js {dir} {acks}' -- node key-value-store-fixed.js /tmp/store
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";

class Store {
  constructor(folder) {
    mkdirSync(folder, { recursive: true });
    this.folder = folder;
    this.file = join(folder, "data.json");
    this.data = existsSync(this.file) ? JSON.parse(readFileSync(this.file, "utf8")) : {};
  }

  set(key, value) {
    this.data[key] = value;
    const file = openSync(`${this.file}.new`, "w");
    writeSync(file, JSON.stringify(this.data));
    fsyncSync(file);
    closeSync(file);
    renameSync(`${this.file}.new`, this.file);
    const folder = openSync(this.folder, "r");
    fsyncSync(folder);
    closeSync(folder);
  }
}

const store = new Store(process.argv[2]);
for (let number = 1; number <= 5; number++) {
  store.set(`key${number}`, `value${number}`);
  console.log(`key${number}`);
}
