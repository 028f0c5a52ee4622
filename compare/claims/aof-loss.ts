/** Claims about what Redis's policies lose: A5 to A8. */

import { type CrashKind, policyOf } from "../policy.ts";
import { aofCase, type Case, type Claim } from "./claim.ts";
import { casesOf } from "./matrix.ts";
import { killedCases } from "./real-kill.ts";
import { type Asked, Stage, syncsOf } from "./stage.ts";

const WRITE_EVERY_MS = 20;
const LOAD_MS = 9000;
const CRASH_EVERY_MS = 40;

/** A client that sets a counter upwards, every few milliseconds, whatever the replies do. */
function countingLoad(
  policyName: string,
  syncMs: number,
  loadMs: number,
  everyMs: number,
): { stage: Stage; sent: Asked[] } {
  const stage = new Stage(policyOf("aof", policyName), { timing: syncsOf(syncMs) });
  const sent: Asked[] = [];
  const end = stage.nowMs + loadMs;
  while (stage.nowMs < end) {
    sent.push(stage.send(["SET", "n", String(sent.length + 1)]));
    stage.rest(everyMs);
  }
  return { stage, sent };
}

interface Loss {
  readonly writes: number;
  readonly ms: number;
}

/** What a crash at that moment loses of what had been acknowledged: how many writes, and since when. */
function lossAt(stage: Stage, sent: readonly Asked[], crash: CrashKind, moment: number, momentMs: number): Loss {
  const life = Stage.reopen(stage, stage.disk(crash, moment), { timing: syncsOf(1) });
  if (typeof life === "string") throw new Error(life);
  const kept = Number(life.ask("GET", "n") ?? 0);
  const lost = sent.filter((asked, index) => index >= kept && Stage.isTold(asked, moment));
  return { writes: lost.length, ms: lost[0] === undefined ? 0 : momentMs - lost[0].answeredMs };
}

/** The largest loss of all crashes, some milliseconds apart. */
function worstLoss(stage: Stage, sent: readonly Asked[], crash: CrashKind): Loss {
  let worst: Loss = { writes: 0, ms: 0 };
  let nextMs = 0;
  for (const [index, event] of stage.events.entries()) {
    if (event.ms < nextMs) continue;
    nextMs = event.ms + CRASH_EVERY_MS;
    const loss = lossAt(stage, sent, crash, index + 1, event.ms);
    if (loss.ms > worst.ms) worst = loss;
  }
  return worst;
}

function lossText({ writes, ms }: Loss): string {
  return `${writes} writes, ${(ms / 1000).toFixed(2)} s`;
}

/** "1 s": the second, the timer that looks ten times in it, and the sync itself. */
const ABOUT_A_SECOND_MS = 1150;

function everysecCase(syncMs: number, name: string, measured: string): Case {
  const { stage, sent } = countingLoad("everysec", syncMs, LOAD_MS, WRITE_EVERY_MS);
  const loss = worstLoss(stage, sent, "power");
  const observed = loss.ms <= ABOUT_A_SECOND_MS ? "about 1 s at most" : "more than 1 s";
  return aofCase(`an fsync takes ${name}`, "about 1 s at most", measured, observed, {
    figure: `up to ${lossText(loss)}`,
  });
}

function killCase(syncMs: number, name: string, measured: string): Case {
  const { stage, sent } = countingLoad("everysec", syncMs, LOAD_MS, WRITE_EVERY_MS);
  const loss = worstLoss(stage, sent, "kill");
  const observed = loss.writes === 0 ? "nothing lost" : "writes lost";
  return aofCase(`an fsync takes ${name}`, "nothing lost", measured, observed, { figure: `up to ${lossText(loss)}` });
}

function alwaysLoadCase(crash: CrashKind): Case {
  const { stage, sent } = countingLoad("always", 2, 300, 7);
  let worst: Loss = { writes: 0, ms: 0 };
  for (const [index, event] of stage.events.entries()) {
    const loss = lossAt(stage, sent, crash, index + 1, event.ms);
    if (loss.writes > worst.writes) worst = loss;
  }
  const name = `under load, ${crash === "kill" ? "killed" : "power loss"} at each event`;
  const observed = worst.writes === 0 ? "nothing lost" : `lost ${lossText(worst)}`;
  return aofCase(name, "nothing lost", "nothing lost", observed, { figure: `${stage.events.length} events` });
}

function noSyncCase(crash: CrashKind, due: string): Case {
  const { stage, sent } = countingLoad("no", 1, 44_000, 500);
  const loss = lossAt(stage, sent, crash, stage.now, stage.nowMs);
  const told = sent.filter((asked) => asked.answeredAt !== undefined).length;
  const observed = loss.writes === 0 ? "nothing is lost" : "acknowledged writes are gone";
  const when = `${crash === "kill" ? "killed" : "power loss"} after 44 s of load`;
  return aofCase(when, due, due, observed, { figure: `lost ${lossText(loss)}, of ${told} acknowledged` });
}

export const AOF_LOSS_CLAIMS: readonly Claim[] = [
  {
    id: "A5",
    documents: "000",
    claim: "everysec loses one second at worst",
    setup: `a SET every ${WRITE_EVERY_MS} ms for ${LOAD_MS / 1000} s, with fsyncs of different lengths`,
    crash: `power loss every ${CRASH_EVERY_MS} ms`,
    expected: "never more than a second",
    truth: "false",
    isBound: true,
    because: "a slow fsync holds the next one back, and the write with it; its own time is added to the second",
    run: () => [
      everysecCase(10, "10 ms", "about 1 s at most"),
      everysecCase(500, "0.5 s", "more than 1 s"),
      everysecCase(1500, "1.5 s", "more than 1 s"),
      everysecCase(3000, "3 s", "more than 1 s"),
      everysecCase(5000, "5 s", "more than 1 s"),
    ],
  },
  {
    id: "A6",
    documents: "000",
    claim: "a killed process loses nothing under everysec",
    setup: `a SET every ${WRITE_EVERY_MS} ms for ${LOAD_MS / 1000} s`,
    crash: `killed every ${CRASH_EVERY_MS} ms`,
    expected: "everything written is in the page cache",
    truth: "holds only if",
    because: "while a background fsync runs, the write itself is postponed for up to 2 s, and the reply is not",
    run: () => [killCase(10, "10 ms", "nothing lost"), killCase(3000, "3 s", "writes lost")],
  },
  {
    id: "A7",
    documents: "000",
    claim: "always loses nothing that was acknowledged",
    setup: "one SET on a quiet server; a load",
    crash: "every step, and every event of the load",
    expected: "acknowledged means there",
    truth: "holds",
    because: "the reply waits for an fsync that began after the write",
    async run(means) {
      const isKept = (value: string, told: boolean | undefined): string =>
        told && value !== "NEW" ? "lost" : "nothing lost";
      return [
        ...casesOf(
          "aof",
          ({ policy }) => policy.name === "always",
          () => "nothing lost",
          (_, { told, value }) => isKept(value, told),
        ),
        alwaysLoadCase("kill"),
        alwaysLoadCase("power"),
        ...(await killedCases(means, "aof", ({ policy }) => policy.name === "always", {
          isSo: ({ value, told }) => isKept(value, told) === "nothing lost",
          else: "acknowledged, NEW",
        })),
      ];
    },
  },
  {
    id: "A8",
    documents: "000",
    claim: "with appendfsync no, the kernel decides what is on disk",
    setup: "a SET every 0.5 s for 44 s",
    crash: "killed, or power loss, at the end",
    expected: "a kill loses nothing; a power loss takes what the kernel had not written by itself",
    truth: "holds",
    because: "and it is worse than people think: no fsync at all had happened, all 44 s were gone",
    run: () => [noSyncCase("power", "acknowledged writes are gone"), noSyncCase("kill", "nothing is lost")],
  },
];
