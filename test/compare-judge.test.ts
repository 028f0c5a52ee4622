/**
 * The lab judges engines; this judges the lab: the disks it says a crash may leave (compare/crash-states.ts), and the
 * verdicts of its oracle (compare/oracle.ts) on histories and recovered data made by hand.
 */
import t from "tap";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { type DiskOperation, RecordingDisk } from "../common/disk/recording-disk.ts";
import { CrashStates } from "../compare/crash-states.ts";
import { History } from "../compare/history.ts";
import { hashCell } from "../compare/model.ts";
import { judge, type Verdict } from "../compare/oracle.ts";
import { type CrashKind, policyOf } from "../compare/policy.ts";
import { SeededRandom } from "../compare/random.ts";
import { ANY_OPERATION, ANY_ORDER, addVerdict, isBroken, newRow } from "../compare/survey.ts";
import { summaryText, tableText } from "../compare/table.ts";
import { type Planned, SETUP } from "../compare/workload.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

function textOf(disk: MemoryDisk, path: string): string | undefined {
  const content = disk.snapshot().get(path);
  return content === undefined ? undefined : Buffer.from(content).toString("latin1");
}

/** Does `work` on a recorded disk, and follows the record. */
function follow(work: (disk: RecordingDisk, ends: (() => void)[]) => void): CrashStates {
  const states = new CrashStates();
  const ends: (() => void)[] = [];
  work(new RecordingDisk(new MemoryDisk((end) => ends.push(end)), (operation) => states.apply(operation)), ends);
  return states;
}

t.test("crash states", async (t) => {
  t.test("a kill leaves everything written, a power loss what was synced", async (t) => {
    const states = follow((disk) => {
      const file = disk.open("log", "create");
      disk.syncDir("");
      file.write(0, bytes("durable"));
      file.syncNow();
      file.write(7, bytes(" not"));
    });
    t.equal(textOf(states.kill(), "log"), "durable not");
    t.equal(textOf(states.power(), "log"), "durable");
  });

  t.test("a background sync vouches for what was written before it began", async (t) => {
    const states = follow((disk, ends) => {
      const file = disk.open("log", "create");
      disk.syncDir("");
      file.write(0, bytes("one"));
      file.sync(() => {});
      file.write(3, bytes("two"));
      ends[0]?.();
    });
    t.equal(textOf(states.power(), "log"), "one");
  });

  t.test("names count when their folder was synced (I8)", async (t) => {
    const states = follow((disk) => {
      disk.makeDir("folder");
      disk.syncDir("");
      const file = disk.open("folder/new", "create");
      file.write(0, bytes("x"));
      file.syncNow();
      disk.rename("folder/new", "folder/name");
    });
    t.same(states.kill().list("folder"), ["name"]);
    t.same(states.power().list("folder"), []);
  });

  t.test("a write in flight is torn at pages of 4 KiB by a kill", async (t) => {
    const states = follow((disk) => disk.open("log", "create").write(0, bytes("abc")));
    const write: DiskOperation = { kind: "write", path: "log", file: 1, at: 3, bytes: new Uint8Array(9000).fill(120) };
    t.same(
      states.killDuring(write).map((disk) => textOf(disk, "log")?.length),
      [4096, 8192],
    );
    t.equal(textOf(states.kill(), "log"), "abc", "the write itself has not been done");
  });

  t.test("kept in order: an append survives up to some sector, an overwritten block in any part", async (t) => {
    const states = follow((disk) => {
      const file = disk.open("log", "create");
      disk.syncDir("");
      file.write(0, bytes("-".repeat(2048)));
      file.syncNow();
      file.write(0, bytes("o".repeat(1024)));
      file.write(2048, bytes("a".repeat(2000)));
      file.write(4048, bytes("b".repeat(2000)));
    });
    const random = new SeededRandom(1);
    const seen = new Set<string>();
    for (let n = 0; n < 300; n++) {
      const text = textOf(states.powerSome(random, "in order"), "log") ?? "";
      t.match(text, /^(-{512}|o{512}){2}-{1024}a*b*\0*$/, "no gap in what was appended; zeros only at the end");
      if (text.includes("b")) t.equal(text.indexOf("b"), 4048);
      seen.add(text);
    }
    t.ok(seen.size > 20, `${seen.size} different disks`);
  });

  t.test("kept in any order: later bytes survive without earlier ones", async (t) => {
    const states = follow((disk) => {
      const file = disk.open("log", "create");
      disk.syncDir("");
      file.write(0, bytes("a".repeat(512)));
      file.write(512, bytes("b".repeat(512)));
    });
    const random = new SeededRandom(1);
    const texts = Array.from({ length: 50 }, () => textOf(states.powerSome(random, "any order"), "log"));
    t.ok(texts.includes("\0".repeat(512) + "b".repeat(512)), "a hole");
    t.ok(texts.includes(""), "nothing");
    t.ok(texts.includes("a".repeat(512) + "b".repeat(512)), "everything");
  });

  t.test("a record may begin on a disk that has files", async (t) => {
    const base = new MemoryDisk();
    base.open("log", "create").write(0, bytes("before"));
    const states = new CrashStates(base);
    const disk = new RecordingDisk(base.clone(), (operation) => states.apply(operation));
    disk.open("log", "update").write(6, bytes(" after"));
    t.equal(textOf(states.kill(), "log"), "before after");
    t.equal(textOf(states.power(), "log"), "before");
  });
});

// The oracle. Client 0 and client 1 work, client 2 has opened the bank.

const ALWAYS = policyOf("aof", "always");
const EVERYSEC = policyOf("aof", "everysec");
const SETUP_CLIENT = 2;

const set = (key: string, value: string): Planned => ({ kind: "write", commands: [["SET", key, value]] });
const transfer = (client: number, id: string, amount: string): Planned => ({
  kind: "transaction",
  commands: [
    ["DECRBY", "bank:0", amount],
    ["SET", `c${client}:t`, id],
    ["INCRBY", "bank:1", amount],
  ],
});

/** The accounts as the setup leaves them, with changes. */
function bank(changes: Record<string, number> = {}): [string, string][] {
  return Array.from({ length: 8 }, (_, n) => [`bank:${n}`, String(1000 + (changes[n] ?? 0))]);
}

/** A history in which time passes by 100 ms at each event. */
class Story {
  readonly history = new History();
  #ms = 0;

  constructor() {
    this.told(SETUP_CLIENT, SETUP, "OK");
  }
  sent(client: number, planned: Planned) {
    return this.history.send(client, planned, this.#tick());
  }
  told(client: number, planned: Planned, reply: unknown): void {
    this.history.answer(this.sent(client, planned), reply, this.#tick());
  }
  #tick(): number {
    this.#ms += 100;
    return this.#ms;
  }
  verdict(found: [string, string][], under = ALWAYS, crash: CrashKind = "power"): Verdict {
    return judge({
      policy: under,
      crash,
      cut: this.history.now,
      cutMs: this.#ms,
      diskMs: 0,
      history: this.history,
      setupClient: SETUP_CLIENT,
      matrix: "A5",
      found: new Map(found),
    });
  }
}

const kinds = (verdict: Verdict): string[] => verdict.violations.map((violation) => violation.kind);

t.test("oracle", async (t) => {
  t.test("everything there: kept; what nobody was told may be there or not", async (t) => {
    const story = new Story();
    story.told(0, set("c0:s0", "1"), "OK");
    story.sent(0, set("c0:s0", "2"));
    t.match(story.verdict([...bank(), ["c0:s0", "1"]]), { acknowledged: 2, survived: 2, ghosts: 0, violations: [] });
    t.match(story.verdict([...bank(), ["c0:s0", "2"]]), { acknowledged: 2, survived: 2, ghosts: 1, violations: [] });
  });

  t.test("an acknowledged write is gone: counted, measured, and judged by the policy", async (t) => {
    const story = new Story();
    story.told(0, set("c0:s0", "1"), "OK");
    story.told(0, set("c0:s1", "2"), "OK");
    const found = bank();
    const strict = story.verdict([...found, ["c0:s0", "1"]]);
    t.match(strict, { acknowledged: 3, survived: 2, lost: 1, lostMs: 0 });
    t.match(strict.violations, [{ kind: "lost write", rule: "I1", matrix: "A5", command: "SET c0:s1 2" }]);
    t.same(kinds(story.verdict([...found, ["c0:s0", "1"]], EVERYSEC)), [], "everysec may lose the last two seconds");
    for (let n = 0; n < 11; n++) story.told(1, set("c1:s0", `later ${n}`), "OK");
    t.match(story.verdict([...found, ["c0:s0", "1"]], EVERYSEC), { lost: 12, lostMs: 2200 });
    t.same(kinds(story.verdict([...found, ["c0:s0", "1"]], EVERYSEC)), ["lost write"], "and no more");
  });

  t.test("an error reply acknowledges nothing", async (t) => {
    const story = new Story();
    story.told(0, set("c0:s0", "1"), new Error("MISCONF"));
    t.match(story.verdict(bank()), { acknowledged: 1, lost: 0, violations: [] });
  });

  t.test("a hole: an operation is gone and a later one of its client is there", async (t) => {
    const story = new Story();
    story.told(0, set("c0:s0", "1"), "OK");
    story.told(0, set("c0:s1", "2"), "OK");
    t.same(kinds(story.verdict([...bank(), ["c0:s1", "2"]], EVERYSEC)), ["hole"]);
  });

  t.test("a hole between clients: what was sent after a lost write's reply is there", async (t) => {
    const story = new Story();
    story.told(0, set("c0:s0", "1"), "OK");
    story.told(1, set("c1:s0", "2"), "OK");
    t.same(kinds(story.verdict([...bank(), ["c1:s0", "2"]], EVERYSEC)), ["hole"]);
    t.same(kinds(story.verdict([...bank(), ["c0:s0", "1"]], EVERYSEC)), [], "the other way round it is a suffix");
  });

  t.test("an operation that changed nothing is no hole", async (t) => {
    const story = new Story();
    story.told(0, set("c0:s0", "1"), "OK");
    story.told(1, { kind: "write", commands: [["DEL", "c1:s0"]] }, 0);
    t.same(kinds(story.verdict(bank(), EVERYSEC)), []);
  });

  t.test("a transaction is there whole or not at all", async (t) => {
    const story = new Story();
    story.told(0, set("c0:s0", "1"), "OK");
    story.told(0, transfer(0, "x", "10"), [990, "OK", 1010]);
    const whole = story.verdict([...bank({ 0: -10, 1: 10 }), ["c0:s0", "1"], ["c0:t", "x"]]);
    t.match(whole, { atomic: true, violations: [] });
    const half = story.verdict([...bank({ 0: -10 }), ["c0:s0", "1"], ["c0:t", "x"]]);
    t.match(half, { atomic: false, violations: [{ kind: "wrong sum", rule: "I5" }] });
    const without = story.verdict([...bank({ 0: -10, 1: 10 }), ["c0:s0", "1"]], EVERYSEC);
    t.same(kinds(without), ["hole"], "the money has moved, the mark has not: the sum is right and still it is wrong");
  });

  t.test("half a transaction on a client's own keys", async (t) => {
    const story = new Story();
    const both: Planned = {
      kind: "transaction",
      commands: [...set("c0:s0", "1").commands, ...set("c0:s1", "2").commands],
    };
    story.told(0, both, ["OK", "OK"]);
    t.match(story.verdict([...bank(), ["c0:s0", "1"]]), { atomic: false, violations: [{ kind: "torn transaction" }] });
  });

  t.test("data that nobody wrote", async (t) => {
    const story = new Story();
    story.told(0, set("c0:s0", "1"), "OK");
    t.same(kinds(story.verdict([...bank(), ["c0:s0", "x"]])), ["invented data"], "a value");
    t.same(kinds(story.verdict([...bank(), ["c0:s0", "1"], ["c0:s7", ""]])), ["invented data"], "a key");
    t.same(kinds(story.verdict([...bank(), ["c0:s0", "1"], ["?", "1 more keys"]])), ["invented data"], "a foreign key");
  });

  t.test("a read showed what vanished (I1)", async (t) => {
    const story = new Story();
    story.sent(0, set("c0:s0", "1"));
    story.told(1, { kind: "read", commands: [["GET", "c0:s0"]] }, "1");
    t.match(story.verdict(bank()).violations, [{ kind: "vanished read", rule: "I1", command: "GET c0:s0" }]);
    t.same(kinds(story.verdict([...bank(), ["c0:s0", "1"]])), []);
    t.same(kinds(story.verdict(bank(), EVERYSEC)), [], "where losing is allowed, so is this");
  });

  t.test("counters, appended logs and hashes are followed command by command", async (t) => {
    const story = new Story();
    for (const command of [
      ["INCR", "c0:n"],
      ["INCR", "c0:n"],
      ["APPEND", "c0:log", "a;"],
      ["APPEND", "c0:log", "b;"],
      ["HSET", "c0:h", "f", "1"],
      ["HDEL", "c0:h", "f"],
    ]) {
      story.told(0, { kind: "write", commands: [command] }, 1);
    }
    const cells: [string, string][] = [
      ["c0:n", "2"],
      ["c0:log", "a;b;"],
    ];
    t.same(kinds(story.verdict([...bank(), ...cells])), []);
    t.match(story.verdict([...bank(), ...cells, [hashCell("c0:h", "f"), "1"]]), { lost: 1 });
    t.same(kinds(story.verdict([...bank(), ["c0:n", "1"], ["c0:log", "a;b;"]], EVERYSEC)), ["hole"]);
  });
});

t.test("table", async (t) => {
  const story = new Story();
  story.told(0, set("c0:s0", "1"), "OK");
  const kept = story.verdict([...bank(), ["c0:s0", "1"]]);
  const lost = story.verdict(bank());

  t.test("a broken promise is red, counted once, and says how to run it again", async (t) => {
    const row = newRow(ALWAYS, "power", ANY_OPERATION, "A4");
    addVerdict(row, kept, "seed 1");
    t.notOk(isBroken(row));
    addVerdict(row, lost, "seed 1, event 7");
    addVerdict(row, lost, "seed 1, event 8");
    t.ok(isBroken(row));
    t.match(row, { crashes: 3, acknowledged: 2, lost: 1, reproduce: "seed 1, event 7" });
    const text = tableText([ALWAYS], [row], { color: false, width: undefined });
    t.match(text, /power {2}any disk operation .* no +I1 lost write: 1 acknowledged write is gone \(seed 1, event 7\)/);
    t.match(tableText([ALWAYS], [row], { color: true, width: undefined }), "\u001b[31mno");
    t.match(
      summaryText([ALWAYS], [row], { color: false, width: undefined }),
      /BROKEN {2}3 power losses: lost up to 1 write,/,
    );
  });

  t.test("what nothing promises breaks no promise", async (t) => {
    const refusal = { ...lost, refused: "expected '*'" };
    const aof = newRow(ALWAYS, "power", ANY_ORDER, "A4");
    addVerdict(aof, refusal, "");
    t.notOk(isBroken(aof), "an AOF has no checksums");
    const wal = newRow(policyOf("wal", "1/1"), "power", ANY_ORDER, "W12");
    addVerdict(wal, refusal, "");
    t.ok(isBroken(wal), "redo, binlog and pages have them");
  });

  t.test("crash points with the same outcome share a line, and no line is longer than the terminal", async (t) => {
    const probe = { acknowledged: false, survived: false };
    const rows = ["aof.apply", "aof.append"].map((step) => newRow(ALWAYS, "power", step, "A1", probe));
    for (const row of rows) addVerdict(row, kept, "");
    const style = { color: false, width: 100 };
    const text = `${tableText([ALWAYS], rows, style)}\n${summaryText([ALWAYS], rows, style)}`;
    t.match(text, /power {2}aof\.apply … append +no +no +2 /);
    for (const line of text.split("\n")) t.ok(line.length <= 100, line);
  });
});
