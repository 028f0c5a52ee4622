/** Checks a folder of key-value-store.js: every key whose name had been printed must be there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [folder, acks] = process.argv.slice(2);
const file = join(folder, "data.json");
const data = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
const lost = readFileSync(acks, "utf8")
  .split("\n")
  .filter((key) => key !== "" && data[key] !== key.replace("key", "value"));
if (lost.length > 0) {
  console.log(`stored and gone: ${lost.join(", ")}`);
  process.exit(1);
}
