/**
 * Turns system calls into operations on the files below a folder. It keeps the folder's tree and the processes'
 * descriptors, so that `write(18, …)` becomes a write of these bytes at this offset of this file.
 *
 * What changes files past the system calls listed here makes the record incomplete, and is told as a blind spot: writable
 * shared mappings, io_uring, native AIO, files that move in from outside, bytes that strace cut. Owner, mode and times of
 * files are not followed.
 */
import { CallRecord, type Handler, type Handlers, type RecordRules } from "./call-record.ts";
import { ContentCalls } from "./content-calls.ts";
import type { FileNode, FileTree, FolderNode } from "./file-tree.ts";
import { NameCalls } from "./name-calls.ts";
import type { CallCount, InterruptedCall } from "./recording.ts";
import { descriptorOf, type StraceEvent, type SystemCall } from "./strace-lines.ts";

/** The calls that strace is asked for. `read` moves a position; its data are not looked at (RAW_CALLS). */
export const TRACED_CALLS = [
  "open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,read,readv,lseek,write,writev,pwrite64,pwritev,pwritev2",
  "truncate,ftruncate,fallocate,fsync,fdatasync,sync,syncfs,sync_file_range,rename,renameat,renameat2,link,linkat,symlink",
  "symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,chdir,fchdir,mmap,mprotect,clone,clone3,fork,vfork,execve,execveat,sendfile",
  "copy_file_range,splice,ioctl,io_submit,io_uring_setup",
].join(",");
export const RAW_CALLS = "read,readv";
/** More, when what clients are told counts. */
export const REPLY_CALLS = "accept,accept4,sendto,sendmsg";

const UNLIMITED = 0xffff_ffff;

export class Interpreter {
  readonly record: CallRecord;
  readonly #handlers: ReadonlyMap<string, Handler>;
  /** Syncs that have begun, by the thread that waits for them. */
  readonly #syncs = new Map<number, { readonly node: FileNode; readonly sync: number }[]>();
  /** How many calls of a name a thread has entered; and the call of each thread that it has not left. */
  readonly #counts = new Map<string, number>();
  readonly #inside = new Map<number, InterruptedCall>();
  #lastSync = 0;
  #startedAt: number | undefined;

  /** `tree` is the folder before the first call and is changed; `from` is where the program starts. */
  constructor(tree: FileTree, from: string, rules: RecordRules) {
    this.record = new CallRecord(tree, from, rules, () => this.#startedAt ?? 0);
    const contents = new ContentCalls(this.record, () => ++this.#lastSync);
    this.#handlers = new Map([
      ...new NameCalls(this.record).handlers(),
      ...contents.handlers(),
      ...this.#syncCalls(),
      ...this.#descriptorCalls(),
    ]);
  }

  /** When the first call was entered, in seconds since 1970; undefined while none has been told. */
  get startedAt(): number | undefined {
    return this.#startedAt;
  }

  /** The calls that never ended. */
  get interrupted(): InterruptedCall[] {
    return [...this.#inside.values()];
  }

  get callCounts(): CallCount[] {
    return [...this.#counts].map(([key, count]) => {
      const [pid, call = ""] = key.split(" ");
      return { pid: Number(pid), call, count };
    });
  }

  event(event: StraceEvent): void {
    if (event.kind === "exit") {
      this.record.processes.exited(event.pid);
      return;
    }
    const { call } = event;
    this.#startedAt ??= call.at;
    this.record.call = call;
    this.record.nth = this.#numberOf(call, event.kind === "enter");
    if (event.kind === "enter") this.#entered(call);
    else if (call.name.startsWith("clone") || call.name === "fork" || call.name === "vfork") {
      this.record.processes.cloned(call.pid, call.args.join(","), call.error === "" ? call.result : -1);
    } else if (call.error === "" && call.result >= 0) this.#handlers.get(call.name)?.(call);
    else if (call.name.includes("sync")) this.#syncs.delete(call.pid);
  }

  #numberOf(call: SystemCall, isEntered: boolean): number {
    const { pid, name } = call;
    const key = `${pid} ${name}`;
    const nth = (this.#counts.get(key) ?? 0) + (isEntered ? 1 : 0);
    this.#counts.set(key, nth);
    if (isEntered) this.#inside.set(pid, { call: name, nth, path: descriptorOf(call.args[0]).path });
    // A call that did not return has neither a result nor an error.
    else if (call.result >= 0 || call.error !== "") this.#inside.delete(pid);
    return nth;
  }

  #entered(call: SystemCall): void {
    const { pid, name } = call;
    if (name.startsWith("clone") || name === "fork" || name === "vfork") {
      this.record.processes.cloning(pid, call.args.join(","));
    } else if (name === "fsync" || name === "fdatasync") {
      const file = this.record.file(call);
      if (file?.kind === "file") this.#beginSync(pid, [file.node]);
    } else if (name === "sync" || name === "syncfs") {
      this.#beginSync(
        pid,
        this.#nodes().filter((node) => node.kind === "file"),
      );
    }
  }

  #syncCalls(): Handlers {
    const { blindSpots } = this.record;
    return [
      ["fsync", (call) => this.#synced(call)],
      ["fdatasync", (call) => this.#synced(call)],
      ["sync", (call) => this.#syncedAll(call)],
      ["syncfs", (call) => this.#syncedAll(call)],
      ["sync_file_range", (call) => this.#syncedRange(call)],
      ["mmap", (call) => this.#mapped(call)],
      ["mprotect", (call) => this.#protected(call)],
      ["io_submit", () => blindSpots.add("native AIO (io_submit): what it writes, and when, cannot be seen")],
      ["io_uring_setup", () => blindSpots.add("io_uring: what goes through its rings cannot be seen")],
    ];
  }

  #descriptorCalls(): Handlers {
    const duplicate: Handler = (call) => {
      const closeOnExec = call.args[2]?.includes("CLOEXEC") ?? false;
      this.record.processes.duplicate(call.pid, descriptorOf(call.args[0]).fd, call.result, closeOnExec);
    };
    return [
      ["close", (call) => this.record.processes.close(call.pid, descriptorOf(call.args[0]).fd)],
      ["close_range", (call) => this.#closeRange(call)],
      ["dup", duplicate],
      ["dup2", duplicate],
      ["dup3", duplicate],
      ["fcntl", (call) => this.#control(call)],
      ["execve", (call) => this.record.processes.executed(call.pid)],
      ["execveat", (call) => this.record.processes.executed(call.pid)],
    ];
  }

  #beginSync(pid: number, nodes: readonly FileNode[]): void {
    const begun = nodes.map((node) => ({ node, sync: ++this.#lastSync }));
    for (const { node, sync } of begun)
      this.record.tell({ kind: "sync-start", path: node.path, file: node.number, sync });
    this.#syncs.set(pid, begun);
  }

  #synced(call: SystemCall): void {
    const file = this.record.file(call);
    if (file?.kind === "folder") this.record.tell({ kind: "sync-dir", path: file.node.path });
    this.#endSync(call.pid);
  }

  #syncedAll(call: SystemCall): void {
    this.#endSync(call.pid);
    this.record.tell({ kind: "sync-dir", path: "" });
    for (const node of this.#nodes())
      if (node.kind === "folder") this.record.tell({ kind: "sync-dir", path: node.path });
  }

  #endSync(pid: number): void {
    for (const { node, sync } of this.#syncs.get(pid) ?? []) {
      this.record.tell({ kind: "sync-end", path: node.path, file: node.number, sync });
    }
    this.#syncs.delete(pid);
  }

  #syncedRange(call: SystemCall): void {
    const file = this.record.file(call);
    if (file?.kind !== "file") return;
    this.record.remarks.add(
      `${file.node.path}: sync_file_range promises nothing after a power loss, and counts for nothing here`,
    );
  }

  #mapped(call: SystemCall): void {
    const [, length, protection = "", flags = ""] = call.args;
    const { mappings } = this.record.processes.get(call.pid);
    const [start, end] = [call.result, call.result + Number(length)];
    // What was mapped there before is not any more: places are used again.
    const others = mappings.filter((mapping) => mapping.end <= start || mapping.start >= end);
    mappings.splice(0, mappings.length, ...others);
    const file = flags.includes("MAP_SHARED") ? this.record.file(call, 4) : undefined;
    if (file?.kind !== "file") return;
    mappings.push({ start, end, node: file.node });
    if (protection.includes("PROT_WRITE")) this.#tellMapped(file.node);
  }

  /** A mapping for reading may become one for writing. */
  #protected(call: SystemCall): void {
    const [at, length, protection = ""] = call.args;
    if (!protection.includes("PROT_WRITE")) return;
    const [start, end] = [Number(at), Number(at) + Number(length)];
    for (const mapping of this.record.processes.get(call.pid).mappings)
      if (mapping.start < end && start < mapping.end) this.#tellMapped(mapping.node);
  }

  #tellMapped({ path }: FileNode): void {
    this.record.blindSpots.add(
      `${path} is mapped into memory, shared and writable: what is written there cannot be seen`,
    );
  }

  #control(call: SystemCall): void {
    const [, command = "", argument = ""] = call.args;
    const fd = descriptorOf(call.args[0]).fd;
    if (command.startsWith("F_DUPFD")) {
      this.record.processes.duplicate(call.pid, fd, call.result, command.endsWith("CLOEXEC"));
    } else if (command === "F_SETFD")
      this.record.processes.setCloseOnExec(call.pid, fd, argument.includes("FD_CLOEXEC"));
    else if (command === "F_SETFL") {
      const file = this.record.file(call);
      if (file?.kind === "file") file.append = argument.includes("O_APPEND");
    }
  }

  #closeRange(call: SystemCall): void {
    const [first, last, flags = ""] = call.args;
    const end = last === undefined || /^(~0U?|0xffffffff)$/.test(last) ? UNLIMITED : Number(last);
    this.record.processes.closeRange(call.pid, Number(first), end, flags.includes("CLOSE_RANGE_CLOEXEC"));
  }

  #nodes(): (FileNode | FolderNode)[] {
    return [...this.record.tree.walk()].map(({ node }) => node).filter((node) => node.kind !== "link");
  }
}
