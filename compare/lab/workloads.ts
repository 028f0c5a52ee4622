/**
 * What the lab's runs do: named workloads, each a script for a seed. Every client writes keys of its own ("c0:…"), so that
 * the order of the writes to a key is known without asking the server; the bank belongs to all.
 *
 *     sequences    all sequences of three commands over twelve shapes (as ACE does for file systems): the seed is the
 *                  number of the sequence, 0 … 1727, and shorter ones are their beginnings
 *     bank         transfers of several clients, in MULTI … EXEC
 *     counters     INCR and HINCRBY only: what is replayed twice shows
 *     append       APPEND only: what is lost in the middle shows
 *     mix          everything, several clients
 *     pauses       the same with pauses of a second and more: everything that happens once a second happens in it
 *     large        values larger than a page of the medium and of kv-wal
 *     rewrite      everything, and BGREWRITEAOF in the middle, again and again (kv-aof)
 *     interactive  BEGIN … SAVEPOINT … COMMIT or ROLLBACK of several clients, command by command (kv-wal)
 *     log-full     more redo than the ring holds: kv-wal must write pages and move the checkpoint to go on
 *     shrink       large values go, and some time passes: kv-wal moves pages and cuts its file, kv-aof rewrites
 */
import type { Bytes } from "../../common/bytes.ts";
import { UsageError } from "../../common/errors.ts";
import type { EngineName } from "../policy.ts";
import { SeededRandom } from "../random.ts";
import type { Script } from "../simulated-run.ts";
import { ownPrefix, type Planned, Workload } from "../workload.ts";
import { readScript } from "./script-file.ts";

type Command = readonly Bytes[];

function write(...command: Command): Planned {
  return { kind: "write", commands: [command] };
}

/** A time that no run reaches. */
const LATER = "4000000000000";

/** The twelve shapes; `n` makes their values distinct. */
const SHAPES: readonly ((n: number) => Planned)[] = [
  (n) => write("SET", "c0:a", `v${n}`),
  (n) => write("SET", "c0:b", `w${n}`.padEnd(600, "w")),
  () => write("DEL", "c0:a"),
  () => write("INCR", "c0:n"),
  (n) => write("APPEND", "c0:a", `+${n}`),
  (n) => write("MSET", "c0:a", `m${n}`, "c0:b", `m${n}`),
  (n) => write("HSET", "c0:h", "f", `h${n}`),
  () => write("HDEL", "c0:h", "f"),
  () => write("RENAME", "c0:a", "c0:b"),
  () => write("PEXPIREAT", "c0:a", LATER),
  (n) => ({
    kind: "transaction",
    commands: [
      ["SET", "c0:a", `t${n}`],
      ["INCR", "c0:n"],
    ],
  }),
  () => write("FLUSHALL"),
];

export const SEQUENCES = SHAPES.length ** 3;

function sequence(seed: number): Script {
  const steps: Planned[] = [];
  for (let index = 0, rest = seed % SEQUENCES; index < 3; index++) {
    steps.push((SHAPES[rest % SHAPES.length] as (n: number) => Planned)(index));
    rest = Math.floor(rest / SHAPES.length);
  }
  return { name: "sequences", clients: [steps], bank: false };
}

/** `count` steps for each of some clients. */
function clientsOf(count: number, steps: number, next: (client: number, index: number) => Planned): Planned[][] {
  return Array.from({ length: count }, (_, client) =>
    Array.from({ length: steps }, (__, index) => next(client, index)),
  );
}

function mix(seed: number, clients: number, steps: number, pauseMs: number): Planned[][] {
  const random = new SeededRandom(seed);
  const workloads = Array.from({ length: clients }, (_, client) => new Workload(seed, client, clients));
  return clientsOf(clients, steps, (client) => {
    const planned = (workloads[client] as Workload).next();
    return pauseMs > 0 && random.oneIn(3) ? { ...planned, afterMs: random.below(pauseMs) } : planned;
  });
}

/** It changes nothing that a client sees. */
const REWRITE: Planned = { kind: "read", commands: [["BGREWRITEAOF"]] };

/** One client with all shapes, or several with a mix; the first asks for a rewrite now and then. */
function rewriting(seed: number): Planned[][] {
  const random = new SeededRandom(seed);
  const clients = random.oneIn(2)
    ? mix(seed, 3, 8, 40)
    : clientsOf(1, 14, (_, index) => (SHAPES[random.below(SHAPES.length)] as (n: number) => Planned)(index));
  const [first = [], ...others] = clients;
  const asking = first.map((planned, index) => (index % 5 === 2 ? REWRITE : planned));
  // Most of what comes behind comes while the rewrite runs, some of it after a while.
  const pausing = asking.map((planned) => (random.oneIn(3) ? { ...planned, afterMs: random.below(30) } : planned));
  return [pausing, ...others];
}

function interactive(random: SeededRandom, client: number, index: number): Planned {
  const own = ownPrefix(client);
  const id = `${client}.${index}`;
  const commands: Command[] = [["BEGIN"], ["SET", `${own}a`, id], ["INCR", `${own}n`]];
  // Accounts in the order of their numbers: no deadlock, so that nothing is rolled back but by the script.
  const account = random.below(7);
  if (random.oneIn(2)) commands.push(["DECRBY", `bank:${account}`, "5"], ["INCRBY", `bank:${account + 1}`, "5"]);
  if (random.oneIn(2)) {
    commands.push(["SAVEPOINT", "here"], ["HSET", `${own}h`, "f", id], ["DEL", `${own}a`]);
    if (random.oneIn(2)) commands.push(["ROLLBACK", "TO", "here"]);
  }
  commands.push([random.oneIn(4) ? "ROLLBACK" : "COMMIT"]);
  return { kind: "interactive", commands };
}

const LARGE_VALUES = 5;
/** All but one of them are more than kv-wal gives back at least, and more pages than its smallest pool has. */
const LARGE_BYTES = 400_000;

/** Large values, and a little among them; all but one go, in one way or another; time for idle work; one comes again. */
function shrinking(seed: number): Planned[] {
  const random = new SeededRandom(seed);
  const kept = random.below(LARGE_VALUES);
  const slots = Array.from({ length: LARGE_VALUES }, (_, slot) => slot);
  const others = slots.filter((slot) => slot !== kept);
  const large = (slot: number, text: string): Planned =>
    write("SET", `c0:s${slot}`, text.padEnd(LARGE_BYTES - random.below(100_000), "S"));
  const small = (slot: number): Planned =>
    write("HSET", "c0:h", `f${slot}`, `${slot}=`.padEnd(random.below(3000), "h"));
  const without = (slot: number): Planned =>
    random.oneIn(2) ? write("DEL", `c0:s${slot}`) : write("SET", `c0:s${slot}`, `${slot}`);
  const pausing = (): Planned => ({ ...write("INCR", "c0:n"), afterMs: 100 + random.below(300) });
  return [
    ...slots.flatMap((slot) => [large(slot, `${slot}=`), small(slot)]),
    ...others.map(without),
    // What runs while pages are moved and the file is cut.
    ...Array.from({ length: 5 }, pausing),
    large(others[0] ?? 0, "again="),
    pausing(),
  ];
}

const MAKERS: Readonly<Record<string, (seed: number) => Script>> = {
  sequences: sequence,
  bank(seed) {
    const workloads = [0, 1, 2].map((client) => new Workload(seed, client, 3));
    const transfers = clientsOf(3, 4, (client) => {
      for (;;) {
        const planned = (workloads[client] as Workload).next();
        if (planned.kind === "transaction") return planned;
      }
    });
    return { name: "bank", clients: transfers, bank: true };
  },
  counters(seed) {
    const random = new SeededRandom(seed);
    const next = (client: number): Planned =>
      random.oneIn(2)
        ? write("INCR", `${ownPrefix(client)}n`)
        : write("HINCRBY", `${ownPrefix(client)}h`, `f${random.below(3)}`, String(1 + random.below(9)));
    return { name: "counters", clients: clientsOf(2, 6, next), bank: false };
  },
  append(seed) {
    const random = new SeededRandom(seed);
    const next = (client: number, index: number): Planned =>
      write("APPEND", `${ownPrefix(client)}log`, `${client}.${index};`.padEnd(1 + random.below(300), "-"));
    return { name: "append", clients: clientsOf(2, 6, next), bank: false };
  },
  mix: (seed) => ({ name: "mix", clients: mix(seed, 3, 8, 0), bank: true }),
  pauses: (seed) => ({ name: "pauses", clients: mix(seed, 2, 8, 1500), bank: true }),
  large(seed) {
    const random = new SeededRandom(seed);
    const next = (client: number, index: number): Planned =>
      write(
        "SET",
        `${ownPrefix(client)}s${random.below(2)}`,
        `${client}.${index}=`.padEnd(3000 + random.below(40_000), "L"),
      );
    return { name: "large", clients: clientsOf(1, 4, next), bank: false };
  },
  rewrite: (seed) => {
    const clients = rewriting(seed);
    return { name: "rewrite", clients, bank: clients.length > 1 };
  },
  interactive(seed) {
    const random = new SeededRandom(seed);
    const next = (client: number, index: number): Planned =>
      index % 3 === 2 ? write("INCR", `${ownPrefix(client)}n`) : interactive(random, client, index);
    return { name: "interactive", clients: clientsOf(3, 5, next), bank: true };
  },
  "log-full"(seed) {
    const random = new SeededRandom(seed);
    const next = (client: number, index: number): Planned =>
      write("SET", `${ownPrefix(client)}s${random.below(8)}`, `${client}.${index}=`.padEnd(7000, "F"));
    return { name: "log-full", clients: clientsOf(2, 24, next), bank: false };
  },
  shrink: (seed) => ({ name: "shrink", clients: [shrinking(seed)], bank: false }),
};

export const WORKLOADS: readonly string[] = Object.keys(MAKERS);

/** Workloads that only kv-wal can run. */
const WAL_ONLY: ReadonlySet<string> = new Set(["interactive"]);

/** Workloads that only kv-aof can run. */
const AOF_ONLY: ReadonlySet<string> = new Set(["rewrite"]);

export function canRun(engine: EngineName, workload: string): boolean {
  return !(engine === "aof" ? WAL_ONLY : AOF_ONLY).has(workload);
}

/** The script that a workload's name, or a file's, and a seed mean. */
export function scriptOf(workload: string, seed: number): Script {
  if (workload.includes(".") || workload.includes("/")) return readScript(workload);
  const maker = MAKERS[workload];
  if (maker === undefined)
    throw new UsageError(`unknown workload '${workload}': one of ${WORKLOADS.join(", ")}, or a file`);
  return maker(seed);
}
