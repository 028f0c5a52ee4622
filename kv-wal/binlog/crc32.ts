/** CRC32 (zlib's), the checksum of binlog events. Short events are summed here; long ones are worth a native call. */
import { crc32 as nativeCrc32 } from "node:zlib";

const POLYNOMIAL_REVERSED = 0xedb88320;
/** From this length on the native function is faster, its call included. */
const NATIVE_BYTES_MIN = 256;

const TABLE = makeTable();

function makeTable(): Int32Array {
  const table = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL_REVERSED : crc >>> 1;
    table[byte] = crc;
  }
  for (let byte = 0; byte < 256; byte++) {
    let crc = table[byte]!;
    for (let k = 1; k < 8; k++) {
      crc = table[crc & 255]! ^ (crc >>> 8);
      table[k * 256 + byte] = crc;
    }
  }
  return table;
}

/** The checksum of bytes[from, to). */
export function crc32(bytes: Buffer, from: number, to: number): number {
  if (to - from >= NATIVE_BYTES_MIN) return nativeCrc32(bytes.subarray(from, to));
  let crc = -1;
  let at = from;
  for (; at + 8 <= to; at += 8) {
    const a = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      TABLE[1792 + (a & 255)]! ^
      TABLE[1536 + ((a >>> 8) & 255)]! ^
      TABLE[1280 + ((a >>> 16) & 255)]! ^
      TABLE[1024 + (a >>> 24)]! ^
      TABLE[768 + bytes[at + 4]!]! ^
      TABLE[512 + bytes[at + 5]!]! ^
      TABLE[256 + bytes[at + 6]!]! ^
      TABLE[bytes[at + 7]!]!;
  }
  for (; at < to; at++) crc = TABLE[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
