/** Reads a file from the front in chunks, and computes its CRC-64 on the way. */
import type { DiskFile } from "../../common/disk/disk.ts";
import { CorruptFile } from "../../common/errors.ts";
import { Crc64 } from "./crc64.ts";

const CHUNK_BYTES = 1024 * 1024;

export class RdbInput {
  readonly #file: DiskFile;
  readonly #crc = new Crc64();
  #buffer: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** File offset of the first byte in the buffer, and what of the buffer is filled and not yet taken. */
  #bufferAt = 0;
  #at = 0;
  #end = 0;

  constructor(file: DiskFile) {
    this.#file = file;
  }

  get path(): string {
    return this.#file.path;
  }

  /** The offset behind what was taken. */
  get position(): number {
    return this.#bufferAt + this.#at;
  }

  /** The checksum of everything taken so far. */
  get checksum(): bigint {
    return this.#crc.value;
  }

  corrupt(problem: string): CorruptFile {
    return new CorruptFile(this.path, this.position, problem);
  }

  byte(): number {
    return this.take(1)[0]!;
  }

  /** The next `count` bytes, valid until the next call. */
  take(count: number): Buffer {
    if (this.#end - this.#at < count) this.#refill(count);
    const taken = this.#buffer.subarray(this.#at, this.#at + count);
    this.#crc.update(this.#buffer, this.#at, this.#at + count);
    this.#at += count;
    return taken;
  }

  #refill(count: number): void {
    if (this.position + count > this.#file.size()) throw this.corrupt("the snapshot ends too early");
    const kept = this.#buffer.subarray(this.#at, this.#end);
    const target = count > this.#buffer.length ? Buffer.allocUnsafeSlow(count) : this.#buffer;
    kept.copy(target);
    this.#buffer = target;
    this.#bufferAt += this.#at;
    this.#end = kept.length;
    this.#at = 0;
    this.#end += this.#file.read(this.#bufferAt + this.#end, target.subarray(this.#end));
  }
}
