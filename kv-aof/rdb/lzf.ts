/**
 * LZF decompression, as in compressed strings of RDB files:
 *
 *     000LLLLL                        L + 1 literal bytes follow
 *     LLLooooo oooooooo               copy L + 2 bytes from offset o + 1 behind the end
 *     111ooooo LLLLLLLL oooooooo      copy L + 9 bytes
 */

/** The decompressed bytes; undefined when the input is damaged. */
export function lzfDecompress(input: Uint8Array, length: number): Buffer | undefined {
  const output = Buffer.allocUnsafe(length);
  let from = 0;
  let to = 0;
  while (from < input.length) {
    const control = input[from++]!;
    if (control < 32) {
      const count = control + 1;
      if (from + count > input.length || to + count > length) return undefined;
      output.set(input.subarray(from, from + count), to);
      from += count;
      to += count;
      continue;
    }
    let count = control >> 5;
    if (count === 7) count += input[from++] ?? 0;
    count += 2;
    let source = to - (((control & 0x1f) << 8) | (input[from++] ?? 0)) - 1;
    if (from > input.length || source < 0 || to + count > length) return undefined;
    // The ranges may overlap, on purpose: a run is a copy of what is being written.
    for (let i = 0; i < count; i++) output[to++] = output[source++]!;
  }
  return to === length ? output : undefined;
}
