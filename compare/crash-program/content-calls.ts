/** System calls about the contents and the size of files. */
import type { CallRecord, Handler, Handlers } from "./call-record.ts";
import type { FileNode } from "./file-tree.ts";
import type { OpenFile } from "./processes.ts";
import { bytesOf, type SystemCall, vectorOf } from "./strace-lines.ts";

type WithFile = Extract<OpenFile, { kind: "file" }>;

/** Cuts a file or makes it longer. */
export function resizeFile(record: CallRecord, node: FileNode, size: number): void {
  if (node.content.size === size) return;
  record.changing(node);
  node.content.truncate(size);
  record.tell({ kind: "truncate", path: node.path, file: node.number, size });
}

export class ContentCalls {
  readonly #record: CallRecord;
  readonly #nextSync: () => number;

  /** `nextSync` numbers the syncs that O_SYNC stands for. */
  constructor(record: CallRecord, nextSync: () => number) {
    this.#record = record;
    this.#nextSync = nextSync;
  }

  handlers(): Handlers {
    const single: Handler = (call) => this.#written(call, bytesOf(call.args[1] ?? ""));
    const vector: Handler = (call) => this.#written(call, vectorOf(call.args[1] ?? ""));
    return [
      ["read", (call) => this.#moved(call)],
      ["readv", (call) => this.#moved(call)],
      ["lseek", (call) => this.#seek(call)],
      ["write", single],
      ["pwrite64", single],
      ["writev", vector],
      ["pwritev", vector],
      ["pwritev2", vector],
      ["sendto", single],
      [
        "sendmsg",
        (call) => this.#written(call, vectorOf(/msg_iov=(\[.*\]), msg_iovlen/.exec(call.args[1] ?? "")?.[1] ?? "")),
      ],
      ["accept", (call) => this.#accepted(call)],
      ["accept4", (call) => this.#accepted(call)],
      ["ftruncate", (call) => this.#resize(this.#record.file(call), Number(call.args[1]))],
      ["fallocate", (call) => this.#allocate(call)],
      ["sendfile", (call) => this.#copied(call, 0, 1, call.args[2] ?? "", "NULL")],
      ["copy_file_range", (call) => this.#copied(call, 2, 0, call.args[1] ?? "", call.args[3] ?? "")],
      ["splice", (call) => this.#spliced(call)],
      ["ioctl", (call) => this.#deviceControl(call)],
    ];
  }

  /** A client's connection, when replies are what counts: only then strace is asked for these calls. */
  #accepted(call: SystemCall): void {
    this.#record.processes.open(call.pid, call.result, { kind: "output" }, true);
  }

  #written(call: SystemCall, bytes: Buffer | undefined): void {
    const file = this.#record.file(call);
    if (file === undefined || file.kind === "folder") return;
    if (bytes === undefined) {
      if (file.kind === "file")
        this.#record.blindSpots.add(`${file.node.path}: strace does not show the bytes of a ${call.name}`);
      return;
    }
    const done = bytes.subarray(0, call.result);
    if (file.kind === "output") {
      this.#record.acknowledge(done);
      return;
    }
    const flags = call.args[4] ?? "";
    const given = call.name.startsWith("p") ? Number(call.args[3]) : -1;
    const appends = file.append || flags.includes("RWF_APPEND");
    const at = appends ? file.node.content.size : given >= 0 ? given : file.position;
    if (given < 0) file.position = at + done.length;
    this.#write(file, at, done, file.synced || /RWF_D?SYNC/.test(flags));
  }

  #write({ node }: WithFile, at: number, bytes: Uint8Array, synced: boolean): void {
    if (bytes.length === 0) return;
    this.#record.changing(node);
    node.content.write(at, bytes);
    this.#record.tell({ kind: "write", path: node.path, file: node.number, at, bytes });
    if (!synced) return;
    const sync = this.#nextSync();
    this.#record.tell({ kind: "sync-start", path: node.path, file: node.number, sync });
    this.#record.tell({ kind: "sync-end", path: node.path, file: node.number, sync });
  }

  #resize(file: OpenFile | undefined, size: number): void {
    if (file?.kind === "file") resizeFile(this.#record, file.node, size);
  }

  #allocate(call: SystemCall): void {
    const file = this.#record.file(call);
    if (file?.kind !== "file") return;
    const [, mode = "0", offset, length] = call.args;
    const at = Number(offset);
    const end = at + Number(length);
    if (/COLLAPSE|INSERT/.test(mode))
      this.#record.blindSpots.add(`${file.node.path}: fallocate ${mode} is not understood`);
    const { size } = file.node.content;
    if (/PUNCH_HOLE|ZERO_RANGE/.test(mode)) {
      const last = mode.includes("KEEP_SIZE") ? Math.min(end, size) : end;
      if (last > at) this.#write(file, at, new Uint8Array(last - at), false);
    } else if (!mode.includes("KEEP_SIZE") && end > size) resizeFile(this.#record, file.node, end);
  }

  #moved(call: SystemCall): void {
    const file = this.#record.file(call);
    if (file?.kind === "file") file.position += call.result;
  }

  #seek(call: SystemCall): void {
    const file = this.#record.file(call);
    if (file?.kind === "file") file.position = call.result;
  }

  /** sendfile, copy_file_range: the bytes go from file to file inside the kernel. */
  #copied(call: SystemCall, to: number, from: number, fromAt: string, toAt: string): void {
    const target = this.#record.file(call, to);
    const source = this.#record.file(call, from);
    const count = call.result;
    const sourceAt = source?.kind === "file" ? (givenOffset(fromAt) ?? source.position) : 0;
    if (source?.kind === "file" && givenOffset(fromAt) === undefined) source.position += count;
    if (target?.kind !== "file") {
      if (target?.kind === "output")
        this.#record.remarks.add(`${call.name} to the standard output: its lines are no acknowledgements`);
      return;
    }
    if (source?.kind !== "file") {
      this.#record.blindSpots.add(`${target.node.path}: ${call.name} copied bytes from outside the folder`);
      return;
    }
    const bytes = new Uint8Array(count);
    source.node.content.read(sourceAt, bytes);
    const at = givenOffset(toAt) ?? (target.append ? target.node.content.size : target.position);
    if (givenOffset(toAt) === undefined) target.position = at + count;
    this.#write(target, at, bytes, target.synced);
  }

  #spliced(call: SystemCall): void {
    const target = this.#record.file(call, 2);
    if (target?.kind === "file") this.#record.blindSpots.add(`${target.node.path}: splice does not show its bytes`);
  }

  #deviceControl(call: SystemCall): void {
    const file = this.#record.file(call);
    if (file?.kind !== "file" || !/FICLONE|FIDEDUPE/.test(call.args[1] ?? "")) return;
    const source = this.#record.file(call, 2);
    if (call.args[1] !== "FICLONE" || source?.kind !== "file") {
      this.#record.blindSpots.add(`${file.node.path}: ioctl ${call.args[1]} is not understood`);
      return;
    }
    const bytes = new Uint8Array(source.node.content.size);
    source.node.content.read(0, bytes);
    resizeFile(this.#record, file.node, 0);
    this.#write(file, 0, bytes, false);
  }
}

/** `[4096]` → 4096, `NULL` → undefined; with `=> [8192]` the first is what was given. */
function givenOffset(argument: string): number | undefined {
  const match = /^\[(\d+)/.exec(argument);
  return match === null ? undefined : Number(match[1]);
}
