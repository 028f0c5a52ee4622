/**
 * What COMMAND INFO, DOCS and GETKEYSANDFLAGS reply about a command, in Redis's shapes: sets, maps and status words in
 * RESP3, flat arrays in RESP2.
 */
import type { ReplyWriter } from "../resp/reply-writer.ts";
import type { ArgumentDoc, KeyUse } from "./args.ts";
import type { Command, Group } from "./define.ts";
import {
  ADMIN,
  BLOCKING,
  CONNECTION,
  DANGEROUS,
  FAST,
  FLAG_WORDS,
  KEYSPACE,
  PUBSUB,
  READONLY,
  TRANSACTION,
  WRITE,
} from "./flags.ts";
import { type FoundKey, type KeySpec, legacyRange } from "./keys.ts";

/** The ACL categories in Redis's order, each with the flags and the groups that put a command into it. */
const CATEGORIES: readonly (readonly [word: string, bits: number, groups: readonly Group[]])[] = [
  ["keyspace", KEYSPACE, ["generic"]],
  ["read", READONLY, []],
  ["write", WRITE, []],
  ["set", 0, ["set"]],
  ["sortedset", 0, ["sorted-set"]],
  ["list", 0, ["list"]],
  ["hash", 0, ["hash"]],
  ["string", 0, ["string"]],
  ["bitmap", 0, ["bitmap"]],
  ["hyperloglog", 0, ["hyperloglog"]],
  ["geo", 0, ["geo"]],
  ["stream", 0, ["stream"]],
  ["pubsub", PUBSUB, ["pubsub"]],
  ["admin", ADMIN, []],
  ["fast", FAST, []],
  ["slow", 0, []],
  ["blocking", BLOCKING, []],
  ["dangerous", ADMIN | DANGEROUS, []],
  ["connection", CONNECTION, ["connection"]],
  ["transaction", TRANSACTION, ["transactions"]],
  ["scripting", 0, ["scripting"]],
];

/** The words of COMMAND INFO for a command's flags. */
function flagWords(command: Command): string[] {
  return FLAG_WORDS.filter(([bit]) => (command.flags & bit) !== 0).map(([, word]) => word);
}

/** The ACL categories of a command, without "@". A container that runs nothing itself is only slow. */
export function categoriesOf({ flags, about, subcommands, arity }: Command): string[] {
  const runsItself = subcommands === undefined || arity === -1;
  return CATEGORIES.filter(([word, bits, groups]) => {
    if (word === "slow") return (flags & FAST) === 0;
    return (flags & bits) !== 0 || (runsItself && groups.includes(about.group));
  }).map(([word]) => word);
}

/** One element of COMMAND INFO's reply. */
export function replyInfo(reply: ReplyWriter, command: Command): void {
  reply.array(10);
  reply.bulk(command.fullName);
  reply.integer(command.arity);
  replyWords(reply, flagWords(command));
  for (const position of legacyRange(command.keySpecs)) reply.integer(position);
  replyWords(
    reply,
    categoriesOf(command).map((category) => `@${category}`),
  );
  const { tips = [] } = command.about;
  reply.set(tips.length);
  for (const tip of tips) reply.bulk(tip);
  reply.set(command.keySpecs.length);
  for (const spec of command.keySpecs) replyKeySpec(reply, spec);
  if (command.subcommands === undefined) reply.set(0);
  else {
    reply.array(command.subcommands.size);
    for (const subcommand of command.subcommands.values()) replyInfo(reply, subcommand);
  }
}

/** What a command does with a key, in Redis's words: "RW", "access", … */
function keyUseWords(use: KeyUse): string[] {
  const [mode, ...words] = use.access.split(" ");
  return [mode!, ...words.map((word) => word.toLowerCase())];
}

/** One element of COMMAND GETKEYSANDFLAGS: of the keys at hand, nothing varies. */
export function replyFoundKey(reply: ReplyWriter, { key, use }: FoundKey): void {
  reply.array(2);
  reply.bulk(key);
  replyWords(
    reply,
    keyUseWords(use).filter((word) => word !== "variable_flags"),
  );
}

function replyWords(reply: ReplyWriter, words: readonly string[]): void {
  reply.set(words.length);
  for (const word of words) reply.simple(word);
}

function replyKeySpec(reply: ReplyWriter, { use, begin, find }: KeySpec): void {
  reply.map(use.notes === undefined ? 3 : 4);
  if (use.notes !== undefined) {
    reply.bulk("notes");
    reply.bulk(use.notes);
  }
  reply.bulk("flags");
  replyWords(reply, keyUseWords(use));
  reply.bulk("begin_search");
  replySearch(
    reply,
    begin.type,
    begin.type === "index" ? { index: begin.index } : { keyword: begin.word, startfrom: begin.from },
  );
  reply.bulk("find_keys");
  replySearch(
    reply,
    find.type,
    find.type === "range"
      ? { lastkey: find.last, keystep: find.step, limit: 0 }
      : { keynumidx: 0, firstkey: 1, keystep: find.step },
  );
}

function replySearch(reply: ReplyWriter, type: string, spec: Readonly<Record<string, number | string>>): void {
  reply.map(2);
  reply.bulk("type");
  reply.bulk(type);
  reply.bulk("spec");
  replyMap(reply, Object.entries(spec));
}

function replyMap(reply: ReplyWriter, entries: readonly (readonly [string, number | string])[]): void {
  reply.map(entries.length);
  for (const [name, value] of entries) {
    reply.bulk(name);
    if (typeof value === "number") reply.integer(value);
    else reply.bulk(value);
  }
}

/** One entry of COMMAND DOCS: its name and a map. */
export function replyDocs(reply: ReplyWriter, command: Command): void {
  const { about, arguments: docs, subcommands } = command;
  const { deprecated } = about;
  reply.bulk(command.fullName);
  reply.map(4 + (deprecated === undefined ? 0 : 3) + (docs.length > 0 ? 1 : 0) + (subcommands === undefined ? 0 : 1));
  for (const field of ["summary", "since", "group", "complexity"] as const) {
    reply.bulk(field);
    reply.bulk(about[field]);
  }
  if (deprecated !== undefined) {
    reply.bulk("doc_flags");
    replyWords(reply, ["deprecated"]);
    reply.bulk("deprecated_since");
    reply.bulk(deprecated.since);
    reply.bulk("replaced_by");
    reply.bulk(deprecated.replacedBy);
  }
  if (docs.length > 0) {
    reply.bulk("arguments");
    replyArguments(reply, docs);
  }
  if (subcommands !== undefined) {
    reply.bulk("subcommands");
    reply.map(subcommands.size);
    for (const subcommand of subcommands.values()) replyDocs(reply, subcommand);
  }
}

function replyArguments(reply: ReplyWriter, docs: readonly ArgumentDoc[]): void {
  reply.array(docs.length);
  for (const doc of docs) replyArgument(reply, doc);
}

function replyArgument(reply: ReplyWriter, doc: ArgumentDoc): void {
  const flags = [...(doc.optional === true ? ["optional"] : []), ...(doc.multiple === true ? ["multiple"] : [])];
  const entries: [string, number | string][] = [
    ["name", doc.name],
    ["type", doc.type],
  ];
  if (doc.keySpecIndex !== undefined) entries.push(["key_spec_index", doc.keySpecIndex]);
  if (doc.token !== undefined) entries.push(["token", doc.token]);
  reply.map(entries.length + (flags.length > 0 ? 1 : 0) + (doc.arguments === undefined ? 0 : 1));
  for (const [name, value] of entries) {
    reply.bulk(name);
    if (typeof value === "number") reply.integer(value);
    else reply.bulk(value);
  }
  if (flags.length > 0) {
    reply.bulk("flags");
    replyWords(reply, flags);
  }
  if (doc.arguments !== undefined) {
    reply.bulk("arguments");
    replyArguments(reply, doc.arguments);
  }
}
