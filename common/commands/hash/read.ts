/**
 * Reading hashes: one field, several, all of them.
 */
import { bytes, key } from "../../command/args.ts";
import { command } from "../../command/define.ts";
import { FAST, READONLY } from "../../command/flags.ts";
import { many } from "../../command/phrases.ts";

export const hget = command("hget", {
  summary: "Returns the value of a field in a hash.",
  since: "2.0.0",
  group: "hash",
  complexity: "O(1)",
  flags: READONLY | FAST,
  args: [key("key", "RO ACCESS"), bytes("field")],
  run(call, key, field) {
    call.reply.bulkOrNull(call.db.hashes.get(key, field));
  },
});

export const hmget = command("hmget", {
  summary: "Returns the values of all fields in a hash.",
  since: "2.0.0",
  group: "hash",
  complexity: "O(N) where N is the number of fields being requested.",
  flags: READONLY | FAST,
  args: [key("key", "RO ACCESS"), many(bytes("field"))],
  run(call, key, fields) {
    call.reply.array(fields.length);
    for (const field of fields) call.reply.bulkOrNull(call.db.hashes.get(key, field));
  },
});

export const hlen = command("hlen", {
  summary: "Returns the number of fields in a hash.",
  since: "2.0.0",
  group: "hash",
  complexity: "O(1)",
  flags: READONLY | FAST,
  args: [key("key", "RO")],
  run(call, key) {
    call.reply.integer(call.db.hashes.length(key));
  },
});

export const hstrlen = command("hstrlen", {
  summary: "Returns the length of the value of a field.",
  since: "3.2.0",
  group: "hash",
  complexity: "O(1)",
  flags: READONLY | FAST,
  args: [key("key", "RO"), bytes("field")],
  run(call, key, field) {
    call.reply.integer(call.db.hashes.valueLength(key, field));
  },
});

export const hexists = command("hexists", {
  summary: "Determines whether a field exists in a hash.",
  since: "2.0.0",
  group: "hash",
  complexity: "O(1)",
  flags: READONLY | FAST,
  args: [key("key", "RO"), bytes("field")],
  run(call, key, field) {
    call.reply.integer(call.db.hashes.has(key, field) ? 1 : 0);
  },
});

const whole = {
  since: "2.0.0",
  group: "hash",
  complexity: "O(N) where N is the size of the hash.",
  tips: ["nondeterministic_output_order"],
  flags: READONLY,
} as const;

export const hgetall = command("hgetall", {
  ...whole,
  summary: "Returns all fields and values in a hash.",
  args: [key("key", "RO ACCESS")],
  run({ db, reply }, key) {
    reply.map(db.hashes.length(key));
    db.hashes.each(key, (field, value) => {
      reply.bulk(field);
      reply.bulk(value);
    });
  },
});

export const hkeys = command("hkeys", {
  ...whole,
  summary: "Returns all fields in a hash.",
  args: [key("key", "RO ACCESS")],
  run({ db, reply }, key) {
    reply.array(db.hashes.length(key));
    db.hashes.each(key, (field) => reply.bulk(field));
  },
});

export const hvals = command("hvals", {
  ...whole,
  summary: "Returns all values in a hash.",
  args: [key("key", "RO ACCESS")],
  run({ db, reply }, key) {
    reply.array(db.hashes.length(key));
    db.hashes.each(key, (_field, value) => reply.bulk(value));
  },
});
