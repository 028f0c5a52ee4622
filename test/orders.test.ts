/**
 * Why not the other way round? Each wrong order of the steps, built from the engines' own parts, is caught by the lab: by the
 * oracle that says what the right order is for, at the crash point that belongs to it.
 */
import t from "tap";
import { hunt } from "../compare/bugs/hunt.ts";
import { ORDERS, type WrongOrder } from "../compare/orders/orders.ts";
import { orderLines, runOrder } from "../compare/orders/run-orders.ts";

/** What each order breaks: the oracle, and the last step before the crash. */
const CAUGHT: Readonly<Record<string, readonly [oracle: string, step: string]>> = {
  "aof-before-memory": ["refused", "aof.append"],
  "reply-before-fsync": ["lost write", "aof.write"],
  "named-before-sealed": ["refused", "aof.increment"],
  "page-before-redo": ["refused", "wal.page-write"],
  "steal-before-redo": ["torn transaction", "wal.page-write"],
  "no-doublewrite": ["refused", "wal.doublewrite"],
  "binlog-before-prepare": ["refused", "wal.prepare"],
  "commit-before-binlog": ["binlog differs", "wal.commit"],
  "binlog-not-synced": ["lost write", "wal.commit"],
  "recovery-without-binlog": ["lost write", "wal.commit"],
  "recovery-rolls-forward": ["binlog differs", "wal.prepare"],
};

for (const order of ORDERS) {
  t.test(`caught: ${order.question}?`, async (t) => {
    const { caught } = hunt(order.hunt, { seed: 1, limitMs: Infinity });
    const [oracle, step] = CAUGHT[order.id] ?? [];
    t.equal(caught?.oracle, oracle, caught?.detail ?? "missed");
    t.equal(caught?.step, step, "at its crash point");
  });
}

t.test("the right order is not caught by the same hunts", async (t) => {
  for (const { id, hunt: plan } of ORDERS) {
    const { create: _wrong, recovery: _alsoWrong, ...right } = plan;
    const { caught, states } = hunt(right, { seed: 1, seedsMax: 1, limitMs: 500 });
    t.equal(caught, undefined, `${id}: ${states} states`);
  }
});

t.test(
  "the smallest example of a stolen page is two commands, one crash, and nothing that was written is lost",
  async (t) => {
    const order = ORDERS.find(({ id }) => id === "steal-before-redo") as WrongOrder;
    const { small } = await runOrder(order, 1);
    t.equal(small?.commands, 2, "one that fills the pool, one whose pages are stolen");
    t.equal(small?.lostWrites, 0, "its redo had not been written at all");
    t.equal(small?.isMinimal, true);
  },
);

t.test("an order is printed with its question, its answer and a small example", async (t) => {
  const order = ORDERS.find(({ id }) => id === "reply-before-fsync") as WrongOrder;
  const text = orderLines(await runOrder(order, 1)).join("\n");
  t.match(text, /^kv-aof: reply first, fsync second\?/);
  t.match(text, /because .*written is not durable/);
  t.match(text, /breaks .*I1, lost write/);
  t.match(text, /crash .*power loss.*aof\.write \(A3\)/);
  t.match(text, /example .*told OK/);
});
