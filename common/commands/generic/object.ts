/**
 * OBJECT: how a key is stored.
 */
import { key } from "../../command/args.ts";
import { command, container } from "../../command/define.ts";
import { READONLY } from "../../command/flags.ts";
import { CommandError } from "../../errors.ts";
import { Type } from "../../keyspace/keyspace.ts";

const subcommand = {
  group: "generic",
  complexity: "O(1)",
  tips: ["nondeterministic_output"],
  flags: READONLY,
} as const;

const encoding = command("object|encoding", {
  ...subcommand,
  summary: "Returns the internal encoding of a Redis object.",
  since: "2.2.3",
  help: [
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
  ],
  args: [key("key", "RO")],
  run({ db, reply }, key) {
    if (db.typeOf(key) === Type.NONE) reply.null();
    else reply.bulk(db.encodingOf(key));
  },
});

const freq = command("object|freq", {
  ...subcommand,
  summary: "Returns the logarithmic access frequency counter of a Redis object.",
  since: "4.0.0",
  help: [
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
  ],
  args: [key("key", "RO")],
  run({ db, reply }, key) {
    if (db.typeOf(key) === Type.NONE) return reply.null();
    throw new CommandError(
      "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
    );
  },
});

const idletime = command("object|idletime", {
  ...subcommand,
  summary: "Returns the time since the last access to a Redis object.",
  since: "2.2.3",
  help: [
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
  ],
  args: [key("key", "RO")],
  run({ db, reply }, key) {
    if (db.typeOf(key) === Type.NONE) reply.null();
    else reply.integer(db.idleSecondsOf(key) ?? 0);
  },
});

const refcount = command("object|refcount", {
  ...subcommand,
  summary: "Returns the reference count of a value of a key.",
  since: "2.2.3",
  help: [
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
  ],
  args: [key("key", "RO")],
  run({ db, reply }, key) {
    if (db.typeOf(key) === Type.NONE) reply.null();
    else reply.integer(1);
  },
});

export const object = container("object", {
  summary: "A container for object introspection commands.",
  since: "2.2.3",
  group: "generic",
  complexity: "Depends on subcommand.",
  helpSince: "6.2.0",
  subcommands: [encoding, freq, idletime, refcount],
});
