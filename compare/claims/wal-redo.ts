/** Claims about the redo log: W19 to W22. */
import { type Case, type Claim, walCase } from "./claim.ts";
import { quietWrite } from "./matrix.ts";
import { pageToLogRatio } from "./real-time.ts";
import { Stage, syncsOf } from "./stage.ts";
import { caughtOracle, overwrite, PAGE_BYTES, rowsLoad, rowsOf, SPACE, STRICT, walOf } from "./wal-load.ts";

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
  if (typeof first === "string") throw new Error(first);
  const second = Stage.reopen(first, first.disk("kill", 1 + first.events.findLastIndex(isDisk)));
  const due = rowsOf(stage);
  const observed = rowsOf(first) === due && rowsOf(second) === due ? "the same" : "different";
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
  const isTold = sent.every((asked) => Stage.isTold(asked, stage.now));
  const observed = waits === 0 ? "writers do not wait" : `writers wait, ${isTold ? "none is" : "some are"} refused`;
  return walCase("a full log", "writers wait, none is refused", "writers wait, none is refused", observed, {
    figure: `${waits} waits; a reply took ${median.toFixed(0)} ms, at most ${(times.at(-1) ?? 0).toFixed(0)} ms`,
  });
}

/** A crash while pages are written in place: the second half of the root is what it was before. */
function tornPage(doublewrite: "yes" | "no"): string {
  const options = { directives: { doublewrite } };
  const { stage } = rowsLoad(options, 3);
  stage.rest(3000);
  const from = stage.now;
  for (let row = 0; row < 40; row++) stage.send(["SET", `k${row}`, "new".padEnd(400, "n")]);
  stage.rest(3000);
  const moment = stage.behind("wal.page-write", from);
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
  const moment = stage.behind("wal.redo-write", write);
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
];
