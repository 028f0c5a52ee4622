/** What several claims about redo and pages share: a load of rows, and crashed disks to look at or to damage. */
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { WalEngine } from "../../kv-wal/engine.ts";
import { hunt } from "../bugs/hunt.ts";
import { ORDERS } from "../orders/orders.ts";
import { policyOf } from "../policy.ts";
import { type Asked, Stage, type StageOptions } from "./stage.ts";

export const STRICT = policyOf("wal", "1/1");
export const PAGE_BYTES = 16384;
export const SPACE = "wal/space";

/** Many rows, so that the small redo log of the lab goes round several times and pages are written. */
export function rowsLoad(options: StageOptions = {}, rounds = 40): { stage: Stage; sent: Asked[] } {
  const stage = new Stage(STRICT, options);
  const sent: Asked[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let row = 0; row < 40; row++) sent.push(stage.send(["SET", `k${row}`, `${round}`.padEnd(400, "v")]));
    stage.rest(5);
  }
  stage.rest(50);
  return { stage, sent };
}

export function walOf(stage: Stage): WalEngine {
  if (!(stage.engine instanceof WalEngine)) throw new Error("a stage of kv-wal");
  return stage.engine;
}

/** All rows of `rowsLoad`; or "refused". */
export function rowsOf(life: Stage | string): string {
  if (typeof life === "string") return "refused";
  return Array.from({ length: 40 }, (_, row) => String(life.ask("GET", `k${row}`)).slice(0, 3)).join(" ");
}

/** Writes bytes into a file of a crashed disk. */
export function overwrite(disk: MemoryDisk, path: string, at: number, bytes: Uint8Array): void {
  const file = disk.open(path, "update");
  file.write(at, bytes);
  file.close();
}

/** One order from compare/orders, run until it is caught. */
export function caughtOracle(id: string): string {
  const order = ORDERS.find((one) => one.id === id);
  if (order === undefined) throw new Error(`no order ${id}`);
  const { caught } = hunt(order.hunt, { seed: 1 });
  return caught?.oracle ?? "nothing broke";
}
