/** Claims about the order of one write in InnoDB: W1 to W3, W6, W13, W32. */
import type { Bytes } from "../../common/bytes.ts";
import type { StepName } from "../../common/steps.ts";
import { PAGE_SIZE, PAGE_TYPE_AT, PageType } from "../../kv-wal/page.ts";
import { policyOf } from "../policy.ts";
import { type Case, type Claim, walCase } from "./claim.ts";
import { quietWrite } from "./matrix.ts";
import { type Asked, answerOf, bytesOf, Stage } from "./stage.ts";

const STRICT = policyOf("wal", "1/1");
const SPACE = "wal/space";

/** The steps since `from`, each at its first time, in order: "redo → page". */
function orderOf(stage: Stage, from: number, steps: readonly StepName[]): string {
  const came = steps.map((step) => ({ step, at: stage.behind(step, from) }));
  came.sort((a, b) => a.at - b.at);
  return came.map(({ step }) => step.slice("wal.".length)).join(" → ");
}

function countDisk(stage: Stage, from: number, to: number, kind: "write" | "sync-end", prefix: string): number {
  return stage.events.slice(from, to).filter((event) => {
    return event.kind === "disk" && event.operation.kind === kind && event.operation.path.startsWith(prefix);
  }).length;
}

/** How far the prepare is when the binlog is written: by the policy's redo steps that came before. */
function prepareAtBinlog(policyName: string): string {
  const { stage, write } = quietWrite(policyOf("wal", policyName));
  const binlog = stage.behind("wal.binlog-write", write);
  const came = (step: StepName): boolean => (stage.after(step, write) ?? Number.POSITIVE_INFINITY) < binlog;
  if (came("wal.redo-sync")) return "synced";
  return came("wal.redo-write") ? "written" : "not written";
}

const FIELDS = 900;
const VALUE_BYTES = 700;

/** A transaction that is larger than the buffer pool, while it runs: its pages are stolen. */
function stolenPages(): { onDisk: string; after: string } {
  const stage = new Stage(STRICT, { directives: { "redo-log-file-size": "16mb" } });
  const set = (text: string): Asked[] =>
    Array.from({ length: FIELDS }, (_, field) => stage.send(["HSET", "h", `f${field}`, text.padEnd(VALUE_BYTES, ".")]));
  set("OLD:");
  stage.rest(5000);
  const from = stage.now;
  stage.send(["MULTI"]);
  set("NEW:");
  const exec = stage.send(["EXEC"]);
  stage.rest(1000);
  const prepared = stage.behind("wal.prepare", from);
  // The last moment before the transaction ends: all that is in the tablespace then was written for want of frames.
  const moment = prepared - 1;
  const space = bytesOf(stage.disk("power", moment), SPACE);
  const inRows = pagesOf(space, PageType.LEAF).includes("NEW:") ? "new rows" : "no new rows";
  // Leaves that have not been written yet have old rows, too.
  const onDisk = `${inRows} and ${pagesOf(space, PageType.UNDO).includes("OLD:") ? "old rows in undo" : "no old rows in undo"}`;
  if (exec.answeredAt === undefined) throw new Error("the large transaction was not answered");
  const life = Stage.reopen(stage, stage.disk("kill", moment));
  if (typeof life === "string") return { onDisk, after: "refused" };
  const texts = new Set(
    Array.from({ length: FIELDS }, (_, field) => String(life.ask("HGET", "h", `f${field}`)).slice(0, 3)),
  );
  return { onDisk, after: [...texts].join(" and ") };
}

/** All pages of a type, as one text. */
function pagesOf(space: Bytes, type: PageType): Bytes {
  const pages = Array.from({ length: space.length / PAGE_SIZE }, (_, page) =>
    space.slice(page * PAGE_SIZE, (page + 1) * PAGE_SIZE),
  );
  return pages.filter((page) => page.charCodeAt(PAGE_TYPE_AT) === type).join("");
}

/** A reader in the turn of the write, or while the group's sync runs in the background. */
function readerCase(writes: number, when: string): Case {
  const stage = new Stage(STRICT);
  stage.ask("SET", "k", "OLD");
  stage.askAs(1, "GET", "k");
  const from = stage.now;
  for (let number = 1; number < writes; number++) stage.send(["SET", `other:${number}`, "v"]);
  const write = stage.send(["SET", "k", "NEW"]);
  // A turn later: the group's sync is running.
  if (writes > 1) stage.rest(0.2);
  const read = stage.send(["GET", "k"], 1);
  stage.rest(100);
  const committed = stage.behind("wal.commit", from);
  const isAfter = answerOf(read) > committed && answerOf(write) > committed;
  const right = "NEW, after the commit";
  return walCase(when, right, right, `${String(read.reply)}, ${isAfter ? "after" : "before"} the commit`);
}

/** What another client reads while a transaction with a new value is open, and after its COMMIT. */
function openTransactionCase(isolation: string, claimed: string): Case {
  const stage = new Stage(STRICT, { directives: { "transaction-isolation": isolation } });
  stage.ask("SET", "k", "OLD");
  stage.ask("BEGIN");
  stage.ask("SET", "k", "NEW");
  const during = String(stage.askAs(1, "GET", "k").reply);
  stage.ask("COMMIT");
  const after = String(stage.askAs(1, "GET", "k").reply);
  return walCase(`an open transaction, ${isolation}`, claimed, claimed, `${during}, then ${after}`);
}

export const WAL_ORDER_CLAIMS: readonly Claim[] = [
  {
    id: "W1",
    documents: "000 004",
    claim: "the page changes in the pool, redo goes to its buffer and is flushed at commit, the page is flushed later",
    setup: "one SET on a quiet server, 1/1",
    crash: "none",
    expected: "in this order",
    truth: "holds",
    because:
      "undo, redo and page first; prepare synced, binlog synced, commit in memory, reply; pages and commit mark later",
    run() {
      const { stage, write } = quietWrite(STRICT);
      const right = "redo → page → redo-sync → reply → page-write";
      const steps = ["wal.redo", "wal.page", "wal.redo-sync", "wal.reply", "wal.page-write"] as const;
      const both = "prepare → redo-write → redo-sync → binlog-write → binlog-sync → commit → reply";
      const commit = ["wal.prepare", "wal.redo-write", "wal.redo-sync", "wal.binlog-write", "wal.binlog-sync"] as const;
      const last = ["wal.commit", "wal.reply"] as const;
      const outside = "redo-write → redo-sync → binlog-write → binlog-sync → reply → page-write";
      return [
        walCase("1/1, one SET", right, right, orderOf(stage, write.sentAt, steps)),
        walCase("1/1, its commit", both, both, orderOf(stage, write.sentAt, [...commit, ...last])),
        walCase(
          "1/1, on disk",
          outside,
          outside,
          orderOf(stage, write.sentAt, [...commit.slice(1), "wal.reply", "wal.page-write"]),
        ),
      ];
    },
  },
  {
    id: "W2",
    documents: "001",
    claim: "undo is written first and is protected by redo",
    setup: `a transaction of ${FIELDS} updates that does not fit into the buffer pool: its pages are written while it runs`,
    crash: "killed before it has ended",
    expected: "the old rows",
    truth: "holds",
    because: "the data file has the new rows and the undo pages the old ones; recovery restores the old ones",
    run() {
      const { onDisk, after } = stolenPages();
      const both = "new rows and old rows in undo";
      return [
        walCase("in the tablespace while it runs", both, both, onDisk),
        walCase("after recovery", "OLD", "OLD", after),
      ];
    },
  },
  {
    id: "W3",
    documents: "001",
    claim: "the commit mark in redo is durable before COMMIT returns",
    setup: "one SET on a quiet server, 1/1",
    crash: "none",
    expected: "redo is synced between the mark and the reply",
    truth: "false",
    because: "the binlog's sync is the decision; the mark is synced about a second later",
    run() {
      const { stage, write } = quietWrite(STRICT);
      const marked = stage.behind("wal.commit", write);
      const answered = answerOf(write);
      const syncs = countDisk(stage, marked, answered, "sync-end", "wal/redo");
      return [walCase("1/1", "synced before the reply", "not yet", syncs > 0 ? "synced before the reply" : "not yet")];
    },
  },
  {
    id: "W6",
    documents: "002",
    claim: "prepare is written to the file system's cache, then the binlog is written",
    setup: "one SET on a quiet server",
    crash: "none",
    expected: "written, not synced",
    truth: "holds only if",
    because: "for f=1 it is synced before; for f=0 it has not even been written",
    run: () =>
      [
        ["1/1", "synced"],
        ["2/1", "written"],
        ["0/1", "not written"],
      ].map(([name = "", measured = ""]) => walCase(name, "written", measured, prepareAtBinlog(name))),
  },
  {
    id: "W13",
    documents: "001",
    claim: "others see the data only after the commit",
    setup: "GET by another client while the commit is on its way, and while the transaction is open",
    crash: "none",
    expected: "the new value, and not before the commit",
    truth: "holds",
    because:
      "a command that read it is answered after the group of the transaction; READ UNCOMMITTED asks for the opposite",
    run: () => [
      readerCase(1, "a small group, synced in place"),
      readerCase(48, "a large group, synced in the background"),
      openTransactionCase("READ-COMMITTED", "OLD, then NEW"),
      openTransactionCase("REPEATABLE-READ", "OLD, then NEW"),
    ],
  },
  {
    id: "W32",
    documents: "001",
    claim: "undo reaches the disk before the redo commit",
    setup: "one SET on a quiet server, 1/1",
    crash: "none",
    expected: "an undo page is written before the reply",
    truth: "false",
    because: "nothing but redo and binlog is written before the reply; the *redo* of the undo is",
    run() {
      const { stage, write } = quietWrite(STRICT);
      const answered = answerOf(write);
      const pages = countDisk(stage, write.sentAt, answered, "write", SPACE);
      const redo = bytesOf(stage.disk("power", answered), "wal/redo").includes("OLD");
      const observed = pages > 0 ? "its page" : redo ? "its redo only" : "nothing";
      return [walCase("1/1, at the reply", "its page", "its redo only", observed)];
    },
  },
];
