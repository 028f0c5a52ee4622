/**
 * The lab itself: persistence models and their enumeration, recovery on scratch disks, hunts, minimising, scripts, campaigns.
 * What the engines are worth is said by the hunts at the end: a slice of what `twolog compare --campaign` explores.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { Config } from "../common/config.ts";
import type { Disk } from "../common/disk/disk.ts";
import { FaultyDisk } from "../common/disk/faulty-disk.ts";
import { MemoryDisk } from "../common/disk/memory-disk.ts";
import { type DiskOperation, RecordingDisk } from "../common/disk/recording-disk.ts";
import type { Host } from "../common/host.ts";
import { freshFolder } from "../compare/lab/bases.ts";
import { campaignHtml, campaignJunit } from "../compare/lab/campaign-files.ts";
import { campaignText } from "../compare/lab/campaign-report.ts";
import { CampaignState } from "../compare/lab/campaign-state.ts";
import { ChunkRunner, chunkOf } from "../compare/lab/campaign-work.ts";
import { everyCheck } from "../compare/lab/checks.ts";
import { CoverageTable, crashesOf } from "../compare/lab/crashes.ts";
import { DiskImage } from "../compare/lab/disk-image.ts";
import { explain } from "../compare/lab/explain.ts";
import { hunt, recordingOf } from "../compare/lab/hunt.ts";
import { mergeCommands } from "../compare/lab/merge-commands.ts";
import { minimiseList } from "../compare/lab/minimise.ts";
import { MODEL_NAMES, modelOf } from "../compare/lab/models/index.ts";
import { PagePool } from "../compare/lab/page-pool.ts";
import { PageStore } from "../compare/lab/page-store.ts";
import { PendingDisk } from "../compare/lab/pending-disk.ts";
import { parseRunName, planOf, replayFile, saveFinding } from "../compare/lab/replay.ts";
import { ScratchDisk } from "../compare/lab/scratch-disk.ts";
import { parseScript } from "../compare/lab/script-file.ts";
import { shrink } from "../compare/lab/shrink.ts";
import { enumerate, lossesOf, sizeOf } from "../compare/lab/state-space.ts";
import { Subject } from "../compare/lab/subject.ts";
import { canRun, scriptOf, WORKLOADS } from "../compare/lab/workloads.ts";
import { createBinlogNotSynced } from "../compare/orders/binlog-not-synced.ts";
import { createReplyBeforeFsync } from "../compare/orders/reply-before-fsync.ts";
import { POLICIES, policyOf } from "../compare/policy.ts";
import { SeededRandom } from "../compare/random.ts";
import { simulate } from "../compare/simulated-run.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const ALL = { exhaustive: 1_000_000, sampled: 0 };
const FEW = { exhaustive: 16, sampled: 6 };
const PROMISED = ["kill", "dropped", "prefix", "ext4-like", "posix-weak"].map(modelOf);

function textIn(image: DiskImage, path: string): string | undefined {
  const file = image.entries.get(path);
  if (file === undefined) return undefined;
  const content = new Uint8Array(file.size);
  file.read(0, content);
  return Buffer.from(content).toString("latin1");
}

/** Every disk that a model allows after `work`, as the text of one file, "absent", or another answer of `look`. */
function statesOf(
  model: string,
  work: (disk: Disk) => void,
  look = (image: DiskImage): string => textIn(image, "log") ?? "absent",
): string[] {
  const base = DiskImage.empty(new PageStore());
  const pending = new PendingDisk(base);
  const operations: DiskOperation[] = [];
  const recorded = new RecordingDisk(new MemoryDisk(), (operation) => operations.push(operation));
  work(recorded);
  for (const operation of operations) pending.apply(operation);
  const found = new Set<string>();
  for (const space of modelOf(model).spaces({ disk: pending, next: undefined, operations, base })) {
    for (const choice of enumerate(space, ALL, new SeededRandom(0))) found.add(look(space.build(choice)));
  }
  return [...found].sort();
}

/** A durable file "log" of a kind of content. */
function durable(disk: Disk, content: string) {
  const file = disk.open("log", "create");
  disk.syncDir("");
  file.write(0, bytes(content));
  file.syncNow();
  return file;
}

t.test("persistence models", async (t) => {
  const appendTwice = (disk: Disk): void => {
    const file = durable(disk, "0");
    file.write(1, bytes("1"));
    file.write(2, bytes("2"));
  };
  t.same(statesOf("kill", appendTwice), ["012"], "a process kill loses nothing that was written");
  t.same(statesOf("dropped", appendTwice), ["0"], "a plain power loss loses what was not synced");
  t.same(statesOf("prefix", appendTwice), ["0", "01", "012"], "in order");
  t.same(
    statesOf("ext4-like", appendTwice),
    ["0", "0\0", "0\0\0", "01", "01\0", "012"],
    "a journaled size inside a block comes before its data",
  );
  t.same(
    statesOf("posix-weak", appendTwice),
    ["0", "0\0", "0\0\0", "01", "01\0", "012"],
    "one block: its content and the file's size, each as after any of the writes",
  );
  t.equal(statesOf("garbage", appendTwice).length, 9, "and junk, at three sizes");

  t.test("two blocks survive without each other, whichever was written first", async (t) => {
    const overwrite = (disk: Disk): void => {
      const file = durable(disk, "a".repeat(1024));
      file.write(0, bytes("b".repeat(512)));
      file.write(512, bytes("c".repeat(512)));
    };
    const short = (image: DiskImage): string =>
      [...(textIn(image, "log") ?? "")].filter((_, at) => at % 512 === 0).join("");
    t.same(statesOf("ext4-like", overwrite, short), ["aa", "ac", "ba", "bc"]);
    t.same(statesOf("posix-weak", overwrite, short), ["aa", "ac", "ba", "bc"]);
    t.same(statesOf("prefix", overwrite, short), ["aa", "ba", "bc"]);
    t.same(
      statesOf("posix-weak@4096", overwrite, short),
      ["aa", "ba", "bc"],
      "one sector of 4096 bytes, after any write",
    );
  });

  t.test("names: in order with a journal, any subset without", async (t) => {
    const work = (disk: Disk): void => {
      disk.makeDir("d");
      disk.syncDir("");
      for (const name of ["d/1", "d/2"]) disk.open(name, "create").close();
      disk.rename("d/1", "d/3");
    };
    const names = (image: DiskImage): string =>
      [...image.entries.keys()]
        .filter((path) => path.startsWith("d/"))
        .sort()
        .join(" ");
    t.same(statesOf("ext4-like", work, names), ["", "d/1", "d/1 d/2", "d/2 d/3"]);
    t.same(statesOf("posix-weak", work, names), ["", "d/1", "d/1 d/2", "d/2", "d/2 d/3", "d/3"]);
    t.same(statesOf("dropped", work, names), [""]);
  });

  t.test("a write in flight is cut at pages by a kill", async (t) => {
    const base = DiskImage.empty(new PageStore());
    const disk = new PendingDisk(base);
    disk.apply({ kind: "create", path: "log", file: 1 });
    const next: DiskOperation = { kind: "write", path: "log", file: 1, at: 0, bytes: bytes("x".repeat(9000)) };
    const [space] = modelOf("kill").spaces({ disk, next, operations: [], base });
    const sizes =
      space &&
      [...enumerate(space, ALL, new SeededRandom(0))].map((choice) => textIn(space.build(choice), "log")?.length);
    t.same(sizes, [0, 4096, 8192]);
  });

  t.test("a lying sync, a changed bit, a misdirected write", async (t) => {
    const work = (disk: Disk): void => durable(disk, "data").close();
    t.same(
      statesOf("lying-fsync", work),
      ["", "absent", "data"],
      "the sync of the file, or of the folder, did nothing",
    );
    t.same(statesOf("bit-rot", work), ["data", "tata"]);
    t.same(statesOf("misdirected", work), [`${"\0".repeat(512)}data`, "data"]);
  });

  for (const name of MODEL_NAMES) t.ok(modelOf(name).faults.length > 40, `${name} says what it assumes`);
  t.throws(() => modelOf("optimist"), /unknown model/);
  t.throws(() => modelOf("prefix@100"), /512 or 4096/);
});

t.test("enumeration", async (t) => {
  const dimension = { subject: "", path: "", values: ["kept", "lost"], lost: 1, operations: [3] };
  const space = {
    dimensions: Array.from({ length: 20 }, () => dimension),
    build: () => DiskImage.empty(new PageStore()),
  };
  t.equal(sizeOf(space), 2n ** 20n);
  const choices = [...enumerate(space, { exhaustive: 64, sampled: 200 }, new SeededRandom(1))];
  t.equal(choices.length, 200);
  t.equal(new Set(choices.map((choice) => choice.join())).size, 200, "no state twice");
  const missing: string[] = [];
  for (let a = 0; a < 20; a++) {
    for (let b = 0; b < a; b++) {
      for (const pair of ["00", "01", "10", "11"]) {
        if (!choices.slice(0, 12).some((choice) => `${choice[a]}${choice[b]}` === pair))
          missing.push(`${a} ${b} ${pair}`);
      }
    }
  }
  t.same(missing, [], "of any two writes every combination of kept and lost comes early");
  t.same(lossesOf(space, [0, 1]), [{ operation: 3, path: "", subject: "", what: "lost" }]);
  const small = { ...space, dimensions: [dimension, dimension] };
  t.equal([...enumerate(small, FEW, new SeededRandom(1))].length, 4, "a small space is given whole");
});

t.test("a scratch disk behaves as a disk, and knows what was asked of it", async (t) => {
  const memory = new MemoryDisk();
  memory.makeDir("d");
  memory.open("d/log", "create").write(0, bytes("x".repeat(5000)));
  const image = DiskImage.of(new PageStore(), memory);
  const scratch = new ScratchDisk(image, () => {}, new PagePool());
  for (const disk of [scratch, memory]) {
    const file = disk.open("d/log", "update");
    file.write(10, bytes("yy"));
    file.truncate(4097);
    file.write(9000, bytes("z"));
    disk.rename("d/log", "d/moved");
    disk.open("d/new", "ensure").write(0, bytes("n"));
    t.throws(() => disk.open("d/log", "read"), { code: "ENOENT" });
    t.throws(() => disk.open("d", "read"), { code: "EISDIR" });
    t.throws(() => disk.open("d/new", "create"), { code: "EEXIST" });
    t.same(disk.list("d"), ["moved", "new"]);
  }
  t.same(
    scratch.questions.map(({ path, what }) => `${path} ${what}`),
    ["d/log -1", "d/log 0", "d/log 1", "d -1", "d/new -1", "d -2"],
  );
  for (const path of ["d/moved", "d/new"]) {
    const [shown, right] = [scratch, memory].map((disk) => {
      const file = disk.open(path, "read");
      const content = Buffer.alloc(file.size());
      file.read(0, content);
      return content.toString("latin1");
    });
    t.ok(shown === right, `${path} is the same in the end`);
  }
});

t.test("the same seed gives the same record, byte for byte; syncs end in any order", async (t) => {
  const digest = (seed: number): string => {
    const hash = createHash("sha256");
    for (const event of simulate(planOf(parseRunName(`wal:2/0:mix:${seed}`))).timeline)
      hash.update(JSON.stringify(event));
    return hash.digest("hex");
  };
  t.equal(digest(5), digest(5));
  t.not(digest(5), digest(6));
  const orders = new Set<string>();
  for (let seed = 0; seed < 4; seed++) {
    const { timeline } = simulate({
      ...planOf(parseRunName(`wal:2/1:pauses:${seed}`)),
      timing: { shortMs: [0, 30], longMs: [0, 200], longOneIn: 2 },
    });
    const open: string[] = [];
    for (const event of timeline) {
      if (event.kind !== "disk") continue;
      if (event.operation.kind === "sync-start") open.push(event.operation.path);
      if (event.operation.kind !== "sync-end") continue;
      const at = open.indexOf(event.operation.path);
      if (open.length > 1) orders.add(at === 0 ? "first" : "later");
      open.splice(at, 1);
    }
  }
  t.same([...orders].sort(), ["first", "later"], "of two syncs on their way, either ends first");
});

t.test("an outcome that is known from the answers is the outcome of a recovery", async (t) => {
  for (const name of ["aof:no:append:2", "wal:2/0:sequences:805"]) {
    const plan = planOf(parseRunName(name));
    const recording = recordingOf(simulate(plan), new PageStore());
    const shared = new Subject(plan);
    const random = new SeededRandom(1);
    let compared = 0;
    for (const { image } of crashesOf(recording, { models: PROMISED, limits: FEW, seed: 1 }, new CoverageTable())) {
      const outcome = shared.outcomeOf(image);
      if (!random.oneIn(40)) continue;
      compared++;
      const alone = new Subject(plan).outcomeOf(image);
      t.same([...alone.cells].sort(), [...outcome.cells].sort());
      t.equal(alone.refused, outcome.refused);
    }
    t.ok(compared > 5, `${name}: ${compared} of ${shared.recoveries} compared`);
  }
});

t.test("minimising", async (t) => {
  let tries = 0;
  const list = await minimiseList(
    Array.from({ length: 64 }, (_, n) => n),
    (items) => {
      tries++;
      return items.includes(7) && items.includes(40) && items.includes(41);
    },
  );
  t.same(list, [7, 40, 41]);
  const commands = ["SET a 1", "SET b 2", "HSET h f 1", "HSET h g 2", "APPEND a x", "APPEND a y", "INCR n"];
  t.same(
    mergeCommands(commands.map((command) => command.split(" "))).map((command) => command.join(" ")),
    ["MSET a 1 b 2", "HSET h f 1 g 2", "APPEND a xy", "INCR n"],
    "neighbours become one command that does the same",
  );
  t.ok(tries < 100, `${tries} tries`);
});

t.test("a violation is found, made minimal, explained, saved and found again", async (t) => {
  const wrong = [
    { name: "aof:always:mix:1", create: createReplyBeforeFsync },
    { name: "wal:1/1:counters:2", create: createBinlogNotSynced },
  ];
  for (const { name, create } of wrong) {
    const plan = {
      ...planOf(parseRunName(name)),
      create: (_: unknown, host: Host, config: Config) => create(host, config),
    };
    const { finding } = hunt(plan, { models: PROMISED, limits: FEW, againOneIn: 0 });
    t.equal(finding?.violation.kind, "lost write");
    if (finding === undefined) continue;
    const small = await shrink(finding);
    t.ok(
      small.commands <= 5 && small.lostWrites <= 3,
      `${small.commands} commands, ${small.lostWrites} losses, ${small.ms.toFixed(0)} ms`,
    );
    const text = explain(small.finding).join("\n");
    t.match(text, /promised {2}nothing acknowledged is lost/);
    t.match(text, /told /);
    t.match(text, /memory +page cache +disk/);
    t.match(text, /a reply arrives .*\n.*CRASH/);
    const path = join(t.testdir(), "finding.json");
    saveFinding(path, small.finding);
    t.equal(replayFile(path), undefined, "the honest engine keeps the promise in the same crash");
  }
});

t.test("scripts that a user writes", async (t) => {
  const script = parseScript(
    "# two clients\nclient\n  SET a 'x y'  # quoted\n  wait 1200\n  MULTI; SET a 2; INCR n; EXEC\nclient\n  BEGIN; DEL a b; ROLLBACK\n  GET a\n",
    "my.script",
  );
  t.same(script.clients, [
    [
      { kind: "write", commands: [["SET", "c0:a", "x y"]] },
      {
        kind: "transaction",
        commands: [
          ["SET", "c0:a", "2"],
          ["INCR", "c0:n"],
        ],
        afterMs: 1200,
      },
    ],
    [
      { kind: "interactive", commands: [["BEGIN"], ["DEL", "c1:a", "c1:b"], ["ROLLBACK"]] },
      { kind: "read", commands: [["GET", "c1:a"]] },
    ],
  ]);
  t.throws(() => parseScript("SET a 1", "x"), /x:1: a script begins with 'client'/);
  t.throws(() => parseScript("client\nLPUSH a 1", "x"), /x:2: the lab does not know LPUSH/);
  t.throws(() => parseScript("client\nMULTI; SET a 1", "x"), /MULTI without EXEC/);
  const plan = planOf({ policy: parseRunName("wal:1/1:mix:1").policy, workload: "mix", seed: 1 }, script);
  const { finding, crashes } = hunt(plan, { models: PROMISED, limits: FEW, againOneIn: 20 });
  t.equal(finding, undefined);
  t.ok(crashes > 400, `${crashes} crashes`);
});

t.test("a disk that fails at any call: what was acknowledged is there (I6)", async (t) => {
  const faults = [
    { call: "sync", code: "EIO" },
    { call: "write", code: "ENOSPC", written: 512 },
    { call: "write", code: "EIO", written: 600 },
  ] as const;
  for (const name of ["aof:always:counters:1", "wal:1/1:counters:1"]) {
    const plan = planOf(parseRunName(name));
    const stopped: number[] = [];
    for (const [index, fault] of faults.entries()) {
      for (let nth = 1; nth <= 11; nth += 5) {
        const failing = {
          ...plan,
          wrapDisk: (disk: Disk, later: (run: () => void) => void) => new FaultyDisk(disk, [{ ...fault, nth }], later),
        };
        const { finding, run } = hunt(failing, {
          models: [modelOf("kill"), modelOf("dropped")],
          limits: FEW,
          againOneIn: 0,
          mayStop: true,
        });
        t.equal(finding?.violation.detail, undefined, `${name}: ${fault.call} ${nth} fails with ${fault.code}`);
        if (run.history.clients.flat().some(({ answered }) => answered === undefined)) stopped.push(index);
      }
    }
    t.ok(stopped.length > 3, `${stopped.length} of the faults ended the run`);
  }
});

t.test("campaigns", async (t) => {
  const plan = {
    seed: 3,
    policies: ["aof:always", "aof:everysec"],
    models: ["kill", "dropped"],
    workloads: ["counters", "interactive"],
    againOneIn: 8,
    deeperOneIn: 4,
    faultsOneIn: 0,
  };
  t.equal(chunkOf(plan, 3).workload, "interactive");
  t.equal(chunkOf(plan, 2).runs, 0, "kv-aof has no interactive transactions");
  t.equal(chunkOf(plan, 4).from, 4, "the next round has the next seed");
  const path = join(t.testdir(), "campaign.json");
  const whole = new CampaignState(plan);
  const runner = new ChunkRunner(plan);
  for (const chunk of [0, 1]) whole.add(chunk, runner.run(chunk));
  whole.save(path);

  t.test("go on after a kill: what the state file does not count is cut off and run again", async (t) => {
    const torn = readFileSync(`${path}.digests`);
    writeFileSync(`${path}.digests`, Buffer.concat([torn, Buffer.from("torn")]));
    const resumed = CampaignState.load(path);
    t.equal(resumed?.states, whole.states);
    resumed?.add(1, runner.run(1));
    t.equal(resumed?.sums.crashes, whole.sums.crashes, "a chunk counts once");
    resumed?.save(path);
    t.equal(readFileSync(`${path}.digests`).length, whole.states * 8);
  });

  t.test("several machines share one: their states merge to the same", async (t) => {
    const shards = [0, 1].map((chunk) => {
      const shard = new CampaignState(plan);
      shard.add(chunk, new ChunkRunner(plan).run(chunk));
      return shard;
    });
    const [first, second] = shards as [CampaignState, CampaignState];
    first.merge(second);
    t.equal(first.states, whole.states);
    t.equal(first.sums.crashes, whole.sums.crashes);
    t.throws(() => first.merge(second), /both campaigns have run aof:everysec:counters:3/);
  });

  t.test("reports", async (t) => {
    const narrow = campaignText(whole, { color: false, width: 90 });
    t.match(narrow, /kv-aof everysec/);
    t.match(narrow, /kill .*kept/);
    t.notMatch(narrow, "\u001b[");
    t.match(campaignJunit(whole), /<testsuite name="kv-aof always" tests="2" failures="0" errors="0"/);
    const page = campaignHtml(whole);
    t.match(page, /^<!doctype html>/);
    t.notMatch(page, /(src|href)=/, "nothing is loaded");
  });
});

t.test("how a run begins does not depend on which policy ran before", async (t) => {
  const [strict, lazy] = [policyOf("wal", "1/1"), policyOf("wal", "0/0")];
  t.not(freshFolder(strict, {}), freshFolder(lazy, {}), "each policy makes its own folder");
  t.equal(freshFolder(strict, {}), freshFolder(strict, {}), "once");
});

t.test("the workload shrink makes kv-wal cut its file", async (t) => {
  const { timeline, failure } = simulate(planOf(parseRunName("wal:1/1:shrink:1")));
  t.equal(failure, undefined);
  const isCut = timeline.some(
    (event) => event.kind === "disk" && event.operation.kind === "truncate" && event.operation.path === "wal/space",
  );
  t.ok(isCut);
});

t.test("a slice of the campaign: every policy and workload keeps its promises", async (t) => {
  const check = everyCheck(10);
  let states = 0;
  for (const policy of POLICIES) {
    for (const [index, workload] of WORKLOADS.entries()) {
      if (workload === "log-full" || !canRun(policy.engine, workload)) continue;
      const isStrict = policy.power.keeps === "everything";
      // Under the weaker policies one workload each: the strict ones promise most.
      if (!isStrict && index !== POLICIES.indexOf(policy) % 4) continue;
      const plan = planOf({ policy, workload, seed: workload === "sequences" ? 700 : 7 });
      const found = hunt(plan, {
        models: PROMISED,
        limits: { exhaustive: 6, sampled: 3 },
        againOneIn: 80,
        check,
        isCut: (event) => event % 5 === 0,
      });
      states += found.states;
      t.equal(
        found.finding && explain(found.finding).join("\n"),
        undefined,
        `${policy.engine}:${policy.name}:${workload}:${plan.seed}`,
      );
    }
  }
  t.ok(states > 500, `${states} distinct disks`);
  t.equal(scriptOf("sequences", 0).clients[0]?.length, 3);
});
