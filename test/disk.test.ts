/**
 * The disk contract (common/disk/disk.ts), one suite on the real disk and on the one in memory; then what only one of them
 * can show: the lock between processes, and what a power loss leaves.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Disk, DiskFile } from "../common/disk/disk.ts";
import { FaultyDisk } from "../common/disk/faulty-disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { OverlayDisk } from "../common/disk/overlay-disk.ts";
import { RealDisk } from "../common/disk/real-disk.ts";
import { type DiskOperation, RecordingDisk } from "../common/disk/recording-disk.ts";
import { DiskFailure, UsageError } from "../common/errors.ts";
import { pseudoRandom } from "./support/command-runner.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

function contentOf(file: DiskFile): string {
  const into = Buffer.alloc(file.size());
  const count = file.read(0, into);
  return into.toString("latin1", 0, count);
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof DiskFailure) return error.code;
    throw error;
  }
  return "no failure";
}

function synced(file: DiskFile): Promise<DiskFailure | undefined> {
  return new Promise((resolve) => file.sync(resolve));
}

function contract(make: (t: Test) => Disk): (t: Test) => Promise<void> {
  return async (t) => {
    t.test("the four ways to open", async (t) => {
      const disk = make(t);
      t.equal(
        codeOf(() => disk.open("a", "read")),
        "ENOENT",
      );
      t.equal(
        codeOf(() => disk.open("a", "update")),
        "ENOENT",
      );
      const made = disk.open("a", "create");
      made.write(0, bytes("kept"));
      made.close();
      t.equal(
        codeOf(() => disk.open("a", "create")),
        "EEXIST",
      );
      for (const mode of ["read", "update", "ensure"] as const) {
        const file = disk.open("a", mode);
        t.equal(contentOf(file), "kept", `${mode} finds what was written`);
        file.close();
      }
      const other = disk.open("b", "ensure");
      t.equal(other.size(), 0);
      other.close();
      t.equal(
        codeOf(() => disk.open("missing/a", "create")),
        "ENOENT",
      );
      disk.makeDir("folder");
      t.equal(
        codeOf(() => disk.open("folder", "update")),
        "EISDIR",
      );
      const readOnly = disk.open("a", "read");
      t.equal(
        codeOf(() => readOnly.write(0, bytes("x"))),
        "EBADF",
      );
      readOnly.close();
    });

    t.test("reading and writing at any place", async (t) => {
      const disk = make(t);
      const file = disk.open("f", "create");
      file.write(0, bytes("hello"));
      file.write(3, bytes("p me"));
      t.equal(contentOf(file), "help me");
      file.write(10, bytes("!"));
      t.equal(contentOf(file), "help me\0\0\0!", "a hole reads as zeros");
      const into = Buffer.alloc(8, "-");
      t.equal(file.read(9, into), 2, "fewer bytes only at the end");
      t.equal(into.toString("latin1"), "\0!------");
      t.equal(file.read(50, into), 0);
      file.write(3, bytes(""));
      t.equal(file.size(), 11, "an empty write changes nothing");

      const large = Buffer.alloc(300_001, "abcdefghij");
      file.write(4090, large);
      const back = Buffer.alloc(large.length);
      t.equal(file.read(4090, back), large.length);
      t.ok(back.equals(large), "a write over many pages comes back whole");
      file.close();
    });

    t.test("truncate cuts, and what was cut never comes back", async (t) => {
      const file = make(t).open("f", "create");
      file.write(0, Buffer.alloc(10_000, "x"));
      file.truncate(5);
      t.equal(contentOf(file), "xxxxx");
      file.truncate(9000);
      t.equal(file.size(), 9000);
      t.equal(contentOf(file), "xxxxx".padEnd(9000, "\0"), "growing adds zeros, not the old bytes");
      file.close();
    });

    t.test("sync ends in a later turn, and a file may be closed before that", async (t) => {
      const file = make(t).open("f", "create");
      file.write(0, bytes("data"));
      let ended = false;
      const end = new Promise<DiskFailure | undefined>((resolve) =>
        file.sync((failure) => {
          ended = true;
          resolve(failure);
        }),
      );
      t.notOk(ended, "not during the call");
      file.close();
      t.equal(await end, undefined);
    });

    t.test("names: rename replaces, remove removes, list sorts", async (t) => {
      const disk = make(t);
      disk.makeDir("log");
      disk.makeDir("log");
      for (const name of ["log/b", "log/a", "c"]) {
        const file = disk.open(name, "create");
        file.write(0, bytes(name));
        file.syncNow();
        file.close();
      }
      disk.syncDir("log");
      disk.syncDir("");
      t.same(disk.list("log"), ["a", "b"]);
      t.same(disk.list(""), ["c", "log"]);
      t.same(disk.list("absent"), []);
      disk.rename("log/a", "log/b");
      const file = disk.open("log/b", "read");
      t.equal(contentOf(file), "log/a");
      disk.remove("log/b");
      t.equal(contentOf(file), "log/a", "an open file outlives its name");
      file.close();
      t.notOk(disk.exists("log/b"));
      t.ok(disk.exists("c"));
      t.equal(
        codeOf(() => disk.remove("log/b")),
        "ENOENT",
      );
      t.equal(
        codeOf(() => disk.rename("nothing", "c")),
        "ENOENT",
      );
      t.equal(
        codeOf(() => disk.syncDir("absent")),
        "ENOENT",
      );
    });

    t.test("the folder has one holder at a time", async (t) => {
      const disk = make(t);
      const release = disk.lock("lock");
      t.throws(() => disk.lock("lock"), UsageError);
      release();
      disk.lock("lock")();
    });
  };
}

t.test(
  "memory disk",
  contract(() => new MemoryDisk()),
);
t.test(
  "real disk",
  contract((t) => new RealDisk(t.testdir())),
);

t.test(
  "recording disk",
  contract(() => new RecordingDisk(new MemoryDisk(), () => {})),
);
t.test(
  "faulty disk without a fault",
  contract(() => new FaultyDisk(new MemoryDisk(), [])),
);
t.test(
  "overlay disk",
  contract(() => new OverlayDisk(new MemoryDisk())),
);

t.test("overlay disk: random changes read as on a copy, and the disk below never changes", async (t) => {
  const random = pseudoRandom(3);
  const below = new MemoryDisk();
  const original = below.open("f", "create");
  original.write(
    0,
    Uint8Array.from({ length: 30_000 }, () => random(256)),
  );
  const before = below.snapshot();
  const copy = below.clone().open("f", "update");
  const overlay = new OverlayDisk(below).open("f", "update");
  for (let n = 0; n < 300; n++) {
    const at = random(40_000);
    if (random(4) === 0) for (const file of [copy, overlay]) file.truncate(at);
    else {
      const change = Buffer.alloc(1 + random(9000), n);
      for (const file of [copy, overlay]) file.write(at, change);
    }
    if (contentOf(copy) !== contentOf(overlay)) t.fail(`they differ after change ${n}`);
  }
  t.same(below.snapshot(), before);
});

t.test("recording disk: tells every change, in order, and keeps its own copy of the bytes", async (t) => {
  const told: DiskOperation[] = [];
  const disk = new RecordingDisk(new MemoryDisk(), (operation) => told.push(operation));
  disk.makeDir("log");
  const file = disk.open("log/a", "ensure");
  const buffer = Buffer.from("abc");
  file.write(7, buffer);
  buffer.fill("z");
  const end = synced(file);
  file.write(10, bytes("d"));
  await end;
  disk.rename("log/a", "log/b");
  disk.syncDir("log");
  const again = disk.open("log/b", "update");
  again.truncate(4);
  again.syncNow();
  disk.remove("log/b");
  t.same(told, [
    { kind: "make-dir", path: "log" },
    { kind: "create", path: "log/a", file: 1 },
    { kind: "write", path: "log/a", file: 1, at: 7, bytes: new Uint8Array([97, 98, 99]) },
    { kind: "sync-start", path: "log/a", file: 1, sync: 1 },
    { kind: "write", path: "log/a", file: 1, at: 10, bytes: new Uint8Array([100]) },
    { kind: "sync-end", path: "log/a", file: 1, sync: 1 },
    { kind: "rename", path: "log/a", to: "log/b" },
    { kind: "sync-dir", path: "log" },
    { kind: "truncate", path: "log/b", file: 1, size: 4 },
    { kind: "sync-start", path: "log/b", file: 1, sync: 2 },
    { kind: "sync-end", path: "log/b", file: 1, sync: 2 },
    { kind: "remove", path: "log/b" },
  ]);
});

t.test("faulty disk: the n-th call fails, and only that", async (t) => {
  const memory = new MemoryDisk();
  const ends: (() => void)[] = [];
  const disk = new FaultyDisk(memory, [
    { call: "write", path: (path) => path === "f", nth: 2, code: "ENOSPC", written: 2 },
    { call: "sync", nth: 1, times: 2, code: "EIO" },
    { call: "sync", nth: 3, slow: (end) => ends.push(end) },
    { call: "rename", nth: 1, code: "EACCES" },
  ]);
  const other = disk.open("other", "create");
  const file = disk.open("f", "create");
  disk.syncDir("");
  other.write(0, bytes("not counted"));
  file.write(0, bytes("one "));
  t.equal(
    codeOf(() => file.write(4, bytes("two"))),
    "ENOSPC",
  );
  t.equal(contentOf(file), "one tw", "a part was written");
  t.equal((await synced(file))?.code, "EIO");
  t.equal(
    codeOf(() => file.syncNow()),
    "EIO",
  );
  t.equal(contentOf(memory.afterPowerLoss().open("f", "read")), "", "what failed is not durable");
  let ended = false;
  const slow = synced(file).then(() => {
    ended = true;
  });
  await Promise.resolve();
  t.notOk(ended);
  ends[0]?.();
  await slow;
  t.equal(
    codeOf(() => disk.rename("f", "g")),
    "EACCES",
  );
  disk.rename("f", "g");
});

t.test("real disk: the data folder is made with its parents, or refused", async (t) => {
  const folder = t.testdir({ file: "" });
  new RealDisk(join(folder, "x/y/z"));
  t.ok(existsSync(join(folder, "x/y/z")));
  t.throws(() => new RealDisk(join(folder, "file")), { name: "UsageError", message: /ENOTDIR/ });
});

t.test("real disk: a lock outlives neither its process nor the machine", async (t) => {
  const folder = t.testdir();
  const path = join(folder, "lock");
  const disk = new RealDisk(folder);
  const sleeper = spawn("sleep", ["60"]);
  t.teardown(() => sleeper.kill("SIGKILL"));
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  const start = readFileSync(`/proc/${sleeper.pid}/stat`, "latin1").split(") ")[1]?.split(" ")[19];

  writeFileSync(path, `${sleeper.pid} ${start} ${boot}\n`);
  t.throws(() => disk.lock("lock"), { name: "UsageError", message: `process ${sleeper.pid} ` }, "its holder lives");
  writeFileSync(path, `${sleeper.pid} ${Number(start) - 1} ${boot}\n`);
  disk.lock("lock")();
  writeFileSync(path, `${sleeper.pid} ${start} another-boot\n`);
  disk.lock("lock")();

  writeFileSync(path, `${sleeper.pid} ${start} ${boot}\n`);
  sleeper.kill("SIGKILL");
  await once(sleeper, "exit");
  const release = disk.lock("lock");
  t.match(readFileSync(path, "latin1"), `${process.pid} `);
  release();
  t.same(readdirSync(folder), [], "nothing is left behind");
});

t.test("real disk: of many processes that find a stale lock, one gets it", async (t) => {
  const folder = t.testdir();
  writeFileSync(join(folder, "lock"), "999999999 1 another-boot\n");
  const program = `import { RealDisk } from ${JSON.stringify(new URL("../dist/common/disk/real-disk.js", import.meta.url).href)};
    try { new RealDisk(${JSON.stringify(folder)}).lock("lock"); console.log("held"); setTimeout(() => {}, 60_000); }
    catch (error) { console.log(error.name); }`;
  const children = Array.from({ length: 6 }, () =>
    spawn(process.execPath, ["--input-type=module", "-e", program], {
      env: { ...process.env, NODE_OPTIONS: "" },
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  t.teardown(() => {
    for (const child of children) child.kill("SIGKILL");
  });
  // The holder lives on; one that breaks says so on stderr and closes its stdout without a word.
  const answers = await Promise.all(
    children.map(async ({ stdout }) => {
      for await (const text of stdout) return String(text).trim();
      return "no answer";
    }),
  );
  t.same(answers.sort(), ["UsageError", "UsageError", "UsageError", "UsageError", "UsageError", "held"]);
});

t.test("memory disk: what a power loss leaves", async (t) => {
  t.test("content counts when it was synced", async (t) => {
    const disk = new MemoryDisk();
    const file = disk.open("f", "create");
    disk.syncDir("");
    file.write(0, bytes("first"));
    t.same(disk.afterPowerLoss().snapshot(), new Map([["f", new Uint8Array()]]), "a name, and nothing under it");
    file.syncNow();
    file.write(5, bytes(" second"));
    file.write(0, bytes("F"));
    t.equal(contentOf(disk.afterPowerLoss().open("f", "read")), "first");
    t.equal(contentOf(file), "First second", "the live disk does not notice");
  });

  t.test("names count when their folder was synced (I8)", async (t) => {
    const disk = new MemoryDisk();
    disk.makeDir("log");
    const file = disk.open("log/a", "create");
    file.write(0, bytes("x"));
    file.syncNow();
    disk.syncDir("log");
    t.same(disk.afterPowerLoss().list("log"), [], "the folder itself was not");
    disk.syncDir("");
    t.same(disk.afterPowerLoss().list("log"), ["a"]);
    disk.rename("log/a", "log/b");
    t.same(disk.afterPowerLoss().list("log"), ["a"]);
    disk.syncDir("log");
    t.same(disk.afterPowerLoss().list("log"), ["b"]);
    disk.remove("log/b");
    t.equal(contentOf(disk.afterPowerLoss().open("log/b", "read")), "x");
  });

  t.test("a background sync covers what was written before it started", async (t) => {
    const ends: (() => void)[] = [];
    const disk = new MemoryDisk((complete) => ends.push(complete));
    const file = disk.open("f", "create");
    disk.syncDir("");
    file.write(0, bytes("one"));
    const first = synced(file);
    file.write(3, bytes("two"));
    const second = synced(file);
    file.write(6, bytes("three"));
    t.equal(contentOf(disk.afterPowerLoss().open("f", "read")), "", "none has ended");
    ends[1]?.();
    await second;
    t.equal(contentOf(disk.afterPowerLoss().open("f", "read")), "onetwo", "the later one includes the earlier");
    ends[0]?.();
    await first;
    t.equal(contentOf(disk.afterPowerLoss().open("f", "read")), "onetwo");
  });

  t.test("truncation counts when it was synced", async (t) => {
    const disk = new MemoryDisk();
    const file = disk.open("f", "create");
    disk.syncDir("");
    file.write(0, Buffer.alloc(9000, "x"));
    file.syncNow();
    file.truncate(3);
    t.equal(disk.afterPowerLoss().open("f", "read").size(), 9000);
    file.syncNow();
    t.equal(contentOf(disk.afterPowerLoss().open("f", "read")), "xxx");
  });

  t.test("a clone goes its own way, and knows what it has not synced", async (t) => {
    const disk = new MemoryDisk();
    const file = disk.open("f", "create");
    disk.syncDir("");
    file.write(0, bytes("same"));
    const copy = disk.clone();
    file.write(0, bytes("S"));
    const other = copy.open("f", "update");
    other.write(3, bytes("E"));
    t.equal(contentOf(file), "Same");
    t.equal(contentOf(other), "samE");
    t.equal(contentOf(copy.afterPowerLoss().open("f", "read")), "");
    other.syncNow();
    t.equal(contentOf(copy.afterPowerLoss().open("f", "read")), "samE");
  });
});
