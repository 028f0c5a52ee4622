/** Claims about the binlog: W23 to W25, W33. */
import { type Fault, FaultyDisk } from "../../common/disk/faulty-disk.ts";
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { configFor } from "../engines.ts";
import { keyspaceOfBinlog } from "../lab/binlog-agrees.ts";
import { policyOf } from "../policy.ts";
import { type Case, type Claim, walCase } from "./claim.ts";
import { bytesOf, Stage } from "./stage.ts";

const STRICT = policyOf("wal", "1/1");
const CONFIG = configFor("wal", {});

/** The value of a string in what the binlog makes of an empty keyspace, applied so many times. */
function fromBinlog(disk: MemoryDisk, key: string, times: number): string {
  const keyspace = keyspaceOfBinlog(disk, CONFIG, times);
  return keyspace.databases[0]?.strings.get(key) ?? "nothing";
}

/** Commands under a format; the binlog is applied once, which must give what the engine has, and twice. */
function appliedTwice(format: string, commands: readonly string[][], key: string): { once: string; twice: string } {
  const stage = new Stage(STRICT, { directives: { "binlog-format": format } });
  for (const words of commands) stage.ask(...words);
  const disk = stage.disk("kill", stage.now);
  const [once, twice] = [fromBinlog(disk, key, 1), fromBinlog(disk, key, 2)];
  const made = String(stage.ask("GET", key));
  if (once !== made) throw new Error(`the binlog makes ${once} of ${key}, the engine has ${made}`);
  return { once, twice };
}

const INCR_TWICE = [
  ["INCR", "n"],
  ["INCR", "n"],
];

/** A binlog on a disk whose sync fails once. */
function failedSync(): string {
  const fault: Fault = { call: "sync", code: "EIO", path: (path) => path.startsWith("wal/binlog.0"), nth: 5 };
  const stage = new Stage(STRICT, { wrapDisk: (disk, later) => new FaultyDisk(disk, [fault], later) });
  let last = "";
  for (let turn = 1; turn <= 20 && stage.failure === undefined; turn++) {
    const asked = stage.send(["SET", `k${turn}`, "v"], turn);
    stage.rest(50);
    if (asked.answeredAt === undefined) last = `k${turn}`;
  }
  const goesOn = stage.failure === undefined;
  if (last === "") return "nobody noticed";
  const disk = stage.disk("kill", stage.now);
  const life = Stage.reopen(stage, disk);
  if (typeof life === "string") return "the restart fails";
  const inEngine = life.ask("GET", last) === "v";
  const inBinlog = fromBinlog(life.disk("kill", life.now), last, 1) === "v";
  const agree = inEngine === inBinlog ? "engine and binlog agree" : "only one of them has the row";
  return `the server ${goesOn ? "goes on" : "stops"}; ${agree}`;
}

/** A transaction whose binlog write is torn at a page of the operating system. */
function tornGroup(): string {
  const stage = new Stage(STRICT);
  stage.ask("SET", "before", "v");
  const from = stage.now;
  stage.send(["MULTI"]);
  for (let field = 0; field < 60; field++) stage.send(["HSET", "h", `f${field}`, "PART".padEnd(700, ".")]);
  stage.send(["EXEC"]);
  stage.rest(100);
  const at = stage.events.findIndex(
    (event, index) =>
      index >= from &&
      event.kind === "disk" &&
      event.operation.kind === "write" &&
      event.operation.path.startsWith("wal/binlog.0") &&
      event.operation.bytes.length > 8192,
  );
  const event = stage.events[at];
  if (event?.kind !== "disk") throw new Error("the group was not written at once");
  const outcomes = new Set<string>();
  for (const disk of stage.statesAt(at).killDuring(event.operation)) {
    const life = Stage.reopen(stage, disk);
    if (typeof life === "string") return "the restart fails";
    const rows = Number(life.ask("HLEN", "h"));
    const left = bytesOf(life.disk("kill", life.now), "wal/binlog.0").includes("PART");
    outcomes.add(
      `${rows === 0 ? "rolled back" : "half there"}, ${left ? "the part stays in the binlog" : "the part is cut"}`,
    );
  }
  return [...outcomes].join("; ");
}

function idempotence(format: string, what: string, commands: readonly string[][], key: string, due: string): Case {
  const { once, twice } = appliedTwice(format, commands, key);
  const figure = `${once}, then ${twice}`;
  return walCase(`${format}, ${what}`, due, due, once === twice ? "the same" : "another value", { figure });
}

export const WAL_BINLOG_CLAIMS: readonly Claim[] = [
  {
    id: "W23",
    documents: "002",
    claim: "a ROW binlog may be replayed twice, a STATEMENT binlog not necessarily",
    setup: "some writes; their binlog is applied to an empty keyspace once, and twice",
    crash: "none",
    expected: "twice is once with ROW, and with STATEMENT it depends on the statement",
    truth: "holds",
    because: "a row image says what is there now, INCR says one more; a statement that sets is harmless, too",
    notShown: "SPOP: twolog has no sets yet",
    run: () => [
      idempotence("ROW", "INCR", INCR_TWICE, "n", "the same"),
      idempotence("STATEMENT", "INCR", INCR_TWICE, "n", "another value"),
      idempotence("STATEMENT", "SET", [["SET", "k", "v"]], "k", "the same"),
    ],
  },
  {
    id: "W24",
    documents: "003",
    claim: "the binlog serves replication and point-in-time recovery",
    setup: "a load; its binlog is applied to an empty keyspace",
    crash: "none",
    expected: "the same data",
    truth: "holds",
    because: "every committed transaction is in it, whole and in order",
    notShown: "a replica: twolog has no replication protocol yet",
    run: () =>
      ["ROW", "STATEMENT", "MIXED"].map((format) => {
        const stage = new Stage(STRICT, { directives: { "binlog-format": format } });
        for (let turn = 0; turn < 60; turn++) {
          stage.send(["SET", `k${turn % 7}`, `v${turn}`]);
          stage.send(["INCR", "n"]);
          if (turn % 5 === 0) stage.send(["DEL", `k${turn % 3}`]);
          stage.rest(3);
        }
        const disk = stage.disk("kill", stage.now);
        const keys = ["n", ...Array.from({ length: 7 }, (_, key) => `k${key}`)];
        const same = keys.every((key) => String(stage.ask("GET", key) ?? "nothing") === fromBinlog(disk, key, 1));
        return walCase(format, "the same data", "the same data", same ? "the same data" : "other data");
      }),
  },
  {
    id: "W25",
    documents: "",
    claim: "a failed binlog sync leaves engine and binlog in agreement",
    setup: "a SET every 50 ms; one sync of the binlog fails with EIO",
    crash: "killed at the end",
    expected: "the server stops; engine and binlog agree",
    truth: "false",
    because: "MariaDB answers with an error and rolls back, but the event stays in the binlog and the server goes on",
    run: () => [
      walCase(
        "1/1",
        "the server stops; engine and binlog agree",
        "the server goes on; only one of them has the row",
        failedSync(),
        {
          better: {
            shows: "the server stops; engine and binlog agree",
            because: "after a failed binlog sync nothing more is acknowledged; recovery makes both agree",
          },
        },
      ),
    ],
  },
  {
    id: "W33",
    documents: "",
    claim: "a transaction that is killed half way through its binlog write leaves nothing behind",
    setup: "a transaction of 42 KiB",
    crash: "killed in the middle of its binlog write, at every 4 KiB",
    expected: "rolled back, the part is cut",
    truth: "false",
    because: "MariaDB rolls back and leaves the partial group in the file",
    run: () => [
      walCase("1/1", "rolled back, the part is cut", "rolled back, the part stays in the binlog", tornGroup(), {
        better: { shows: "rolled back, the part is cut", because: "recovery truncates what has no XID" },
      }),
    ],
  },
];
