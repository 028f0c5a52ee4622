/**
 * What the handlers of system calls share: the tree and the descriptors that they read and change, and the record that they
 * add to.
 *
 * Whatever changes files past the calls that are understood makes the record incomplete, and is told as a blind spot.
 */
import type { DiskOperation } from "../../common/disk/recording-disk.ts";
import type { FileNode, FileTree, Place } from "./file-tree.ts";
import { type OpenFile, Processes } from "./processes.ts";
import type { RecordedEvent } from "./recording.ts";
import { descriptorOf, type SystemCall } from "./strace-lines.ts";

/** Calls through a descriptor that change nothing, and wait for nothing. */
const ONLY_READING: ReadonlySet<string> = new Set(["read", "readv", "lseek", "fcntl"]);

/** Does what a successful call did. */
export type Handler = (call: SystemCall) => void;
export type Handlers = readonly (readonly [name: string, handler: Handler])[];

export interface RecordRules {
  /** Files that are not followed. */
  readonly ignored: (path: string) => boolean;
  /** What counts as an acknowledgement: lines on the standard output, or whatever is written to a client's connection. */
  readonly acknowledgedBy: "lines" | "replies";
}

export class CallRecord {
  readonly tree: FileTree;
  readonly processes: Processes;
  readonly events: RecordedEvent[] = [];
  readonly blindSpots = new Set<string>();
  readonly remarks = new Set<string>();
  readonly #ignored: (path: string) => boolean;
  readonly #startedAt: () => number;
  readonly #byLine: boolean;
  /** What was printed since the last line feed. */
  #line = "";
  /** The call that is being interpreted, and the how manieth such of its thread it is. */
  call: SystemCall | undefined;
  nth = 0;

  constructor(tree: FileTree, from: string, rules: RecordRules, startedAt: () => number) {
    const { ignored, acknowledgedBy } = rules;
    this.tree = tree;
    this.processes = new Processes(from, acknowledgedBy === "lines");
    this.#byLine = acknowledgedBy === "lines";
    this.#ignored = ignored;
    this.#startedAt = startedAt;
  }

  tell(operation: DiskOperation): void {
    this.events.push({ kind: "operation", operation, ...this.#origin() });
  }

  /** The program has told somebody something: every whole line, or every reply, is an acknowledgement. */
  acknowledge(bytes: Buffer): void {
    if (!this.#byLine) {
      this.events.push({ kind: "ack", text: bytes.toString("latin1"), ...this.#origin() });
      return;
    }
    const text = bytes.toString("utf8");
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop() ?? "";
    for (const line of lines) this.events.push({ kind: "ack", text: line, ...this.#origin() });
  }

  /** What the call's descriptor, its argument `index`, stands for; undefined for what is not followed. */
  file(call: SystemCall, index = 0): OpenFile | undefined {
    const { fd, path } = descriptorOf(call.args[index]);
    const file = this.processes.file(call.pid, fd);
    if (file === undefined && path.startsWith("/") && !ONLY_READING.has(call.name)) this.#stranger(call, path);
    return file;
  }

  /** The call uses a descriptor whose opening was not understood: is it one of a file that is followed? */
  #stranger(call: SystemCall, path: string): void {
    const place = this.tree.find("/", path, true);
    if (place?.node?.kind !== "file" || this.isIgnored(place.path)) return;
    this.blindSpots.add(
      `${place.path}: ${call.name} through a descriptor that came another way than by opening that name (/proc, a socket)`,
    );
  }

  /** Before a file's content or size changes. */
  changing({ path, twin }: FileNode): void {
    if (twin !== undefined)
      this.blindSpots.add(`${path} was one file with ${twin} before the program ran, and is changed: not understood`);
  }

  /** The folder that a call with paths starts from, when its descriptor argument is this one. */
  folderAt(call: SystemCall, argument: string | undefined): string {
    const { fd, path } = descriptorOf(argument);
    const file = this.processes.file(call.pid, fd);
    if (file?.kind === "folder") return this.tree.absolute(file.node.path);
    return path === "" ? this.processes.get(call.pid).folder.path : path;
  }

  /** A name in the folder, itself and not what it links to; undefined for what is not followed. */
  place(from: string, path: string): Place | undefined {
    const place = this.tree.find(from, path, false);
    return place === undefined || this.isIgnored(place.path) ? undefined : place;
  }

  isIgnored(path: string): boolean {
    return this.#ignored(path);
  }

  #origin(): { call: string; nth: number; pid: number; ms: number } {
    const { name = "", pid = 0, leftAt = 0 } = this.call ?? {};
    const ms = Math.round((leftAt - this.#startedAt()) * 1e6) / 1000;
    return { call: name, nth: this.nth, pid, ms };
  }
}
