/**
 * The files below one folder, as recorded calls leave them: names, hard links, symbolic links and contents. It turns paths
 * as a program writes them into files and into paths below the folder, and is what the real folder is compared with.
 *
 * Paths below the folder have no leading slash; "" is the folder itself. A name is resolved as the kernel does it, links
 * included; what leads out of the folder is `undefined`, and none of our business.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { PagedContent } from "../../common/disk/paged-content.ts";

export interface FileNode {
  readonly kind: "file";
  readonly number: number;
  readonly content: PagedContent;
  /** A name it has, or the last one it had. */
  path: string;
  /** Another name that it had before the program ran: of those, nodes and images do not know that they are one file. */
  twin?: string;
}

export interface LinkNode {
  readonly kind: "link";
  readonly target: string;
}

export interface FolderNode {
  readonly kind: "folder";
  readonly entries: Map<string, TreeNode>;
  path: string;
}

export type TreeNode = FileNode | LinkNode | FolderNode;

/** Where a path leads: the folder that holds the name, and what has the name, if anything has. */
export interface Place {
  readonly folder: FolderNode;
  readonly name: string;
  readonly path: string;
  readonly node: TreeNode | undefined;
}

const LINKS_MAX = 40;
/** A longer one cannot be read at once. */
const FILE_BYTES_MAX = 2 ** 31 - 1;

export function joinPath(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

export class FileTree {
  readonly root: FolderNode = { kind: "folder", entries: new Map(), path: "" };
  /** What is on the disk and cannot be followed, and why. */
  readonly problems: string[] = [];
  /** The folder's real path. */
  readonly #base: string;
  readonly #realFolders = new Map<string, string>();
  #lastNumber = 0;

  /** An empty tree for the folder at `base`, which must exist. */
  constructor(base: string) {
    this.#base = realpathSync(base);
  }

  /** The tree as it is on the disk now, without what is `ignored`. */
  static read(base: string, ignored: (path: string) => boolean = () => false): FileTree {
    const tree = new FileTree(base);
    const linked = new Map<number, FileNode>();
    const fill = (folder: FolderNode): void => {
      for (const name of readdirSync(join(tree.#base, folder.path)).sort()) {
        const path = joinPath(folder.path, name);
        if (ignored(path)) continue;
        const real = join(tree.#base, path);
        const stat = lstatSync(real, { throwIfNoEntry: false });
        const place = { folder, name, path, node: undefined };
        if (stat === undefined) tree.problems.push(`${path} has a name that is not UTF-8`);
        else if (stat.isSymbolicLink()) tree.makeLink(place, readlinkSync(real));
        else if (stat.isDirectory()) fill(tree.makeFolder(place));
        else if (stat.isFile() && stat.size > FILE_BYTES_MAX)
          tree.problems.push(`${path} has ${stat.size} B: files over 2 GiB are not followed`);
        else if (stat.isFile()) {
          const bytes = readFileSync(real);
          const node = tree.makeFile(place);
          node.content.write(0, bytes);
          node.content.truncate(bytes.length);
          const twin = linked.get(stat.ino);
          if (twin !== undefined) [twin.twin, node.twin] = [path, twin.path];
          else if (stat.nlink > 1) linked.set(stat.ino, node);
        }
      }
    };
    fill(tree.root);
    return tree;
  }

  /** A tree that shares nothing with `from` but the pages that neither has changed. */
  static copy(from: FileTree): FileTree {
    const tree = new FileTree(from.#base);
    const copies = new Map<FileNode, FileNode>();
    const fill = (source: FolderNode, target: FolderNode): void => {
      for (const [name, node] of source.entries) {
        if (node.kind === "folder") {
          const folder: FolderNode = { kind: "folder", entries: new Map(), path: node.path };
          target.entries.set(name, folder);
          fill(node, folder);
        } else if (node.kind === "link") target.entries.set(name, node);
        else {
          const copy = copies.get(node) ?? { ...node, content: node.content.copy() };
          copies.set(node, copy);
          target.entries.set(name, copy);
        }
      }
    };
    fill(from.root, tree.root);
    tree.#lastNumber = from.#lastNumber;
    return tree;
  }

  /** Resolves `path`, taken from the folder `from` (an absolute path). `follow`: a link at the end is followed. */
  find(from: string, path: string, follow: boolean): Place | undefined {
    return this.#walk(this.#below(resolve(from, path)), follow, 0);
  }

  /** The absolute path of something in the tree. */
  absolute(path: string): string {
    return path === "" ? this.#base : `${this.#base}/${path}`;
  }

  makeFile(place: Place): FileNode {
    const node: FileNode = { kind: "file", number: ++this.#lastNumber, content: new PagedContent(), path: place.path };
    place.folder.entries.set(place.name, node);
    return node;
  }

  makeFolder(place: Place): FolderNode {
    const node: FolderNode = { kind: "folder", entries: new Map(), path: place.path };
    place.folder.entries.set(place.name, node);
    return node;
  }

  makeLink(place: Place, target: string): void {
    place.folder.entries.set(place.name, { kind: "link", target });
  }

  /** Gives `node` the name `to`, and takes `from` away; what had the name `to` loses it. */
  move(from: Place, to: Place, node: TreeNode): void {
    from.folder.entries.delete(from.name);
    to.folder.entries.set(to.name, node);
    rename(node, to.path);
  }

  /** Every name with what has it, folders before what is in them. */
  *walk(folder: FolderNode = this.root): Generator<{ readonly path: string; readonly node: TreeNode }> {
    for (const [name, node] of folder.entries) {
      yield { path: joinPath(folder.path, name), node };
      if (node.kind === "folder") yield* this.walk(node);
    }
  }

  /** The path below the folder, or undefined when it is elsewhere. */
  #below(absolute: string): string | undefined {
    if (absolute === this.#base) return "";
    if (absolute.startsWith(`${this.#base}/`)) return absolute.slice(this.#base.length + 1);
    const folder = this.#realFolder(dirname(absolute));
    const real = join(folder, basename(absolute));
    if (real === absolute) return undefined;
    if (real === this.#base) return "";
    return real.startsWith(`${this.#base}/`) ? real.slice(this.#base.length + 1) : undefined;
  }

  /** Something outside may be a link into the folder. */
  #realFolder(folder: string): string {
    const known = this.#realFolders.get(folder);
    if (known !== undefined) return known;
    let real = folder;
    try {
      real = realpathSync(folder);
    } catch {
      // It is gone: then it was not the way to the folder, which is there.
    }
    this.#realFolders.set(folder, real);
    return real;
  }

  #walk(path: string | undefined, follow: boolean, links: number): Place | undefined {
    if (path === undefined || links > LINKS_MAX) return undefined;
    if (path === "") return { folder: this.root, name: "", path: "", node: this.root };
    let folder = this.root;
    const names = path.split("/");
    for (let index = 0; index < names.length; index++) {
      const name = names[index] as string;
      const node = folder.entries.get(name);
      const isLast = index === names.length - 1;
      if (node?.kind === "link" && (!isLast || follow)) {
        const rest = names.slice(index + 1).join("/");
        const target = resolve(this.absolute(folder.path), node.target, rest);
        return this.#walk(this.#below(target), follow, links + 1);
      }
      if (isLast) return { folder, name, path: joinPath(folder.path, name), node };
      if (node?.kind !== "folder") return undefined;
      folder = node;
    }
    return undefined;
  }
}

/** Paths are kept in the nodes: those below a renamed folder change with it. */
function rename(node: TreeNode, path: string): void {
  if (node.kind === "link") return;
  node.path = path;
  if (node.kind !== "folder") return;
  for (const [name, child] of node.entries) rename(child, joinPath(path, name));
}
