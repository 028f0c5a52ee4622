/**
 * HRANDFIELD: one field; with a count, that many distinct ones; with a negative count, as many with repetition.
 */
import type { Bytes } from "../../bytes.ts";
import { integer, key } from "../../command/args.ts";
import type { Call } from "../../command/call.ts";
import { command } from "../../command/define.ts";
import { OUT_OF_RANGE, syntaxError } from "../../command/errors.ts";
import { READONLY } from "../../command/flags.ts";
import { flag, options } from "../../command/options.ts";
import { optionalGroup } from "../../command/phrases.ts";
import { CommandError } from "../../errors.ts";

/** When fewer than one field in this many is wanted, drawing until they are distinct beats listing all fields. */
const SPARSE_FACTOR = 3;
/** More repetitions than this do not fit in one reply. */
const REPEATS_MAX = 1 << 24;
/** Redis: LONG_MAX / 2. */
const PAIRS_MAX = 2 ** 62;
/** HRANDFIELD key count WITHVALUES: nothing may be given twice. */
const ARGUMENTS_MAX = 4;

export const hrandfield = command("hrandfield", {
  summary: "Returns one or more random fields from a hash.",
  since: "6.2.0",
  group: "hash",
  complexity: "O(N) where N is the number of fields returned",
  tips: ["nondeterministic_output"],
  flags: READONLY,
  args: [
    key("key", "RO ACCESS"),
    optionalGroup("options", integer("count"), options({ withValues: flag("WITHVALUES") })),
  ],
  run(call, key, several) {
    const { hashes } = call.db;
    if (several === undefined) return call.reply.bulkOrNull(randomField(call, key));
    const [count, { withValues = false }] = several;
    if (call.args.length > ARGUMENTS_MAX) throw syntaxError();
    if (count < -REPEATS_MAX || (withValues && count > PAIRS_MAX)) throw new CommandError(OUT_OF_RANGE);
    const fields = count < 0 ? drawRepeated(call, key, -count) : drawDistinct(call, key, count);
    const nested = withValues && call.reply.version === 3;
    call.reply.array(withValues && !nested ? fields.length * 2 : fields.length);
    for (const field of fields) {
      if (nested) call.reply.array(2);
      call.reply.bulk(field);
      if (withValues) call.reply.bulkOrNull(hashes.get(key, field));
    }
  },
});

function randomField(call: Call, key: Bytes): Bytes | undefined {
  return call.db.hashes.randomField(key, (bound) => call.pick(bound));
}

function drawRepeated(call: Call, key: Bytes, count: number): Bytes[] {
  const fields: Bytes[] = [];
  for (let drawn = 0; drawn < count; drawn++) {
    const field = randomField(call, key);
    if (field === undefined) break;
    fields.push(field);
  }
  return fields;
}

function drawDistinct(call: Call, key: Bytes, count: number): Bytes[] {
  const { hashes } = call.db;
  const length = hashes.length(key);
  if (count * SPARSE_FACTOR < length) {
    const drawn = new Set<Bytes>();
    while (drawn.size < count) drawn.add(randomField(call, key)!);
    return [...drawn];
  }
  const fields: Bytes[] = [];
  hashes.each(key, (field) => fields.push(field));
  if (count < length) {
    // Fisher–Yates, as far as wanted.
    for (let at = 0; at < count; at++) {
      const other = at + call.pick(length - at);
      [fields[at], fields[other]] = [fields[other]!, fields[at]!];
    }
    fields.length = count;
  }
  return fields;
}
