/**
 * What kv-aof makes of the files it finds: every place at which a file can end, damage in its frame, snapshots of a real
 * Redis, and the first start. Recovery is run twice wherever it changes something: the second finds nothing to do (I7).
 */
import t from "tap";
import { FaultyDisk } from "../common/disk/faulty-disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { CorruptFile, DiskFailure } from "../common/errors.ts";
import { AofReader } from "../kv-aof/aof-reader.ts";
import { checkAof, describeReport, dumpAof } from "../kv-aof/inspect.ts";
import { AofFixture, aofText, fileOf, INCREMENT, MANIFEST, withFile } from "./support/aof-fixture.ts";

/** A folder as the engine leaves it: with a transaction in the middle. */
function written(): MemoryDisk {
  const disk = new MemoryDisk();
  const aof = new AofFixture(disk, { appendfsync: "always" }, 1_000_000);
  aof.line("SET a 1");
  aof.line("HSET h f v");
  aof.line("SET gone 1 PX 10");
  aof.nowMs += 10;
  aof.line("SET gone 2");
  aof.select(1);
  aof.line("APPEND b xyz");
  aof.settle();
  return disk;
}

const SOURCE = written();
const WHOLE = fileOf(SOURCE, INCREMENT);

function recover(disk: MemoryDisk, directives: Readonly<Record<string, string>> = {}): AofFixture {
  return new AofFixture(disk, directives);
}

/** The refusal of a disk, as text. */
function refusal(disk: MemoryDisk, directives: Readonly<Record<string, string>> = {}): string {
  try {
    recover(disk, directives);
  } catch (error) {
    if (error instanceof CorruptFile) return error.message;
    throw error;
  }
  return "accepted";
}

/** Offsets behind each whole command that is not inside a transaction: where recovery may cut. */
function cuts(bytes: Buffer): number[] {
  const file = withFile(new MemoryDisk(), "x", bytes).open("x", "read");
  const reader = new AofReader(file, 0);
  const found = [0];
  let open = false;
  while (reader.next() === "command") {
    if (reader.args[0] === "MULTI") open = true;
    if (reader.args[0] === "EXEC") open = false;
    if (!open) found.push(reader.position);
  }
  return found;
}

t.test("a file that ends anywhere is cut behind its last whole command", async (t) => {
  const allowed = cuts(WHOLE);
  t.ok(allowed.length >= 6);
  const prefixes = new Map<number, string[]>();
  for (let length = 0; length <= WHOLE.length; length++) {
    const expected = Math.max(...allowed.filter((cut) => cut <= length));
    const disk = withFile(SOURCE, INCREMENT, WHOLE.subarray(0, length));
    const aof = recover(disk);
    if (fileOf(disk, INCREMENT).length !== expected)
      t.fail(`length ${length} was cut to ${fileOf(disk, INCREMENT).length}`);
    const cutSaid = aof.recovery.lines.some((line) => line.startsWith("cut "));
    if (cutSaid !== length > expected) t.fail(`length ${length}: a cut is said if there is one`);
    const contents = prefixes.get(expected) ?? aof.contents();
    prefixes.set(expected, contents);
    if (aof.contents().join() !== contents.join())
      t.fail(`length ${length}: other contents than at the cut ${expected}`);
    const again = recover(disk.afterPowerLoss());
    if (again.contents().join() !== contents.join()) t.fail(`length ${length}: the cut was not durable`);
    if (again.recovery.lines.some((line) => line.startsWith("cut "))) t.fail(`length ${length}: cut twice`);
  }
  t.same(prefixes.get(WHOLE.length), ["0 a 1 @-1", "0 gone 2 @-1", "0 h {f=v} @-1", "1 b xyz @-1"]);
});

t.test("with aof-load-truncated no, a torn end is refused with its offset, and nothing is changed", async (t) => {
  const disk = withFile(SOURCE, INCREMENT, WHOLE.subarray(0, WHOLE.length - 3));
  const lastCut = cuts(WHOLE).at(-2);
  t.match(refusal(disk, { "aof-load-truncated": "no" }), new RegExp(`unexpected end of file .* at offset ${lastCut}$`));
  t.equal(fileOf(disk, INCREMENT).length, WHOLE.length - 3);
});

t.test("what is written after a cut is read back, without what was cut (pitfalls 8, 17)", async (t) => {
  const disk = withFile(SOURCE, INCREMENT, WHOLE.subarray(0, WHOLE.length - 3));
  const aof = recover(disk, { appendfsync: "always" });
  aof.line("SET new 1");
  aof.settle();
  t.same(recover(disk.afterPowerLoss()).contents(), aof.contents());
});

t.test("an end of zeros is cut, and said (A13)", async (t) => {
  const lastCut = cuts(WHOLE).at(-2)!;
  for (const keep of [WHOLE.length, WHOLE.length - 1, WHOLE.length - 4, lastCut + 1, lastCut + 6]) {
    const bytes = Buffer.concat([WHOLE.subarray(0, keep), Buffer.alloc(5000)]);
    const disk = withFile(SOURCE, INCREMENT, bytes);
    const aof = recover(disk);
    t.match(aof.recovery.lines.join("\n"), /a zero-filled end/);
    t.equal(fileOf(disk, INCREMENT).length, keep === WHOLE.length ? WHOLE.length : lastCut);
  }
  const middle = Buffer.concat([WHOLE, Buffer.alloc(100), aofText("SET z 1")]);
  t.match(refusal(withFile(SOURCE, INCREMENT, middle)), new RegExp(`at offset ${WHOLE.length}$`), "not in the middle");
});

t.test(
  "a flipped bit in the frame is refused with its place, or cuts what it has torn; never anything else",
  async (t) => {
    // A frame is everything but the bytes of arguments, which carry no checksum: there a changed bit is a changed value.
    const frame = frameOffsets(WHOLE);
    const intact = recover(SOURCE.clone()).contents();
    let refused = 0;
    for (const offset of frame) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = Buffer.from(WHOLE);
        bytes[offset]! ^= 1 << bit;
        const disk = withFile(SOURCE, INCREMENT, bytes);
        const message = refusal(disk);
        if (message !== "accepted") {
          refused++;
          if (!/ at offset \d+$/.test(message)) t.fail(`offset ${offset} bit ${bit}: no offset in "${message}"`);
          continue;
        }
        const contents = recover(disk).contents();
        const isLastCommand = offset >= cuts(WHOLE).at(-2)!;
        const isComment = bytes[offset] === 35;
        if (!isLastCommand && !isComment && contents.join() !== intact.join()) {
          t.fail(`offset ${offset} bit ${bit}: silently other contents: ${contents.join(", ")}`);
        }
      }
    }
    t.ok(refused > frame.length * 6, "nearly all are refused");
  },
);

t.test("a length that reaches beyond the end is damage, not a torn end, when commands follow", async (t) => {
  const bytes = Buffer.from(WHOLE.toString("latin1").replace("$1\r\na\r\n", "$9999999\r\na\r\n"), "latin1");
  t.match(
    refusal(withFile(SOURCE, INCREMENT, bytes)),
    /a length reaches beyond the end of the file, although a command follows/,
  );
});

t.test("commands that cannot have been logged are refused with the offset of the command", async (t) => {
  const cases: [lines: string[], problem: string][] = [
    [["NOSUCH a"], "unknown command 'NOSUCH'"],
    [["SET a"], "wrong number of arguments for 'set'"],
    [["SET a x", "INCR a"], "'incr' failed: ERR value is not an integer or out of range"],
    [["SELECT 99"], "there is no database 99 to select"],
    [["MULTI", "MULTI"], "MULTI inside MULTI"],
    [["EXEC"], "EXEC without MULTI"],
    [["MULTI", "NOSUCH a"], "unknown command 'NOSUCH'"],
  ];
  for (const [lines, problem] of cases) {
    const bytes = aofText("SET first 1", ...lines, "SET last 1");
    const offset = aofText("SET first 1", ...lines.slice(0, -1)).length;
    t.equal(refusal(withFile(SOURCE, INCREMENT, bytes)), `${INCREMENT}: ${problem} at offset ${offset}`);
  }
});

t.test("annotations are skipped, as Redis skips them", async (t) => {
  const bytes = Buffer.concat([Buffer.from("#TS:1700000000\r\n"), aofText("SET a 1"), Buffer.from("#end\n")]);
  t.same(recover(withFile(SOURCE, INCREMENT, bytes)).contents(), ["0 a 1 @-1"]);
});

t.test("an argument longer than the reader's chunk", async (t) => {
  const long = "v".repeat(3_000_000);
  const bytes = aofText("SET before 1", `SET long ${long}`, "SET after 1");
  const disk = withFile(SOURCE, INCREMENT, bytes);
  t.same(recover(disk).contents(), ["0 after 1 @-1", "0 before 1 @-1", `0 long ${long} @-1`]);
  const torn = withFile(SOURCE, INCREMENT, bytes.subarray(0, 2_000_000));
  t.same(recover(torn).contents(), ["0 before 1 @-1"]);
});

t.test("a limit on strings that was lowered meanwhile does not refuse what was logged", async (t) => {
  const disk = new MemoryDisk();
  const aof = new AofFixture(disk);
  t.equal(aof.run("SETRANGE", "k", "3000000", "x"), ":3000001\r\n");
  t.equal(aof.run("APPEND", "k", "y"), ":3000002\r\n");
  aof.settle();
  await aof.engine.close();
  const again = new AofFixture(disk, { "proto-max-bulk-len": "1mb" });
  t.equal(again.run("STRLEN", "k"), ":3000002\r\n");
});

t.test("what a killed process had only in the page cache is durable once it was recovered (I1)", async (t) => {
  const disk = new MemoryDisk();
  const killed = new AofFixture(disk, { appendfsync: "no" });
  killed.line("SET a 1");
  killed.settle();
  const next = recover(disk, { appendfsync: "always" });
  t.equal(next.line("GET a"), "$1\r\n1\r\n");
  t.equal(next.settle().outcome, "sent");
  t.same(recover(disk.afterPowerLoss()).contents(), ["0 a 1 @-1"]);
});

t.test("the manifest", async (t) => {
  const second = "appendonlydir/appendonly.aof.2.incr.aof";
  const manifest = (text: string): MemoryDisk => withFile(SOURCE, MANIFEST, Buffer.from(text, "latin1"));
  const line = (sequence: number, type: string, name = `appendonly.aof.${sequence}.incr.aof`): string =>
    `file ${name} seq ${sequence} type ${type}\n`;

  t.test("several increments are replayed in order; only the last may be torn", async (t) => {
    const both = withFile(manifest(line(1, "i") + line(2, "i")), second, aofText("SET a 2"));
    t.match(recover(both).contents()[0], /^0 a 2 /);
    const torn = withFile(both, INCREMENT, WHOLE.subarray(0, WHOLE.length - 1));
    t.match(refusal(torn), /and it is not the last file, at offset/);
  });

  t.test("history, comments and unknown files are left alone; a quoted name is read", async (t) => {
    const name = 'append only "x".aof';
    const text = `# comment\n${line(1, "h", "old.aof")}file "append only \\"x\\".aof" seq 1 type i\n`;
    const disk = withFile(manifest(text), `appendonlydir/${name}`, aofText("SET q 1"));
    t.same(recover(disk).contents(), ["0 q 1 @-1"]);
  });

  t.test("a base in AOF format comes first; an increment is made behind it", async (t) => {
    const base = "appendonly.aof.1.base.aof";
    const disk = withFile(manifest(line(1, "b", base)), `appendonlydir/${base}`, aofText("SET base 1"));
    t.match(refusal(disk), /the file has data, but the manifest does not name it/, "an increment it lacks is kept");
    disk.remove("appendonlydir/appendonly.aof.1.incr.aof");
    const aof = recover(disk, { appendfsync: "always" });
    aof.line("SET more 1");
    aof.settle();
    const files = line(1, "b", base) + line(1, "i");
    t.match(fileOf(disk, MANIFEST).toString(), new RegExp(`^#twolog 1\n${files}#twolog manifest crc32 [0-9a-f]{8}\n$`));
    t.same(recover(disk.afterPowerLoss()).contents(), ["0 base 1 @-1", "0 more 1 @-1"]);
  });

  t.test("what is wrong with it is said", async (t) => {
    t.match(refusal(manifest(line(7, "i"))), /the manifest names this file, which is missing/);
    t.match(refusal(manifest("nonsense\n")), /not a line of a manifest at offset 0/);
    t.match(refusal(manifest(line(2, "i") + line(1, "i"))), /not in the order of their numbers/);
    t.match(refusal(manifest(line(1, "b") + line(2, "b"))), /a second base file/);
    t.match(refusal(manifest(line(1, "x"))), /no file type/);
    t.match(refusal(manifest("file ../x seq 1 type i\n")), /no file name, or a path/);
    t.match(refusal(manifest("")), /names no file/);
  });

  t.test("data without a manifest is not overwritten", async (t) => {
    const disk = SOURCE.clone();
    disk.remove(MANIFEST);
    t.match(refusal(disk), /the file has data, but there is no appendonlydir\/appendonly.aof.manifest/);
  });

  t.test("a single file as of Redis 6 is not overlooked", async (t) => {
    const disk = new MemoryDisk();
    disk.open("appendonly.aof", "create").close();
    t.match(refusal(disk), /as of Redis 6/);
  });
});

t.test("only our own temporary files are removed; data cannot have their names", async (t) => {
  const disk = new MemoryDisk();
  const told = (directives: Record<string, string>): string => new AofFixture(disk, directives).told.join("\n");
  told({});
  for (const name of ["temp-appendonly.aof.2.base.rdb", "temp-other.aof.1.incr.aof", "temp-notes"]) {
    disk.open(`appendonlydir/${name}`, "create").close();
  }
  t.match(told({}), "removed temp-appendonly.aof.2.base.rdb, which a crash had left");
  t.same(
    disk.list("appendonlydir").filter((name) => name.startsWith("temp-")),
    ["temp-notes", "temp-other.aof.1.incr.aof"],
  );
  t.throws(() => told({ appendfilename: "temp-other.aof" }), /must not begin with temp-/);
});

t.test(
  "the first start, with the power lost after any of its operations, leads to an empty server (A8, I8)",
  async (t) => {
    let failed = 0;
    for (const call of ["make-dir", "open", "truncate", "write", "sync", "rename", "sync-dir"] as const) {
      for (let nth = 1; nth < 5; nth++) {
        const memory = new MemoryDisk();
        try {
          new AofFixture(new FaultyDisk(memory, [{ call, nth, code: "EIO" }]));
        } catch (error) {
          t.type(error, DiskFailure, `${call} ${nth}`);
          failed++;
        }
        for (const disk of [memory.clone(), memory.afterPowerLoss()]) {
          const aof = new AofFixture(disk, { appendfsync: "always" });
          aof.line("SET a 1");
          aof.settle();
          t.same(new AofFixture(disk.afterPowerLoss()).contents(), ["0 a 1 @-1"], `${call} ${nth}`);
        }
      }
    }
    t.ok(failed >= 10, "the operations were there to fail");
  },
);

t.test("check and dump", async (t) => {
  const dump = (disk: MemoryDisk): string[] => {
    const lines: string[] = [];
    dumpAof(disk, (line) => lines.push(line));
    return lines;
  };
  t.same(describeReport(checkAof(SOURCE)), [
    `appendonly.aof.1.incr.aof (increment): ${WHOLE.length} bytes, 10 commands, whole`,
    "all files are whole",
  ]);
  t.same(dump(SOURCE).slice(0, 3), [
    "# appendonly.aof.1.incr.aof",
    "           0   0  SELECT 0",
    "          23   0  SET a 1",
  ]);
  t.match(dump(SOURCE).at(-1), /^ +\d+ {3}1 {2}APPEND b xyz$/);

  const torn = withFile(SOURCE, INCREMENT, WHOLE.subarray(0, WHOLE.length - 1));
  const report = checkAof(torn);
  t.same([report.accepted, report.whole], [true, false]);
  t.match(
    describeReport(report).join("\n"),
    /torn: the last \d+ bytes, from offset \d+, are no whole command\nrecovery will cut/,
  );
  t.match(dump(torn).at(-1), /^# torn: /);

  const corrupt = withFile(SOURCE, INCREMENT, Buffer.concat([Buffer.from("x"), WHOLE]));
  t.equal(checkAof(corrupt).accepted, false);
  t.match(describeReport(checkAof(corrupt)).join("\n"), /expected '\*' at offset 0\nrecovery will refuse/);

  const missing = SOURCE.clone();
  missing.remove(INCREMENT);
  t.match(describeReport(checkAof(missing)).join("\n"), /the file is missing\nrecovery will refuse/);
  t.throws(() => checkAof(new MemoryDisk()), CorruptFile);
});

/** Offsets of all bytes that are not inside an argument. */
function frameOffsets(bytes: Buffer): number[] {
  const text = bytes.toString("latin1");
  const found: number[] = [];
  let at = 0;
  while (at < text.length) {
    const lineEnd = text.indexOf("\r\n", at) + 2;
    for (let offset = at; offset < lineEnd; offset++) found.push(offset);
    const isBulk = text[at] === "$";
    const length = isBulk ? Number(text.slice(at + 1, lineEnd - 2)) : 0;
    at = lineEnd;
    if (isBulk) {
      found.push(at + length, at + length + 1);
      at += length + 2;
    }
  }
  return found;
}
