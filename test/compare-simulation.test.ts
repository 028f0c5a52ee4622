/**
 * Power loss and process kill in the simulator, at every disk operation: both engines keep what their policies promise,
 * the measured truth about real servers comes out of them, and engines with a wrong order are caught.
 *
 * Seeds are fixed, so that a failure is the same for everybody; SEEDS=100 runs more of them.
 */
import { createHash } from "node:crypto";
import t from "tap";
import { type Fault, FaultyDisk } from "../common/disk/faulty-disk.ts";
import type { CreateEngine } from "../compare/engines.ts";
import { type CrashState, crashSomewhere, explore } from "../compare/explore.ts";
import { createBinlogNotSynced } from "../compare/orders/binlog-not-synced.ts";
import { createPageBeforeRedo } from "../compare/orders/page-before-redo.ts";
import { createReplyBeforeFsync } from "../compare/orders/reply-before-fsync.ts";
import { POLICIES, type Policy, policyOf } from "../compare/policy.ts";
import type { SimulatedRun } from "../compare/simulated-run.ts";
import { simulate } from "../compare/simulated-run.ts";
import type { DiskWrapper } from "../compare/simulator.ts";
import { LATER, powerPlan, probe, SMALL } from "../compare/survey.ts";

const SEEDS = Number(process.env["SEEDS"] ?? 2);
const SIZE = { clients: 3, operations: 16 };

function run(under: Policy, seed: number, size = SIZE, create?: CreateEngine): SimulatedRun {
  return simulate({ ...powerPlan(under, seed, size, SMALL[under.engine]), ...(create && { create }) });
}

/** Crashes a run everywhere; returns the first violations, each with what is needed to run it again. */
function violationsOf(of: SimulatedRun, states: readonly CrashState[], from = 0): { crashes: number; found: string[] } {
  const found: string[] = [];
  const { seed, policy: under } = of.plan;
  const options = { states: new Set(states), partlyKeptOneIn: 4, againOneIn: 20, seed, from };
  const { judged } = explore(of, options, ({ state, event, verdict }) => {
    for (const { kind, rule, command, detail } of found.length < 5 ? verdict.violations : []) {
      found.push(
        `seed ${seed}, kv-${under.engine} ${under.name}, event ${event}, ${state}: ${rule} ${kind}: ${command}: ${detail}`,
      );
    }
  });
  return { crashes: judged, found };
}

/** Every byte of the record: operations, their bytes, steps, answers, times. */
function digest(of: SimulatedRun): string {
  const hash = createHash("sha256");
  for (const event of of.timeline) hash.update(JSON.stringify(event));
  return hash.digest("hex");
}

t.test("the same seed gives the same run, byte for byte", async (t) => {
  for (const under of [policyOf("aof", "everysec"), policyOf("wal", "2/1")]) {
    const first = run(under, 3);
    t.ok(first.timeline.length > 200, `${first.timeline.length} events`);
    t.equal(digest(run(under, 3)), digest(first));
    t.not(run(under, 4).timeline.length, first.timeline.length);
  }
});

t.test("every operation of a run is answered, and none with an error", async (t) => {
  for (const under of POLICIES) {
    const { failure, history } = run(under, 1);
    t.equal(failure, undefined);
    const operations = history.clients.flat();
    t.equal(operations.length, SIZE.clients * SIZE.operations + 1);
    t.same(
      operations.filter(({ answered, reply }) => answered === undefined || reply instanceof Error),
      [],
      `kv-${under.engine} ${under.name}`,
    );
  }
});

t.test("a crash at any disk operation breaks no promise", async (t) => {
  for (const under of POLICIES) {
    // What an AOF may look like on a disk that keeps the end of an append without its start, nothing promises.
    const states: CrashState[] = ["kill", "kill, write torn", "power, unsynced dropped", "power, kept in order"];
    if (under.engine === "wal") states.push("power, kept in any order");
    let crashes = 0;
    const seeds = under.power.keeps === "everything" ? SEEDS : Math.ceil(SEEDS / 2);
    for (let seed = 1; seed <= seeds; seed++) {
      const of = run(under, seed);
      t.equal(of.failure, undefined);
      const result = violationsOf(of, states);
      crashes += result.crashes;
      t.same(result.found, [], `kv-${under.engine} ${under.name}, seed ${seed}`);
    }
    t.ok(crashes > seeds * 400, `${crashes} crashes of kv-${under.engine} ${under.name}`);
  }
});

t.test("a second life: crashed, recovered, loaded, and crashed again at any disk operation", async (t) => {
  for (const under of [policyOf("aof", "always"), policyOf("wal", "1/1")]) {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const base = crashSomewhere(run(under, seed), seed);
      const plan = { ...powerPlan(under, seed + 100, SIZE, SMALL[under.engine]), base };
      const of = simulate(plan);
      t.equal(of.failure, undefined);
      const from = (of.history.clients[of.setupClient]?.[0]?.answered?.order ?? 0) + 1;
      const { found } = violationsOf(of, ["kill", "power, unsynced dropped", "power, kept in order"], from);
      t.same(found, [], `kv-${under.engine} ${under.name}, seed ${seed}`);
    }
  }
});

t.test("a disk that fails: nothing is acknowledged that is not there (I6)", async (t) => {
  const faults: readonly Omit<Fault, "nth">[] = [
    { call: "sync", code: "EIO" },
    { call: "write", code: "ENOSPC", written: 7 },
    { call: "write", code: "EIO" },
  ];
  for (const under of [
    policyOf("aof", "always"),
    policyOf("aof", "everysec"),
    policyOf("wal", "1/1"),
    policyOf("wal", "2/1"),
  ]) {
    for (const [index, fault] of faults.entries()) {
      // Behind what the start does to a new folder; everysec syncs so seldom that its first sync must do.
      const isFirst = under.name === "everysec" && fault.call === "sync";
      const nth = (under.engine === "wal" ? 40 : isFirst ? 3 : 6) + index;
      const wrapDisk: DiskWrapper = (disk, later) => new FaultyDisk(disk, [{ ...fault, nth, times: 2 }], later);
      const of = simulate({ ...powerPlan(under, 3, SIZE, SMALL[under.engine]), wrapDisk });
      const name = `kv-${under.engine} ${under.name}, ${fault.call} ${nth} fails with ${fault.code}`;
      const told = of.history.clients.flat().filter(({ answered }) => answered !== undefined).length;
      const all = SIZE.clients * SIZE.operations + 1;
      t.ok(told < all, `${name}: ${told} of ${all} operations answered`);
      t.same(violationsOf(of, ["kill", "power, unsynced dropped"]).found, [], name);
    }
  }
});

t.test("the windows are real: what a policy may lose, it does lose", async (t) => {
  for (const under of POLICIES.filter(({ power }) => power.keeps !== "everything")) {
    let lost = 0;
    explore(
      run(under, 2),
      { states: new Set(["power, unsynced dropped"]), partlyKeptOneIn: 1, againOneIn: 0, seed: 2 },
      (judged) => {
        lost = Math.max(lost, judged.verdict.lost);
      },
    );
    t.ok(lost > 0, `kv-${under.engine} ${under.name} loses up to ${lost} acknowledged writes`);
  }
});

/**
 * One write on a quiet server, crashed between its steps, as measured on redis-server 7.0.15 and MariaDB 10.11.19: what is
 * there afterwards. A word a crash point: the last step done, and "+" for there or "-" for not.
 */
const MEASURED: Readonly<Record<string, { readonly kill: string; readonly power: string }>> = {
  "aof always": { kill: "append- write+ fsync+ reply+", power: "append- write- fsync+ reply+" },
  "aof everysec": { kill: "append- write+ reply+", power: "append- write- reply-" },
  "aof no": { kill: "append- write+ reply+ later+", power: "append- write- reply- later-" },
  "wal 1/1": {
    kill: "prepare- redo-write- redo-sync- binlog-write+ binlog-sync+ commit+ reply+ later+",
    power: "prepare- redo-write- redo-sync- binlog-write- binlog-sync+ commit+ reply+ later+",
  },
  "wal 1/0": {
    kill: "prepare- redo-write- redo-sync- binlog-write+ commit+ reply+ later+",
    power: "prepare- redo-write- redo-sync- binlog-write- commit- reply- later+",
  },
  "wal 2/1": {
    kill: "prepare- redo-write- binlog-write+ binlog-sync+ commit+ reply+ later+",
    power: "prepare- redo-write- binlog-write- binlog-sync- commit- reply- later+",
  },
  "wal 2/0": {
    kill: "prepare- redo-write- binlog-write+ commit+ reply+ later+",
    power: "prepare- redo-write- binlog-write- commit- reply- later+",
  },
  "wal 0/1": {
    kill: "prepare- binlog-write- binlog-sync- commit- reply- later+",
    power: "prepare- binlog-write- binlog-sync- commit- reply- later+",
  },
  "wal 0/0": {
    kill: "prepare- binlog-write- commit- reply- later+",
    power: "prepare- binlog-write- commit- reply- later+",
  },
};

t.test("the engines show what was measured on the real servers", async (t) => {
  for (const under of POLICIES) {
    const measured = MEASURED[`${under.engine} ${under.name}`] ?? { kill: "", power: "" };
    const probes = probe(under, SMALL[under.engine]);
    for (const crash of ["kill", "power"] as const) {
      const shown = measured[crash].split(" ").map((word) => {
        const point = word.slice(0, -1);
        const found = probes[crash].get(point === "later" ? LATER : `${under.engine}.${point}`);
        return `${point}${found === undefined ? "?" : found.survived ? "+" : "-"}`;
      });
      t.equal(shown.join(" "), measured[crash], `kv-${under.engine} ${under.name}, ${crash}`);
      const told = [...probes[crash]].filter(([, { acknowledged }]) => acknowledged).map(([point]) => point);
      t.equal(told[0], `${under.engine}.reply`, "the client is told at the last step and not before");
    }
  }
});

interface WrongOrder {
  readonly name: string;
  readonly policy: Policy;
  readonly create: CreateEngine;
  readonly caughtAs: RegExp;
}

const WRONG_ORDERS: readonly WrongOrder[] = [
  {
    name: "kv-aof replies before its fsync",
    policy: policyOf("aof", "always"),
    create: (_name, host, config) => createReplyBeforeFsync(host, config),
    caughtAs: /power.*I1 lost write/,
  },
  {
    name: "kv-wal does not sync its binlog",
    policy: policyOf("wal", "1/1"),
    create: (_name, host, config) => createBinlogNotSynced(host, config),
    caughtAs: /power.*I1 lost write/,
  },
  {
    name: "kv-wal writes a page before its redo",
    policy: policyOf("wal", "2/1"),
    create: (_name, host, config) => createPageBeforeRedo(host, config),
    caughtAs: /power.*I[0-9] (torn transaction|hole|wrong sum|invented data|refused)/,
  },
];

/** Creates and renames, and never syncs a folder. */
class WithoutFolderSync extends FaultyDisk {
  override syncDir(): void {}
}

for (const under of [policyOf("aof", "always"), policyOf("wal", "1/1")]) {
  t.test(`caught: kv-${under.engine} on a disk whose folders nobody syncs (I8)`, async (t) => {
    const of = simulate({
      ...powerPlan(under, 1, SIZE, SMALL[under.engine]),
      wrapDisk: (disk, later) => new WithoutFolderSync(disk, [], later),
    });
    const { found } = violationsOf(of, ["power, unsynced dropped"]);
    t.match(found[0], /power.*I1 lost write/);
    t.same(violationsOf(of, ["kill"]).found, [], "a kill alone does not show it");
  });
}

for (const { name, policy: under, create, caughtAs } of WRONG_ORDERS) {
  t.test(`caught: ${name}`, async (t) => {
    const caught: string[] = [];
    for (let seed = 1; seed <= SEEDS && caught.length === 0; seed++) {
      const of = run(under, seed, { clients: 3, operations: 40 }, create);
      caught.push(...violationsOf(of, ["power, unsynced dropped"]).found);
    }
    t.match(caught[0], caughtAs, "the oracle names the rule, the promise's victim and the seed");
    t.comment(caught[0] ?? "");
  });
}
