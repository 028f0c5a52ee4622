/**
 * The increment that grows: where the log's bytes go. Log positions count from the beginning of the data folder's first
 * file; this file begins at position `start`. A rewrite begins the next increment, and the log goes on there.
 *
 * Groups: behind some batch, once 64 KiB have come since the last such line, a line says what they sum up to. Redis skips it.
 *
 *     batch batch … batch  "#twolog group bytes 65702 crc32 9ae0daaf" LF  batch …
 *     ╰── 65702 bytes ──╯  ╰── the next group: this line, and what follows ──
 *
 * So recovery finds a changed byte in the growing file, too, but for its last group; and it costs one native call per write.
 */
import { crc32 } from "node:zlib";
import { assert } from "../common/assert.ts";
import type { Bytes } from "../common/bytes.ts";
import type { DiskFile } from "../common/disk/disk.ts";
import type { DiskFailure } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import type { LogSink } from "../common/log/log.ts";
import { groupLine } from "./seals.ts";

const GROUP_BYTES = 64 * 1024;

export class AofFile implements LogSink {
  readonly #host: Host;
  #file: DiskFile;
  #start: number;
  #length: number;
  /** Where the group began, and the sum of what was written of it. A group may begin in what is still to be written. */
  #groupAt: number;
  #groupSum = 0;

  constructor(host: Host, file: DiskFile, start: number) {
    this.#host = host;
    this.#file = file;
    this.#start = start;
    this.#length = file.size();
    this.#groupAt = this.#length;
  }

  get path(): string {
    return this.#file.path;
  }

  get length(): number {
    return this.#length;
  }

  write(at: number, bytes: Uint8Array): void {
    const offset = at - this.#start;
    this.#file.write(offset, bytes);
    this.#groupSum = crc32(bytes.subarray(Math.max(0, this.#groupAt - offset)), this.#groupSum);
    this.#length = offset + bytes.length;
    if (this.#host.tracing) {
      this.#host.trace("aof.write", { file: this.path, offset, bytes: bytes.length, lsn: at + bytes.length });
    }
  }

  /** The line to write behind `buffered`, which comes next, if that ends a group. */
  endGroup(buffered: Buffer): Bytes | undefined {
    const end = this.#length + buffered.length;
    const bytes = end - this.#groupAt;
    if (bytes < GROUP_BYTES) return undefined;
    const sum = crc32(buffered.subarray(Math.max(0, this.#groupAt - this.#length)), this.#groupSum);
    this.#groupAt = end;
    this.#groupSum = 0;
    return groupLine(bytes, sum);
  }

  /** Removes what a failed write has left behind log position `at`, so that the file ends with a whole batch. */
  cutTo(at: number): void {
    this.#file.truncate(at - this.#start);
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    const covered = this.#length;
    this.#file.sync((failure) => {
      if (failure === undefined) this.#traceSync(covered);
      done(failure);
    });
  }

  syncNow(): void {
    this.#file.syncNow();
    this.#traceSync(this.#length);
  }

  /** Closes this increment, all of which is durable, and goes on in the next, which is empty. */
  continueIn(next: DiskFile): void {
    assert(next.size() === 0, "an increment begins empty");
    this.#file.close();
    this.#file = next;
    this.#start += this.#length;
    this.#length = 0;
    this.#groupAt = 0;
    this.#groupSum = 0;
  }

  close(): void {
    this.#file.close();
  }

  #traceSync(covered: number): void {
    if (this.#host.tracing)
      this.#host.trace("aof.fsync", { file: this.path, offset: covered, lsn: this.#start + covered });
  }
}
