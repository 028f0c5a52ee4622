/**
 * What the clients know: every operation they sent, when, and what they were told, when. It lives with the clients, never
 * on the disk under test.
 *
 * `order` counts the events that the observer saw, in the order it saw them: an operation answered at order 5 was done
 * before one sent at order 9 began. That is all the oracle assumes about time; milliseconds only measure a loss.
 */
import type { Planned } from "./workload.ts";

export interface Moment {
  readonly order: number;
  readonly ms: number;
}

export interface Operation extends Planned {
  readonly client: number;
  readonly sent: Moment;
  /** How many events the record had when the server received it; for explanations. */
  arrived?: number;
  /** Of an interactive transaction: the history's order when its last command had been sent; undefined: it has not been. */
  completed?: number;
  /** When the reply came; undefined while it has not. */
  answered: Moment | undefined;
  /** The reply: bytes as latin1 strings, numbers, null, arrays; an Error for an error reply. */
  reply: unknown;
}

/** All operations of one run, by client, each in the order in which its connection sent them. */
export class History {
  readonly clients: Operation[][] = [];
  #order = 0;

  /** A client sends an operation. */
  send(client: number, planned: Planned, ms: number): Operation {
    const operation: Operation = {
      ...planned,
      client,
      sent: { order: this.#order++, ms },
      answered: undefined,
      reply: undefined,
    };
    while (this.clients.length <= client) this.clients.push([]);
    this.clients[client]?.push(operation);
    return operation;
  }

  /** A client was told the outcome. */
  answer(operation: Operation, reply: unknown, ms: number): void {
    operation.answered = { order: this.#order++, ms };
    operation.reply = reply;
  }

  /** The order of the next event: whatever has a lower one has happened. */
  get now(): number {
    return this.#order;
  }
}

/** Acknowledged: answered before `cut`, and not with an error. */
export function isAcknowledged(operation: Operation, cut: number): boolean {
  return operation.answered !== undefined && operation.answered.order < cut && !(operation.reply instanceof Error);
}

/** An operation as a person would type it, shortened. */
export function operationText(operation: Planned): string {
  const shorten = (word: string): string => (word.length > 24 ? `${word.slice(0, 21)}…` : word);
  const commands = operation.commands.map((command) => command.map(shorten).join(" "));
  return operation.kind === "transaction" ? `MULTI; ${commands.join("; ")}; EXEC` : commands.join("; ");
}
