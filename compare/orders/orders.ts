/**
 * The wrong orders, each with the question that it answers: why not the other way round? Every one is built from the
 * engines' own parts (the files beside this one) and must be caught by the lab (compare/bugs/hunt.ts).
 */
import type { Bytes } from "../../common/bytes.ts";
import type { Config } from "../../common/config.ts";
import type { Engine } from "../../common/engine.ts";
import type { Host } from "../../common/host.ts";
import type { Hunt } from "../bugs/hunt.ts";
import { type EngineName, type Policy, policyOf } from "../policy.ts";
import type { Planned } from "../workload.ts";
import { createAofBeforeMemory } from "./aof-before-memory.ts";
import { createBinlogBeforePrepare } from "./binlog-before-prepare.ts";
import { createBinlogNotSynced } from "./binlog-not-synced.ts";
import { createCommitBeforeBinlog } from "./commit-before-binlog.ts";
import { createNamedBeforeSealed } from "./named-before-sealed.ts";
import { createNoDoublewrite } from "./no-doublewrite.ts";
import { createPageBeforeRedo, createStealBeforeRedo, createTrustingRecovery } from "./page-before-redo.ts";
import { createRecoveryRollsForward, createRecoveryWithoutBinlog } from "./recovery-misreads.ts";
import { createReplyBeforeFsync } from "./reply-before-fsync.ts";

export interface WrongOrder {
  readonly id: string;
  readonly engine: EngineName;
  readonly question: string;
  /** In a sentence, what the right order is for. */
  readonly answer: string;
  readonly hunt: Hunt;
}

type Create = (host: Host, config: Config) => Engine;

const ALWAYS = policyOf("aof", "always");
const STRICT = policyOf("wal", "1/1");
const POWER: readonly string[] = ["dropped"];
const BOTH: readonly string[] = ["kill", "dropped"];

/** Runs the wrong engine, recovers with the right one. */
function running(under: Policy, create: Create, models: readonly string[], more: Partial<Hunt> = {}): Hunt {
  return { policy: under, models, create: (_name, host, config) => create(host, config), ...more };
}

/** Runs the right engine, recovers with the wrong one. */
function recovering(create: Create, models: readonly string[], more: Partial<Hunt> = {}): Hunt {
  return { policy: STRICT, models, recovery: { create: (_name, host, config) => create(host, config) }, ...more };
}

/** SET text, then INCR on it, which fails: what was asked for is not what happened. */
function failingCommands(client: number): { next(): Planned } {
  let turn = 0;
  const key = `c${client}:s0`;
  return {
    next: () => ({ kind: "write", commands: [turn++ % 2 === 0 ? ["SET", key, `text${turn}`] : ["INCR", key]] }),
  };
}

/** Two of them are in a page. */
const FIELD_BYTES = 7000;
const FIELDS = 40;

/**
 * HSETs of so many new fields that not all of the pages of two have room in a pool of a few dozen frames: some of the second
 * are written while it runs, they are stolen. Were it larger, pages would be missed whose redo is lost, and the start refused.
 */
function largeTransactions(client: number): { next(): Planned } {
  let field = 0;
  const newField = (): Bytes[] => [`f${field}`, `${field++}=`.padEnd(FIELD_BYTES, "v")];
  const newFields = (): Bytes[] => Array.from({ length: FIELDS }, newField).flat();
  return { next: () => ({ kind: "write", commands: [["HSET", `c${client}:h`, ...newFields()]] }) };
}

export const ORDERS: readonly WrongOrder[] = [
  {
    id: "aof-before-memory",
    engine: "aof",
    question: "log the command first, change memory second",
    answer: "the log must hold what happened, not what was asked for: the request may fail when it is applied",
    hunt: running(ALWAYS, createAofBeforeMemory, BOTH, { plan: failingCommands, clients: 1 }),
  },
  {
    id: "reply-before-fsync",
    engine: "aof",
    question: "reply first, fsync second",
    answer: "a reply is a promise: written is not durable",
    hunt: running(ALWAYS, createReplyBeforeFsync, POWER),
  },
  {
    id: "named-before-sealed",
    engine: "aof",
    question: "begin the next increment first, sync the last one second",
    answer: "what comes later may be on disk before what came earlier: a hole, where only an end may be missing",
    hunt: running(policyOf("aof", "everysec"), createNamedBeforeSealed, ["dropped", "ext4-like"], {
      directives: { "auto-aof-rewrite-min-size": "1kb", "auto-aof-rewrite-percentage": "1" },
      partlyOneIn: 1,
    }),
  },
  {
    id: "page-before-redo",
    engine: "wal",
    question: "write the page first, its redo second",
    answer: "a page ahead of the log is a page that nothing describes: recovery can only refuse it",
    hunt: running(STRICT, createPageBeforeRedo, POWER),
  },
  {
    id: "steal-before-redo",
    engine: "wal",
    question: "write a page of a running transaction before its redo",
    answer: "the undo of a stolen page is protected by redo: without it half a transaction stays",
    hunt: running(STRICT, createStealBeforeRedo, POWER, {
      plan: largeTransactions,
      clients: 1,
      operations: 2,
      batch: 1,
      wanted: "torn transaction",
      recovery: { create: (_name, host, config) => createTrustingRecovery(host, config) },
    }),
  },
  {
    id: "no-doublewrite",
    engine: "wal",
    question: "write pages in place, without a copy",
    answer: "redo changes bytes of a whole page; it cannot repair a torn one",
    hunt: running(STRICT, createNoDoublewrite, ["kill", "ext4-like"]),
  },
  {
    id: "binlog-before-prepare",
    engine: "wal",
    question: "write the binlog first, the prepare second",
    answer: "what replicas may get must be in the engine's log before: the binlog decides about what is prepared",
    hunt: running(STRICT, createBinlogBeforePrepare, BOTH, { binlog: true }),
  },
  {
    id: "commit-before-binlog",
    engine: "wal",
    question: "make the commit mark durable first, write the binlog second",
    answer: "a marked transaction is not asked about any more: the binlog may lack it for ever",
    hunt: running(STRICT, createCommitBeforeBinlog, BOTH, { binlog: true }),
  },
  {
    id: "binlog-not-synced",
    engine: "wal",
    question: "commit without syncing the binlog",
    answer: "the binlog's sync is the decision: without it, recovery undoes what was acknowledged",
    hunt: running(STRICT, createBinlogNotSynced, POWER),
  },
  {
    id: "recovery-without-binlog",
    engine: "wal",
    question: "recover from redo alone, without asking the binlog",
    answer: "between prepare and commit mark only the binlog knows what the client was told",
    hunt: recovering(createRecoveryWithoutBinlog, BOTH),
  },
  {
    id: "recovery-rolls-forward",
    engine: "wal",
    question: "recover everything that was prepared",
    answer: "prepared is not decided: the engine would have what replicas never get",
    hunt: recovering(createRecoveryRollsForward, BOTH, { binlog: true }),
  },
];
