/**
 * What the crashes of an original and of its twin may show, and why: a trait without an explanation fails `--originals`,
 * whether one of them shows it or both.
 *
 *     binlog ahead    a transaction is in the binlog and not in the engine: the redo was less durable than the binlog
 *     binlog behind   it is in the engine and not in the binlog: the binlog was less durable than the commit mark
 *     loses           something acknowledged is gone, within what the policy promises
 *     broken          the policy's promise was not kept        }  never explained of twolog's own engines, of the originals
 *     refused         the server does not start                }  only by a weakness that is known by what it says
 *
 * Which policies may part engine and binlog follows from what each makes durable, and when (W8). Where only one of two servers shows an
 * allowed trait, the states that were chosen did not have it: their recordings differ in time.
 */

import type { Cell, Outcome } from "../claims/measured.ts";
import { type CrashKind, type EngineName, type Policy, promiseOf } from "../policy.ts";
import type { Column } from "./crash-columns.ts";

const TRAITS = ["broken", "refused", "loses", "binlog ahead", "binlog behind"] as const;
export type Trait = (typeof TRAITS)[number];

/** A trait that one or both servers of a pair have. */
export interface Finding {
  readonly crash: CrashKind;
  readonly trait: Trait;
  readonly shownBy: "original" | "twin" | "both";
  /** What was said, or found: each once. */
  readonly examples: readonly string[];
  /** Why; undefined when nobody has explained it. */
  readonly why: string | undefined;
}

interface Weakness {
  readonly engine: EngineName;
  readonly trait: Trait;
  /** Known only of the server's very first start. */
  readonly firstStart: boolean;
  /** All that it may say. */
  readonly says: RegExp;
  readonly why: string;
}

const BINLOG_NAME =
  "MariaDB makes a binlog file at every start and syncs it, but never the folder. On ext4 in practice that commits the " +
  "file's name, too; by the letter of POSIX a power loss may take the file and leave";
const OURS = "kv-wal syncs the folder before it relies on a name (I8).";

/** Of the originals, after a power loss. */
const WEAKNESSES: readonly Weakness[] = [
  {
    engine: "aof",
    trait: "broken",
    firstStart: true,
    says: /^lost write: /,
    why:
      "At its first start redis-server makes appendonlydir and syncs what is in it, but never the data folder that holds " +
      "it (A8): by the letter of POSIX a power loss may take the folder and everything acknowledged with it. On ext4 in " +
      "practice the sync of a file in it commits the name too. kv-aof syncs the data folder first (I8).",
  },
  {
    engine: "aof",
    trait: "refused",
    firstStart: false,
    says: /^Bad file format reading the append only file/,
    why:
      "A power loss may leave zeros where the AOF's unsynced end was (on ext4: what is appended inside an allocated block). " +
      "redis-server takes them for damage and does not start (A13). kv-aof cuts them, and says so.",
  },
  {
    engine: "wal",
    trait: "refused",
    firstStart: false,
    says: /prepared transactions/,
    why: `${BINLOG_NAME} prepared transactions that only it could decide: then MariaDB refuses to start. ${OURS}`,
  },
  {
    engine: "wal",
    trait: "binlog behind",
    firstStart: false,
    says: /its newest file is gone$/,
    why: `${BINLOG_NAME} what the engine had committed. ${OURS}`,
  },
];

/** Why a policy allows it after such a crash; undefined: it does not. */
export function whyAllowed(policy: Policy, crash: CrashKind, trait: Trait): string | undefined {
  if (trait === "loses") return whyLost(policy, crash);
  if (policy.engine === "aof") return undefined;
  const [flush, sync] = policy.name.split("/");
  if (trait === "binlog ahead" && flush === "0")
    return "With flush_log 0 the prepare is still in memory when the binlog is written: any crash may take it alone (W8).";
  if (trait === "binlog ahead" && flush === "2" && crash === "power")
    return "With flush_log 2 the prepare is not synced when the binlog is: a power loss may take it alone (W8).";
  if (trait === "binlog behind" && sync === "0" && crash === "power")
    return "With sync_binlog 0 the binlog is not synced when redo is: a power loss may take it alone (W8, W10).";
  return undefined;
}

function whyLost(policy: Policy, crash: CrashKind): string | undefined {
  if (promiseOf(policy, crash).keeps === "everything") return undefined;
  if (policy.engine === "wal") return "The policy answers before what it needs is durable (W8, W15, W16).";
  if (crash === "power") return "The policy answers before it syncs (A5, A8).";
  return "While a background fsync runs, the write waits and the reply does not: what is only in memory dies (A6).";
}

/** What a recording says of itself, where a cell depends on it. */
export interface CellEvidence {
  readonly isOriginal: boolean;
  /** A sync in another thread had ended before the reply left. */
  readonly syncedBeforeReply: boolean;
}

/** Why a cell is not as measured, although nothing is lost by it; undefined: nobody has explained it. */
export function whyCellDiffers(
  { policy, point, crash, measured }: Cell,
  { told, inBinlog, value }: Outcome,
  { isOriginal, syncedBeforeReply }: CellEvidence,
): string | undefined {
  if (
    policy.name === "everysec" &&
    crash === "power" &&
    value === "NEW" &&
    told === measured.told &&
    syncedBeforeReply
  ) {
    return "In this recording the background fsync had ended before the reply left: what it covers cannot be lost.";
  }
  const isSame = inBinlog === measured.inBinlog && value === measured.value;
  if (isOriginal || point !== "P4b" || !isSame || told !== true) return undefined;
  return (
    "With flush_log 2 MariaDB writes the commit mark before it answers. kv-wal answers first and writes the mark with the " +
    "next redo, as both do with flush_log 1: the binlog has decided, the mark decides nothing (W3)."
  );
}

/** All traits of both servers, each explained or not. */
export function findingsOf(
  policy: Policy,
  isFirstStart: boolean,
  original: Readonly<Record<CrashKind, Column>>,
  twin: Readonly<Record<CrashKind, Column>>,
): Finding[] {
  const findings: Finding[] = [];
  for (const crash of ["kill", "power"] as const) {
    for (const trait of TRAITS) {
      const [ofOriginal, ofTwin] = [statesWith(original[crash], trait), statesWith(twin[crash], trait)];
      if (ofOriginal === 0 && ofTwin === 0) continue;
      const shownBy = ofTwin === 0 ? "original" : ofOriginal === 0 ? "twin" : "both";
      const examples = [...examplesOf(original[crash], trait), ...examplesOf(twin[crash], trait)];
      const weakness =
        shownBy === "original" && crash === "power"
          ? weaknessOf(policy.engine, trait, isFirstStart, examples)
          : undefined;
      findings.push({ crash, trait, shownBy, examples, why: whyAllowed(policy, crash, trait) ?? weakness });
    }
  }
  return findings;
}

function weaknessOf(
  engine: EngineName,
  trait: Trait,
  isFirstStart: boolean,
  examples: readonly string[],
): string | undefined {
  const known = WEAKNESSES.find(
    (weakness) => weakness.engine === engine && weakness.trait === trait && (isFirstStart || !weakness.firstStart),
  );
  const isKnown = known !== undefined && examples.length > 0 && examples.every((text) => known.says.test(text));
  return isKnown ? known.why : undefined;
}

function statesWith({ broken, refused, lost, binlogAhead, binlogBehind }: Column, trait: Trait): number {
  // A loss that the policy does not allow is counted once: as broken.
  return {
    broken,
    refused,
    loses: broken === 0 ? lost : 0,
    "binlog ahead": binlogAhead,
    "binlog behind": binlogBehind,
  }[trait];
}

function examplesOf({ violations, refusals, partings }: Column, trait: Trait): readonly string[] {
  return { broken: violations, refused: refusals, loses: [], "binlog ahead": partings, "binlog behind": partings }[
    trait
  ];
}
