/**
 * The oracle "engine ≡ binlog": replaying all binlog files of a recovered kv-wal into an empty model must give the data that
 * the engine has (I5; a replica and a restore see the binlog only). It reads the files by itself and shares no more with the
 * engine than the format of an event.
 *
 * Valid where the policy lets neither log lose anything: flush_log_at_trx_commit 1 and sync_binlog 1, from an empty folder.
 */
import type { Bytes } from "../../common/bytes.ts";
import type { Disk } from "../../common/disk/disk.ts";
import { CorruptFile } from "../../common/errors.ts";
import { splitArguments } from "../../common/resp/split-arguments.ts";
import { readBinlog } from "../../kv-wal/binlog/binlog-reader.ts";
import { EventType, readQuery } from "../../kv-wal/binlog/events.ts";
import { type Cells, Prefix } from "../model.ts";

const FILE_NAME = /^binlog\.\d{6,}$/;

/** Says how the engine's cells differ from what the binlog gives; undefined: they agree. */
export function binlogDisagreement(disk: Disk, cells: Cells): string | undefined {
  const model = new BinlogModel(cells);
  for (const name of disk.list("wal")) {
    if (!FILE_NAME.test(name)) continue;
    const file = disk.open(`wal/${name}`, "read");
    try {
      readBinlog(file, (type, buffer, at, end) => {
        if (type === EventType.QUERY) model.query(readQuery(buffer, at, end).text);
        else if (type === EventType.XID) model.commit();
      });
    } catch (error) {
      if (!(error instanceof CorruptFile)) throw error;
      return `a binlog file cannot be read: ${error.message}`;
    } finally {
      file.close();
    }
  }
  return model.difference();
}

/** What the binlog's transactions do to the cells that the model knows. */
class BinlogModel {
  #expected: Prefix;
  readonly #cells: Cells;
  #open: Bytes[][] = [];

  constructor(cells: Cells) {
    this.#cells = cells;
    this.#expected = new Prefix(cells);
  }

  query(text: Bytes): void {
    if (text === "BEGIN") {
      this.#open = [];
      return;
    }
    const words = splitArguments(text);
    if (words !== undefined) this.#open.push(words);
  }

  commit(): void {
    for (const words of this.#open) this.#apply(words);
    this.#open = [];
  }

  #apply(words: readonly Bytes[]): void {
    const name = words[0]?.toUpperCase() ?? "";
    if (name === "FLUSHALL") this.#expected = new Prefix(this.#cells);
    else if (name === "MSET") {
      for (let at = 1; at + 1 < words.length; at += 2) this.#expected.applyCommand(["SET", words[at]!, words[at + 1]!]);
    } else if (name === "INCRBY" || name === "DECRBY") {
      const before = Number(this.#expected.value(words[1]!) ?? "0");
      const by = Number(words[2]) * (name === "INCRBY" ? 1 : -1);
      this.#expected.applyCommand(["SET", words[1]!, String(before + by)]);
    } else this.#expected.applyCommand([name, ...words.slice(1)]);
  }

  difference(): string | undefined {
    if (this.#expected.matches) return undefined;
    const [cell = ""] = this.#expected.differences();
    const show = (value: Bytes | undefined): string =>
      value === undefined ? "nothing" : JSON.stringify(value.length > 24 ? `${value.slice(0, 21)}…` : value);
    const name = JSON.stringify(cell.replace("\0", " field "));
    return `${name} is ${show(this.#cells.get(cell))} in the engine and ${show(this.#expected.value(cell))} in the binlog`;
  }
}
