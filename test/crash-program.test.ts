/** `twolog crash`: any program is recorded by strace, and crashed. */
import { spawnSync } from "node:child_process";
import { appendFileSync, linkSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { whyNotInstalled } from "../compare/bench/upserts.ts";
import { CrashPoints } from "../compare/crash-program/crash-points.ts";
import { FileTree } from "../compare/crash-program/file-tree.ts";
import { Interpreter } from "../compare/crash-program/interpreter.ts";
import { operationText } from "../compare/crash-program/recording.ts";
import { rejectionOf, startRecording } from "../compare/crash-program/strace.ts";
import { bytesOf, type StraceEvent, StraceReader, splitArguments } from "../compare/crash-program/strace-lines.ts";
import { DiskImage, type FileImage, imageOf } from "../compare/lab/disk-image.ts";
import { modelOf } from "../compare/lab/models/index.ts";
import { misfit } from "../compare/originals/membership.ts";
import { fitted } from "../compare/terminal-lines.ts";
import { type Ended, PLAIN_ENV, twologIn } from "./support/program.ts";

const EXAMPLES = fileURLToPath(new URL("../compare/examples", import.meta.url));

/** The program where the examples are. */
function twolog(...args: string[]): Ended {
  return twologIn({ cwd: EXAMPLES }, ...args);
}

function hex(text: string): string {
  return [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

/** Feeds lines of strace to an interpreter of an empty folder. */
function interpret(folder: string, lines: readonly string[]): Interpreter {
  const interpreter = new Interpreter(new FileTree(folder), folder, { ignored: () => false, acknowledgedBy: "lines" });
  const reader = new StraceReader((event) => interpreter.event(event));
  for (const line of lines) reader.line(line);
  return interpreter;
}

t.test("lines of strace become calls, entered and left", async (t) => {
  const events: StraceEvent[] = [];
  const reader = new StraceReader((event) => events.push(event));
  reader.line(`7  10.000001 write(3<\\x2f\\x61>, "${hex('a"),')}", 4) = 4 <0.000010>`);
  reader.line("8  10.000002 fsync(3<\\x2f\\x61> <unfinished ...>");
  reader.line(
    '7  10.000003 openat(AT_FDCWD<\\x2f>, "\\x62", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000005>',
  );
  reader.line("8  10.000900 <... fsync resumed>) = 0 <0.000898>");
  reader.line("7  10.001000 +++ exited with 0 +++");
  t.same(
    events.map((event) =>
      event.kind === "exit" ? "exit" : `${event.kind} ${event.call.name} ${event.call.error || event.call.result}`,
    ),
    [
      "enter write 4",
      "leave write 4",
      "enter fsync -1",
      "enter openat ENOENT",
      "leave openat ENOENT",
      "leave fsync 0",
      "exit",
    ],
  );
  const [written] = events;
  t.equal(written?.kind === "enter" && bytesOf(written.call.args[1] ?? "")?.toString(), 'a"),');
  t.same(splitArguments('3, [{iov_base="\\x2c", iov_len=1}, {x}], f(a, b)'), [
    "3",
    '[{iov_base="\\x2c", iov_len=1}, {x}]',
    "f(a, b)",
  ]);
  t.equal(bytesOf('"\\x61"...'), undefined, "a string that strace cut has no bytes");
});

t.test("what the recorder cannot see is a blind spot", async (t) => {
  const folder = t.testdir();
  const open = (name: string) =>
    `7  1.0 openat(AT_FDCWD<${hex(folder)}>, "${hex(name)}", O_RDWR|O_CREAT, 0600) = 3<${hex(name)}> <0.1>`;
  const blindSpots = (...lines: string[]) => [...interpret(folder, [open("a"), ...lines]).record.blindSpots].join();
  t.equal(blindSpots(), "");
  t.match(
    blindSpots("7  1.1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3<\\x61>, 0) = 0x7f00 <0.1>"),
    /a is mapped/,
  );
  t.equal(blindSpots("7  1.1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3<\\x61>, 0) = 0x7f00 <0.1>"), "");
  t.match(blindSpots("7  1.1 io_uring_setup(8, {}) = 4 <0.1>"), /io_uring/);
  t.match(blindSpots("7  1.1 io_submit(0x7f, 1, [{}]) = 1 <0.1>"), /native AIO/);
  t.match(blindSpots(`7  1.1 rename("${hex("/elsewhere/b")}", "${hex("b")}") = 0 <0.1>`), /from outside/);
  t.match(blindSpots('7  1.1 write(3<\\x61>, "\\x61"..., 9) = 9 <0.1>'), /does not show the bytes/);
  const forReading = "7  1.1 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3<\\x61>, 0) = 0x7f1000 <0.1>";
  const forWriting = "7  1.3 mprotect(0x7f1800, 8192, PROT_READ|PROT_WRITE) = 0 <0.1>";
  t.equal(blindSpots(forReading, "7  1.3 mprotect(0x7f2000, 8192, PROT_READ|PROT_WRITE) = 0 <0.1>"), "");
  t.match(blindSpots(forReading, forWriting), /a is mapped/, "a mapping becomes writable later");
  const over = "7  1.2 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f1000 <0.1>";
  t.equal(blindSpots(forReading, over, forWriting), "", "something else is mapped there now");
  const another = `9<${hex(join(folder, "a"))}>`;
  t.match(blindSpots(`7  1.1 write(${another}, "\\x61", 1) = 1 <0.1>`), /a: write through a descriptor that came/);
  t.equal(blindSpots(`7  1.1 lseek(${another}, 0, SEEK_SET) = 0 <0.1>`), "", "which matters to none");
});

t.test("what the lab's disks have no picture of is a blind spot", async (t) => {
  const rejections = async (script: string): Promise<string> => {
    const folder = t.testdir({ file: "file", sub: {} });
    symlinkSync("file", join(folder, "sub/link"));
    linkSync(join(folder, "file"), join(folder, "twin"));
    const plan = { command: "sh", args: ["-c", script], folder, cwd: folder, ignore: [] };
    return rejectionOf(await startRecording(plan).done, folder, []).join();
  };
  t.equal(await rejections("echo more >> sub/new; mv twin other"), "");
  t.match(await rejections("rm sub/link"), /sub\/link: removing, renaming and replacing symbolic links/);
  t.match(await rejections("mv sub moved"), /sub: removing, renaming and replacing symbolic links/);
  t.match(await rejections("cp file new; mv new sub/link"), /sub\/link: removing, renaming and replacing/);
  t.match(await rejections("echo more >> twin"), /twin was one file with file before the program ran/);
  t.match(await rejections("truncate -s 3G large"), /large has 3221225472 B: files over 2 GiB are not followed/);
  t.match(await rejections("touch $(printf '\\377')"), /has a name that is not UTF-8/);
});

t.test("positions, appending, sharing and O_DSYNC are followed", async (t) => {
  const folder = t.testdir();
  const { record } = interpret(folder, [
    `7  1.0 openat(AT_FDCWD<${hex(folder)}>, "${hex("a")}", O_RDWR|O_CREAT|O_DSYNC, 0600) = 3<\\x61> <0.1>`,
    `7  1.1 write(3<\\x61>, "${hex("one")}", 3) = 3 <0.1>`,
    "7  1.2 fork() = 8 <0.1>",
    `8  1.3 write(3<\\x61>, "${hex("two")}", 3) = 2 <0.1>`,
    "7  1.4 dup2(3<\\x61>, 9) = 9<\\x61> <0.1>",
    "7  1.5 close(3<\\x61>) = 0 <0.1>",
    "7  1.6 fcntl(9<\\x61>, F_SETFL, O_RDWR|O_APPEND) = 0 <0.1>",
    "7  1.7 lseek(9<\\x61>, 0, SEEK_SET) = 0 <0.1>",
    `7  1.8 writev(9<\\x61>, [{iov_base="${hex("x")}", iov_len=1}, {iov_base="${hex("yz")}", iov_len=2}], 2) = 3 <0.1>`,
    "7  1.9 fallocate(9<\\x61>, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 1, 2) = 0 <0.1>",
    "7  2.0 fallocate(9<\\x61>, 0, 0, 12) = 0 <0.1>",
    `7  2.1 write(1, "${hex("done\nhalf a ")}", 12) = 12 <0.1>`,
  ]);
  const texts = record.events.map((event) =>
    event.kind === "ack" ? `printed ${event.text}` : operationText(event.operation),
  );
  t.same(
    texts.filter((text) => !text.startsWith("fsync")),
    [
      ...["create a", "write 3 B at 0 of a", "write 2 B at 3 of a", "write 3 B at 5 of a", "write 2 B at 1 of a"],
      ...["truncate a to 12 B", "printed done"],
    ],
    "a child and a copy of a descriptor share its position; only whole lines count",
  );
  t.equal(texts.filter((text) => text === "fsync a ends").length, 3, "every write is synced; making a hole is none");
  const content = record.tree.root.entries.get("a");
  const bytes = Buffer.alloc(12);
  if (content?.kind === "file") content.content.read(0, bytes);
  t.equal(bytes.toString("latin1"), "o\0\0twxyz\0\0\0\0");
});

t.test("a recording that gives the real folder is accepted, another is not", async (t) => {
  const folder = t.testdir({ old: "old", sub: { kept: "kept" } });
  const script = [
    "echo one > a; echo two >> a; cp a b; ln b c; mv a d; mkdir x; echo in > x/y; mv x z; rm b old",
    "dd if=d of=e bs=1 seek=10 count=3 conv=notrunc,fsync status=none; truncate -s 5 d; sync z/y; rmdir sub 2>/dev/null; mkdir f; rmdir f",
  ].join("; ");
  const plan = { command: "sh", args: ["-c", script], folder, cwd: folder, ignore: [] };
  const recording = await startRecording(plan).done;
  t.same(rejectionOf(recording, folder, []), []);
  const texts = recording.events.map((event) => (event.kind === "operation" ? operationText(event.operation) : ""));
  for (const text of [
    "link b to c".replace(" to ", " as "),
    "rename x to z",
    "remove old",
    "truncate d to 5 B",
    "fsync z/y ends",
  ]) {
    t.ok(texts.includes(text), text);
  }
  appendFileSync(join(folder, "c"), "behind its back");
  t.match(rejectionOf(recording, folder, []), [/^c has 23 B, and replaying the record gives 8 B$/]);
  t.same(rejectionOf(recording, folder, ["c"]), [], "unless the file is left out");
});

t.test("the bug of the example is found, minimised and explained; without it nothing is", async (t) => {
  const folder = t.testdir();
  const json = join(folder, "result.json");
  const data = join(folder, "data");
  // What check-store.js does, in a shell: a process of Node for each of a hundred folders takes its time.
  const shell =
    'while read key; do grep -q "\\"$key\\"" {dir}/data.json || { echo "stored and gone: $key"; exit 1; }; done < {acks}';
  const check = ["--check", shell, "--states", "60", "--quiet"];
  const run = (program: string, ...more: string[]) =>
    twolog("crash", "--dir", `${data}-${program}`, ...check, ...more, "--", "node", program, `${data}-${program}`);
  const { status, stdout, stderr } = run("key-value-store.js", "--json", json);
  t.equal(stderr, "");
  t.equal(status, 1);
  t.match(stdout, /FAILED: 1 bug/);
  t.match(stdout, /minimal {2}1 operation lost; with it on the disk the check passes/);
  t.match(
    stdout,
    /no fsync of the folder \. between operation 5 \(rename data\.json\.new to data\.json\) and the crash/,
  );
  t.match(stdout, /LOST {5}5 .* rename data\.json\.new to data\.json/);
  t.match(stdout, /check {4}exit 1: .*stored and gone: key1/s);
  const result = JSON.parse(readFileSync(json, "utf8"));
  t.match(result, { operations: 25, printed: { length: 5 }, bugs: [{ crash: "power", lost: [{ operations: [5] }] }] });
  const acks = join(folder, "acks");
  writeFileSync(acks, "key1\nkey6\n");
  const checkStore = spawnSync(process.execPath, ["check-store.js", `${data}-key-value-store.js`, acks], {
    cwd: EXAMPLES,
    env: PLAIN_ENV,
  });
  t.equal(String(checkStore.stdout), "stored and gone: key6\n");
  const fixed = run("key-value-store-fixed.js");
  t.equal(fixed.status, 0, fixed.stdout + fixed.stderr);
  t.match(fixed.stdout, /posix-weak +all \d+ states/);
});

t.test("a program that writes through a mapped file is rejected, and told what to do", async (t) => {
  const folder = t.testdir();
  const program = `import { open } from "lmdb";
    const database = open({ path: ${JSON.stringify(join(folder, "database"))}, useWritemap: true });
    database.putSync("key", "value");
    await database.close();`;
  const node = ["node", "--input-type=module", "--eval", program];
  const { status, stderr } = twolog("crash", "--dir", folder, "--check", "true", "--quiet", "--", ...node);
  t.equal(status, 3);
  t.match(stderr, /the recording is rejected/);
  t.match(stderr, /data\.mdb is mapped into memory, shared and writable: what is written there cannot be seen/);
  t.match(stderr, /data\.mdb differs from what replaying the record gives/, "and the bytes say so, too");
  t.match(stderr, /advice: leave the file out with --ignore .* else switch mmap off/);
});

const missing = await whyNotInstalled("sqlite");
// .ci/run installs it, and says so where that is impossible.
const mustRun = process.env["CI"] !== undefined && process.env["TWOLOG_WITHOUT_SQLITE"] === undefined;
const skip = missing === undefined || mustRun ? false : `better-sqlite3 is ${missing}`;

t.test("SQLite survives with WAL and FULL; with NORMAL its last commits are lost", { skip }, async (t) => {
  const folder = t.testdir();
  const run = (synchronous: string, states: string, model: string) => {
    const database = join(folder, synchronous);
    const check = ["--ignore", "*-shm", "--states", states, "--model", model, "--quiet"];
    const program = ["node", "sqlite-store.js", database, "wal", synchronous];
    return twolog(
      "crash",
      "--dir",
      database,
      ...check,
      "--check",
      "node check-sqlite.js {dir} {acks}",
      "--",
      ...program,
    );
  };
  const full = run("full", "36", "kill,ext4-like,posix-weak");
  t.equal(full.status, 0, full.stdout + full.stderr);
  t.match(full.stdout, /PASSED: the check accepted every folder; 36 folders checked/);
  const normal = run("normal", "16", "ext4-like");
  t.equal(normal.status, 1, normal.stderr);
  t.match(normal.stdout, /integrity: ok; committed and gone: /);
  t.match(normal.stdout, /no fsync of store\.db-wal between operation/);
});

t.test("a position moves with what is read", async (t) => {
  const folder = t.testdir();
  const { record } = interpret(folder, [
    `7  1.0 openat(AT_FDCWD<${hex(folder)}>, "${hex("a")}", O_RDWR|O_CREAT, 0600) = 3<\\x61> <0.1>`,
    `7  1.1 pwrite64(3<\\x61>, "${hex("one two")}", 7, 0) = 7 <0.1>`,
    "7  1.2 read(0x3, 0x7f00, 0x4) = 0x4 <0.1>",
    `7  1.3 write(3<\\x61>, "${hex("TWO")}", 3) = 3 <0.1>`,
  ]);
  const texts = record.events.map((event) => (event.kind === "operation" ? operationText(event.operation) : ""));
  t.same(texts, ["create a", "write 7 B at 0 of a", "write 3 B at 4 of a"]);
});

t.test("what is left out is in no checked folder, and a command that cannot be done is no bug", async (t) => {
  const folder = t.testdir({ cache: { old: "old" }, "db-shm": "old" });
  const run = (...flags: string[]) =>
    twolog(
      "crash",
      "--dir",
      folder,
      "--quiet",
      ...flags,
      "--",
      "sh",
      "-c",
      `echo x >> ${folder}/a; echo > ${folder}/cache/new`,
    );
  const ignored = run("--ignore", "*-shm", "cache", "--check", "test ! -e {dir}/cache -a ! -e {dir}/db-shm");
  t.equal(ignored.status, 0, ignored.stdout + ignored.stderr);
  for (const [flags, message] of [
    [["--check", "no-such-check {dir}"], /the check cannot be run: exit 127/],
    [["--check", "true", "--model", "kind"], /unknown model 'kind'/],
    [["--check", "true", "--json", join(folder, "none", "x")], /cannot write .*: ENOENT/],
  ] as const) {
    const { status, stderr } = run(...flags);
    t.equal(status, 2);
    t.match(stderr, message);
    t.notMatch(stderr, / {4}at /, "no stack");
  }
});

t.test("coverage counts every state that was looked at", async (t) => {
  const folder = t.testdir();
  const json = join(t.testdir(), "result.json");
  const script = `for i in 1 2 3 4; do head -c 5000 /dev/zero | tr '\\0' $i >> ${folder}/a; echo $i > ${folder}/b; done`;
  twolog(
    "crash",
    "--dir",
    folder,
    "--quiet",
    "--states",
    "60",
    "--json",
    json,
    "--check",
    "true",
    "--",
    "sh",
    "-c",
    script,
  );
  for (const { model, distinct, given, total } of JSON.parse(readFileSync(json, "utf8")).coverage) {
    t.ok(distinct > 0 && distinct <= given && given <= total, `${model}: ${distinct} of ${given} of ${total}`);
  }
});

t.test("long lines are broken under their column", async (t) => {
  const line = "  check    exit 1: stored and gone: key1";
  t.same(fitted(line, undefined), [line]);
  t.same(fitted(line, 24), ["  check    exit 1:", "           stored and", "           gone: key1"]);
  t.same(fitted("recorded 2 operations", 12), ["recorded 2", "  operations"]);
});

t.test("where recording is impossible, it says so", async (t) => {
  const bin = t.testdir();
  symlinkSync(process.execPath, join(bin, "node"));
  const { status, stderr } = twologIn(
    { env: { ...PLAIN_ENV, PATH: bin } },
    "crash",
    "--dir",
    bin,
    "--check",
    "true",
    "--",
    "node",
  );
  t.equal(status, 2);
  t.match(stderr, /strace, which is not installed/);
});

t.test("a folder is allowed by a model, or it is not", async (t) => {
  const folder = t.testdir();
  const { record } = interpret(folder, [
    `7  1.0 openat(AT_FDCWD<${hex(folder)}>, "${hex("log")}", O_RDWR|O_CREAT, 0600) = 3<\\x61> <0.1>`,
    `7  1.1 write(3<\\x61>, "${hex("first")}", 5) = 5 <0.1>`,
    "7  1.2 fsync(3<\\x61>) = 0 <0.1>",
    `7  1.3 openat(AT_FDCWD<${hex(folder)}>, "${hex(".")}", O_RDONLY|O_DIRECTORY) = 4<\\x61> <0.1>`,
    "7  1.4 fsync(4<\\x61>) = 0 <0.1>",
    `7  1.5 write(3<\\x61>, "${hex(" second")}", 7) = 7 <0.1>`,
  ]);
  const before = new FileTree(folder);
  const ending = {
    blindSpots: [],
    remarks: [],
    interrupted: [],
    callCounts: [],
    startedAtMs: 0,
    status: 0,
    said: "",
    seconds: 0,
  };
  const points = new CrashPoints({ events: record.events, before, after: record.tree, ...ending });
  const moment = points.at(points.operations.length);
  const { store } = moment.disk;
  const folderWith = (text: string | undefined): DiskImage => {
    const files: [string, FileImage][] = text === undefined ? [] : [["log", imageOf(store, Buffer.from(text))]];
    return DiskImage.withEntries(store, new Map<string, FileImage | undefined>([["", undefined], ...files]));
  };
  const weak = modelOf("posix-weak");
  for (const text of ["first", "first second", `first${"\0".repeat(7)}`])
    t.equal(misfit(weak, moment, folderWith(text)), undefined, text);
  t.match(misfit(weak, moment, folderWith("fir")), /log has 3 B/);
  t.match(misfit(weak, moment, folderWith("First")), /differs/);
  t.match(misfit(weak, moment, folderWith(undefined)), /log is missing/, "its name was synced");
  t.match(misfit(modelOf("dropped"), moment, folderWith("first second")), /log has 12 B/);
});
