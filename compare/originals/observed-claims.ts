/**
 * `twolog compare --claims --originals`: the claims' cases on the installed redis-server and mariadbd, where they can be seen
 * from outside. A cell of the measured matrix is rebuilt from a recording (observed-cells.ts); other cases have a scenario of
 * their own (redis-claims.ts, mariadb-claims.ts), named as the case is. What goes on in a server's memory, and orders that the
 * originals do not have, cannot be seen, and those cases stay without an observation.
 */
import type { Case, Judged } from "../claims/claim.ts";
import type { Outcome } from "../claims/measured.ts";
import { POLICIES, type Policy } from "../policy.ts";
import { Progress } from "../progress.ts";
import { makeFolder, removeFolder } from "../server-process.ts";
import { type InstalledOriginals, installedOriginals } from "./installed.ts";
import { MARIADB_SCENARIOS } from "./mariadb-claims.ts";
import { type ObservedCell, ONE_CHANGE, observeCells, shownText } from "./observed-cells.ts";
import { type RecordedRun, recordRun } from "./recorded-run.ts";
import { REDIS_SCENARIOS } from "./redis-claims.ts";
import type { CrashedServer } from "./server.ts";

/** What a scenario may use. */
export interface Observing {
  /** An empty folder of its own. */
  readonly folder: string;
  /** One change on a quiet server with this policy, recorded. */
  recorded(policyName: string): Promise<RecordedRun>;
  /** The installed program with this policy. */
  server(policyName: string): CrashedServer;
}

/** By claim, and by what the case calls itself: answers in the words of the case. */
export type Scenarios = Readonly<Record<string, Readonly<Record<string, (observing: Observing) => Promise<string>>>>>;

export const SCENARIOS: Scenarios = { ...REDIS_SCENARIOS, ...MARIADB_SCENARIOS };

/** Adds to each case what the installed original shows; and to the deviations, where it is not what was measured. */
export async function observeClaims(judged: readonly Judged[], print: (line: string) => void): Promise<Judged[]> {
  const observer = new Observer(await installedOriginals(policiesOf(judged)));
  for (const reason of observer.missing) print(`${reason}: not observed`);
  const results: Judged[] = [];
  for (const one of judged) results.push(await observer.claim(one));
  observer.end();
  return results;
}

/** The policies of all recordings that may be needed. */
function policiesOf(judged: readonly Judged[]): Policy[] {
  const engines = new Set(judged.flatMap(({ cases }) => cases.map(({ engine }) => engine)));
  return POLICIES.filter(({ engine }) => engines.has(`kv-${engine}`));
}

class Observer {
  readonly missing: readonly string[];
  readonly #originals: InstalledOriginals["servers"];
  readonly #runs = new Map<Policy, Promise<RecordedRun>>();
  readonly #cells = new Map<Policy, Promise<readonly ObservedCell[]>>();
  readonly #progress = new Progress(0);

  constructor({ servers, missing }: InstalledOriginals) {
    this.#originals = servers;
    this.missing = missing;
  }

  end(): void {
    this.#progress.end();
  }

  async claim(judged: Judged): Promise<Judged> {
    const cases: Case[] = [];
    const deviations = [...judged.deviations];
    for (const one of judged.cases) {
      this.#progress.advance(0, `${judged.claim.id} on the originals: ${one.when}`);
      const original = await this.#observe(judged.claim.id, one);
      cases.push(original === undefined ? one : { ...one, original });
      if (original !== undefined && original !== one.measured)
        deviations.push(`the installed original, ${one.when}: shows "${original}", "${one.measured}" was measured`);
    }
    return { ...judged, cases, deviations };
  }

  async #observe(id: string, { engine, when, cell }: Case): Promise<string | undefined> {
    const scenario = SCENARIOS[id]?.[when];
    const isInstalled = [...this.#originals.keys()].some((policy) => `kv-${policy.engine}` === engine);
    if (!isInstalled) return undefined;
    if (cell !== undefined) {
      const observed = (await this.#cellsOf(cell.cell.policy)).find((found) => found.cell === cell.cell);
      if (observed?.outcome === undefined) return shownText(cell.cell, undefined);
      return cell.text(cell.cell.policy, observed.outcome satisfies Outcome);
    }
    if (scenario === undefined) return undefined;
    const folder = makeFolder();
    try {
      return await scenario({
        folder,
        recorded: (name) => this.#recorded(this.#policy(engine, name)),
        server: (name) => this.#server(this.#policy(engine, name)),
      });
    } catch (error) {
      return `the scenario broke: ${error instanceof Error ? error.message : String(error)}`;
    } finally {
      removeFolder(folder);
    }
  }

  #policy(engine: string, name: string): Policy {
    const found = [...this.#originals.keys()].find(
      (policy) => `kv-${policy.engine}` === engine && policy.name === name,
    );
    if (found === undefined) throw new Error(`no policy ${name}`);
    return found;
  }

  #server(policy: Policy): CrashedServer {
    return this.#originals.get(policy) as CrashedServer;
  }

  #recorded(policy: Policy): Promise<RecordedRun> {
    return remembered(this.#runs, policy, () => recordRun(this.#server(policy), ONE_CHANGE));
  }

  #cellsOf(policy: Policy): Promise<readonly ObservedCell[]> {
    return remembered(this.#cells, policy, async () => {
      const folder = makeFolder();
      try {
        return await observeCells(await this.#recorded(policy), folder);
      } finally {
        removeFolder(folder);
      }
    });
  }
}

function remembered<K, V>(known: Map<K, V>, key: K, make: () => V): V {
  const found = known.get(key) ?? make();
  known.set(key, found);
  return found;
}
