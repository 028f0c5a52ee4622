/**
 * The three formats in which Redis has packed a small hash into one string, oldest first. Each reader returns the elements
 * as byte strings (integers in decimal), or undefined when the bytes are damaged.
 *
 *     zipmap     count, then  length field length free value free-bytes …  0xff
 *     ziplist    bytes(4) tail(4) count(2), then  previous-length encoding data …  0xff
 *     listpack   bytes(4) count(2), then  encoding data back-length …  0xff
 */
import { type Bytes, sliceBytes } from "../../common/bytes.ts";

const END = 0xff;

/** Reads within bounds; any step outside makes the whole list invalid. */
class Bounded {
  readonly bytes: Buffer;
  at: number;
  valid = true;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    return Number(this.#take(1, () => this.bytes[this.at]!));
  }
  /** A little-endian integer of 1–8 bytes. */
  signed(size: number): bigint {
    return BigInt.asIntN(size * 8, this.unsigned(size));
  }
  unsigned(size: number): bigint {
    return BigInt(
      this.#take(size, () => {
        let value = 0n;
        for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[this.at + i]!);
        return value;
      }),
    );
  }
  text(length: number): Bytes {
    return String(this.#take(length, () => sliceBytes(this.bytes, this.at, this.at + length)));
  }
  skip(length: number): void {
    this.#take(length, () => 0);
  }

  #take<T>(size: number, read: () => T): T | 0 {
    if (!this.valid || size < 0 || this.at + size > this.bytes.length) {
      this.valid = false;
      return 0;
    }
    const value = read();
    this.at += size;
    return value;
  }
}

/** Reads elements up to the end mark, which must be the last byte. */
function elements(input: Bounded, readOne: (input: Bounded) => Bytes): Bytes[] | undefined {
  const found: Bytes[] = [];
  while (input.valid && input.bytes[input.at] !== END) found.push(readOne(input));
  return input.valid && input.at === input.bytes.length - 1 ? found : undefined;
}

export function readListpack(bytes: Buffer): Bytes[] | undefined {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== bytes.length) return undefined;
  return elements(new Bounded(bytes, 6), (input) => {
    const start = input.at;
    const value = listpackElement(input);
    const size = input.at - start;
    // Every element ends with its own size, 7 bits per byte, so that a list can be read backwards.
    input.skip(size < 128 ? 1 : size < 16384 ? 2 : size < 2097152 ? 3 : size < 268435456 ? 4 : 5);
    return value;
  });
}

function listpackElement(input: Bounded): Bytes {
  const first = input.byte();
  if (first < 0x80) return String(first);
  if (first < 0xc0) return input.text(first & 0x3f);
  if (first < 0xe0) return String(((((first & 0x1f) << 8) | input.byte()) << 19) >> 19);
  if (first < 0xf0) return input.text(((first & 0x0f) << 8) | input.byte());
  switch (first) {
    case 0xf0:
      return input.text(Number(input.unsigned(4)));
    case 0xf1:
      return String(input.signed(2));
    case 0xf2:
      return String(input.signed(3));
    case 0xf3:
      return String(input.signed(4));
    case 0xf4:
      return String(input.signed(8));
    default:
      input.valid = false;
      return "";
  }
}

export function readZiplist(bytes: Buffer): Bytes[] | undefined {
  if (bytes.length < 11 || bytes.readUInt32LE(0) !== bytes.length) return undefined;
  return elements(new Bounded(bytes, 10), (input) => {
    if (input.byte() === 0xfe) input.skip(4);
    return ziplistElement(input);
  });
}

function ziplistElement(input: Bounded): Bytes {
  const first = input.byte();
  if (first < 0x40) return input.text(first);
  if (first < 0x80) return input.text(((first & 0x3f) << 8) | input.byte());
  if (first === 0x80) {
    const length = ((input.byte() * 256 + input.byte()) * 256 + input.byte()) * 256 + input.byte();
    return input.text(length);
  }
  if (first >= 0xf1 && first <= 0xfd) return String(first - 0xf1);
  const size = { 192: 2, 208: 4, 224: 8, 240: 3, 254: 1 }[first];
  if (size === undefined) {
    input.valid = false;
    return "";
  }
  return String(input.signed(size));
}

export function readZipmap(bytes: Buffer): Bytes[] | undefined {
  const length = (input: Bounded): number => {
    const first = input.byte();
    return first < 0xfe ? first : Number(input.unsigned(4));
  };
  let isValue = true;
  return elements(new Bounded(bytes, 1), (input) => {
    isValue = !isValue;
    const size = length(input);
    const free = isValue ? input.byte() : 0;
    const text = input.text(size);
    input.skip(free);
    return text;
  });
}
