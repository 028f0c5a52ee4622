/**
 * The steps of both write paths, in order: the one list that the trace, the crash points, the documentation and the
 * tests use. `host.trace(name, …)` is called just *after* the step was done; a process killed at a step has therefore
 * done this step and none that follows.
 *
 * `matrix` is the crash point of shared/CRASH-MATRIX.md that a crash right after the step produces.
 */

export interface Step {
  readonly name: string;
  readonly engine: "aof" | "wal";
  /** Where the step runs: per command, at the end of the turn (group commit), or later in the background. */
  readonly phase: "execute" | "settle" | "later";
  readonly matrix: string;
  readonly meaning: string;
}

export const STEPS = [
  { name: "aof.apply", engine: "aof", phase: "execute", matrix: "A1", meaning: "the command changed memory" },
  { name: "aof.append", engine: "aof", phase: "execute", matrix: "A1", meaning: "its effects are in the AOF buffer" },
  {
    name: "aof.write",
    engine: "aof",
    phase: "settle",
    matrix: "A3",
    meaning: "the buffer was written to the AOF (page cache)",
  },
  { name: "aof.fsync", engine: "aof", phase: "settle", matrix: "A4", meaning: "the AOF is on disk" },
  { name: "aof.reply", engine: "aof", phase: "settle", matrix: "A5", meaning: "the reply left" },
  {
    name: "aof.seal",
    engine: "aof",
    phase: "later",
    matrix: "A7a",
    meaning: "a rewrite begins: the increment that grew is on disk, whole",
  },
  {
    name: "aof.increment",
    engine: "aof",
    phase: "later",
    matrix: "A7a",
    meaning: "the next increment exists, empty; the manifest does not name it",
  },
  {
    name: "aof.begin",
    engine: "aof",
    phase: "later",
    matrix: "A7b",
    meaning: "the manifest names the next increment, synced: what is written from now on goes there",
  },
  {
    name: "aof.base",
    engine: "aof",
    phase: "later",
    matrix: "A7c",
    meaning: "the new base is on disk, under its temporary name",
  },
  {
    name: "aof.rename",
    engine: "aof",
    phase: "later",
    matrix: "A7d",
    meaning: "the new base has its name; the manifest does not name it",
  },
  {
    name: "aof.install",
    engine: "aof",
    phase: "later",
    matrix: "A7d",
    meaning: "the manifest names the new base, synced: what it replaces is history",
  },
  { name: "aof.clear", engine: "aof", phase: "later", matrix: "A7d", meaning: "the history is removed, synced" },

  { name: "wal.undo", engine: "wal", phase: "execute", matrix: "W1", meaning: "the old row is in an undo page" },
  { name: "wal.redo", engine: "wal", phase: "execute", matrix: "W1", meaning: "the change is in the redo buffer" },
  {
    name: "wal.page",
    engine: "wal",
    phase: "execute",
    matrix: "W1",
    meaning: "the page in the buffer pool is changed",
  },
  {
    name: "wal.prepare",
    engine: "wal",
    phase: "settle",
    matrix: "W4",
    meaning: "the transaction is marked prepared in the redo buffer",
  },
  {
    name: "wal.redo-write",
    engine: "wal",
    phase: "settle",
    matrix: "W4",
    meaning: "redo up to the prepare mark was written (page cache)",
  },
  {
    name: "wal.redo-sync",
    engine: "wal",
    phase: "settle",
    matrix: "W5",
    meaning: "redo up to the prepare mark is on disk",
  },
  {
    name: "wal.binlog-write",
    engine: "wal",
    phase: "settle",
    matrix: "W7",
    meaning: "the transaction is in the binlog (page cache)",
  },
  {
    name: "wal.binlog-sync",
    engine: "wal",
    phase: "settle",
    matrix: "W8",
    meaning: "the binlog is on disk: the decision",
  },
  {
    name: "wal.commit",
    engine: "wal",
    phase: "settle",
    matrix: "W9",
    meaning: "the transaction is marked committed in memory",
  },
  { name: "wal.reply", engine: "wal", phase: "settle", matrix: "W10", meaning: "the reply left" },
  {
    name: "wal.doublewrite",
    engine: "wal",
    phase: "later",
    matrix: "W13",
    meaning: "dirty pages are in the doublewrite file, synced",
  },
  {
    name: "wal.page-write",
    engine: "wal",
    phase: "later",
    matrix: "W12",
    meaning: "dirty pages were written in place (page cache)",
  },
  { name: "wal.page-sync", engine: "wal", phase: "later", matrix: "W12", meaning: "the tablespace is on disk" },
  { name: "wal.checkpoint", engine: "wal", phase: "later", matrix: "W11", meaning: "the checkpoint moved, synced" },
] as const satisfies readonly Step[];

export type StepName = (typeof STEPS)[number]["name"];
