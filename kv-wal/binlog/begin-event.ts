/**
 * The QUERY event "BEGIN", which every transaction starts with: the same bytes each time, but for the time, which changes once
 * a second, and the end position. So it is copied; and its checksum is not summed again, because a CRC is linear: the
 * checksum with position p is the one with position 0, exclusive-or what the bits of p contribute, byte by byte.
 */
import { copyBytes, readU32, writeU32 } from "../bytes-view.ts";
import { crc32 } from "./crc32.ts";
import { CHECKSUM_BYTES, EVENT_POSITION_AT, queryBytesMax, writeQuery } from "./events.ts";

const BEGIN = ["BEGIN"];
const NO_DATABASE = -1;

export class BeginEvent {
  readonly #bytes: Buffer;
  /** What each value of each of the position's four bytes changes in the checksum. */
  readonly #contributions = new Int32Array(4 * 256);
  readonly size: number;
  #seconds = -1;
  #checksum = 0;

  constructor() {
    this.#bytes = Buffer.alloc(queryBytesMax(BEGIN));
    this.size = writeQuery(this.#bytes, 0, 0, 0, NO_DATABASE, BEGIN);
    const summed = this.size - CHECKSUM_BYTES;
    const probe = Buffer.alloc(this.size);
    const none = crc32(probe, 0, summed);
    for (let byte = 0; byte < 4; byte++) {
      for (let value = 0; value < 256; value++) {
        probe[EVENT_POSITION_AT + byte] = value;
        this.#contributions[byte * 256 + value] = crc32(probe, 0, summed) ^ none;
      }
      probe[EVENT_POSITION_AT + byte] = 0;
    }
  }

  /** Writes the event at `at`; `base` is the file position of the buffer's first byte. Returns its end. */
  write(buffer: Buffer, at: number, base: number, seconds: number): number {
    const { size } = this;
    if (seconds !== this.#seconds) {
      this.#seconds = seconds;
      writeQuery(this.#bytes, 0, -size, seconds, NO_DATABASE, BEGIN); // ends at position 0
      this.#checksum = readU32(this.#bytes, size - CHECKSUM_BYTES);
    }
    copyBytes(this.#bytes, 0, buffer, at, size - CHECKSUM_BYTES);
    const position = (base + at + size) >>> 0;
    const table = this.#contributions;
    writeU32(buffer, at + EVENT_POSITION_AT, position);
    const contribution =
      table[position & 255]! ^
      table[256 + ((position >>> 8) & 255)]! ^
      table[512 + ((position >>> 16) & 255)]! ^
      table[768 + (position >>> 24)]!;
    writeU32(buffer, at + size - CHECKSUM_BYTES, this.#checksum ^ contribution);
    return at + size;
  }
}
