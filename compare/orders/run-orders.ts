/**
 * `twolog compare --orders`: why not the other way round? Runs every wrong order until it is caught, looks for a smaller
 * example of the same, and says which promise broke, at which crash point. Exit status 1 when one was not caught.
 */
import { type Caught, type Hunted, hunt, smallest } from "../bugs/hunt.ts";
import { ORDERS, type WrongOrder } from "./orders.ts";

/** What became of one order. */
export interface OrderResult {
  readonly order: WrongOrder;
  readonly hunted: Hunted;
  /** A smaller example, when there is one. */
  readonly small: Caught | undefined;
}

export function runOrder(order: WrongOrder, seed: number): OrderResult {
  const hunted = hunt(order.hunt, { seed });
  const small = hunted.caught === undefined ? undefined : smallest(order.hunt, { seed })?.caught;
  return { order, hunted, small };
}

/** Runs them all and prints. Returns the exit status. */
export function runOrders(options: { seed?: number | undefined }, print: (line: string) => void): number {
  const seed = options.seed ?? 1;
  const results: OrderResult[] = [];
  print("Why not the other way round?\n");
  for (const order of ORDERS) {
    const result = runOrder(order, seed);
    results.push(result);
    for (const line of orderLines(result)) print(line);
    print("");
  }
  const missed = results.filter(({ hunted }) => hunted.caught === undefined);
  print(`${results.length - missed.length} of ${results.length} wrong orders caught, seed ${seed}`);
  return missed.length === 0 ? 0 : 1;
}

/** One order, for people. */
export function orderLines({ order, hunted, small }: OrderResult): string[] {
  const lines = [`kv-${order.engine}: ${order.question}?`];
  const { caught, states, ms } = hunted;
  if (caught === undefined) return [...lines, `  MISSED in ${states} states, ${(ms / 1000).toFixed(1)} s`];
  const shown = small ?? caught;
  lines.push(`  because  ${order.answer}`);
  lines.push(`  breaks   ${caught.rule === "" ? "" : `${caught.rule}, `}${caught.oracle}: ${shown.detail}`);
  lines.push(`  promise  ${shown.promise === "" ? "engine and binlog agree after recovery" : shown.promise}`);
  lines.push(`  crash    ${crashText(shown)}`);
  lines.push(`  example  ${exampleText(shown)}`);
  lines.push(
    `  caught   after ${states} states, ${(ms / 1000).toFixed(1)} s; seed ${caught.seed}, event ${caught.event}`,
  );
  return lines;
}

const STATE_TEXT: Readonly<Record<Caught["state"], string>> = {
  kill: "the process is killed",
  "torn write": "the process is killed in the middle of a write",
  power: "power loss, what was not synced is gone",
  "kept in order": "power loss, a part of what was not synced is there",
  "kept in any order": "power loss, any part of what was not synced is there",
  run: "no crash is needed",
};

function crashText({ state, step, matrix }: Caught): string {
  const where = step === undefined ? "before the first step" : `after ${step}${matrix === "" ? "" : ` (${matrix})`}`;
  return `${STATE_TEXT[state]}, ${where}`;
}

const OPERATIONS_SHOWN = 5;
const TEXT_SHOWN = 60;

function exampleText({ sent }: Caught): string {
  const shorten = (text: string): string => (text.length > TEXT_SHOWN ? `${text.slice(0, TEXT_SHOWN - 1)}…` : text);
  const shown = sent
    .slice(-OPERATIONS_SHOWN)
    .map(({ text, told }) => `${shorten(text)} [${told ? "told OK" : "no reply"}]`);
  const more = sent.length > shown.length ? `${sent.length - shown.length} operations before; ` : "";
  return more + shown.join(", ");
}
