/**
 * The base that a rewrite makes: a snapshot in a file of its own, written under a temporary name until it is whole and on
 * disk. Two formats (aof-use-rdb-preamble): RDB (rdb/rdb-writer.ts), or commands (command-base.ts).
 *
 * What was written is handed to the disk on the way (Redis: every 4 MiB), so that the sync at the end finds little to do.
 */
import { crc32 } from "node:zlib";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import type { DiskFailure } from "../common/errors.ts";
import { Log, type LogSink } from "../common/log/log.ts";
import type { Seal } from "./aof-manifest.ts";
import type { SnapshotSink } from "./memory/snapshot.ts";
import { Crc64 } from "./rdb/crc64.ts";

/** Writes a snapshot in some format. */
export interface BaseWriter extends SnapshotSink {
  /** Everything was visited. */
  end(): void;
}

const WRITE_BYTES = 256 * 1024;
const SYNC_EVERY_BYTES = 4 * 1024 * 1024;

export class BaseFile implements LogSink {
  readonly path: string;
  readonly format: "rdb" | "aof";
  readonly log: Log;
  readonly #file: DiskFile;
  readonly #crc64 = new Crc64();
  #crc32 = 0;
  #bytes = 0;
  #syncedBytes = 0;

  /** Makes the file. Only RDB ends with a CRC-64: it is not computed for nothing. */
  constructor(disk: Disk, path: string, format: "rdb" | "aof") {
    this.path = path;
    this.format = format;
    this.#file = disk.open(path, "ensure");
    this.#file.truncate(0);
    this.log = new Log(this, 0);
  }

  /** CRC-64 of everything written. */
  readonly checksum = (): bigint => this.#crc64.value;

  get seal(): Seal {
    return { bytes: this.#bytes, crc32: this.#crc32 };
  }

  /** Writes what has gathered, if it is worth it. A failure stays here: the file is given up. */
  writeSome(): void {
    if (this.log.bufferedBytes < WRITE_BYTES) return;
    this.log.write();
    if (this.#bytes - this.#syncedBytes < SYNC_EVERY_BYTES) return;
    this.#syncedBytes = this.#bytes;
    this.log.whenDurable(this.#bytes, () => {});
  }

  /** Writes and syncs all; `done` comes later. */
  finish(done: (failure: DiskFailure | undefined) => void): void {
    this.log.write();
    this.log.whenDurable(this.#bytes, done);
  }

  close(): void {
    this.#file.close();
  }

  // The log's sink.

  write(at: number, bytes: Uint8Array): void {
    this.#file.write(at, bytes);
    if (this.format === "rdb") this.#crc64.update(bytes, 0, bytes.length);
    this.#crc32 = crc32(bytes, this.#crc32);
    this.#bytes += bytes.length;
  }

  sync(done: (failure: DiskFailure | undefined) => void): void {
    this.#file.sync(done);
  }

  syncNow(): void {
    this.#file.syncNow();
  }
}
