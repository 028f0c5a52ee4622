/**
 * Replies as they go over the wire (RESP2 and RESP3), read into a tree and shown as redis-cli shows them.
 */
import { assert } from "../../common/assert.ts";
import { type Bytes, toBuffer } from "../../common/bytes.ts";

export type Reply =
  | { readonly kind: "status" | "error" | "bulk" | "double" | "verbatim"; readonly text: Bytes }
  | { readonly kind: "integer"; readonly text: Bytes }
  | { readonly kind: "boolean"; readonly value: boolean }
  | { readonly kind: "null" }
  | { readonly kind: "array" | "map" | "set" | "push"; readonly items: readonly Reply[] };

const LINE_KINDS = { "+": "status", "-": "error", ":": "integer", ",": "double" } as const;
const BULK_KINDS = { $: "bulk", "=": "verbatim" } as const;
const LIST_KINDS = { "*": "array", "%": "map", "~": "set", ">": "push" } as const;

/** Reads replies out of bytes that arrive in pieces. */
export class ReplyReader {
  #bytes: Bytes = "";
  #at = 0;

  /** Adds bytes and returns the replies that are whole now. */
  feed(bytes: Bytes): Reply[] {
    this.#bytes = this.#bytes.slice(this.#at) + bytes;
    this.#at = 0;
    const replies: Reply[] = [];
    for (;;) {
      const start = this.#at;
      const reply = this.#read();
      if (reply === undefined) {
        this.#at = start;
        return replies;
      }
      replies.push(reply);
    }
  }

  /** Undefined: there is more to come. */
  #read(): Reply | undefined {
    const end = this.#bytes.indexOf("\r\n", this.#at);
    if (end < 0) return undefined;
    const mark = this.#bytes[this.#at]!;
    const text = this.#bytes.slice(this.#at + 1, end);
    this.#at = end + 2;
    if (mark in LINE_KINDS) return { kind: LINE_KINDS[mark as keyof typeof LINE_KINDS], text };
    if (mark === "_") return { kind: "null" };
    if (mark === "#") return { kind: "boolean", value: text === "t" };
    if (text === "-1") return { kind: "null" };
    if (mark in BULK_KINDS) return this.#readBulk(BULK_KINDS[mark as keyof typeof BULK_KINDS], Number(text));
    assert(mark in LIST_KINDS, `"${mark}" starts a reply`);
    return this.#readList(LIST_KINDS[mark as keyof typeof LIST_KINDS], Number(text));
  }

  #readBulk(kind: "bulk" | "verbatim", length: number): Reply | undefined {
    if (this.#bytes.length < this.#at + length + 2) return undefined;
    const text = this.#bytes.slice(this.#at, this.#at + length);
    this.#at += length + 2;
    return { kind, text };
  }

  #readList(kind: "array" | "map" | "set" | "push", length: number): Reply | undefined {
    const items: Reply[] = [];
    for (let left = kind === "map" ? length * 2 : length; left > 0; left--) {
      const item = this.#read();
      if (item === undefined) return undefined;
      items.push(item);
    }
    return { kind, items };
  }
}

/** Reads exactly one reply. */
export function parseReply(bytes: Bytes): Reply {
  const replies = new ReplyReader().feed(bytes);
  assert(replies.length === 1, `one reply in ${JSON.stringify(bytes)}`);
  return replies[0]!;
}

/** Lines as redis-cli prints them; a nested list is indented behind its number. */
export function formatReply(reply: Reply): string[] {
  switch (reply.kind) {
    case "status":
      return [reply.text];
    case "error":
      return [`(error) ${reply.text}`];
    case "integer":
    case "double":
      return [`(${reply.kind}) ${reply.text}`];
    case "boolean":
      return [`(${reply.value})`];
    case "null":
      return ["(nil)"];
    case "bulk":
    case "verbatim":
      return [quote(reply.text)];
    case "map":
      return formatMap(reply.items);
    default:
      return formatList(reply.kind, reply.items);
  }
}

function formatList(kind: string, items: readonly Reply[]): string[] {
  if (items.length === 0) return [`(empty ${kind})`];
  const sign = kind === "set" ? "~" : ")";
  return items.flatMap((item, index) => indent(`${index + 1}${sign} `, formatReply(item)));
}

function formatMap(items: readonly Reply[]): string[] {
  if (items.length === 0) return ["(empty hash)"];
  const lines: string[] = [];
  for (let index = 0; index < items.length; index += 2) {
    lines.push(...indent(`${index / 2 + 1}# ${formatReply(items[index]!)[0]} => `, formatReply(items[index + 1]!)));
  }
  return lines;
}

function indent(prefix: string, lines: readonly string[]): string[] {
  return lines.map((line, index) => (index === 0 ? prefix : " ".repeat(prefix.length)) + line);
}

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\" };

/** A byte string in quotes, unprintable bytes as \x00, as redis-cli shows it. */
export function quote(bytes: Bytes): string {
  const shown = bytes.replace(/[^ !#-[\]-~]/g, (byte) => {
    return ESCAPES[byte] ?? `\\x${toBuffer(byte).toString("hex")}`;
  });
  return `"${shown}"`;
}

/** Sorts the elements of a list reply, in groups of `size` (HGETALL: 2), where their order says nothing. */
export function sortReply(reply: Reply, size: number): Reply {
  if (!("items" in reply)) return reply;
  const groups: Reply[][] = [];
  for (let index = 0; index < reply.items.length; index += size) groups.push(reply.items.slice(index, index + size));
  const shown = (group: readonly Reply[]) => group.flatMap(formatReply).join(" ");
  groups.sort((a, b) => (shown(a) < shown(b) ? -1 : 1));
  return { ...reply, items: groups.flat() };
}
