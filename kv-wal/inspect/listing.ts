/**
 * What inspectors print: items (a header, a record, an event), each with its fields byte by byte. As text,
 *
 *     wal/redo.0 512: checkpoint slot 0
 *            512   4  9a 3f 12 00              checksum       00123f9a, holds
 *
 * with file offset, size, first bytes in hex, name and meaning; or as JSON, one item a line, in an array.
 */
import { toText } from "../../common/bytes.ts";
import { readU16, readU32, readU48 } from "../bytes-view.ts";

export interface Field {
  /** In the file. */
  readonly offset: number;
  readonly size: number;
  /** All bytes of a short field, the first ones of a long one. */
  readonly hex: string;
  readonly name: string;
  readonly value: string | number;
}

export interface Item {
  readonly path: string;
  readonly offset: number;
  readonly title: string;
  readonly fields: readonly Field[];
  /** What is wrong with it: shown instead of thrown. */
  readonly damage?: string;
}

export type Show = (item: Item) => void;

type NumberSize = 1 | 2 | 4 | 6 | 8;

const HEX_BYTES_MAX = 8;
const TEXT_BYTES_MAX = 60;

/** Reads an item's fields out of a buffer whose first byte has file offset `base`. */
export class FieldReader {
  readonly bytes: Buffer;
  readonly base: number;
  readonly fields: Field[] = [];

  constructor(bytes: Buffer, base: number) {
    this.bytes = bytes;
    this.base = base;
  }

  /** A field at `at` in the buffer. */
  add(at: number, size: number, name: string, value: string | number): void {
    const shown = this.bytes.subarray(at, at + Math.min(size, HEX_BYTES_MAX)).toString("hex");
    const hex = (shown.match(/../g) ?? []).join(" ") + (size > HEX_BYTES_MAX ? " …" : "");
    this.fields.push({ offset: this.base + at, size, hex, name, value });
  }

  /** Unsigned integers; `means` adds what a number stands for. Returns the number. */
  number(at: number, size: NumberSize, name: string, means?: (value: number) => string | undefined): number {
    const value = this.#value(at, size);
    const meaning = means?.(value);
    this.add(at, size, name, meaning === undefined ? value : `${value}, ${meaning}`);
    return value;
  }

  #value(at: number, size: NumberSize): number {
    switch (size) {
      case 1:
        return this.bytes[at]!;
      case 2:
        return readU16(this.bytes, at);
      case 4:
        return readU32(this.bytes, at);
      case 6:
        return readU48(this.bytes, at);
      case 8:
        return Number(this.bytes.readBigUInt64LE(at));
    }
  }

  /** A number that is known by its digits, as checksums are. */
  hex(at: number, size: 1 | 2 | 4, name: string, remark = ""): void {
    this.add(
      at,
      size,
      name,
      this.#value(at, size)
        .toString(16)
        .padStart(2 * size, "0") + remark,
    );
  }

  /** Bytes that are neither number nor text. */
  raw(at: number, size: number, name: string): void {
    this.add(at, size, name, this.bytes.toString("hex", at, at + size));
  }

  text(at: number, size: number, name: string): void {
    this.add(at, size, name, textOf(this.bytes, at, size));
  }
}

/** Bytes in quotes, cut when there are many. */
export function textOf(bytes: Buffer, at: number, size: number): string {
  const shown = toText(bytes.toString("latin1", at, at + Math.min(size, TEXT_BYTES_MAX)));
  return size > TEXT_BYTES_MAX ? `"${shown}"… (${size} bytes)` : `"${shown}"`;
}

/** Prints items for people. */
export function textPrinter(print: (line: string) => void): Show {
  return (item) => {
    print(`${item.path} ${item.offset}: ${item.title}`);
    for (const { offset, size, hex, name, value } of item.fields) {
      print(
        `${String(offset).padStart(12)} ${String(size).padStart(5)}  ${hex.padEnd(25)} ${name.padEnd(18)} ${value}`,
      );
    }
    if (item.damage !== undefined) print(`      DAMAGED: ${item.damage}`);
  };
}

/** Prints items as a JSON array; call `end` behind the last. */
export function jsonPrinter(print: (line: string) => void): { show: Show; end: () => void } {
  let pending: string | undefined;
  print("[");
  return {
    show(item) {
      if (pending !== undefined) print(`${pending},`);
      pending = JSON.stringify(item);
    },
    end() {
      if (pending !== undefined) print(pending);
      print("]");
    },
  };
}
