/**
 * Sums that find damage. Seals: the size and the sum of a file that never changes again, as the manifest has them. Groups: the
 * sum of a piece of an increment, in a line behind it (aof-file.ts).
 *
 * An increment is summed when its time is over, not while it grows: the path of a command pays nothing for it. A long one
 * is summed in steps, while it still grows behind, so that little is left at the end.
 */
import { crc32 } from "node:zlib";
import type { Bytes } from "../common/bytes.ts";
import type { DiskFile } from "../common/disk/disk.ts";
import { CorruptFile } from "../common/errors.ts";
import type { Seal } from "./aof-manifest.ts";

/** Read at a time: about 0.5 ms. */
const STEP_BYTES = 512 * 1024;

/** Sums a file from its beginning, step by step. */
export class FileSum {
  readonly #file: DiskFile;
  readonly #buffer: Buffer = Buffer.allocUnsafeSlow(STEP_BYTES);
  #bytes = 0;
  #crc32 = 0;

  constructor(file: DiskFile) {
    this.#file = file;
  }

  /** Goes on by one step; false when it has reached the end, as it is now. */
  advance(): boolean {
    const read = this.#file.read(this.#bytes, this.#buffer);
    this.#crc32 = crc32(this.#buffer.subarray(0, read), this.#crc32);
    this.#bytes += read;
    return read === STEP_BYTES;
  }

  /** Goes on to the end. */
  finish(): Seal {
    while (this.advance());
    return { bytes: this.#bytes, crc32: this.#crc32 };
  }
}

const GROUP = "#twolog group ";

/** The line that ends a group. */
export function groupLine(bytes: number, sum: number): Bytes {
  return `${GROUP}bytes ${bytes} crc32 ${hexadecimal(sum)}\n`;
}

/** What is wrong with the group that `line`, at offset `at` of the file, ends; undefined: nothing, or it is another line. */
export function groupProblem(file: DiskFile, at: number, line: Bytes): string | undefined {
  if (!line.startsWith(GROUP)) return undefined;
  const match = /^bytes ([0-9]{1,10}) crc32 ([0-9a-f]{8})\n$/.exec(line.slice(GROUP.length));
  const bytes = Number(match?.[1]);
  if (match === null || bytes > at) return "not the end of a group";
  const group = Buffer.allocUnsafe(bytes);
  file.read(at - bytes, group);
  return crc32(group) === Number.parseInt(match[2]!, 16)
    ? undefined
    : `the checksum of the ${bytes} bytes before does not fit`;
}

export function hexadecimal(sum: number): string {
  return sum.toString(16).padStart(8, "0");
}

/** Refuses a sealed file that is not what was sealed. */
export function checkSeal(file: DiskFile, seal: Seal): void {
  const size = file.size();
  if (size < seal.bytes) {
    throw new CorruptFile(file.path, size, `the file was cut short: ${seal.bytes} bytes were sealed, and it ends`);
  }
  if (size > seal.bytes) throw new CorruptFile(file.path, seal.bytes, "the sealed file goes on behind its end");
  if (new FileSum(file).finish().crc32 !== seal.crc32) {
    throw new CorruptFile(file.path, 0, `the checksum of the ${seal.bytes} sealed bytes does not fit, counted`);
  }
}
