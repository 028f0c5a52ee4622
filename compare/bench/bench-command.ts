/**
 * `twolog bench`: what is measured, beside whom, and for how long. Three benchmarks, each of which says itself what it did:
 *
 *     twolog bench                  both engines and redis-server with the same fsync policy      bench.ts
 *     twolog bench --peers LIST     durable upserts of kv-wal beside databases and stores         commits.ts
 *     twolog bench --beyond-pool    kv-wal with ten times as much data as its pool                beyond-pool.ts
 */
import { Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../../common/errors.ts";
import { positiveInteger } from "../flag-values.ts";
import {
  BENCH_POLICIES,
  type BenchPolicy,
  COMMIT_PEERS,
  type CommitPeer,
  LOAD_TESTS,
  type LoadTest,
} from "./choices.ts";

interface BenchFlags {
  policy: BenchPolicy;
  tests: LoadTest[];
  pipeline: number[];
  rounds: number;
  connections: number;
  requests: number;
  keys: number;
  valueBytes: number;
  json?: string;
  peers?: CommitPeer[];
  seconds: number;
  beyondPool?: true;
  poolMegabytes: number;
}

function pipelines(text: string): number[] {
  return text.split(",").map(positiveInteger);
}

/** A list of names out of those that are known. */
function oneOrMoreOf<Name extends string>(known: readonly Name[]): (text: string) => Name[] {
  return (text) =>
    text.split(",").map((word) => {
      const name = known.find((candidate) => candidate === word);
      if (name === undefined) throw new InvalidArgumentError(`Known: ${known.join(", ")}.`);
      return name;
    });
}

const tests = oneOrMoreOf(LOAD_TESTS);

/** The subcommand, for compare/twolog.ts. */
export function benchCommand(print: (line: string) => void): Command {
  return new Command("bench")
    .description("throughput of both engines beside redis-server with the same fsync policy, as ratios")
    .addOption(new Option("--policy <name>", "appendfsync and its twin").choices(BENCH_POLICIES).default("everysec"))
    .option("--tests <list>", `of ${LOAD_TESTS.join(", ")}`, tests, tests("set,get"))
    .option("--pipeline <list>", "requests in flight per connection", pipelines, [1, 16, 64])
    .option("--rounds <n>", "interleaved rounds; the median counts", positiveInteger, 3)
    .option("--connections <n>", "clients", positiveInteger, 50)
    .option("--requests <n>", "requests per measurement at pipeline 1", positiveInteger, 100_000)
    .option("--keys <n>", "size of the key space", positiveInteger, 100_000)
    .option("--value-bytes <n>", "size of a value", positiveInteger, 64)
    .option("--json <file>", "write the figures to a file")
    .option(
      "--peers <list>",
      `instead: durable single-row upserts of kv-wal beside these, of ${COMMIT_PEERS.join(", ")}`,
      oneOrMoreOf(COMMIT_PEERS),
    )
    .option("--seconds <n>", "of each measurement beside --peers", positiveInteger, 4)
    .option("--beyond-pool", "instead: kv-wal with ten times as much data as its buffer pool")
    .option("--pool-megabytes <n>", "that pool", positiveInteger, 16)
    .action(async (flags: BenchFlags) => {
      process.exitCode = await run(flags, print);
    });
}

async function run(flags: BenchFlags, print: (line: string) => void): Promise<number> {
  const { peers, beyondPool, pipeline } = flags;
  if (peers !== undefined && beyondPool === true) throw new UsageError("--peers or --beyond-pool: one of them");
  if (peers !== undefined) {
    const { runCommitBench } = await import("./commits.ts");
    return runCommitBench({ ...flags, peers, pipelines: pipeline }, print);
  }
  if (beyondPool === true) {
    const { runBeyondPool } = await import("./beyond-pool.ts");
    return runBeyondPool(flags, print);
  }
  const { runBench } = await import("./bench.ts");
  return runBench({ ...flags, pipelines: pipeline }, print);
}
