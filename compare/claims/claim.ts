/**
 * A claim is a sentence of one of the documents, made executable: cases that are really run, each with what the document
 * makes one expect, what was measured on the real servers, and what was observed on ours.
 *
 * Nothing here has a fixed result. A verdict is computed from the cases: the claim *holds* when every case shows what the
 * document says, is *false* when none does, and *holds only if* … names the cases that do. A claim of the kind "never" or
 * "at worst" is false as soon as one case contradicts it. The same computation over the measured column must give the
 * verdict that CLAIMS.md has for the row: so a scenario cannot be bent until it fits.
 *
 * A case *deviates* when the engine shows something else than the original did, and not the improvement that the row states.
 */

import type { Policy } from "../policy.ts";
import type { Cell, Outcome } from "./measured.ts";

export type Verdict = "holds" | "holds only if" | "false";

/** One thing that was run. The words of the three columns are compared as they are. */
export interface Case {
  readonly engine: "kv-aof" | "kv-wal";
  /** Configuration and crash point: what the verdict's "only if" names. */
  readonly when: string;
  readonly claimed: string;
  /** On redis-server 7.0.15 or MariaDB 10.11.19. */
  readonly measured: string;
  /** What twolog must show instead, where it deliberately does better; says why. */
  readonly better?: { readonly shows: string; readonly because: string };
  readonly observed: string;
  /** Simulated: virtual time and disk. Killed: a child process, by SIGKILL. Timed: this machine's disk and clock. */
  readonly how: "simulated" | "killed" | "timed";
  /** Figures that nobody judges: milliseconds, counts, ratios. */
  readonly figure?: string;
  /** The cell of the measured matrix that it is, and what words it makes of one. */
  readonly cell?: { readonly cell: Cell; readonly text: (policy: Policy, outcome: Outcome) => string };
  /** With --originals; undefined: it was not asked, or is not installed. */
  readonly original?: Sighting;
}

/** What an installed original shows of a case; or why that cannot be seen. */
export type Sighting = { readonly shows: string; readonly figure?: string } | { readonly unseen: string };

/** A case of kv-aof, simulated unless said otherwise. */
export function aofCase(
  when: string,
  claimed: string,
  measured: string,
  observed: string,
  more: Partial<Pick<Case, "how" | "figure" | "better">> = {},
): Case {
  return { engine: "kv-aof", when, claimed, measured, observed, how: "simulated", ...more };
}

/** A case of kv-wal, likewise. */
export function walCase(
  when: string,
  claimed: string,
  measured: string,
  observed: string,
  more: Partial<Pick<Case, "how" | "figure" | "better">> = {},
): Case {
  return { ...aofCase(when, claimed, measured, observed, more), engine: "kv-wal" };
}

/** What a scenario may use. */
export interface Means {
  /** Kill real child processes and measure the real disk, too; without it only the simulator runs. */
  readonly real: boolean;
}

export interface Claim {
  readonly id: string;
  /** Numbers of the documents; empty: our own row. */
  readonly documents: string;
  /** In our words. */
  readonly claim: string;
  readonly setup: string;
  readonly crash: string;
  /** What the document makes one expect, in a sentence. */
  readonly expected: string;
  /** CLAIMS.md's verdict on the original. */
  readonly truth: Verdict;
  /** Why, in a sentence. */
  readonly because: string;
  /** "never", "at worst": one counterexample makes it false. */
  readonly isBound?: true;
  /** What of the row cannot be run yet, and why: listed, never counted as passed. */
  readonly notShown?: string;
  run(means: Means): Case[] | Promise<Case[]>;
}

/** A claim that was run. */
export interface Judged {
  readonly claim: Claim;
  readonly cases: readonly Case[];
  /** Of the documents about the originals, and about twolog; undefined: nothing could be run. */
  readonly measured: Verdict | undefined;
  readonly observed: Verdict | undefined;
  /** The conditions of "holds only if". */
  readonly onlyIf: readonly string[];
  /** Why the command fails. */
  readonly deviations: readonly string[];
}

/** Runs a claim and judges it. A scenario that breaks is a deviation, not the end of the run. */
export async function judgeClaim(claim: Claim, means: Means): Promise<Judged> {
  try {
    return judgeCases(claim, await claim.run(means));
  } catch (error) {
    const text = `the scenario broke: ${error instanceof Error ? error.message : String(error)}`;
    return { claim, cases: [], measured: undefined, observed: undefined, onlyIf: [], deviations: [text] };
  }
}

/** Computes the verdicts. */
export function judgeCases(claim: Claim, cases: readonly Case[]): Judged {
  const deviations: string[] = [];
  for (const one of cases) {
    const due = one.better?.shows ?? one.measured;
    if (one.observed !== due) {
      deviations.push(`${one.engine}, ${one.when}: shows "${one.observed}" instead of "${due}"`);
    }
  }
  const measured = verdictOf(claim, cases, (one) => one.measured);
  if (measured !== undefined && measured !== claim.truth) {
    deviations.push(`the cases make "${measured}" of the original, CLAIMS.md has "${claim.truth}"`);
  }
  const observed = verdictOf(claim, cases, (one) => one.observed);
  const holding = cases.filter((one) => one.observed === one.claimed).map((one) => one.when);
  return { claim, cases, measured, observed, onlyIf: [...new Set(holding)], deviations };
}

function verdictOf(claim: Claim, cases: readonly Case[], column: (one: Case) => string): Verdict | undefined {
  if (cases.length === 0) return undefined;
  const holding = cases.filter((one) => column(one) === one.claimed).length;
  if (holding === cases.length) return "holds";
  return holding === 0 || claim.isBound === true ? "false" : "holds only if";
}
