/** Claims about replay, pages and errors of the disk: W26 to W31. */
import { type Fault, FaultyDisk } from "../../common/disk/faulty-disk.ts";
import { WalEngine } from "../../kv-wal/engine.ts";
import { type Case, type Claim, walCase } from "./claim.ts";
import { type Asked, answerOf, Stage, type StageOptions, syncsOf } from "./stage.ts";
import { caughtOracle, overwrite, PAGE_BYTES, rowsLoad, SPACE, STRICT, walOf } from "./wal-load.ts";

/** A load on a disk that fails at some file and call, for good. */
function faultCase(
  what: string,
  fault: Omit<Fault, "nth" | "times">,
  nth: number,
  measured: string,
  better?: string,
): Case {
  const full: Fault = { ...fault, nth, times: 100_000 };
  const stage = new Stage(STRICT, { wrapDisk: (disk, later) => new FaultyDisk(disk, [full], later) });
  const sent: Asked[] = [];
  for (let turn = 1; turn <= 60 && stage.failure === undefined; turn++) {
    sent.push(stage.send(["SET", `k${turn}`, "v"], turn));
    stage.rest(100);
  }
  // Nobody writes: pages are cleaned.
  if (stage.failure === undefined) stage.rest(3000);
  const told = sent.filter((asked) => Stage.isTold(asked, stage.now));
  const life = Stage.reopen(stage, stage.disk("power", stage.now));
  const kept = typeof life !== "string" && told.every(({ words }) => life.ask("GET", words[1] ?? "") === "v");
  const end = stage.failure === undefined ? "it goes on" : "it stops";
  const observed =
    typeof life === "string" ? `${end}; the restart fails` : `${end}; the restart has ${kept ? "everything" : "less"}`;
  return walCase(what, "it stops; the restart has everything", measured, observed, {
    figure: `${told.length} acknowledged`,
    ...(better !== undefined && {
      better: { shows: better, because: "one rule for every file: after a failed write nothing is acknowledged (I6)" },
    }),
  });
}

/** A transaction that was not over, half of it on disk: what recovery says it did. */
function replayOfLosers(): string {
  const stage = new Stage(STRICT, { directives: { "redo-log-file-size": "16mb" } });
  const from = stage.now;
  stage.send(["MULTI"]);
  for (let field = 0; field < 400; field++) stage.send(["HSET", "h", `f${field}`, "v".repeat(700)]);
  stage.send(["EXEC"]);
  stage.rest(1000);
  // Its redo is synced, its binlog not yet written.
  const moment = stage.behind("wal.redo-sync", from);
  const life = Stage.reopen(stage, stage.disk("kill", moment));
  if (typeof life === "string") return "refused";
  const said = life.recoveryLines.join("\n");
  const replayed = /replayed redo/.test(said);
  const undone = /rolled back/.test(said);
  return replayed && undone
    ? "everything, then the losers are undone"
    : replayed
      ? "committed changes only"
      : "nothing";
}

/** The same redo over pages that have it already; `ignoresLsn`: the page's LSN is not asked. */
function replayOver(ignoresLsn: boolean): string {
  const { stage } = rowsLoad({}, 4);
  // The checkpoint passes them: their pages are not made anew by the replay.
  stage.rest(3000);
  // Some rows more, whose records insert: done twice they would be there twice.
  const sent = Array.from({ length: 30 }, (_, row) => stage.send(["SET", `new${row}`, "v".repeat(300)]));
  stage.rest(3000);
  const moment = stage.behind("wal.page-sync", sent.map(answerOf).at(-1) ?? 0);
  const create: NonNullable<StageOptions["create"]> = (_name, host, config) => {
    const engine = new WalEngine(host, config);
    const { arena } = engine.storage.pool;
    if (ignoresLsn) arena.lsnOf = () => 0;
    const recover = engine.recover.bind(engine);
    engine.recover = () => {
      try {
        return recover();
      } finally {
        if (ignoresLsn) Reflect.deleteProperty(arena, "lsnOf");
      }
    };
    return engine;
  };
  try {
    const life = Stage.reopen(stage, stage.disk("kill", moment), { create });
    if (typeof life === "string") return "broken";
    const keys = life.ask("KEYS", "*");
    const right = Array.isArray(keys) && keys.length === 70 && new Set(keys).size === 70;
    return right && life.failure === undefined ? "harmless" : "broken";
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return "broken";
    throw error;
  }
}

/** What happens between the end of room in the log and the next redo that is written, in order. */
function fullLogOrder(): { order: string; throttled: string } {
  const { stage } = rowsLoad({ timing: syncsOf(5) }, 60);
  const names = stage.events.map((event) => {
    if (event.kind === "step" && event.step === "wal.page-sync") return "pages synced";
    if (event.kind === "step" && event.step === "wal.checkpoint") return "checkpoint synced";
    return event.kind === "step" && event.step === "wal.redo-write" ? "redo written" : "";
  });
  const written = names.filter((name) => name !== "");
  // Wherever pages were synced to make room, a checkpoint follows before the ring goes on over them.
  const pages = written.indexOf("pages synced");
  const order = [...new Set(written.slice(pages, written.indexOf("redo written", pages + 1) + 1))].join(" → ");
  const first = stage.events.find((event) => event.kind === "step" && event.step === "wal.page-write");
  if (first?.kind !== "step" || first.detail.lsn === undefined) throw new Error("no page was written");
  const age = first.detail.lsn / walOf(stage).storage.redo.ring.capacity;
  return { order, throttled: age < 0.9 ? "long before it is full" : "when it is full" };
}

/** A page that rots although all redo is on disk: does redo bring it back? */
function rottenPage(): string {
  const { stage } = rowsLoad({}, 3);
  stage.rest(3000);
  const disk = stage.disk("power", stage.now);
  overwrite(disk, SPACE, PAGE_BYTES + 1000, Buffer.alloc(64, 0xaa));
  const life = Stage.reopen(stage, disk);
  if (typeof life === "string") return "it is lost, and reported";
  life.ask("GET", "k1");
  return life.failure === undefined ? "redo repairs it" : "it is lost, and reported";
}

function redoFilesCase(files: string, whose: string): Case {
  const stage = new Stage(STRICT, { directives: { "redo-log-files-in-group": files } });
  stage.ask("SET", "k", "v");
  const disk = stage.disk("kill", stage.now);
  const count = disk.list("wal").filter((name) => /^redo\.\d+$/.test(name)).length;
  const life = Stage.reopen(stage, disk);
  const works = typeof life !== "string" && life.ask("GET", "k") === "v";
  return walCase(
    `redo-log-files-in-group ${files} (${whose})`,
    "2 files",
    `${files} files`,
    works ? `${count} files` : "broken",
  );
}

export const WAL_PAGES_CLAIMS: readonly Claim[] = [
  {
    id: "W26",
    documents: "",
    claim: "after an error of the disk the server stops, and a restart recovers",
    setup: "a SET every 100 ms; from some call on, one file fails",
    crash: "power loss at the end",
    expected: "it stops; the restart has everything acknowledged",
    truth: "holds only if",
    because: "redo and data files abort at once; with a full binlog disk commits wait for space",
    run: () => {
      const due = "it stops; the restart has everything";
      const redo = (path: string): boolean => path.startsWith("wal/redo");
      const binlog = (path: string): boolean => path.startsWith("wal/binlog.0");
      return [
        faultCase("a redo write fails", { call: "write", code: "EIO", path: redo }, 12, due),
        faultCase("a redo fsync fails", { call: "sync", code: "EIO", path: redo }, 9, due),
        faultCase("a data file fsync fails", { call: "sync", code: "EIO", path: (path) => path === SPACE }, 3, due),
        faultCase(
          "the binlog's disk is full",
          { call: "write", code: "ENOSPC", path: binlog },
          6,
          "it waits; the restart has everything",
          due,
        ),
      ];
    },
  },
  {
    id: "W27",
    documents: "000 003",
    claim: "recovery replays committed changes",
    setup: "a transaction of 400 rows whose redo is on disk and whose binlog is not",
    crash: "killed between the two",
    expected: "nothing of it is replayed",
    truth: "false",
    because: "everything from the checkpoint on is replayed, then the losers are undone",
    run: () => [walCase("1/1", "committed changes only", "everything, then the losers are undone", replayOfLosers())],
  },
  {
    id: "W28",
    documents: "002",
    claim: "replaying a record twice is harmless because it is physical",
    setup: "redo over pages that have it already; with the page's LSN, and with the LSN ignored",
    crash: "killed between the pages' sync and the checkpoint",
    expected: "harmless either way",
    truth: "holds only if",
    because: "the page's LSN says what it has; the record alone (insert a row here) does not",
    notShown: "on the original without the LSN: its column is what the reason says",
    run: () => [
      walCase("the page's LSN is asked", "harmless", "harmless", replayOver(false)),
      walCase("it is ignored", "harmless", "broken", replayOver(true)),
    ],
  },
  {
    id: "W29",
    documents: "004",
    claim: "with a full log, writers wait until the dirty page is flushed",
    setup: "a load over a redo log of 512 KiB, syncs of 5 ms",
    crash: "none",
    expected: "pages synced, then redo goes on; nothing before the log is full",
    truth: "false",
    because: "also until the checkpoint is written and durable; and cleaning starts long before the log is full",
    run() {
      const { order, throttled } = fullLogOrder();
      const right = "pages synced → checkpoint synced → redo written";
      return [
        walCase("what is waited for", "pages synced → redo written", right, order),
        walCase("when it begins", "when it is full", "long before it is full", throttled),
      ];
    },
  },
  {
    id: "W30",
    documents: "000",
    claim: "data before redo is bad because the disk might be damaged later",
    setup: "the order reversed on a disk that stays whole; the right order on a page that rots",
    crash: "power loss; none",
    expected: "harmless on a whole disk; redo repairs the rotten page",
    truth: "false",
    because:
      "a stolen page without its log cannot be undone on a perfect disk; a circular log never covers media failure",
    notShown: "the reversed order on the original: its column is what the reason says",
    run: () => [
      walCase("reversed, the disk is whole", "nothing broke", "torn transaction", caughtOracle("steal-before-redo")),
      walCase("right order, a page rots", "redo repairs it", "it is lost, and reported", rottenPage()),
    ],
  },
  {
    id: "W31",
    documents: "002 004",
    claim: "redo is two files, ib_logfile0 and ib_logfile1",
    setup: "folders made with different numbers of redo files",
    crash: "killed, restarted",
    expected: "two files",
    truth: "holds only if",
    because: "before MySQL 8.0.30; since then 32 files; MariaDB has one",
    run: () => [
      redoFilesCase("1", "as MariaDB"),
      redoFilesCase("2", "as MySQL before 8.0.30"),
      redoFilesCase("32", "as MySQL since 8.0.30"),
    ],
  },
];
