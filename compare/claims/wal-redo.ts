/** Claims about the redo log, pages and the ring: W19 to W22, W26 to W31. */
import { type Fault, FaultyDisk } from "../../common/disk/faulty-disk.ts";
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { WalEngine } from "../../kv-wal/engine.ts";
import { hunt } from "../bugs/hunt.ts";
import { ORDERS } from "../orders/orders.ts";
import { type Case, type Claim, walCase } from "./claim.ts";
import { quietWrite } from "./matrix.ts";
import { pageToLogRatio } from "./real-time.ts";
import { type Asked, policyOf, Stage, type StageOptions, syncsOf } from "./stage.ts";

const STRICT = policyOf("wal", "1/1");
const PAGE_BYTES = 16384;
const SPACE = "wal/space";

/** Many rows, so that the small redo log of the lab goes round several times and pages are written. */
function rowsLoad(options: StageOptions = {}, rounds = 40): { stage: Stage; sent: Asked[] } {
  const stage = new Stage(STRICT, options);
  const sent: Asked[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let row = 0; row < 40; row++) sent.push(stage.send(["SET", `k${row}`, `${round}`.padEnd(400, "v")]));
    stage.rest(5);
  }
  stage.rest(50);
  return { stage, sent };
}

function walOf(stage: Stage): WalEngine {
  if (!(stage.engine instanceof WalEngine)) throw new Error("a stage of kv-wal");
  return stage.engine;
}

/** All rows of `rowsLoad`; or "refused". */
function rowsOf(life: Stage | string): string {
  if (typeof life === "string") return "refused";
  return Array.from({ length: 40 }, (_, row) => String(life.ask("GET", `k${row}`)).slice(0, 3)).join(" ");
}

function ringCase(): Case {
  const { stage } = rowsLoad();
  const { redo } = walOf(stage).storage;
  const laps = redo.log.appended / redo.ring.capacity;
  const disk = stage.disk("kill", stage.now);
  const files = [...disk.snapshot()].filter(([path]) => path.startsWith("wal/redo."));
  const size = files.reduce((sum, [, bytes]) => sum + (bytes?.length ?? 0), 0);
  const due = "it goes round in files of fixed size";
  const observed = laps > 2 && size < 2 * redo.ring.capacity ? due : "it grows";
  return walCase("a load", due, due, observed, { figure: `${laps.toFixed(1)} laps in ${Math.round(size / 1024)} KiB` });
}

function twiceCase(): Case {
  const { stage } = rowsLoad();
  const first = Stage.reopen(stage, stage.disk("kill", stage.now));
  const once = rowsOf(first);
  const second =
    typeof first === "string" ? first : Stage.reopen(first, first.disk("kill", 1 + first.events.findLastIndex(isDisk)));
  const observed = rowsOf(second) === once ? "the same" : "different";
  return walCase("replayed twice", "the same", "the same", observed);
}

function isDisk(event: Stage["events"][number]): boolean {
  return event.kind === "disk";
}

/** How often a command, or what has no client, had to wait for room in the log. */
function waitsOf(stage: Stage): number {
  const entries = stage.engine.info().flatMap((section) => section.entries);
  const named = entries.filter(([name]) => name.startsWith("redo_log") && name.endsWith("waits"));
  return named.reduce((sum, [, value]) => sum + Number(value), 0);
}

/** How long replies took while the log was full, and otherwise. */
function fullLogCase(): Case {
  const { stage, sent } = rowsLoad({ timing: syncsOf(5) }, 60);
  const times = sent.map(({ sentMs, answeredMs }) => answeredMs - sentMs).sort((a, b) => a - b);
  const median = times[times.length >> 1] ?? 0;
  const waits = waitsOf(stage);
  const observed = waits > 0 && times.every((ms) => ms >= 0) ? "writers wait, none is refused" : "writers do not wait";
  return walCase("a full log", "writers wait, none is refused", "writers wait, none is refused", observed, {
    figure: `${waits} waits; a reply took ${median.toFixed(0)} ms, at most ${(times.at(-1) ?? 0).toFixed(0)} ms`,
  });
}

/** Writes bytes into a file of a crashed disk. */
function overwrite(disk: MemoryDisk, path: string, at: number, bytes: Uint8Array): void {
  const file = disk.open(path, "update");
  file.write(at, bytes);
  file.close();
}

/** A crash while pages are written in place: the second half of the root is what it was before. */
function tornPage(doublewrite: "yes" | "no"): string {
  const options = { directives: { doublewrite } };
  const { stage } = rowsLoad(options, 3);
  stage.rest(3000);
  const from = stage.now;
  for (let row = 0; row < 40; row++) stage.send(["SET", `k${row}`, "new".padEnd(400, "n")]);
  stage.rest(3000);
  const moment = stage.after("wal.page-write", from);
  if (moment === undefined) throw new Error("no page was written");
  const disk = stage.disk("kill", moment);
  const old = stage.disk("power", moment).snapshot().get(SPACE) ?? new Uint8Array();
  const now = disk.snapshot().get(SPACE) ?? new Uint8Array();
  for (let page = 0; page * PAGE_BYTES < now.length; page++) {
    const half = page * PAGE_BYTES + PAGE_BYTES / 2;
    const before = old.subarray(half, half + PAGE_BYTES / 2);
    if (before.length > 0) overwrite(disk, SPACE, half, before);
  }
  const life = Stage.reopen(stage, disk);
  const rows = rowsOf(life);
  return rows === "refused"
    ? "the server refuses to start"
    : rows.split(" ").every((row) => row === "new")
      ? "harmless"
      : "rows are lost";
}

/** The last block of the redo log, torn. */
function tornRedo(): string {
  const { stage, write } = quietWrite(STRICT);
  const moment = stage.after("wal.redo-write", write) ?? 0;
  const disk = stage.disk("kill", moment);
  const last = stage.events
    .slice(0, moment)
    .findLast((event) => event.kind === "disk" && event.operation.kind === "write");
  if (last?.kind !== "disk" || last.operation.kind !== "write") throw new Error("no redo was written");
  overwrite(disk, last.operation.path, last.operation.at + last.operation.bytes.length - 300, Buffer.alloc(300, 0xaa));
  const life = Stage.reopen(stage, disk);
  return typeof life !== "string" && life.ask("GET", "k") === "OLD" ? "harmless" : "the server refuses to start";
}

function timeCase(): Case {
  const { ratio, figure } = pageToLogRatio();
  const observed = ratio >= 100 ? "100 × or more" : "less than 100 ×";
  return walCase("time of one synced write", "100 × or more", "less than 100 ×", observed, { how: "timed", figure });
}

/** What a load writes as redo, and what it would write if each commit wrote the pages that it changed, and their copies. */
function volumeCase(): Case {
  const { stage } = rowsLoad({ directives: { "redo-log-file-size": "16mb" } });
  const isRedo = (path: string): boolean => path.startsWith("wal/redo.");
  let redoBytes = 0;
  let redoSyncs = 0;
  const changed = new Set<string>();
  for (const event of stage.events) {
    if (event.kind === "step" && (event.step === "wal.page" || event.step === "wal.undo")) {
      changed.add(`${event.detail.transaction} ${event.detail.page}`);
    }
    if (event.kind !== "disk" || !("path" in event.operation) || !isRedo(event.operation.path)) continue;
    if (event.operation.kind === "write" && event.operation.bytes.length < PAGE_BYTES * 8)
      redoBytes += event.operation.bytes.length;
    if (event.operation.kind === "sync-end") redoSyncs++;
  }
  const pageBytes = 2 * PAGE_BYTES * changed.size;
  const observed = pageBytes > redoBytes ? "redo writes less" : "redo writes more";
  const kib = (bytes: number): string => `${Math.round(bytes / 1024).toLocaleString("en")} KiB`;
  return walCase("bytes to write", "redo writes less", "redo writes less", observed, {
    figure: `${kib(redoBytes)} of redo in ${redoSyncs} syncs, ${kib(pageBytes)} of pages in ${2 * changed.size}`,
  });
}

/** One order from compare/orders, run until it is caught. */
function caughtOracle(id: string): string {
  const order = ORDERS.find((one) => one.id === id);
  if (order === undefined) throw new Error(`no order ${id}`);
  const { caught } = hunt(order.hunt, { seed: 1 });
  return caught?.oracle ?? "nothing broke";
}

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
  const moment = stage.after("wal.redo-sync", from) ?? 0;
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
  const moment = stage.after("wal.page-sync", sent.at(-1)?.answeredAt ?? 0);
  if (moment === undefined) throw new Error("no page was synced");
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
  const age = first?.kind === "step" ? (first.detail.lsn ?? 0) / walOf(stage).storage.redo.ring.capacity : 1;
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

export const WAL_REDO_CLAIMS: readonly Claim[] = [
  {
    id: "W19",
    documents: "002 004",
    claim: "redo is circular and idempotent, and a full log makes writers wait until pages are written",
    setup: "a load of 40 rows over a redo log of 512 KiB, syncs of 5 ms",
    crash: "killed at the end, and again right after recovery",
    expected: "files of fixed size; two replays as one; replies are late, not errors",
    truth: "holds",
    because: "blocks are numbered, pages know their LSN, and a writer waits where its change begins",
    run: () => [ringCase(), twiceCase(), fullLogCase()],
  },
  {
    id: "W20",
    documents: "000",
    claim: "redo makes torn data pages harmless",
    setup: "pages are written in place",
    crash: "the second half of every page is what it was before; or the last redo block is torn",
    expected: "recovery repairs it",
    truth: "false",
    isBound: true,
    because:
      "it makes torn *redo* harmless; a torn page needs the doublewrite copy, redo changes bytes of a whole page",
    run: () => [
      walCase("the last redo block is torn", "harmless", "harmless", tornRedo()),
      walCase("a page is torn, doublewrite off", "harmless", "the server refuses to start", tornPage("no")),
      walCase("a page is torn, doublewrite on", "harmless", "harmless", tornPage("yes")),
    ],
  },
  {
    id: "W21",
    documents: "000",
    claim: "sequential redo is 100 times faster than random page writes",
    setup:
      "1 KiB appended and synced, 16 KiB written somewhere and synced, on this machine's disk; the same load's write volume",
    crash: "none",
    expected: "a factor of 100",
    truth: "false",
    isBound: true,
    because: "one sync costs much the same; what is saved is the number of syncs and the write volume",
    run: ({ real }) => (real ? [timeCase(), volumeCase()] : []),
  },
  {
    id: "W22",
    documents: "000",
    claim: "writing data pages before redo would lose durability",
    setup: "kv-wal with the order reversed (compare/orders/page-before-redo.ts)",
    crash: "power loss behind the pages' sync",
    expected: "something is broken after it",
    truth: "holds",
    because:
      "pages ahead of the log cannot be used; where nothing notices, half a transaction stays that nothing can undo",
    notShown: "on the original: its order cannot be reversed; its column is what the reason says",
    run: () => [
      walCase("any page", "refused", "refused", caughtOracle("page-before-redo")),
      walCase(
        "a stolen page, taken as it is",
        "torn transaction",
        "torn transaction",
        caughtOracle("steal-before-redo"),
      ),
    ],
  },
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
