/** What a scenario is that shows a claim's case on an installed original. */
import type { Load, RecordedRun } from "./recorded-run.ts";
import type { OriginalServer } from "./server.ts";

/** What a scenario may use. */
export interface Observing {
  /** An empty folder of its own. */
  readonly folder: string;
  /**
   * A load on a quiet server with this policy, recorded; without one, one change. Scenarios that ask for the same get the same.
   * Recorded again, and in the end `Unseen`, while it is not good.
   */
  recorded(policyName: string, load?: Load, isGood?: (run: RecordedRun) => boolean): Promise<RecordedRun>;
  /** The installed program with this policy. */
  server(policyName: string): OriginalServer;
  /** What several cases look at is made once. */
  once<T>(name: string, make: () => Promise<T>): Promise<T>;
}

/** In the words of the case; a figure is judged by nobody. */
export type Seen = string | { readonly shows: string; readonly figure: string };

export type Scenario = (observing: Observing) => Promise<Seen>;

/** By claim, and by what the case calls itself. */
export type Scenarios = Readonly<Record<string, Readonly<Record<string, Scenario>>>>;

/** This machine does not let us see it now; says why. */
export class Unseen extends Error {}

/** What servers do once a second, on a machine that does other things, too. */
export const ABOUT_A_SECOND_MS = 2000;
