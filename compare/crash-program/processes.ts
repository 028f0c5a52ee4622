/**
 * The descriptors of recorded processes. strace shows a descriptor's number; where a `write` without an offset lands
 * depends on what is behind it: an open file with a position, shared by every descriptor that `dup` or `fork` made of it.
 *
 *     process ── descriptors (shared by threads, copied by fork) ── open file (position, append, sync) ── file
 *
 * A child may be seen doing something before its parent's `clone` is seen to return. Then it is taken for the child of a
 * clone that is under way.
 */
import type { FileNode, FolderNode } from "./file-tree.ts";

export type OpenFile =
  | {
      readonly kind: "file";
      readonly node: FileNode;
      position: number;
      append: boolean;
      /** O_SYNC or O_DSYNC: every write is synced before it returns. */
      readonly synced: boolean;
    }
  | { readonly kind: "folder"; readonly node: FolderNode }
  /** Where acknowledgements go: the standard output of the recorded program, or a client's connection. */
  | { readonly kind: "output" };

interface Descriptor {
  readonly file: OpenFile;
  closeOnExec: boolean;
}

type Descriptors = Map<number, Descriptor>;

/** A followed file that is mapped into memory, shared. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly node: FileNode;
}

export interface Process {
  descriptors: Descriptors;
  /** Threads share the object. */
  mappings: Mapping[];
  /** The current folder; threads share the object. */
  folder: { path: string };
}

interface PendingClone {
  readonly parent: number;
  readonly flags: string;
}

const OUTPUT = 1;

export class Processes {
  readonly #processes = new Map<number, Process>();
  readonly #cloning: PendingClone[] = [];
  readonly #folder: string;
  readonly #hasOutput: boolean;

  /** The first process seen starts in `folder`; if `hasOutput`, what it prints are acknowledgements. */
  constructor(folder: string, hasOutput: boolean) {
    this.#folder = folder;
    this.#hasOutput = hasOutput;
  }

  get(pid: number): Process {
    const known = this.#processes.get(pid);
    if (known !== undefined) return known;
    const pending = this.#cloning[0];
    if (pending !== undefined) return this.#born(pid, pending);
    const first: Process = { descriptors: new Map(), mappings: [], folder: { path: this.#folder } };
    if (this.#hasOutput) first.descriptors.set(OUTPUT, { file: { kind: "output" }, closeOnExec: false });
    this.#processes.set(pid, first);
    return first;
  }

  /** `parent` has entered a clone, fork or vfork. */
  cloning(parent: number, flags: string): void {
    this.#cloning.push({ parent, flags });
  }

  /** It has left it, with the child's number, or with -1. */
  cloned(parent: number, flags: string, child: number): void {
    const index = this.#cloning.findIndex((pending) => pending.parent === parent);
    if (index >= 0) this.#cloning.splice(index, 1);
    if (child > 0 && !this.#processes.has(child)) this.#born(child, { parent, flags });
  }

  /** A process or thread has ended; a later one may get its number. */
  exited(pid: number): void {
    this.#processes.delete(pid);
  }

  /** execve: descriptors stay, but for those that close, and are no longer shared. */
  executed(pid: number): void {
    const process = this.get(pid);
    process.descriptors = new Map(
      [...process.descriptors]
        .filter(([, { closeOnExec }]) => !closeOnExec)
        .map(([fd, { file }]) => [fd, { file, closeOnExec: false }]),
    );
    process.mappings = [];
    process.folder = { ...process.folder };
  }

  file(pid: number, fd: number): OpenFile | undefined {
    return this.get(pid).descriptors.get(fd)?.file;
  }

  open(pid: number, fd: number, file: OpenFile, closeOnExec: boolean): void {
    this.get(pid).descriptors.set(fd, { file, closeOnExec });
  }

  /** `to` is now another name for `from`; of something untracked nothing is known, and the number is free of what it was. */
  duplicate(pid: number, from: number, to: number, closeOnExec: boolean): void {
    const file = this.file(pid, from);
    if (from === to) return;
    if (file === undefined) this.close(pid, to);
    else this.open(pid, to, file, closeOnExec);
  }

  close(pid: number, fd: number): void {
    this.get(pid).descriptors.delete(fd);
  }

  closeRange(pid: number, first: number, last: number, onExec: boolean): void {
    const { descriptors } = this.get(pid);
    for (const [fd, descriptor] of descriptors) {
      if (fd < first || fd > last) continue;
      if (onExec) descriptor.closeOnExec = true;
      else descriptors.delete(fd);
    }
  }

  setCloseOnExec(pid: number, fd: number, closeOnExec: boolean): void {
    const descriptor = this.get(pid).descriptors.get(fd);
    if (descriptor !== undefined) descriptor.closeOnExec = closeOnExec;
  }

  #born(pid: number, { parent, flags }: PendingClone): Process {
    const of = this.get(parent);
    const child: Process = {
      descriptors: flags.includes("CLONE_FILES")
        ? of.descriptors
        : new Map([...of.descriptors].map(([fd, descriptor]) => [fd, { ...descriptor }])),
      mappings: flags.includes("CLONE_VM") ? of.mappings : [...of.mappings],
      folder: flags.includes("CLONE_FS") ? of.folder : { ...of.folder },
    };
    this.#processes.set(pid, child);
    return child;
  }
}
