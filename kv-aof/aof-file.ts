/**
 * The increment that grows: where the log's bytes go. Log positions count from the beginning of the data folder's first
 * file; this file begins at position `start`. A rewrite begins the next increment, and the log goes on there.
 */
import { assert } from "../common/assert.ts";
import type { DiskFile } from "../common/disk/disk.ts";
import type { DiskFailure } from "../common/errors.ts";
import type { Host } from "../common/host.ts";
import type { LogSink } from "../common/log/log.ts";

export class AofFile implements LogSink {
  readonly #host: Host;
  #file: DiskFile;
  #start: number;
  #length: number;

  constructor(host: Host, file: DiskFile, start: number) {
    this.#host = host;
    this.#file = file;
    this.#start = start;
    this.#length = file.size();
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
    this.#length = offset + bytes.length;
    if (this.#host.tracing) {
      this.#host.trace("aof.write", { file: this.path, offset, bytes: bytes.length, lsn: at + bytes.length });
    }
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
  }

  close(): void {
    this.#file.close();
  }

  #traceSync(covered: number): void {
    if (this.#host.tracing)
      this.#host.trace("aof.fsync", { file: this.path, offset: covered, lsn: this.#start + covered });
  }
}
