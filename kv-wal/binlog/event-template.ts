/**
 * Events that are the same bytes each time but for the time, which changes once a second, the end position, and perhaps an
 * XID. So they are copied; and their checksums are not summed again, because a CRC is linear: the checksum with position p
 * is the one with position 0, exclusive-or what the bits of p contribute, byte by byte.
 */
import { assert } from "../../common/assert.ts";
import { readU32, writeU32, writeU48 } from "../bytes-view.ts";
import { crc32 } from "./crc32.ts";
import { CHECKSUM_BYTES, EVENT_HEADER_BYTES, EVENT_POSITION_AT } from "./events.ts";

/** Taken off the prototype once: see common/bytes.ts. */
const copyInto = Uint8Array.prototype.set;

const POSITION_BYTES = 4;
const XID_BYTES = 6;
const TWO_32 = 0x100000000;

export class EventTemplate {
  readonly size: number;
  readonly #bytes: Buffer;
  /** What each value of each changing byte changes in the checksum: those of the position, then those of the XID. */
  readonly #contributions: Int32Array;
  #seconds = -1;
  #checksum = 0;

  /** `event` has a header, position 0, a body (for an XID event: of zeros), and room for a checksum. */
  constructor(event: Buffer) {
    this.#bytes = event;
    this.size = event.length;
    assert(readU32(event, EVENT_POSITION_AT) === 0, "event template: position 0");
    this.#contributions = new Int32Array((POSITION_BYTES + XID_BYTES) * 256);
    this.#learn(0, EVENT_POSITION_AT, POSITION_BYTES);
    this.#learn(POSITION_BYTES, EVENT_HEADER_BYTES, XID_BYTES);
  }

  #learn(first: number, at: number, count: number): void {
    const summed = this.size - CHECKSUM_BYTES;
    const probe = Buffer.alloc(this.size);
    const none = crc32(probe, 0, summed);
    for (let i = 0; i < count && at + i < summed; i++) {
      for (let value = 0; value < 256; value++) {
        probe[at + i] = value;
        this.#contributions[(first + i) * 256 + value] = crc32(probe, 0, summed) ^ none;
      }
      probe[at + i] = 0;
    }
  }

  /**
   * Writes the event at `at`; `view` is the same as `buffer`, `base` the file position of its first byte. Returns the event's
   * end.
   */
  write(buffer: Buffer, view: DataView, at: number, base: number, seconds: number): number {
    copyInto.call(buffer, this.bytes(seconds), at);
    return this.place(view, at, base, seconds);
  }

  /** The event at this time, without its place. */
  bytes(seconds: number): Buffer {
    if (seconds !== this.#seconds) this.#setTime(seconds);
    return this.#bytes;
  }

  /** Gives the event, whose `bytes` have been copied to `at`, its position and checksum. Returns its end. */
  place(view: DataView, at: number, base: number, seconds: number): number {
    if (seconds !== this.#seconds) this.#setTime(seconds);
    const end = at + this.size;
    const position = (base + end) >>> 0;
    view.setUint32(at + EVENT_POSITION_AT, position, true);
    view.setInt32(end - CHECKSUM_BYTES, this.#checksum ^ this.#word(0, position), true);
    return end;
  }

  /** The same, with an XID behind the header. */
  writeXid(buffer: Buffer, view: DataView, at: number, base: number, seconds: number, xid: number): number {
    const end = this.write(buffer, view, at, base, seconds);
    writeU48(buffer, at + EVENT_HEADER_BYTES, xid);
    const table = this.#contributions;
    const high = (xid / TWO_32) >>> 0;
    const contribution = this.#word(4, xid >>> 0) ^ table[2048 + (high & 255)]! ^ table[2304 + ((high >>> 8) & 255)]!;
    const checksumAt = end - CHECKSUM_BYTES;
    view.setInt32(checksumAt, view.getInt32(checksumAt, true) ^ contribution, true);
    return end;
  }

  #setTime(seconds: number): void {
    this.#seconds = seconds;
    writeU32(this.#bytes, 0, seconds);
    this.#checksum = crc32(this.#bytes, 0, this.size - CHECKSUM_BYTES);
  }

  /** What four bytes contribute, the first of which has number `first`. */
  #word(first: number, value: number): number {
    const table = this.#contributions;
    const at = first * 256;
    return (
      table[at + (value & 255)]! ^
      table[at + 256 + ((value >>> 8) & 255)]! ^
      table[at + 512 + ((value >>> 16) & 255)]! ^
      table[at + 768 + (value >>> 24)]!
    );
  }
}

/**
 * What a transaction that changes rows begins with: some whole events and the head of its first row event, copied in one
 * piece.
 */
export class OpeningTemplate {
  readonly #events: readonly EventTemplate[];
  readonly #head: Buffer;
  readonly #bytes: Buffer;
  #seconds = -1;
  readonly size: number;

  constructor(events: readonly EventTemplate[], head: Buffer) {
    this.#events = events;
    this.#head = head;
    this.size = events.reduce((sum, event) => sum + event.size, head.length);
    this.#bytes = Buffer.alloc(this.size);
  }

  /** Writes it at `at`, as `EventTemplate.write`; returns where the head begins. */
  write(buffer: Buffer, view: DataView, at: number, base: number, seconds: number): number {
    if (seconds !== this.#seconds) this.#setTime(seconds);
    copyInto.call(buffer, this.#bytes, at);
    let end = at;
    for (let i = 0; i < this.#events.length; i++) end = this.#events[i]!.place(view, end, base, seconds);
    return end;
  }

  /** The head gets its time when the row event is closed. */
  #setTime(seconds: number): void {
    this.#seconds = seconds;
    Buffer.concat([...this.#events.map((event) => event.bytes(seconds)), this.#head]).copy(this.#bytes);
  }
}
