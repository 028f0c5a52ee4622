/** Seeded bugs of log formats, checkpoints and pages: pitfalls 12, 16, 19, 20, 24, 28. */
import type { DiskFile } from "../../common/disk/disk.ts";
import { readU32, readU48, wordsOf, writeU48 } from "../../kv-wal/bytes-view.ts";
import { createWalEngine, type WalEngine } from "../../kv-wal/engine.ts";
import { PAGE_SIZE } from "../../kv-wal/page.ts";
import { BLOCK_SIZE, sealChecksum } from "../../kv-wal/redo-block.ts";
import type { SyncTiming } from "../simulator.ts";
import type { Planned } from "../workload.ts";
import {
  ALWAYS,
  ANY,
  type Bug,
  CLEANING,
  isIncrement,
  isPageWrite,
  isRedo,
  isSpace,
  isStep,
  KILL,
  onDisk,
  POWER,
  RELAXED,
  recovering,
  recoveringOn,
  running,
  STRICT,
} from "./bug.ts";
import type { Hunt } from "./hunt.ts";

/** Where the blocks of a redo file begin, and the fields of a block's header (kv-wal/redo-block.ts). */
const BLOCKS_AT = 4 * BLOCK_SIZE;
const NUMBER_AT = 8;
const DURABLE_AT = 18;

/** Values of 3000 bytes: a redo log of 256 KiB goes round. */
function largeValues(client: number): { next(): Planned } {
  let turn = 0;
  return {
    next: () => {
      const id = `${client}.${++turn}=`;
      return { kind: "write", commands: [["SET", `c${client}:s${turn % 8}`, id.padEnd(3000, "v")]] };
    },
  };
}

const LAPS: Partial<Hunt> = { plan: largeValues, clients: 2, operations: 70, batch: 6, thinkMs: [0, 20] };

/** Changes each whole block that is read from a redo file behind its header blocks. */
function eachBlock(
  file: DiskFile,
  at: number,
  into: Uint8Array,
  change: (block: Buffer, position: number) => void,
): number {
  const length = file.read(at, into);
  if (!isRedo(file.path)) return length;
  for (let from = 0; from + BLOCK_SIZE <= length; from += BLOCK_SIZE) {
    if (at + from < BLOCKS_AT) continue;
    const block = Buffer.from(into.subarray(from, from + BLOCK_SIZE));
    change(block, (at + from - BLOCKS_AT) / BLOCK_SIZE);
    into.set(block, from);
  }
  return length;
}

function seal(block: Buffer): void {
  sealChecksum(block, wordsOf(block), 0, block.length);
}

/** One block is rotten, and none remembers that it had been durable: the log seems to end there. */
function forgetDurable(file: DiskFile, at: number, into: Uint8Array): number {
  return eachBlock(file, at, into, (block) => {
    if (readU32(block, NUMBER_AT) === 0) return;
    writeU48(block, DURABLE_AT, 0);
    seal(block);
    if (readU48(block, NUMBER_AT) % 5 === 3) block[100] = (block[100] ?? 0) ^ 0xff;
  });
}

/** Pages are taken as they are, torn ones too. */
function acceptTorn(file: DiskFile, at: number, into: Uint8Array): number {
  const length = file.read(at, into);
  if (!isSpace(file.path)) return length;
  for (let from = 0; from + PAGE_SIZE <= length; from += PAGE_SIZE) {
    const page = Buffer.from(into.subarray(from, from + PAGE_SIZE));
    if (page.every((byte) => byte === 0)) continue;
    seal(page);
    into.set(page, from);
  }
  return length;
}

/** The last sector is written again when it grows: emptied first, then filled. */
function rewriteSector(file: DiskFile, at: number, bytes: Uint8Array): void {
  const start = isIncrement(file.path) ? at - (at % BLOCK_SIZE) : at;
  const kept = Buffer.alloc(at - start);
  file.read(start, kept);
  if (kept.length > 0) file.write(start, Buffer.alloc(kept.length));
  file.write(start, Buffer.concat([kept, bytes]));
}

/** kv-wal whose checkpoints say another LSN than they should. */
function createCheckpointAt(
  lsnOf: (engine: WalEngine) => number,
): (...args: Parameters<typeof createWalEngine>) => WalEngine {
  return (host, config) => {
    const engine = createWalEngine(host, config);
    const { redo } = engine.storage;
    const { ring } = redo;
    const inPlace = ring.writeCheckpoint.bind(ring);
    const inBackground = ring.writeCheckpointInBackground.bind(ring);
    ring.writeCheckpoint = (to) => inPlace({ ...to, lsn: Math.max(to.lsn, lsnOf(engine)) });
    ring.writeCheckpointInBackground = (to, done) =>
      inBackground({ ...to, lsn: Math.max(to.lsn, lsnOf(engine)) }, done);
    return engine;
  };
}

/** kv-wal whose doublewrite copies are synced together with the pages in place. */
function createOneSync(...args: Parameters<typeof createWalEngine>): WalEngine {
  const engine = createWalEngine(...args);
  const { doublewrite, space } = engine.storage;
  const copies = { sync: doublewrite.sync.bind(doublewrite), syncNow: doublewrite.syncNow.bind(doublewrite) };
  const pages = { sync: space.sync.bind(space), syncNow: space.syncNow.bind(space) };
  doublewrite.sync = (done) => args[0].afterTick(() => done(undefined));
  doublewrite.syncNow = () => {};
  space.sync = (done) => copies.sync((failure) => (failure === undefined ? pages.sync(done) : done(failure)));
  space.syncNow = () => {
    copies.syncNow();
    pages.syncNow();
  };
  return engine;
}

const SLOW_SYNCS: SyncTiming = { shortMs: [30, 60], longMs: [30, 60], longOneIn: 40 };
const WRITING_PAGES: Partial<Hunt> = { ...CLEANING, partlyOneIn: 1, crashAfter: isPageWrite };

function wal(pitfall: number, what: string, hunt: Bug["hunt"]): Bug {
  return { pitfall, what, engine: "wal", hunt };
}

export const FORMAT_BUGS: readonly Bug[] = [
  wal(
    12,
    "a page's checksum is not looked at",
    recoveringOn(STRICT, () => ({ read: acceptTorn }), ANY, WRITING_PAGES),
  ),
  wal(
    16,
    "a checkpoint lies behind the end of the durable redo",
    running(
      STRICT,
      createCheckpointAt(({ storage }) => storage.redo.log.appended),
      POWER,
      {
        ...CLEANING,
        // Commits come while pages and checkpoint are synced.
        timing: SLOW_SYNCS,
        crashAfter: isStep("wal.checkpoint", "wal.commit"),
        wanted: "refused",
      },
    ),
  ),
  wal(
    28,
    "redo is given up before its pages are written",
    running(
      STRICT,
      createCheckpointAt(({ storage }) => storage.redo.log.durable),
      POWER,
      {
        ...LAPS,
        crashAfter: isStep("wal.checkpoint", "wal.reply"),
      },
    ),
  ),
  wal(19, "a rotten block in the middle is taken for the end of the log", {
    // At 1/1 the binlog gives it away: it has what redo has lost.
    ...recoveringOn(RELAXED, () => ({ read: forgetDurable }), KILL),
    wanted: "lost write",
  }),
  {
    pitfall: 20,
    what: "the last sector is emptied before it is written again",
    engine: "aof",
    hunt: onDisk(ALWAYS, () => ({ write: rewriteSector }), KILL),
  },
  wal(24, "doublewrite copy and page are synced together", running(STRICT, createOneSync, ANY, WRITING_PAGES)),
  wal(
    24,
    "torn pages are not looked for",
    recovering(
      STRICT,
      (host, config) => {
        const engine = createWalEngine(host, config);
        engine.storage.doublewrite.repair = () => [];
        return engine;
      },
      ANY,
      WRITING_PAGES,
    ),
  ),
];
