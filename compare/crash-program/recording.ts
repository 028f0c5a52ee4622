/**
 * What a recorded program did to the files below a folder, in order: operations of the kind that the lab's disks record
 * (common/disk/recording-disk.ts), and the lines that the program printed.
 *
 * An operation stands where its call returned: until then nobody can rely on it. A sync stands at both ends, because what
 * is written in between is not covered (pitfall 22). A printed line is an acknowledgement: whatever the program promises
 * by it must be true of every operation before it.
 */
import type { DiskOperation } from "../../common/disk/recording-disk.ts";
import type { FileTree } from "./file-tree.ts";

export interface RecordedOperation {
  readonly kind: "operation";
  readonly operation: DiskOperation;
  /** The system call that did it, and the how manieth of its thread it was. */
  readonly call: string;
  readonly nth: number;
  readonly pid: number;
  /** Since the recording began. */
  readonly ms: number;
}

export interface Acknowledgement {
  readonly kind: "ack";
  /** A line that the program printed. */
  readonly text: string;
  readonly call: string;
  readonly nth: number;
  readonly pid: number;
  readonly ms: number;
}

export interface CallCount {
  readonly pid: number;
  readonly call: string;
  readonly count: number;
}

/** A call that was entered and never left: the program was killed in it. */
export interface InterruptedCall {
  readonly call: string;
  readonly nth: number;
  /** The file, where its first argument is a descriptor. */
  readonly path: string;
}

export type RecordedEvent = RecordedOperation | Acknowledgement;

export interface Recording {
  readonly events: readonly RecordedEvent[];
  /** The folder before the program ran; all of it is durable. */
  readonly before: FileTree;
  /** The folder as the operations leave it. */
  readonly after: FileTree;
  /** Why the record cannot be complete: something the recorder does not see or does not understand. */
  readonly blindSpots: readonly string[];
  /** Calls that say nothing about durability although their names might suggest it, and the like. */
  readonly remarks: readonly string[];
  /** When it began, in milliseconds since 1970: what `ms` of events counts from. */
  readonly startedAtMs: number;
  readonly interrupted: readonly InterruptedCall[];
  /** How often each thread entered each call, of those that are recorded: whatever file it was. */
  readonly callCounts: readonly CallCount[];
  /** How the program ended. */
  readonly status: number | NodeJS.Signals;
  /** The end of what it wrote to its standard error. */
  readonly said: string;
  readonly seconds: number;
}

/** An operation as a person would say it. */
export function operationText(operation: DiskOperation): string {
  switch (operation.kind) {
    case "create":
      return `create ${operation.path}`;
    case "write":
      return `write ${operation.bytes.length} B at ${operation.at} of ${operation.path}`;
    case "truncate":
      return `truncate ${operation.path} to ${operation.size} B`;
    case "sync-start":
      return `fsync ${operation.path} begins`;
    case "sync-end":
      return `fsync ${operation.path} ends`;
    case "rename":
      return `rename ${operation.path} to ${operation.to}`;
    case "link":
      return `link ${operation.path} as ${operation.to}`;
    case "remove":
      return `remove ${operation.path}`;
    case "make-dir":
      return `mkdir ${operation.path}`;
    case "sync-dir":
      return `fsync folder ${operation.path === "" ? "." : operation.path}`;
  }
}
