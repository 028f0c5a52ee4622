/**
 * `twolog compare --orders`: why not the other way round? Runs every wrong order until it is caught, looks for a smaller
 * example of the same, and says which promise broke, at which crash point. Exit status 1 when one was not caught.
 */
import { type Hunted, hunt, placeOf, sentBefore, shrinkCaught } from "../bugs/hunt.ts";
import type { Finding } from "../lab/hunt.ts";
import type { Minimised } from "../lab/shrink.ts";
import { ORDERS, type WrongOrder } from "./orders.ts";

/** What became of one order. */
export interface OrderResult {
  readonly order: WrongOrder;
  readonly hunted: Hunted;
  /** The smallest example. */
  readonly small: Minimised | undefined;
}

/** To make one example small: most take a tenth of a second. */
const SMALL_MS = 5000;

export async function runOrder(order: WrongOrder, seed: number): Promise<OrderResult> {
  const hunted = hunt(order.hunt, { seed });
  const small = hunted.caught && (await shrinkCaught(order.hunt, hunted.caught, SMALL_MS));
  return { order, hunted, small };
}

/** Runs them all and prints. Returns the exit status. */
export async function runOrders(
  options: { seed?: number | undefined },
  print: (line: string) => void,
): Promise<number> {
  const seed = options.seed ?? 1;
  const results: OrderResult[] = [];
  print("Why not the other way round?\n");
  for (const order of ORDERS) {
    const result = await runOrder(order, seed);
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
  if (caught === undefined || small === undefined) {
    return [...lines, `  MISSED in ${states} states, ${(ms / 1000).toFixed(1)} s`];
  }
  const { finding, commands, lostWrites } = small;
  const { rule, kind, detail, promise } = finding.violation;
  lines.push(`  because  ${order.answer}`);
  lines.push(`  breaks   ${rule}, ${kind}: ${detail}`);
  lines.push(`  promise  ${promise}`);
  lines.push(`  crash    ${crashText(finding)}`);
  lines.push(`  example  ${exampleText(finding)}`);
  lines.push(
    `  caught   after ${states} states, ${(ms / 1000).toFixed(1)} s, seed ${caught.seed}; made small in ` +
      `${(small.ms / 1000).toFixed(1)} s: ${commands} commands, ${lostWrites} lost writes${small.isMinimal ? "" : "; the time was up"}`,
  );
  return lines;
}

function crashText(finding: Finding): string {
  const { step, matrix } = placeOf(finding);
  const where = step === undefined ? "before the first step" : `after ${step}${matrix === "" ? "" : ` (${matrix})`}`;
  return `${stateText(finding)}, ${where}`;
}

function stateText({ crash, violation }: Finding): string {
  if (violation.kind === "stopped") return "no crash is needed";
  const { model, choice } = crash;
  const isPart = choice.some((value) => value > 0);
  if (model.crash === "kill") return `the process is killed${isPart ? " in the middle of a write" : ""}`;
  if (model.name === "dropped") return "power loss, what was not synced is gone";
  return `power loss, ${isPart ? "some" : "nothing"} of what was not synced is gone`;
}

const OPERATIONS_SHOWN = 5;
const TEXT_SHOWN = 60;

function exampleText(finding: Finding): string {
  const sent = sentBefore(finding);
  const shorten = (text: string): string => (text.length > TEXT_SHOWN ? `${text.slice(0, TEXT_SHOWN - 1)}…` : text);
  const shown = sent
    .slice(-OPERATIONS_SHOWN)
    .map(({ text, told }) => `${shorten(text)} [${told ? "told OK" : "no reply"}]`);
  const more = sent.length > shown.length ? `${sent.length - shown.length} operations before; ` : "";
  return more + shown.join(", ");
}
