/**
 * Workloads that a user writes, as text:
 *
 *     # transfers of one client while another counts
 *     client
 *       SET a 1
 *       wait 1500                      the next command is sent 1500 ms after the last reply
 *       MULTI; SET a 2; INCR n; EXEC
 *       BEGIN; SET a 3; SAVEPOINT s; DEL a; ROLLBACK TO s; COMMIT
 *     client
 *       INCR n
 *       GET a
 *
 * A client's keys are its own ("a" of the first client is another key than "a" of the second), so that it is known in
 * which order each was written. Commands are those that the lab's model knows (model.ts), and GET.
 */
import { readFileSync } from "node:fs";
import type { Bytes } from "../../common/bytes.ts";
import { UsageError } from "../../common/errors.ts";
import { splitArguments } from "../../common/resp/split-arguments.ts";
import { MODELLED } from "../model.ts";
import type { Script } from "../simulated-run.ts";
import { ownPrefix, type Planned } from "../workload.ts";

const TRANSACTION_WORDS: ReadonlySet<string> = new Set(["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT"]);

/** Which arguments are keys; of other commands, the first. */
const KEYS: Readonly<Record<string, (index: number) => boolean>> = {
  DEL: () => true,
  MSET: (index) => index % 2 === 0,
  RENAME: () => true,
  FLUSHALL: () => false,
};

export function readScript(path: string): Script {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  return parseScript(text, path);
}

export function parseScript(text: string, name: string): Script {
  const clients: Planned[][] = [];
  let waitMs: number | undefined;
  for (const [index, whole] of text.split("\n").entries()) {
    const line = whole.replace(/(^|\s)#.*$/, "").trim();
    const where = `${name}:${index + 1}`;
    if (line === "") continue;
    const wait = /^wait (\d+)$/.exec(line);
    if (line === "client") clients.push([]);
    else if (wait !== null) waitMs = Number(wait[1]);
    else {
      const steps = clients.at(-1);
      if (steps === undefined) throw new UsageError(`${where}: a script begins with 'client'`);
      const planned = parseStep(line, ownPrefix(clients.length - 1), where);
      steps.push(waitMs === undefined ? planned : { ...planned, afterMs: waitMs });
      waitMs = undefined;
    }
  }
  if (clients.length === 0) throw new UsageError(`${name}: a script has at least one client`);
  return { name, clients, bank: false };
}

function parseStep(line: string, own: Bytes, where: string): Planned {
  const commands = line.split(";").map((part) => parseCommand(part.trim(), own, where));
  const first = commands[0]?.[0] ?? "";
  const last = commands.at(-1)?.[0] ?? "";
  if (first === "MULTI") {
    if (last !== "EXEC") throw new UsageError(`${where}: MULTI without EXEC`);
    return { kind: "transaction", commands: commands.slice(1, -1) };
  }
  if (first === "BEGIN") {
    if (last !== "COMMIT" && last !== "ROLLBACK") throw new UsageError(`${where}: BEGIN without COMMIT or ROLLBACK`);
    return { kind: "interactive", commands };
  }
  if (commands.length > 1) throw new UsageError(`${where}: several commands, and neither MULTI nor BEGIN`);
  return { kind: first === "GET" || first === "BGREWRITEAOF" ? "read" : "write", commands };
}

function parseCommand(text: string, own: Bytes, where: string): Bytes[] {
  const words = splitArguments(text);
  if (words === undefined || words[0] === undefined) throw new UsageError(`${where}: '${text}' is not a command`);
  const [name, ...args] = [words[0].toUpperCase(), ...words.slice(1)] as [Bytes, ...Bytes[]];
  if (TRANSACTION_WORDS.has(name) || name === "MULTI" || name === "EXEC") return [name, ...args];
  if (name !== "GET" && !MODELLED.has(name)) throw new UsageError(`${where}: the lab does not know ${name}`);
  const isKey = KEYS[name] ?? ((index: number) => index === 0);
  return [name, ...args.map((arg, index) => (isKey(index) ? own + arg : arg))];
}
