/**
 * Seeded bugs of the lab itself: pitfalls 64 to 68. A lab that is blind misses a wrong engine that the lab otherwise catches
 * (the sentinel); one that sees ghosts accuses the right engine. Either is noticed by running the lab on engines of which
 * the answer is known.
 */
import { History } from "../history.ts";
import { type Evidence, judge, type Verdict } from "../oracle.ts";
import { createReplyBeforeFsync } from "../orders/reply-before-fsync.ts";
import { ALWAYS, type Bug, isIncrement, KERNEL, KILL, onDisk, POWER, running } from "./bug.ts";
import { buffered } from "./habits.ts";
import { createWithoutDel } from "./logical-bugs.ts";

/** The same history, with some operations changed. */
function rewritten(history: History, change: (operation: History["clients"][number][number]) => void): History {
  const copy = new History();
  copy.clients.push(...history.clients.map((operations) => operations.map((operation) => ({ ...operation }))));
  for (const operation of copy.clients.flat()) change(operation);
  return copy;
}

/** What the clients were told in the last while was kept on the machine that crashed. */
function forgetful(evidence: Evidence): Verdict {
  const history = rewritten(evidence.history, (operation) => {
    if (operation.answered !== undefined && operation.answered.ms > evidence.cutMs - 1000)
      operation.answered = undefined;
  });
  return judge({ ...evidence, history });
}

/** As long as there is something, it must be right. */
function countOnly(evidence: Evidence): Verdict {
  const verdict = judge(evidence);
  return evidence.found.size > 0 ? { ...verdict, violations: [] } : verdict;
}

/** What nobody was told about must be there, too. */
function impatient(evidence: Evidence): Verdict {
  const history = rewritten(evidence.history, (operation) => {
    operation.answered = operation.sent;
  });
  return judge({ ...evidence, history });
}

const replyFirst = running(ALWAYS, (host, config) => createReplyBeforeFsync(host, config), POWER);
const forgottenDel = running(ALWAYS, createWithoutDel, KILL);

export const LAB_BUGS: readonly Bug[] = [
  {
    pitfall: 64,
    what: "the lab's history is kept on the machine that crashes",
    engine: "aof",
    hunt: { ...replyFirst, judge: forgetful },
    inLab: "misses",
  },
  {
    pitfall: 65,
    what: "a kill is judged as a power loss",
    engine: "aof",
    hunt: {
      ...onDisk(KERNEL, buffered(isIncrement, 4096), KILL),
      judge: (evidence) => judge({ ...evidence, crash: "power" }),
    },
    inLab: "misses",
  },
  {
    pitfall: 66,
    what: "the lab looks only whether there is something",
    engine: "aof",
    hunt: { ...forgottenDel, judge: countOnly },
    inLab: "misses",
  },
  {
    pitfall: 67,
    what: "crashes come at the end of fsyncs only",
    engine: "aof",
    hunt: { ...replyFirst, crashAfter: (event) => event.kind === "disk" && event.operation.kind === "sync-end" },
    inLab: "misses",
  },
  {
    pitfall: 68,
    what: "an operation without an answer is taken for done",
    engine: "aof",
    hunt: { policy: ALWAYS, models: KILL, judge: impatient },
    inLab: "accuses",
  },
];
