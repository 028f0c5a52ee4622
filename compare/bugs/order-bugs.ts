/** Seeded bugs of the order of steps and of the two logs: pitfalls 21, 22, 27, 29, 31, 33 to 35, 37, 41, 51. */

import type { Call } from "../../common/command/call.ts";
import { type Fault, FaultyDisk } from "../../common/disk/faulty-disk.ts";
import type { Settled } from "../../kv-aof/aof-log.ts";
import { AofEngine, createAofEngine } from "../../kv-aof/engine.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";
import type { CommitSteps } from "../../kv-wal/write-path.ts";
import type { Planned } from "../workload.ts";
import {
  ALL,
  ALWAYS,
  type Bug,
  isBinlog,
  isIncrement,
  KERNEL,
  KILL,
  POWER,
  recoveringOn,
  running,
  STRICT,
} from "./bug.ts";
import { CarelessDisk } from "./careless-disk.ts";
import { tornEnd } from "./earlier-life.ts";
import { creditedSync } from "./habits.ts";
import type { Hunt } from "./hunt.ts";

type CreateArgs = Parameters<typeof createWalEngine>;

/** kv-wal with some steps of the group commit replaced. */
function withSteps(
  change: (steps: CommitSteps, engine: WalEngine) => Partial<CommitSteps>,
): (...args: CreateArgs) => WalEngine {
  return (...args) => {
    const engine = createWalEngine(...args);
    const { commits } = engine;
    const steps: CommitSteps = {
      markPrepared: commits.markPrepared.bind(commits),
      flushPrepared: commits.flushPrepared.bind(commits),
      writeBinlog: commits.writeBinlog.bind(commits),
      markCommitted: commits.markCommitted.bind(commits),
      reply: commits.reply.bind(commits),
    };
    Object.assign(commits, change(steps, engine));
    return engine;
  };
}

/** Replies to reads leave at once, whatever they have seen. */
class EarlyReads extends AofEngine {
  #wrote = false;
  override execute(call: Call): boolean {
    const before = this.log.bufferedBytes;
    const result = super.execute(call);
    this.#wrote ||= this.log.bufferedBytes > before;
    return result;
  }
  override settle(done: Settled): void {
    if (!this.#wrote) {
      done(undefined);
      return;
    }
    this.#wrote = false;
    super.settle(done);
  }
}

/** Replies leave before the write, which follows when the server is idle. */
class PostponedWrite extends AofEngine {
  override settle(done: Settled): void {
    done(undefined);
  }
  override idle(budgetMs: number): void {
    this.log.write();
    super.idle(budgetMs);
  }
}

/** An engine whose log is changed once it is open. */
function withLog(
  change: (log: AofEngine["log"]) => void,
  create: (...args: CreateArgs) => AofEngine = createAofEngine,
): (...args: CreateArgs) => AofEngine {
  return (...args) => {
    const engine = create(...args);
    const recover = engine.recover.bind(engine);
    engine.recover = () => {
      const recovery = recover();
      change(engine.log);
      return recovery;
    };
    return engine;
  };
}

const createInBackground = withSteps((_, { storage }) => ({
  flushPrepared(_group, next) {
    storage.redo.write();
    storage.redo.whenDurable(() => next());
  },
}));

/** No bug by itself: every turn syncs as large ones do, so that a few commands meet what many do. */
function syncInBackground(log: AofEngine["log"]): void {
  log.sync = (done) => log.finish(done);
}

/** Replies to reads leave at once; groups sync in the background, as large ones do. */
function earlyReads(...args: CreateArgs): WalEngine {
  const engine = createInBackground(...args);
  const settle = engine.settle.bind(engine);
  let wrote = false;
  const stage = engine.stage.bind(engine);
  engine.stage = (...staged) => {
    wrote = true;
    stage(...staged);
  };
  engine.settle = (done) => {
    if (!wrote) {
      done(undefined);
      return;
    }
    wrote = false;
    settle(done);
  };
  return engine;
}

function idsFromOne(...args: CreateArgs): WalEngine {
  const engine = createWalEngine(...args);
  let last = 0;
  engine.storage.header.takeId = () => ++last;
  return engine;
}

/** Client 0 writes, the others read what it writes, all the time. */
const READERS: Partial<Hunt> = {
  plan: writerAndReaders,
  clients: 3,
  operations: 20,
  batch: 2,
  thinkMs: [0, 1],
  // Only what somebody has been told can vanish.
  crashAfter: ({ kind }) => kind === "answer",
};
function writerAndReaders(client: number): { next(): Planned } {
  let turn = 0;
  return {
    next() {
      turn++;
      if (client > 0) return { kind: "read", commands: [["GET", `c0:s${turn % 8}`]] };
      return { kind: "write", commands: [["SET", `c0:s${turn % 8}`, `0.${turn}=`]] };
    },
  };
}

/** Changes of several undo pages: each gives 60 fields new values of the same length. */
function longChanges(client: number): { next(): Planned } {
  let turn = 0;
  return {
    next() {
      turn++;
      const fields = Array.from({ length: 60 }, (_, field) => [`f${field}`, `${turn}.${field}=`.padEnd(700, "v")]);
      return { kind: "write", commands: [["HSET", `c${client}:h`, ...fields.flat()]] };
    },
  };
}

const ROTATING = { operations: 30, directives: { "max-binlog-size": "4096" } } as const;

const fullDisk: Fault = { call: "write", path: isIncrement, nth: 4, times: 2, code: "ENOSPC" };

function wal(pitfall: number, what: string, hunt: Bug["hunt"]): Bug {
  return { pitfall, what, engine: "wal", hunt };
}

function aof(pitfall: number, what: string, hunt: Bug["hunt"]): Bug {
  return { pitfall, what, engine: "aof", hunt };
}

export const ORDER_BUGS: readonly Bug[] = [
  wal(
    21,
    "the reply leaves before the redo is written",
    running(
      STRICT,
      withSteps(({ reply, flushPrepared }) => ({
        flushPrepared(group, next) {
          reply(group);
          flushPrepared(group, next);
        },
        reply() {},
      })),
      KILL,
    ),
  ),
  wal(
    21,
    "the reply leaves before the binlog is written",
    running(
      STRICT,
      withSteps(({ reply, writeBinlog }) => ({
        writeBinlog(group, next) {
          reply(group);
          writeBinlog(group, next);
        },
        reply() {},
      })),
      KILL,
    ),
  ),
  wal(
    21,
    "the prepare is written and not synced",
    running(
      STRICT,
      withSteps((_, { storage }) => ({
        flushPrepared(_group, next) {
          storage.redo.write();
          next();
        },
      })),
      POWER,
      { binlog: true },
    ),
  ),
  wal(
    27,
    "undo of transactions that are not decided is purged",
    running(
      STRICT,
      (...args) => {
        const engine = createWalEngine(...args);
        const { purge } = engine.storage;
        const run = purge.run.bind(purge);
        const { commits } = engine;
        const flush = commits.flushPrepared.bind(commits);
        commits.flushPrepared = (group, next) => {
          run(undefined, Number.MAX_SAFE_INTEGER);
          flush(group, next);
        };
        return engine;
      },
      ALL,
      { plan: longChanges, clients: 1, operations: 6, batch: 1, thinkMs: [0, 5], binlog: true },
    ),
  ),
  aof(
    22,
    "a sync is credited with what was written while it ran",
    running(ALWAYS, withLog(syncInBackground), POWER, {
      wrapDisk: (disk, later) => new CarelessDisk(disk, creditedSync(isIncrement)(later)),
    }),
  ),
  aof(
    29,
    "a read is answered before what it saw is durable",
    running(
      ALWAYS,
      withLog(syncInBackground, (host, config) => new EarlyReads(host, config)),
      ["dropped"],
      { ...READERS, wanted: "vanished read" },
    ),
  ),
  wal(
    29,
    "a read is answered before what it saw is durable",
    running(STRICT, earlyReads, ["dropped"], { ...READERS, wanted: "vanished read" }),
  ),
  aof(
    31,
    "the reply to a postponed write leaves",
    running(KERNEL, (host, config) => new PostponedWrite(host, config), KILL),
  ),
  wal(
    34,
    "after a rotation recovery asks the wrong binlog file",
    recoveringOn(
      STRICT,
      () => ({
        open(path, mode, disk) {
          const number = Number(path.slice(-6)) - 1;
          const previous = `${path.slice(0, -6)}${String(number).padStart(6, "0")}`;
          return disk.open(mode === "read" && isBinlog(path) && disk.exists(previous) ? previous : path, mode);
        },
      }),
      KILL,
      ROTATING,
    ),
  ),
  wal(
    35,
    "transaction ids start again with each life",
    running(STRICT, idsFromOne, KILL, { life: tornEnd(STRICT, isBinlog) }),
  ),
  aof(
    41,
    "a batch that did not fit on the disk is acknowledged",
    running(
      KERNEL,
      withLog((log) => {
        log.refuse = (_failure, done) => done(undefined);
      }),
      KILL,
      { wrapDisk: (disk, later) => new FaultyDisk(disk, [fullDisk], later), mayStop: true },
    ),
  ),
  wal(
    51,
    "the last transaction of a group is missing from the binlog",
    running(
      STRICT,
      withSteps(({ writeBinlog }) => ({
        writeBinlog: (group, next) => writeBinlog({ ...group, events: group.events.slice(0, -1) }, next),
      })),
      KILL,
      { binlog: true },
    ),
  ),
];
