/**
 * The names of a disk image, apart from what the files hold: thousands of images of one run have the same names, and share
 * one list, with everything that was ever computed from it.
 */
import { hashText } from "./hash.ts";

export function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

export class NameList {
  /** With "/" between names; "" is the data folder. */
  readonly paths: readonly string[];
  /** Of the paths. */
  readonly hashes: readonly number[];
  readonly #places = new Map<string, number>();
  readonly #inFolder = new Map<string, readonly string[]>();

  constructor(paths: readonly string[]) {
    this.paths = paths;
    this.hashes = paths.map(hashText);
    for (const [place, path] of paths.entries()) this.#places.set(path, place);
  }

  /** Where in `paths` the path is; undefined: it is not there. */
  placeOf(path: string): number | undefined {
    return this.#places.get(path);
  }

  /** The names in a folder, without it, sorted. */
  in(folder: string): readonly string[] {
    let names = this.#inFolder.get(folder);
    if (names === undefined) {
      const from = folder === "" ? 0 : folder.length + 1;
      names = this.paths
        .filter((path) => path !== "" && folderOf(path) === folder)
        .map((path) => path.slice(from))
        .sort();
      this.#inFolder.set(folder, names);
    }
    return names;
  }
}

/** Lists of names, each once. */
export class NameLists {
  readonly #known = new Map<string, NameList>();

  of(paths: readonly string[]): NameList {
    const key = paths.join("\n");
    let list = this.#known.get(key);
    if (list === undefined) {
      list = new NameList(paths);
      this.#known.set(key, list);
    }
    return list;
  }
}
