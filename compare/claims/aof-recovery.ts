/** Claims about the AOF's recovery and about disks that fail: A10, A11, A13, A14, A15. */
import { type Fault, FaultyDisk } from "../../common/disk/faulty-disk.ts";
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import type { Database } from "../../common/keyspace/keyspace.ts";
import { type CreateEngine, createEngine } from "../engines.ts";
import { createNamedBeforeSealed } from "../orders/named-before-sealed.ts";
import { policyOf } from "../policy.ts";
import { SeededRandom } from "../random.ts";
import {
  DAMAGE_TO_ONE,
  DAMAGE_TO_TWO,
  type Damage,
  FIRST_INCREMENT,
  type HarmedFiles,
  LAST_COMMAND_TORN,
  MANIFEST,
  THREE_KEYS,
  ZEROS_AT_END,
} from "./aof-damage.ts";
import { aofCase, type Case, type Claim } from "./claim.ts";
import { bytesOf, Stage, syncsOf } from "./stage.ts";

const ALWAYS = policyOf("aof", "always");

function harmedFiles(disk: MemoryDisk): HarmedFiles {
  return {
    read: (path) => Buffer.from(bytesOf(disk, path), "latin1"),
    write(path, bytes) {
      const file = disk.open(path, "update");
      file.truncate(0);
      file.write(0, bytes);
      file.close();
    },
    remove: (path) => disk.remove(path),
  };
}

/** What the next start shows of three keys after something happened to their file. */
function afterDamage(damage: Damage, loadTruncated = "yes"): string {
  const stage = new Stage(ALWAYS);
  for (const words of THREE_KEYS) stage.ask(...words);
  const disk = stage.disk("kill", stage.now);
  damage(harmedFiles(disk));
  const life = Stage.reopen(stage, disk, { directives: { "aof-load-truncated": loadTruncated } });
  return typeof life === "string" ? "refused" : valuesOf(life, ["a", "b", "c"]);
}

function valuesOf(life: Stage, keys: readonly string[]): string {
  return keys.map((key) => life.ask("GET", key) ?? "-").join(" ");
}

/** Never at the same moment as the timer of the server: a write would wait for its fsync (A6). */
const WRITE_EVERY_MS = 70;

/** A load on a disk that fails once: how it went on, and whether every acknowledged write is there afterwards. */
function onFaultyDisk(policyName: string, fault: Omit<Fault, "nth">): { then: string; kept: boolean; told: number } {
  const policy = policyOf("aof", policyName);
  const isIncrement = (path: string): boolean => path === FIRST_INCREMENT;
  // Behind what the start does; the fault stays, as a full or broken disk does.
  const full: Fault = {
    path: isIncrement,
    ...fault,
    nth: policyName === "always" ? 5 : fault.call === "sync" ? 2 : 5,
    times: 1000,
  };
  const stage = new Stage(policy, { wrapDisk: (disk, later) => new FaultyDisk(disk, [full], later) });
  const sent = [];
  for (let turn = 1; turn <= 60 && stage.failure === undefined; turn++) {
    // Each by a client of its own: one whose write could not be made is never answered again.
    sent.push(stage.send(["SET", `k${turn}`, "v"], turn));
    stage.rest(WRITE_EVERY_MS);
  }
  const read = stage.askAs(0, "GET", "k1");
  const misconf = sent.some(({ reply }) => String(reply).includes("MISCONF"));
  const reads = read.reply === "v" ? ", reads go on" : "";
  const then = stage.failure !== undefined ? "it stops" : `${misconf ? "MISCONF" : "nothing said"}${reads}`;
  const told = sent.filter((asked) => Stage.isTold(asked, stage.now));
  const life = Stage.reopen(stage, stage.disk("kill", stage.now));
  const kept = typeof life !== "string" && told.every(({ words }) => life.ask("GET", words[1] ?? "") === "v");
  return { then, kept, told: told.length };
}

function faultCase(
  policyName: string,
  what: string,
  fault: Omit<Fault, "nth">,
  measured: string,
  better?: string,
): Case {
  const { then, kept, told } = onFaultyDisk(policyName, fault);
  const observed = `${then}; ${kept ? "every acknowledged write is there" : "an acknowledged write is missing"}`;
  const because = "what is not on disk as promised is not acknowledged (I6)";
  return aofCase(`${policyName}, ${what}`, "it stops; every acknowledged write is there", measured, observed, {
    figure: `${told} acknowledged`,
    ...(better !== undefined && { better: { shows: better, because } }),
  });
}

const KEPT = "every acknowledged write is there";

/** Slow enough for what a scenario does to come before the rewrite's end; idle work goes on with it every 100 ms. */
const SLOW_REWRITE = { "rdb-key-save-delay": "100000000" } as const;

/** A rewrite has begun: a, b and c are in the first increment, d in the second. Without our lines the manifest is Redis's. */
function inRewrite(withSeals: boolean): { stage: Stage; disk: MemoryDisk } {
  const stage = new Stage(ALWAYS, { directives: SLOW_REWRITE });
  for (const words of [...THREE_KEYS, ["BGREWRITEAOF"]]) stage.ask(...words);
  stage.rest(20);
  stage.ask("SET", "d", "4");
  const disk = stage.disk("kill", stage.now);
  if (!withSeals) withoutOurLines(disk);
  return { stage, disk };
}

/** The manifest as Redis writes it. */
function withoutOurLines(disk: MemoryDisk): void {
  const files = harmedFiles(disk);
  files.write(
    MANIFEST,
    Buffer.from(
      files
        .read(MANIFEST)
        .toString("latin1")
        .replace(/^#.*\n/gm, ""),
      "latin1",
    ),
  );
}

/** What a start makes of harmed files: without our lines, as Redis; with them. */
function harmedCase(when: keyof typeof DAMAGE_TO_TWO, measured: string): Case {
  const [without, withSeals] = [false, true].map((seals) => {
    const { stage, disk } = inRewrite(seals);
    DAMAGE_TO_TWO[when](harmedFiles(disk));
    const life = Stage.reopen(stage, disk);
    return typeof life === "string" ? "refused" : valuesOf(life, ["a", "b", "c", "d"]);
  }) as [string, string];
  if (without !== measured) return aofCase(`${when}, without our lines`, "refused", measured, without);
  const because = "twolog writes size and sum of finished files into lines of the manifest that Redis skips";
  const better = measured === "refused" ? {} : { better: { shows: "refused", because } };
  return aofCase(when, "refused", measured, withSeals, better);
}

const PREFIX = "what is left is a prefix";
const LOAD_STEPS = 18;
const REWRITE_AFTER = 4;
const DISKS_PER_MOMENT = 6;

/** A load under everysec, a rewrite in its middle; all kinds of disks that a power loss then leaves: what did they show? */
function rewriteUnderLoad(create: CreateEngine | undefined, valueBytes: number): { shows: string; disks: number } {
  const stage = new Stage(policyOf("aof", "everysec"), {
    directives: SLOW_REWRITE,
    // A sync takes a while, so that there is something to lose.
    timing: syncsOf(8),
    ...(create && { create }),
  });
  stage.rest(WRITE_EVERY_MS);
  for (let step = 1; step <= LOAD_STEPS; step++) {
    stage.ask("SET", `k${step}`, String(step).padEnd(valueBytes, "v"));
    if (step === REWRITE_AFTER) stage.ask("BGREWRITEAOF");
    stage.rest(3);
  }
  const random = new SeededRandom(1);
  const shown = new Set<string>();
  let disks = 0;
  for (let moment = stage.after("aof.seal", 0) ?? stage.now; moment <= stage.now; moment++) {
    const states = stage.statesAt(moment);
    for (let n = 0; n < DISKS_PER_MOMENT; n++) {
      const disk = states.powerSome(random, "in order");
      // Redis writes no seals.
      if (create !== undefined) withoutOurLines(disk);
      const life = Stage.reopen(stage, disk, { create: createEngine });
      const kept = typeof life === "string" ? [] : keptOf(life);
      if (typeof life === "string") shown.add("a start is refused");
      else if (kept.some((is, index) => is && kept[index - 1] === false)) shown.add("a hole");
      disks++;
    }
  }
  return { shows: shown.size === 0 ? PREFIX : [...shown].sort().join(", "), disks };
}

function keptOf(life: Stage): boolean[] {
  const { strings } = life.engine.keyspace.databases[0] as Database;
  return Array.from({ length: LOAD_STEPS }, (_, index) => strings.get(`k${index + 1}`) !== undefined);
}

function sealCase(when: string, valueBytes: number, measured: string): Case {
  const redis = rewriteUnderLoad((_name, host, config) => createNamedBeforeSealed(host, config), valueBytes);
  if (redis.shows !== measured) return aofCase(`${when}, Redis's order`, PREFIX, measured, redis.shows);
  const ours = rewriteUnderLoad(undefined, valueBytes);
  return aofCase(when, PREFIX, measured, ours.shows, {
    figure: `${ours.disks} disks; Redis's order, of our parts: ${redis.disks}`,
    better: { shows: PREFIX, because: "the old increment is synced, whole, before the manifest names the new one" },
  });
}

export const AOF_RECOVERY_CLAIMS: readonly Claim[] = [
  {
    id: "A10",
    documents: "000",
    claim: "recovery replays every command of the log",
    setup: "SET a; MULTI, SET b, SET c, EXEC; then the file is cut or changed",
    crash: "after it",
    expected: "every whole command is replayed, whatever happened to the file",
    truth: "holds only if",
    because:
      "a torn end is cut, or refused with aof-load-truncated no; damage before the end is refused; a changed value is not seen",
    run: () => [
      ...(
        [
          ["the file is whole", "1 2 3", "1 2 3"],
          ["its last command is torn", "1 - -", "1 - -"],
          ["EXEC is missing", "1 - -", "1 - -"],
          ["a length in the middle is changed", "1 2 3", "refused"],
          ["a byte of a value is changed", "1 2 3", "1 2 9"],
        ] as const
      ).map(([when, claimed, measured]) => aofCase(when, claimed, measured, afterDamage(DAMAGE_TO_ONE[when]))),
      aofCase("torn, aof-load-truncated no", "1 - -", "refused", afterDamage(LAST_COMMAND_TORN, "no")),
    ],
  },
  {
    id: "A11",
    documents: "",
    claim: "after an error of the disk nothing is acknowledged that is not there",
    setup: "a SET every 70 ms; from some write or fsync on, the disk fails",
    crash: "killed at the end",
    expected: "the server stops",
    truth: "holds only if",
    because: "always stops; everysec acknowledges the batch in hand although it is not on disk, then refuses writes",
    run: () => [
      faultCase("always", "a write fails with EIO", { call: "write", code: "EIO" }, `it stops; ${KEPT}`),
      faultCase("always", "an fsync fails with EIO", { call: "sync", code: "EIO" }, `it stops; ${KEPT}`),
      faultCase("always", "the disk is full", { call: "write", code: "ENOSPC", written: 9 }, `it stops; ${KEPT}`),
      faultCase(
        "everysec",
        "the disk is full",
        { call: "write", code: "ENOSPC", written: 9 },
        "MISCONF, reads go on; an acknowledged write is missing",
        `MISCONF, reads go on; ${KEPT}`,
      ),
      faultCase(
        "everysec",
        "an fsync fails with EIO",
        { call: "sync", code: "EIO" },
        `MISCONF, reads go on; ${KEPT}`,
        `it stops; ${KEPT}`,
      ),
    ],
  },
  {
    id: "A13",
    documents: "",
    claim:
      "a zero-filled end, which some file systems leave after a power loss, does not stop the server from starting",
    setup: "4 KiB of zeros behind a whole command, and behind a torn one",
    crash: "power loss",
    expected: "the zeros are cut",
    truth: "false",
    because: "Redis refuses to start (redis#5177)",
    run: () =>
      (
        [
          ["behind a whole command", "1 2 3"],
          ["behind a torn command", "1 - -"],
        ] as const
      ).map(([when, shows]) =>
        aofCase(when, shows, "refused", afterDamage(ZEROS_AT_END[when]), {
          better: { shows, because: "the zeros are cut, and recovery says so" },
        }),
      ),
  },
  {
    id: "A14",
    documents: "",
    claim: "a power loss just after a rewrite has begun leaves no hole",
    setup: "a rewrite under everysec",
    crash: "the manifest names the new increment, the old one is not synced",
    expected: "nothing but the last second is lost",
    truth: "false",
    because: "Redis syncs the old increment after the manifest names the new one",
    run: () => [
      sealCase("short commands", 10, "a hole, a start is refused"),
      sealCase("commands longer than a page", 6000, "a hole, a start is refused"),
    ],
  },
  {
    id: "A15",
    documents: "",
    claim: "a missing middle, or a file cut short, is noticed",
    setup: "two increments; the first is removed, cut, or changed, or the manifest forgets it",
    crash: "a lost file, a changed byte",
    expected: "refused",
    truth: "holds only if",
    because: "the manifest has no size and no checksum: a cut between two commands cannot be seen",
    run: () =>
      (
        [
          ["the first increment is missing", "refused"],
          ["it is cut inside a command", "refused"],
          ["it is cut between two commands", "1 - - 4"],
          ["it is empty", "- - - 4"],
          ["a byte of a value in it is changed", "1 2 9 4"],
          ["the manifest has lost its line", "- - - 4"],
          ["the second increment is missing", "refused"],
        ] as const
      ).map(([when, measured]) => harmedCase(when, measured)),
  },
];
