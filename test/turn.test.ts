/**
 * How long a turn stays open (common/server/turn.ts): while its settle would wait for a sync, and clients keep joining.
 */
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { RealHost } from "../common/host.ts";
import { type Sender, Turn } from "../common/server/turn.ts";
import { ModelEngine } from "./support/model-server.ts";

/** An event loop whose rounds the test runs. */
class Rounds extends RealHost {
  readonly engine = new ModelEngine();
  readonly turn: Turn;
  #afterTick: (() => void)[] = [];
  /** How many clients each settle answered. */
  readonly answered: number[] = [];
  #sent = 0;

  constructor() {
    super(new MemoryDisk());
    this.turn = new Turn(this.engine, this, (error) => {
      throw error;
    });
  }

  override afterTick(run: () => void): void {
    this.#afterTick.push(run);
  }

  /** One round, in which so many clients send a command. */
  round(clients: number): void {
    const sender: Sender = { takeOutput: () => "+OK\r\n", send: () => this.#sent++, discard: () => {} };
    if (clients > 0) this.turn.begin();
    for (let i = 0; i < clients; i++) this.turn.join(sender);
    for (const run of this.#afterTick.splice(0)) run();
    if (this.#sent > 0) this.answered.push(this.#sent);
    this.#sent = 0;
  }
}

function answeredIn(settleSyncs: boolean, rounds: readonly number[]): number[] {
  const loop = new Rounds();
  loop.engine.settleSyncs = settleSyncs;
  for (const clients of rounds) loop.round(clients);
  return loop.answered;
}

t.test("a settle that syncs waits until nobody joins any more", async (t) => {
  t.same(answeredIn(true, [2, 1, 3, 0]), [6], "answered together, in the round in which nobody came");
  t.same(answeredIn(true, [2, 1, 0, 4, 0]), [3, 4], "who comes later is in the next turn");
});

t.test("a settle that does not sync ends every round", async (t) => {
  t.same(answeredIn(false, [2, 1, 3]), [2, 1, 3]);
});

t.test("a client that is alone does not wait for others", async (t) => {
  t.same(answeredIn(true, [1, 1, 1]), [1, 1, 1]);
  t.same(answeredIn(true, [2, 0, 1, 1, 0]), [2, 2], "but it does while others were there just before");
  t.same(answeredIn(true, [2, 0, 1, 0, 1]), [2, 1, 1]);
});

t.test("a turn does not stay open for ever", async (t) => {
  t.same(answeredIn(true, [100, 100, 100]), [300], "256 clients are enough");
});

t.test("background work alone, without a reply, ends at once", async (t) => {
  const loop = new Rounds();
  loop.engine.settleSyncs = true;
  loop.engine.holdSettles = true;
  loop.turn.begin();
  loop.round(0);
  t.equal(loop.engine.held.length, 1);
});
