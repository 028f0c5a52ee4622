/** Claims about redo, binlog and what recovery makes of a transaction between the two: W4, W5, W7 to W12, W14 to W18. */
import { type CrashKind, policyOf } from "../policy.ts";
import { type Case, type Claim, walCase } from "./claim.ts";
import { casesOf, quietWrite } from "./matrix.ts";
import type { Cell, Outcome } from "./measured.ts";
import { killedCases } from "./real-kill.ts";
import { type Asked, bytesOf, Stage } from "./stage.ts";

const STRICT = policyOf("wal", "1/1");

/** Cells by policy names and points: "1/1", "P3 P4". */
function at(policies: string, points: string, crash?: CrashKind): (cell: Cell) => boolean {
  const names = policies.split(" ");
  const wanted = points.split(" ");
  return (cell) =>
    names.includes(cell.policy.name) && wanted.includes(cell.point) && (crash === undefined || cell.crash === crash);
}

const ALL_POLICIES = "1/1 1/0 2/1 2/0 0/1 0/0";
const ALL_POINTS = "P0 P1 P2 P3 P4 P4b P5 P6 P7";

const value = (_: unknown, outcome: Outcome): string => outcome.value;
const isTorn = ({ inBinlog, value: row }: Outcome): boolean => inBinlog !== (row === "NEW");

/** The same disk, with and without the transaction in the binlog: does recovery give the same? */
function redoAlone(): string {
  const { stage, write } = quietWrite(STRICT);
  const moment = stage.behind("wal.binlog-sync", write);
  const before = bytesOf(stage.disk("kill", write.sentAt), "wal/binlog.0").length;
  const shown = [false, true].map((isCut) => {
    const disk = stage.disk("kill", moment);
    if (isCut) {
      const name = disk.list("wal").findLast((entry) => /^binlog\.\d+$/.test(entry));
      const file = disk.open(`wal/${name}`, "update");
      file.truncate(before);
      file.close();
    }
    const life = Stage.reopen(stage, disk);
    return typeof life === "string" ? "refused" : String(life.ask("GET", "k"));
  });
  return shown[0] === shown[1] ? "the same with and without the binlog" : `${shown[0]} with it, ${shown[1]} without`;
}

const LOAD_MS = 3500;
const WRITE_EVERY_MS = 10;
const ABOUT_A_SECOND_MS = 1150;

/** A counter set upwards under a policy: how far back does a crash take it, at worst? */
function worstLossMs(policyName: string, crash: CrashKind): number {
  const stage = new Stage(policyOf("wal", policyName));
  const sent: Asked[] = [];
  while (stage.nowMs < LOAD_MS) {
    sent.push(stage.send(["SET", "n", String(sent.length + 1)]));
    stage.rest(WRITE_EVERY_MS);
  }
  let worst = 0;
  let nextMs = 0;
  for (const [index, event] of stage.events.entries()) {
    if (event.ms < nextMs) continue;
    nextMs = event.ms + 50;
    const life = Stage.reopen(stage, stage.disk(crash, index + 1));
    if (typeof life === "string") throw new Error(life);
    const kept = Number(life.ask("GET", "n") ?? 0);
    const lost = sent.find((asked, number) => number >= kept && Stage.isTold(asked, index + 1));
    if (lost !== undefined) worst = Math.max(worst, event.ms - lost.answeredMs);
  }
  return worst;
}

function windowCase(policyName: string, crash: CrashKind, claimed: string, measured: string): Case {
  const ms = worstLossMs(policyName, crash);
  const observed =
    ms === 0 ? "nothing is lost" : ms <= ABOUT_A_SECOND_MS ? "about 1 s is lost" : "more than 1 s is lost";
  const when = `${policyName}, a load, ${crash === "kill" ? "killed" : "power loss"} every 50 ms`;
  return walCase(when, claimed, measured, observed, { figure: `up to ${(ms / 1000).toFixed(2)} s` });
}

/** How long after its step "commit" the commit mark was on disk, on an idle server. */
function markDurableAfterMs(policyName: string): number {
  const { stage, write } = quietWrite(policyOf("wal", policyName));
  const marked = stage.behind("wal.commit", write);
  const written = stage.events.findIndex(
    (event, index) =>
      index >= marked &&
      event.kind === "disk" &&
      event.operation.kind === "write" &&
      event.operation.path === "wal/redo.0",
  );
  if (written < 0) throw new Error("the commit mark was never written");
  const synced = stage.events.find(
    (event, index) =>
      index > written &&
      event.kind === "disk" &&
      event.operation.kind === "sync-end" &&
      event.operation.path === "wal/redo.0",
  );
  return (synced?.ms ?? Number.POSITIVE_INFINITY) - (stage.events[marked - 1]?.ms ?? 0);
}

function flushCase(policyName: string): Case {
  const ms = markDurableAfterMs(policyName);
  const observed = ms <= ABOUT_A_SECOND_MS ? "within about a second" : "later";
  return walCase(`${policyName}, idle server`, "within about a second", "within about a second", observed, {
    figure: `${(ms / 1000).toFixed(2)} s after the commit`,
  });
}

export const WAL_TWO_LOGS_CLAIMS: readonly Claim[] = [
  {
    id: "W4",
    documents: "001 003",
    claim: "a prepared transaction without a commit mark is rolled back",
    setup: "one SET on a quiet server, 1/1",
    crash: "every point between the durable prepare and the reply",
    expected: "the old value",
    truth: "false",
    isBound: true,
    because: "the binlog decides: with its XID in the binlog it is committed",
    run: () => casesOf("wal", at("1/1", "P2 P3 P4 P5"), () => "OLD", value),
  },
  {
    id: "W5",
    documents: "001 002",
    claim: "a transaction whose binlog was written will be committed",
    setup: "one SET on a quiet server, 1/1",
    crash: "every point behind the binlog's write",
    expected: "the new value",
    truth: "holds only if",
    because: "the write must be durable and whole: written but not synced survives a kill, not a power loss",
    run: () => casesOf("wal", at("1/1", "P3 P4 P5"), () => "NEW", value),
  },
  {
    id: "W7",
    documents: "002",
    claim: "crashed before the binlog: rolled back; between binlog and commit: committed",
    setup: "one SET on a quiet server, 1/1",
    crash: "every point before the reply; for power loss, the binlog counts when it is synced",
    expected: "old before, new behind",
    truth: "holds",
    because: "with 1/1 both logs are durable when they are relied on",
    run: () => [
      ...casesOf("wal", at("1/1", "P0 P1 P2"), () => "OLD", value),
      ...casesOf("wal", at("1/1", "P3 P4 P5", "kill"), () => "NEW", value),
      ...casesOf("wal", at("1/1", "P4 P5", "power"), () => "NEW", value),
    ],
  },
  {
    id: "W8",
    documents: "002 003",
    claim: "a transaction is in both logs or in neither",
    setup: "one SET on a quiet server, every policy",
    crash: "every point",
    expected: "engine and binlog agree",
    truth: "holds only if",
    because: "only f=1 s=1 makes both durable in this order; with the others a power loss, with f=0 a kill, parts them",
    run: (means) =>
      withKills(
        means,
        casesOf(
          "wal",
          at(ALL_POLICIES, ALL_POINTS),
          () => "both or neither",
          (_, outcome) =>
            !isTorn(outcome) ? "both or neither" : outcome.inBinlog ? "the binlog only" : "the engine only",
        ),
      ),
  },
  {
    id: "W9",
    documents: "003",
    claim: "'binlog written, redo not committed' cannot be",
    setup: "one SET on a quiet server, 1/1",
    crash: "between the binlog's write and the commit mark",
    expected: "no crash finds such a state",
    truth: "false",
    because: "it is an ordinary crash point; recovery commits",
    run: () => [
      ...casesOf("wal", at("1/1", "P3 P4 P5", "kill"), () => "cannot be", undecided),
      ...casesOf("wal", at("1/1", "P4 P5", "power"), () => "cannot be", undecided),
    ],
  },
  {
    id: "W10",
    documents: "003",
    claim: "'redo committed, binlog not written' cannot be",
    setup: "one SET on a quiet server, every policy",
    crash: "every point",
    expected: "no crash leaves such a state",
    truth: "holds only if",
    because: "with s=0 a power loss takes the binlog and leaves the commit",
    run: () =>
      casesOf(
        "wal",
        at(ALL_POLICIES, ALL_POINTS),
        () => "cannot be",
        (_, { inBinlog, value: row }) =>
          row === "NEW" && !inBinlog ? "the engine has it, the binlog not" : "cannot be",
      ),
  },
  {
    id: "W11",
    documents: "003",
    claim: "with the binlog written and redo not committed, recovery rolls back, and replicas never get it",
    setup: "one SET on a quiet server, 1/1",
    crash: "between the binlog's sync and the commit mark",
    expected: "the old value",
    truth: "false",
    because: "recovery commits; a replica had the event right after the binlog's sync",
    notShown: "the replica's half: twolog has no replication yet",
    run: () => casesOf("wal", at("1/1", "P4 P5"), () => "OLD", value),
  },
  {
    id: "W12",
    documents: "003",
    claim: "recovery looks at redo only; the binlog is for replication only",
    setup: "one SET on a quiet server, 1/1; the same disk twice, once with the binlog cut back",
    crash: "killed right behind the binlog's sync",
    expected: "recovery gives the same on both",
    truth: "false",
    because: "recovery asks the binlog about every prepared transaction",
    run: () => [walCase("1/1", "the same with and without the binlog", "NEW with it, OLD without", redoAlone())],
  },
  {
    id: "W14",
    documents: "000 004",
    claim: "f=1 never loses a commit",
    setup: "one SET on a quiet server, acknowledged",
    crash: "right after the reply, and 3 s later",
    expected: "the new value",
    truth: "holds only if",
    because: "with s=0 its redo is on disk, prepared; without its XID recovery rolls it back",
    notShown: "without a binlog: kv-wal always has one",
    run: () => casesOf("wal", at("1/1 1/0", "P6 P7"), () => "NEW", value),
  },
  {
    id: "W15",
    documents: "004",
    claim: "f=0 writes to the operating system's cache at commit and syncs every second",
    setup: "one SET on a quiet server, acknowledged; a load",
    crash: "killed",
    expected: "a kill loses nothing",
    truth: "false",
    because: "at commit nothing is written at all; the text describes f=2",
    run: () => [
      ...casesOf("wal", at("0/1 0/0", "P6", "kill"), () => "NEW", value),
      windowCase("0/1", "kill", "nothing is lost", "about 1 s is lost"),
    ],
  },
  {
    id: "W16",
    documents: "004",
    claim: "f=2 survives a process crash and loses up to a second on power loss",
    setup: "one SET on a quiet server, acknowledged; a load",
    crash: "killed; power loss",
    expected: "nothing lost by a kill, at most about a second by a power loss",
    truth: "holds",
    because: "written at commit, synced once a second",
    run: () => [
      ...casesOf("wal", at("2/1 2/0", "P6 P7", "kill"), () => "NEW", value),
      windowCase("2/1", "kill", "nothing is lost", "nothing is lost"),
      windowCase("2/1", "power", "about 1 s is lost", "about 1 s is lost"),
    ],
  },
  {
    id: "W17",
    documents: "004",
    claim: "the redo log is flushed every second in the background, whatever the policy",
    setup: "one SET, then an idle server",
    crash: "none",
    expected: "the commit mark is on disk within about a second",
    truth: "holds",
    because: "and the commit mark of f=1 needs it",
    run: () => ["1/1", "2/1", "0/1"].map(flushCase),
  },
  {
    id: "W18",
    documents: "004",
    claim: "redo on disk means committed",
    setup: "one SET on a quiet server, 1/1",
    crash: "the redo is synced, the binlog not yet written",
    expected: "the new value",
    truth: "false",
    because: "with a binlog it is only prepared",
    notShown: "without a binlog (where it holds): kv-wal always has one",
    run: () => casesOf("wal", at("1/1 1/0", "P2"), () => "NEW", value),
  },
];

/** Not answered, in the binlog, not marked: what recovery makes of it. */
function undecided(_: unknown, { told, inBinlog, value: row }: Outcome): string {
  if (told || !inBinlog) return "cannot be";
  return row === "NEW" ? "it is; recovery commits" : "it is; recovery rolls back";
}

/** The measured kill matrix, again with real processes. */
async function withKills(means: Parameters<Claim["run"]>[0], cases: Case[]): Promise<Case[]> {
  const killed = await killedCases(means, "wal", () => true, {
    isSo: (outcome) => !isTorn(outcome),
    else: "in both or in neither",
  });
  return [...cases, ...killed];
}
