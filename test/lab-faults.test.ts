/**
 * What the lab says about disks that break their word: calls that fail while the engine runs (faults.ts), and media that lie,
 * rot and misdirect. What each engine owes then, that it does it, and that one which does not is found.
 */
import { join } from "node:path";
import t from "tap";
import { assert } from "../common/assert.ts";
import type { Config } from "../common/config.ts";
import type { Engine } from "../common/engine.ts";
import type { Host } from "../common/host.ts";
import { CarelessDisk } from "../compare/bugs/careless-disk.ts";
import { createEngine } from "../compare/engines.ts";
import { everyCheck } from "../compare/lab/checks.ts";
import { explain } from "../compare/lab/explain.ts";
import { huntFault, huntFaults } from "../compare/lab/fault-hunt.ts";
import { FAULT_KINDS, faultsOf, faultText, parseFault } from "../compare/lab/faults.ts";
import { type Hunt, hunt } from "../compare/lab/hunt.ts";
import { isBreach } from "../compare/lab/judge.ts";
import { MODEL_NAMES, modelOf } from "../compare/lab/models/index.ts";
import { loadFinding, parseRunName, planOf, replayFile, saveFinding } from "../compare/lab/replay.ts";
import { shrink } from "../compare/lab/shrink.ts";
import type { Violation } from "../compare/oracle.ts";
import type { EngineName } from "../compare/policy.ts";
import type { RunPlan } from "../compare/simulated-run.ts";

const LIMITS = { exhaustive: 64, sampled: 24 };
const ALL_OF_IT = { faultsMax: Number.POSITIVE_INFINITY, cutOneIn: 1, check: everyCheck(1) };

function damaged(run: string, model: string): Hunt {
  const options = { models: [modelOf(model)], limits: LIMITS, againOneIn: 16, goOn: true, check: everyCheck(1) };
  return hunt(planOf(parseRunName(run)), options);
}

function kindsOf({ tallies }: Hunt): string[] {
  return [...tallies.values()].flatMap(({ violations }) => [...violations.keys()]).sort();
}

t.test(
  "what an engine owes: everything, to notice, or only a stable recovery, and then the model says why",
  async (t) => {
    const violation = (kind: Violation["kind"], detail = ""): Violation => ({
      ...{ kind, detail, rule: "I1", matrix: "", promise: "", command: "" },
    });
    const breaks = (model: string, engine: EngineName, what: Violation): boolean =>
      isBreach(modelOf(model), engine, what);
    t.ok(breaks("dropped", "aof", violation("lost write")));
    t.ok(breaks("posix-weak", "wal", violation("refused")));
    t.notOk(breaks("posix-weak", "aof", violation("invented data")), "an AOF has no checksums");
    t.notOk(breaks("bit-rot", "wal", violation("refused", "wal/space: page 1 is damaged")));
    t.ok(breaks("bit-rot", "wal", violation("refused", "assertion failed: there is a page")), "no file is named");
    t.ok(breaks("bit-rot", "wal", violation("hole")), "wrong data are served");
    t.ok(breaks("bit-rot", "aof", violation("unstable recovery")), "I7 holds on every disk");
    for (const name of MODEL_NAMES) {
      const { owed, unpromised = {} } = modelOf(name);
      for (const engine of ["aof", "wal"] as const) {
        if (owed[engine] === "stability") t.ok(unpromised[engine], `${name} tells why kv-${engine} owes no more`);
      }
    }
  },
);

t.test("kv-wal notices a changed bit, a misdirected write, junk and a lie, and serves nothing wrong", async (t) => {
  // Seeds that found: redo that ended inside a transaction; rot in the first block of a new folder's redo.
  for (const run of ["wal:1/1:counters:2", "wal:2/1:counters:1"]) {
    for (const model of ["bit-rot", "misdirected", "garbage", "lying-fsync"]) {
      const found = damaged(run, model);
      t.equal(found.finding?.violation.detail, undefined, `${run} ${model}: ${found.crashes} crashes`);
      t.ok(kindsOf(found).includes("refused"), "some of it cannot be repaired");
    }
  }
});

t.test("kv-aof cannot notice a changed bit inside a value: shown, and not promised", async (t) => {
  const found = damaged("aof:always:append:2", "bit-rot");
  t.same(kindsOf(found), ["invented data", "refused"]);
  t.equal(found.finding, undefined);
  t.equal(damaged("aof:always:counters:2", "lying-fsync").finding, undefined, "a lie costs the end, never the rest");
});

t.test("every call of a short run fails once, in every way: nothing acknowledged is lost", async (t) => {
  for (const run of ["aof:always:sequences:6", "aof:everysec:sequences:7", "wal:1/1:sequences:6"]) {
    const plan = planOf(parseRunName(run));
    const { calls, hunted } = huntFaults(plan, ALL_OF_IT);
    const broken = hunted.flatMap(({ fault, finding }) =>
      finding === undefined ? [] : [`${faultText(fault)}: ${finding.violation.kind}, ${finding.violation.detail}`],
    );
    t.same(broken, [], `${run}: ${hunted.length} faults`);
    t.equal(
      hunted.length,
      [...calls.values()].reduce((sum, count) => sum + count, 0),
      "all that there are",
    );
    const ends = (name: string): string[] => [
      ...new Set(hunted.filter(({ fault }) => fault.kind.name === name).map(({ end }) => end)),
    ];
    t.same(ends("sync-EIO"), ["stopped"], "I6: a failed sync is never passed over");
    t.same(ends("slow-sync"), ["went on"]);
  }
  t.equal(faultsOf(planOf(parseRunName("aof:no:counters:2"))).length > FAULT_KINDS.length, true);
});

/** An engine that takes a failed sync for a good one (pitfall 39). */
function deaf(name: EngineName, host: Host, config: Config): Engine {
  const { clock, random, tracing } = host;
  const disk = new CarelessDisk(host.disk, {
    sync: (file, done) => file.sync(() => done(undefined)),
    syncNow(file) {
      try {
        file.syncNow();
      } catch {
        // What fails is not heard of.
      }
    },
  });
  const afterTick: Host["afterTick"] = (run) => host.afterTick(run);
  const trace: Host["trace"] = (step, detail) => host.trace(step, detail);
  return createEngine(name, { disk, clock, random, tracing, afterTick, trace }, config);
}

t.test("an engine that takes a failed sync for a good one is found, and the example is small", async (t) => {
  for (const run of ["aof:always:counters:2", "wal:1/1:counters:2"]) {
    const plan: RunPlan = { ...planOf(parseRunName(run)), create: deaf };
    const { hunted } = huntFaults(plan, { ...ALL_OF_IT, faultsMax: 60 });
    const found = hunted.flatMap(({ finding }) => finding ?? []);
    for (const kind of ["failure hidden", "lost write"]) {
      const finding = found.find(({ violation }) => violation.kind === kind);
      assert(finding !== undefined, `${run}: ${kind} is found`);
      t.match(finding.run.plan.fault, /^sync-EIO@/);
      const small = await shrink(finding);
      t.equal(small.isMinimal, true);
      t.ok(small.commands <= 2, `${small.commands} commands`);
      t.ok(small.lostWrites <= 1, `${small.lostWrites} lost writes`);
      t.equal(small.finding.violation.kind, kind);
      const { plan } = small.finding.run;
      const again = huntFault(plan, parseFault(plan.fault ?? ""), ALL_OF_IT);
      t.ok(again.finding, "one call fails in it, with another number than before");
    }
  }
});

t.test("a failure that was hidden is shown, and saved, with the call that failed", async (t) => {
  const plan: RunPlan = { ...planOf(parseRunName("wal:1/1:sequences:6")), create: deaf };
  const { finding } = huntFault(plan, parseFault("sync-EIO@4"), ALL_OF_IT);
  assert(finding !== undefined, "it is found");
  const text = explain(finding).join("\n");
  t.match(text, /^FAILURE HIDDEN {2}kv-wal 1\/1/);
  t.match(text, /the disk {2}sync-EIO@4: a sync fails/);
  const file = join(t.testdir(), "finding");
  saveFinding(file, finding);
  t.equal(loadFinding(file).fault, "sync-EIO@4");
  t.equal(replayFile(file), undefined, "the engine as it is stops");
});

t.test("a fault is named in a line, and found again by it", async (t) => {
  const name = parseRunName("wal:1/1:sequences:6:sync-EIO@2");
  t.equal(name.fault && faultText(name.fault), "sync-EIO@2");
  const { end, finding, hunt: found } = huntFault(planOf(name), parseFault("sync-EIO@2"), ALL_OF_IT);
  t.equal(end, "stopped");
  t.match(String(found.run.failure), /sync wal\/.*EIO/, "the failure names the call and the file");
  t.equal(finding, undefined);
  t.throws(() => parseFault("flood@1"), /no fault/);
  t.throws(() => parseFault("sync-EIO@0"), /no fault/);
});
