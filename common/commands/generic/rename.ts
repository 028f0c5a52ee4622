/**
 * Moving and copying whole keys: RENAME, RENAMENX, MOVE, COPY.
 */
import type { Bytes } from "../../bytes.ts";
import { database, key } from "../../command/args.ts";
import { command } from "../../command/define.ts";
import { NO_SUCH_KEY } from "../../command/errors.ts";
import { DENYOOM, FAST, WRITE } from "../../command/flags.ts";
import { flag, option, options } from "../../command/options.ts";
import { CommandError } from "../../errors.ts";
import { type Database, Type } from "../../keyspace/keyspace.ts";

const SAME_OBJECT = "ERR source and destination objects are the same";

function exists(database: Database, key: Bytes): boolean {
  return database.typeOf(key) !== Type.NONE;
}

export const rename = command("rename", {
  summary: "Renames a key and overwrites the destination.",
  since: "1.0.0",
  group: "generic",
  complexity: "O(1)",
  flags: WRITE,
  args: [key("key", "RW ACCESS DELETE"), key("newkey", "OW UPDATE")],
  run(call, from, to) {
    if (!exists(call.db, from)) throw new CommandError(NO_SUCH_KEY);
    if (from !== to) call.db.rename(from, call.db, to);
    call.reply.ok();
  },
});

export const renamenx = command("renamenx", {
  summary: "Renames a key only when the target key name doesn't exist.",
  since: "1.0.0",
  group: "generic",
  complexity: "O(1)",
  flags: WRITE | FAST,
  args: [key("key", "RW ACCESS DELETE"), key("newkey", "OW INSERT")],
  run(call, from, to) {
    if (!exists(call.db, from)) throw new CommandError(NO_SUCH_KEY);
    const free = !exists(call.db, to);
    if (free) call.db.rename(from, call.db, to);
    call.reply.integer(free ? 1 : 0);
  },
});

export const move = command("move", {
  summary: "Moves a key to another database.",
  since: "1.0.0",
  group: "generic",
  complexity: "O(1)",
  flags: WRITE | FAST,
  args: [key("key", "RW ACCESS UPDATE"), database("db")],
  run(call, key, target) {
    if (target === call.db) throw new CommandError(SAME_OBJECT);
    const movable = exists(call.db, key) && !exists(target, key);
    if (movable) call.db.rename(key, target, key);
    call.reply.integer(movable ? 1 : 0);
  },
});

export const copy = command("copy", {
  summary: "Copies the value of a key to a new key.",
  since: "6.2.0",
  group: "generic",
  complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
  flags: WRITE | DENYOOM,
  args: [
    key("source", "RO ACCESS"),
    key("destination", "OW UPDATE"),
    options({ destinationDatabase: option("DB", database("destination-db")), replace: flag("REPLACE") }),
  ],
  run(call, source, destination, { destinationDatabase: target = call.db, replace = false }) {
    if (target === call.db && source === destination) throw new CommandError(SAME_OBJECT);
    const copyable = exists(call.db, source) && (replace || !exists(target, destination));
    if (copyable) call.db.copy(source, target, destination);
    call.reply.integer(copyable ? 1 : 0);
  },
});
