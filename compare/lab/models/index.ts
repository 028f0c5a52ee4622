/** All persistence models, from kind to nasty; and how they are asked for by name. */
import { UsageError } from "../../../common/errors.ts";
import { bitRot, misdirected } from "./damage.ts";
import { dropped } from "./dropped.ts";
import { ext4Like } from "./ext4-like.ts";
import { kill } from "./kill.ts";
import { lyingFsync, lyingFsyncOfPages } from "./lying-fsync.ts";
import type { ModelOptions, PersistenceModel } from "./model.ts";
import { garbage, posixWeak } from "./posix-weak.ts";
import { prefix } from "./prefix.ts";

const MAKERS: Readonly<Record<string, (options: ModelOptions) => PersistenceModel>> = {
  kill,
  dropped,
  prefix,
  "ext4-like": ext4Like,
  "posix-weak": posixWeak,
  garbage,
  "lying-fsync": lyingFsync,
  "lying-fsync-of-pages": lyingFsyncOfPages,
  "bit-rot": bitRot,
  misdirected,
};

export const MODEL_NAMES: readonly string[] = Object.keys(MAKERS);

/** The models of a list; "all" means all of them. */
export function modelNames(list: readonly string[]): readonly string[] {
  return list.includes("all") ? MODEL_NAMES : list;
}

/** The model `NAME` or `NAME@SECTORBYTES`. */
export function modelOf(text: string): PersistenceModel {
  const [name = "", sector = "512"] = text.split("@");
  const maker = MAKERS[name];
  if (maker === undefined) throw new UsageError(`unknown model '${name}': one of ${MODEL_NAMES.join(", ")}`);
  if (sector !== "512" && sector !== "4096") throw new UsageError(`a sector has 512 or 4096 bytes, not '${sector}'`);
  const model = maker({ sectorBytes: sector === "512" ? 512 : 4096 });
  return sector === "512" ? model : { ...model, name: text };
}
