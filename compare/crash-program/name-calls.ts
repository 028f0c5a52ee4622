/** System calls about names: files and folders are made, renamed, linked and removed, and opened. */
import type { CallRecord, Handler, Handlers } from "./call-record.ts";
import { resizeFile } from "./content-calls.ts";
import type { TreeNode } from "./file-tree.ts";
import type { OpenFile } from "./processes.ts";
import { descriptorOf, pathOf, type SystemCall } from "./strace-lines.ts";

/** `from` is the folder that the path starts from; `args` begin with the path. */
type PathHandler = (call: SystemCall, from: string, args: readonly string[]) => void;

interface Reference {
  readonly from: string;
  readonly path: string;
}

export class NameCalls {
  readonly #record: CallRecord;

  constructor(record: CallRecord) {
    this.#record = record;
  }

  handlers(): Handlers {
    const here = (name: string, run: PathHandler): [string, Handler] => [
      name,
      (call) => run(call, this.#record.processes.get(call.pid).folder.path, call.args),
    ];
    // `renameat(dirfd, …)` is `rename(…)` from another folder.
    const at = (name: string, run: PathHandler): [string, Handler] => [
      name,
      (call) => run(call, this.#record.folderAt(call, call.args[0]), call.args.slice(1)),
    ];
    const open: PathHandler = (call, from, [path, flags = ""]) => this.#open(call, from, pathOf(path), flags);
    const makeFolder: PathHandler = (_, from, [path]) => this.#makeFolder(from, pathOf(path));
    const remove: PathHandler = (_, from, [path]) => this.#remove(from, pathOf(path));
    const rename: PathHandler = (call, from, [a, to, b]) =>
      this.#rename(call, { from, path: pathOf(a) }, { from: this.#record.folderAt(call, to), path: pathOf(b) });
    const link: PathHandler = (call, from, [a, to, b]) =>
      this.#link(call, { from, path: pathOf(a) }, { from: this.#record.folderAt(call, to), path: pathOf(b) });
    return [
      here("open", open),
      at("openat", open),
      at("openat2", open),
      here("creat", (call, from, [path]) => this.#open(call, from, pathOf(path), "O_WRONLY|O_CREAT|O_TRUNC")),
      here("rename", (call, from, [a, b]) => this.#rename(call, { from, path: pathOf(a) }, { from, path: pathOf(b) })),
      at("renameat", rename),
      at("renameat2", rename),
      here("link", (call, from, [a, b]) => this.#link(call, { from, path: pathOf(a) }, { from, path: pathOf(b) })),
      at("linkat", link),
      here("symlink", (_, from, [, path]) => this.#symlink(from, pathOf(path))),
      ["symlinkat", (call) => this.#symlink(this.#record.folderAt(call, call.args[1]), pathOf(call.args[2]))],
      here("unlink", remove),
      here("rmdir", remove),
      at("unlinkat", remove),
      here("mkdir", makeFolder),
      at("mkdirat", makeFolder),
      here("chdir", (call, from, [path]) => this.#changeFolder(call, from, pathOf(path))),
      ["fchdir", (call) => this.#changeFolder(call, "/", descriptorOf(call.args[0]).path)],
      here("truncate", (call, from, [path]) => this.#truncate(from, pathOf(path), Number(call.args[1]))),
    ];
  }

  #open(call: SystemCall, from: string, path: string, flags: string): void {
    const has = (flag: string): boolean => flags.includes(flag);
    const closeOnExec = has("O_CLOEXEC");
    const fd = call.result;
    const place = this.#record.tree.find(from, path, !has("O_NOFOLLOW"));
    if (has("O_TMPFILE")) {
      // Without a name it cannot outlive a crash; it may get one by linkat, which #link notices.
      this.#record.processes.close(call.pid, fd);
      return;
    }
    if (place === undefined || place.node?.kind === "link" || this.#record.isIgnored(place.path)) {
      this.#record.processes.close(call.pid, fd);
      return;
    }
    let node = place.node;
    if (node === undefined) {
      if (!has("O_CREAT"))
        this.#record.blindSpots.add(`${place.path} was opened, and no recorded call had made it (a pipe, a device?)`);
      node = this.#record.tree.makeFile(place);
      this.#record.tell({ kind: "create", path: place.path, file: node.number });
    }
    if (node.kind === "folder") {
      this.#record.processes.open(call.pid, fd, { kind: "folder", node }, closeOnExec);
    } else if (node.kind === "file") {
      const file: OpenFile = {
        kind: "file",
        node,
        position: 0,
        append: has("O_APPEND"),
        synced: /O_D?SYNC/.test(flags),
      };
      this.#record.processes.open(call.pid, fd, file, closeOnExec);
      if (has("O_TRUNC")) resizeFile(this.#record, node, 0);
    }
  }

  #makeFolder(from: string, path: string): void {
    const place = this.#record.place(from, path);
    if (place === undefined) return;
    this.#record.tree.makeFolder(place);
    this.#record.tell({ kind: "make-dir", path: place.path });
  }

  #remove(from: string, path: string): void {
    const place = this.#record.place(from, path);
    if (place?.node === undefined) return;
    this.#withoutLinks(place.path, place.node);
    place.folder.entries.delete(place.name);
    this.#record.tell({ kind: "remove", path: place.path });
  }

  #rename(call: SystemCall, from: Reference, to: Reference): void {
    const source = this.#record.place(from.from, from.path);
    const target = this.#record.place(to.from, to.path);
    if (source === undefined && target === undefined) return;
    if (call.args[4]?.includes("RENAME_EXCHANGE"))
      this.#record.blindSpots.add(`${to.path}: RENAME_EXCHANGE is not understood`);
    if (source?.node === undefined) {
      this.#record.blindSpots.add(
        `${to.path} was renamed into the folder from outside: choose a --dir that holds both`,
      );
    } else if (target === undefined) {
      this.#withoutLinks(source.path, source.node);
      source.folder.entries.delete(source.name);
      this.#record.tell({ kind: "remove", path: source.path });
    } else if (target.node !== source.node) {
      // Two names of one file: renaming one to the other does nothing (POSIX).
      this.#withoutLinks(source.path, source.node);
      this.#withoutLinks(target.path, target.node);
      this.#record.tree.move(source, target, source.node);
      this.#record.tell({ kind: "rename", path: source.path, to: target.path });
    }
  }

  #link(call: SystemCall, from: Reference, to: Reference): void {
    const target = this.#record.place(to.from, to.path);
    if (target === undefined) return;
    const source = this.#record.tree.find(from.from, from.path, call.args[4]?.includes("AT_SYMLINK_FOLLOW") ?? false);
    if (source?.node?.kind !== "file") {
      this.#record.blindSpots.add(`${target.path} was linked from something that has no name in the folder`);
      return;
    }
    target.folder.entries.set(target.name, source.node);
    this.#record.tell({ kind: "link", path: source.path, to: target.path });
  }

  /** Symbolic links stay as they were before the program ran, in every checked folder: they must not change. */
  #withoutLinks(path: string, node: TreeNode | undefined): void {
    const nodes = node?.kind === "folder" ? [...this.#record.tree.walk(node)] : [{ node }];
    if (nodes.some((one) => one.node?.kind === "link"))
      this.#record.blindSpots.add(`${path}: removing, renaming and replacing symbolic links is not understood`);
  }

  #symlink(from: string, path: string): void {
    const place = this.#record.place(from, path);
    if (place !== undefined) this.#record.blindSpots.add(`${place.path}: making symbolic links is not understood`);
  }

  #changeFolder(call: SystemCall, from: string, path: string): void {
    const { folder } = this.#record.processes.get(call.pid);
    const place = this.#record.tree.find(from, path, true);
    folder.path =
      place === undefined ? (path.startsWith("/") ? path : `${from}/${path}`) : this.#record.tree.absolute(place.path);
  }

  #truncate(from: string, path: string, size: number): void {
    const place = this.#record.tree.find(from, path, true);
    if (place?.node?.kind === "file") resizeFile(this.#record, place.node, size);
  }
}
