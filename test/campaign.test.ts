/**
 * Campaigns of the lab as a person runs them: killed by SIGKILL and gone on with, divided and merged, in every form of
 * output; and what they say about faults, of calls and of the medium.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { PLAIN_ENV, PROGRAM, twolog } from "./support/program.ts";

const CAMPAIGN = ["compare", "--engine", "wal", "--policy", "2/1", "--workloads", "counters,append"];
const SMALL = ["--models", "kill,dropped", "--again", "64", "--deeper", "0", "--faults", "3"];

interface Result {
  readonly distinctStates: number;
  readonly sums: Record<string, number>;
  readonly rows: readonly { readonly model: string; readonly crashes: number; readonly verdict: string }[];
  readonly [field: string]: unknown;
}

/** Everything but what depends on time, and on what a worker happened to know. */
function lasting({ sums, checkRows: _checks, rateRows: _rates, ...rest }: Result): unknown {
  const { cpuMs: _cpu, wallMs: _wall, recoveries: _recoveries, ...counts } = sums;
  return { ...rest, counts };
}

function resultIn(path: string): Result {
  return JSON.parse(readFileSync(path, "utf8")) as Result;
}

function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** Kills the campaign with SIGKILL as soon as it has saved something else than there was before. */
async function killWhenSaved(child: ChildProcess, state: string, before: string): Promise<void> {
  const ended = once(child, "close");
  while (textOf(state) === before && child.exitCode === null) await new Promise((done) => setTimeout(done, 10));
  child.kill("SIGKILL");
  await ended;
}

t.test("a campaign that is killed twice and gone on with ends as one that was not", async (t) => {
  const folder = t.testdir();
  const [state, resumed, whole] = ["state", "resumed.json", "whole.json"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const args = [...CAMPAIGN, ...SMALL, "--seed", "4"];
  for (let kills = 0; kills < 2; kills++) {
    // It would go on for hours: however late the kill comes, it comes in the middle.
    const all = [PROGRAM, ...args, "--campaign", "1000000", "--state", state, "--workers", "2"];
    const before = textOf(state);
    const child = spawn(process.execPath, all, { env: PLAIN_ENV, stdio: "ignore" });
    t.teardown(() => child.kill("SIGKILL"));
    await killWhenSaved(child, state, before);
    t.equal(child.signalCode, "SIGKILL", "it was in the middle");
  }
  const saved = JSON.parse(readFileSync(state, "utf8")) as {
    readonly chunks: readonly number[];
    readonly digests: number;
  };
  t.ok(saved.chunks.length > 0, `${saved.chunks.length} chunks were saved`);
  const enough = saved.digests + 100;
  const limited = [...args, "--campaign", String(enough)];
  t.equal(twolog(...limited, "--state", state, "--json", resumed).status, 0);
  t.equal(twolog(...limited, "--workers", "1", "--json", whole).status, 0);
  t.same(lasting(resultIn(resumed)), lasting(resultIn(whole)), "whatever the kills, and however many the workers");
  t.ok(resultIn(whole).distinctStates >= enough);
  t.match(twolog(...limited, "--seed", "5", "--state", state), { status: 2, stderr: /belongs to another campaign/ });
});

t.test("several machines: shards and ranges of seeds merge, and nothing counts twice", async (t) => {
  const folder = t.testdir();
  const small = [...CAMPAIGN, ...SMALL, "--campaign", "40"];
  const shares = [
    ["--shard", "1/2", "--seed", "4"],
    ["--shard", "2/2", "--seed", "4"],
    ["--shard", "1/2", "--seed", "1000"],
  ];
  const files = shares.map((share, index) => {
    const file = join(folder, `state${index}`);
    t.equal(twolog(...small, ...share, "--state", file, "--json", `${file}.json`).status, 0);
    return file;
  });
  const merged = join(folder, "merged.json");
  t.equal(twolog("compare", "--merge", ...files, "--json", merged).status, 0);
  const parts = files.map((file) => resultIn(`${file}.json`));
  const all = resultIn(merged);
  const sum = (of: (part: Result) => number): number => parts.reduce((total, part) => total + of(part), 0);
  t.equal(
    all.sums["crashes"],
    sum((part) => part.sums["crashes"] ?? 0),
  );
  t.equal(
    all.rows[0]?.crashes,
    sum((part) => part.rows[0]?.crashes ?? 0),
  );
  t.ok(all.distinctStates <= sum((part) => part.distinctStates), "a disk that two have seen is one");
  t.ok(all.distinctStates > Math.max(...parts.map((part) => part.distinctStates)));
  t.same(all["seeds"], [4, 1000]);
  const [first = "", second = ""] = files;
  t.match(twolog("compare", "--merge", first, second, first), {
    status: 2,
    stderr: /both campaigns have run wal:2\/1:/,
  });
});
