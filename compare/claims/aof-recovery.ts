/** Claims about the AOF's recovery and about disks that fail: A10, A11, A13, A14, A15. */
import { toBuffer } from "../../common/bytes.ts";
import { type Fault, FaultyDisk } from "../../common/disk/faulty-disk.ts";
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { encodeCommand } from "../simulated-run.ts";
import { aofCase, type Case, type Claim } from "./claim.ts";
import { bytesOf, policyOf, Stage } from "./stage.ts";

const ALWAYS = policyOf("aof", "always");
const INCREMENT = "appendonlydir/appendonly.aof.1.incr.aof";

/** Three keys, the last two in a transaction; the disk afterwards. */
function threeKeys(): { stage: Stage; disk: MemoryDisk } {
  const stage = new Stage(ALWAYS);
  for (const words of [["SET", "a", "1"], ["MULTI"], ["SET", "b", "2"], ["SET", "c", "3"], ["EXEC"]])
    stage.ask(...words);
  return { stage, disk: stage.disk("kill", stage.now) };
}

/** Replaces the bytes of the increment. */
function rewriteIncrement(disk: MemoryDisk, change: (bytes: Buffer) => Buffer): void {
  const bytes = change(Buffer.from(bytesOf(disk, INCREMENT), "latin1"));
  const file = disk.open(INCREMENT, "update");
  file.truncate(0);
  file.write(0, bytes);
  file.close();
}

/** What the next start shows of a, b, c after something happened to the file. */
function afterDamage(change: (bytes: Buffer) => Buffer, loadTruncated = "yes"): string {
  const { stage, disk } = threeKeys();
  rewriteIncrement(disk, change);
  const life = Stage.reopen(stage, disk, { directives: { "aof-load-truncated": loadTruncated } });
  if (typeof life === "string") return "refused";
  return ["a", "b", "c"].map((key) => life.ask("GET", key) ?? "-").join(" ");
}

function changed(bytes: Buffer, text: string, by: string): Buffer {
  const at = bytes.indexOf(text);
  if (at < 0) throw new Error(`there is no ${text} in the file`);
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(by, "latin1"), bytes.subarray(at + text.length)]);
}

/** Never at the same moment as the timer of the server: a write would wait for its fsync (A6). */
const WRITE_EVERY_MS = 70;
const LAST_VALUE = "$1\r\n3\r\n";

/** A load on a disk that fails once: how it went on, and whether every acknowledged write is there afterwards. */
function onFaultyDisk(policyName: string, fault: Omit<Fault, "nth">): { then: string; kept: boolean; told: number } {
  const policy = policyOf("aof", policyName);
  const isIncrement = (path: string): boolean => path === INCREMENT;
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

/** The file with so many zero bytes at its end, behind a torn command or a whole one. */
function zeroTail(torn: boolean): string {
  return afterDamage((bytes) => {
    const whole = torn ? bytes.subarray(0, bytes.length - 20) : bytes;
    return Buffer.concat([whole, Buffer.alloc(4096)]);
  });
}

/** Two increments; `harm` happens to the first; what does the start make of it? */
function twoIncrements(harm: (disk: MemoryDisk) => void): string {
  const { stage, disk } = threeKeys();
  const second = "appendonlydir/appendonly.aof.2.incr.aof";
  const file = disk.open(second, "create");
  file.write(0, toBuffer(encodeCommand(["SELECT", "0"]) + encodeCommand(["SET", "d", "4"])));
  file.close();
  const manifest = disk.open("appendonlydir/appendonly.aof.manifest", "update");
  manifest.write(manifest.size(), Buffer.from("file appendonly.aof.2.incr.aof seq 2 type i\n"));
  manifest.close();
  harm(disk);
  const life = Stage.reopen(stage, disk);
  if (typeof life === "string") return "refused";
  return ["a", "b", "c", "d"].map((key) => life.ask("GET", key) ?? "-").join(" ");
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
      aofCase(
        "the file is whole",
        "1 2 3",
        "1 2 3",
        afterDamage((bytes) => bytes),
      ),
      aofCase(
        "its last command is torn",
        "1 - -",
        "1 - -",
        afterDamage((bytes) => bytes.subarray(0, bytes.length - 3)),
      ),
      aofCase(
        "EXEC is missing",
        "1 - -",
        "1 - -",
        afterDamage((bytes) => bytes.subarray(0, bytes.length - 14)),
      ),
      aofCase(
        "torn, aof-load-truncated no",
        "1 - -",
        "refused",
        afterDamage((bytes) => bytes.subarray(0, bytes.length - 3), "no"),
      ),
      aofCase(
        "a length in the middle is changed",
        "1 2 3",
        "refused",
        afterDamage((bytes) => changed(bytes, "$1\r\na", "$7\r\na")),
      ),
      aofCase(
        "a byte of a value is changed",
        "1 2 3",
        "1 2 9",
        afterDamage((bytes) => changed(bytes, LAST_VALUE, "$1\r\n9\r\n")),
      ),
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
    run: () => {
      const better = { shows: "", because: "the zeros are cut, and recovery says so" };
      return [
        aofCase("behind a whole command", "1 2 3", "refused", zeroTail(false), {
          better: { ...better, shows: "1 2 3" },
        }),
        aofCase("behind a torn command", "1 - -", "refused", zeroTail(true), { better: { ...better, shows: "1 - -" } }),
      ];
    },
  },
  {
    id: "A14",
    documents: "",
    claim: "a power loss just after a rewrite has begun leaves no hole",
    setup: "a rewrite under everysec",
    crash: "the manifest names the new increment, the old one is not synced",
    expected: "nothing but the last second is lost",
    truth: "false",
    because: "Redis syncs the old increment after the manifest names the new one (derived from its code)",
    notShown: "kv-aof has no rewrite yet: there is never a second increment",
    run: () => [],
  },
  {
    id: "A15",
    documents: "",
    claim: "a missing middle, or a file cut short, is noticed",
    setup: "two increments; the first is removed, cut inside a command, or cut between two commands",
    crash: "a lost file",
    expected: "refused",
    truth: "holds only if",
    because: "the manifest has no size and no checksum: a cut between two commands cannot be seen",
    run: () => [
      aofCase(
        "the first increment is missing",
        "refused",
        "refused",
        twoIncrements((disk) => disk.remove(INCREMENT)),
      ),
      aofCase(
        "it is cut inside a command",
        "refused",
        "refused",
        twoIncrements((disk) => rewriteIncrement(disk, (bytes) => bytes.subarray(0, bytes.length - 30))),
      ),
      aofCase(
        "it is cut between two commands",
        "refused",
        "1 - - 4",
        twoIncrements((disk) =>
          rewriteIncrement(disk, (bytes) => bytes.subarray(0, bytes.indexOf("*1\r\n$5\r\nMULTI"))),
        ),
      ),
    ],
    notShown: "twolog's annotations (length, CRC, LSN in # lines): not written yet, so it sees no more than Redis",
  },
];
