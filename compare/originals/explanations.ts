/**
 * Where an original and its twin may differ, and why: every other difference fails `--originals`. Two servers differ when
 * one keeps its policy's promise and the other does not, when one refuses to start, or when one's binlog and engine
 * disagree and the other's do not.
 */

import type { CrashKind, EngineName } from "../policy.ts";
import type { CrashColumns } from "./crash-columns.ts";

export type Trait = "broken" | "refused" | "binlog ahead" | "binlog behind";

export interface Difference {
  readonly crash: CrashKind;
  readonly trait: Trait;
  /** True: the original has the trait, its twin has not. */
  readonly original: boolean;
  /** Why; undefined when nobody has explained it. */
  readonly why: string | undefined;
}

interface Explanation {
  readonly engine: EngineName;
  readonly firstStart?: true;
  readonly crash: CrashKind;
  readonly trait: Trait;
  readonly original: boolean;
  /** Policies that it is about. */
  readonly policy: RegExp;
  readonly why: string;
}

const EXPLANATIONS: readonly Explanation[] = [
  {
    engine: "aof",
    firstStart: true,
    crash: "power",
    trait: "broken",
    original: true,
    policy: /./,
    why:
      "At its first start redis-server makes appendonlydir and syncs what is in it, but never the data folder that holds " +
      "it (A8): by the letter of POSIX a power loss may take the folder and everything acknowledged with it. On ext4 in " +
      "practice the sync of a file in it commits the name too. kv-aof syncs the data folder first (I8).",
  },
  {
    engine: "wal",
    firstStart: true,
    crash: "power",
    trait: "refused",
    original: true,
    policy: /./,
    why:
      "MariaDB makes a binlog file, syncs it and lists it in binlog.index, but never syncs the folder: by the letter of " +
      "POSIX a power loss may take the file and leave the index, and then it refuses to start. On ext4 in practice the " +
      "file's own sync commits its name too. kv-wal syncs the folder before it relies on a name (I8).",
  },
  {
    engine: "wal",
    crash: "power",
    trait: "refused",
    original: true,
    policy: /./,
    why: "MariaDB makes a new binlog file at every start and does not sync the folder: see the first start. kv-wal does (I8).",
  },
];

/** Only 1/1 promises that engine and binlog agree (W8). */
const MAY_DISAGREE =
  "This policy lets engine and binlog disagree (W8); the states chosen show it for one server only. --states N chooses more.";

/** What one server shows that the other does not. */
export function differencesOf(
  engine: EngineName,
  policy: string,
  original: CrashColumns,
  twin: CrashColumns,
  isFirstStart: boolean,
): Difference[] {
  const differences: Difference[] = [];
  for (const crash of ["kill", "power"] as const) {
    const [a, b] = [traitsOf(original, crash), traitsOf(twin, crash)];
    for (const trait of ["broken", "refused", "binlog ahead", "binlog behind"] as const) {
      if (a.has(trait) === b.has(trait)) continue;
      const has = a.has(trait);
      const found = EXPLANATIONS.find(
        (known) =>
          known.engine === engine &&
          known.crash === crash &&
          known.trait === trait &&
          known.original === has &&
          known.policy.test(policy) &&
          (known.firstStart === undefined || isFirstStart),
      );
      const mayDisagree = trait.startsWith("binlog") && policy !== "1/1";
      differences.push({ crash, trait, original: has, why: found?.why ?? (mayDisagree ? MAY_DISAGREE : undefined) });
    }
  }
  return differences;
}

function traitsOf(columns: CrashColumns, crash: CrashKind): Set<Trait> {
  const { broken, refused, binlogAhead, binlogBehind } = columns[crash];
  const traits = new Set<Trait>();
  if (broken > 0) traits.add("broken");
  if (refused > 0) traits.add("refused");
  if (binlogAhead > 0) traits.add("binlog ahead");
  if (binlogBehind > 0) traits.add("binlog behind");
  return traits;
}
