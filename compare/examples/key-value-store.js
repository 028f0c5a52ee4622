/**
 * A small key-value store that looks safe and is not. It keeps everything in one JSON file, and replaces that file the way
 * one reads about everywhere: write a new file, fsync it, rename it over the old one. `twolog crash` finds what is missing:
 *
 *     twolog crash --dir /tmp/store --check 'node check-store.js {dir} {acks}' -- node key-value-store.js /tmp/store
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";

class Store {
  constructor(folder) {
    mkdirSync(folder, { recursive: true });
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
  }
}

const store = new Store(process.argv[2]);
for (let number = 1; number <= 5; number++) {
  store.set(`key${number}`, `value${number}`);
  console.log(`key${number}`);
}
