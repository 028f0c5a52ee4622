/** Power loss, the plain reading of the disk's contract: what was not synced is gone. */
import { EVERYTHING, type PersistenceModel } from "./model.ts";

export function dropped(): PersistenceModel {
  return {
    name: "dropped",
    crash: "power",
    owed: EVERYTHING,
    faults:
      "The power fails. What a sync has covered survives, and nothing else; names count when their folder was synced.",
    spaces: ({ disk }) => [{ dimensions: [], build: () => disk.durableImage() }],
  };
}
