/**
 * `twolog compare --claims --originals`: the claims' cases on the installed redis-server and mariadbd. A cell of the measured
 * matrix is rebuilt from a recording (observed-cells.ts); other cases have a scenario of their own (redis-claims.ts and its
 * neighbours), named as the case is. What goes on in a server's memory, and orders that the originals do not have, cannot be
 * seen: unseen.ts says why, case by case. A case with neither is a deviation.
 */
import type { Case, Judged, Sighting } from "../claims/claim.ts";
import type { Outcome } from "../claims/measured.ts";
import { POLICIES, type Policy } from "../policy.ts";
import { Progress } from "../progress.ts";
import { makeFolder, removeFolder } from "../server-process.ts";
import { type InstalledOriginals, installedOriginals } from "./installed.ts";
import { MARIADB_BINLOG_SCENARIOS } from "./mariadb-binlog-claims.ts";
import { MARIADB_COMMIT_SCENARIOS } from "./mariadb-commit-claims.ts";
import { MARIADB_FAULT_SCENARIOS } from "./mariadb-fault-claims.ts";
import { MARIADB_LOG_SCENARIOS } from "./mariadb-log-claims.ts";
import { MARIADB_PAGE_SCENARIOS } from "./mariadb-page-claims.ts";
import { type ObservedCell, ONE_CHANGE, observeCells, shownText } from "./observed-cells.ts";
import { type Load, type RecordedRun, recordRun } from "./recorded-run.ts";
import { REDIS_SCENARIOS } from "./redis-claims.ts";
import { REDIS_LOAD_SCENARIOS } from "./redis-load-claims.ts";
import { REDIS_REWRITE_SCENARIOS } from "./redis-rewrite-claims.ts";
import { type Scenarios, Unseen } from "./scenario.ts";
import type { OriginalServer } from "./server.ts";
import { whyUnseen } from "./unseen.ts";

const SCENARIOS: Scenarios = {
  ...REDIS_SCENARIOS,
  ...REDIS_LOAD_SCENARIOS,
  ...REDIS_REWRITE_SCENARIOS,
  ...MARIADB_COMMIT_SCENARIOS,
  ...MARIADB_FAULT_SCENARIOS,
  ...MARIADB_LOG_SCENARIOS,
  ...MARIADB_PAGE_SCENARIOS,
  ...MARIADB_BINLOG_SCENARIOS,
};

/** Most scenarios wait for what a server does once a second, or for its disk. */
const AT_ONCE = 4;
/** A recording that is not of what a scenario asks for is made again. */
const ATTEMPTS = 5;

/** Adds to each case what the installed original shows; and to the deviations, where it is not what was measured. */
export async function observeClaims(judged: readonly Judged[], print: (line: string) => void): Promise<Judged[]> {
  const observer = new Observer(await installedOriginals(policiesOf(judged)));
  for (const reason of observer.missing) print(`${reason}: not observed`);
  for (const version of observer.others) print(version);
  const sightings = new Map<Case, Sighting | undefined>();
  const left = judged.flatMap(({ claim, cases }) => cases.map((one) => ({ id: claim.id, one }))).values();
  const worker = async (): Promise<void> => {
    for (const { id, one } of left) sightings.set(one, await observer.sighting(id, one));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  observer.end();
  return judged.map((one) => withSightings(one, sightings));
}

function withSightings(judged: Judged, sightings: ReadonlyMap<Case, Sighting | undefined>): Judged {
  const deviations = [...judged.deviations];
  const cases = judged.cases.map((one) => {
    const original = sightings.get(one);
    if (original === undefined) return one;
    if ("shows" in original && original.shows !== one.measured) {
      const { shows } = original;
      deviations.push(`the installed original, ${one.when}: shows "${shows}", "${one.measured}" was measured`);
    }
    return { ...one, original };
  });
  const names = new Set(cases.map(({ when }) => when));
  // Of a claim that nothing was run of, no case is known.
  const lost = Object.keys(SCENARIOS[judged.claim.id] ?? {}).filter((when) => names.size > 0 && !names.has(when));
  deviations.push(...lost.map((when) => `no case is called "${when}", and a scenario is`));
  return { ...judged, cases, deviations };
}

/** The policies of all recordings that may be needed. */
function policiesOf(judged: readonly Judged[]): Policy[] {
  const engines = new Set(judged.flatMap(({ cases }) => cases.map(({ engine }) => engine)));
  return POLICIES.filter(({ engine }) => engines.has(`kv-${engine}`));
}

class Observer {
  readonly missing: readonly string[];
  readonly others: readonly string[];
  readonly #originals: InstalledOriginals["servers"];
  /** What was made once, by its name. */
  readonly #known = new Map<string, Promise<unknown>>();
  readonly #progress = new Progress(0);

  constructor({ servers, missing, others }: InstalledOriginals) {
    this.#originals = servers;
    this.missing = missing;
    this.others = others;
  }

  end(): void {
    this.#progress.end();
  }

  /** Undefined: the original is not installed. */
  async sighting(id: string, one: Case): Promise<Sighting | undefined> {
    const isInstalled = [...this.#originals.keys()].some((policy) => `kv-${policy.engine}` === one.engine);
    if (!isInstalled) return undefined;
    this.#progress.advance(0, `${id} on the originals: ${one.when}`);
    const unseen = whyUnseen(id, one.when);
    if (unseen !== undefined) return { unseen };
    try {
      return one.cell === undefined ? await this.#play(id, one) : { shows: await this.#cell(one.cell) };
    } catch (error) {
      if (error instanceof Unseen) return { unseen: error.message };
      return { shows: `the scenario broke: ${error instanceof Error ? error.message : String(error)}` };
    }
  }

  async #cell({ cell, text }: NonNullable<Case["cell"]>): Promise<string> {
    const observed = (await this.#cellsOf(cell.policy)).find((found) => found.cell === cell);
    if (observed?.outcome === undefined) return shownText(cell, undefined);
    return text(cell.policy, observed.outcome satisfies Outcome);
  }

  async #play(id: string, { engine, when }: Case): Promise<Sighting> {
    const scenario = SCENARIOS[id]?.[when];
    if (scenario === undefined) throw new Error("nobody looks, and nobody says why not");
    const folder = makeFolder();
    try {
      const seen = await scenario({
        folder,
        recorded: (name, load, isGood) => this.#recorded(this.#policy(engine, name), load, isGood),
        server: (name) => this.#server(this.#policy(engine, name)),
        once: (name, make) => this.#once(name, make),
      });
      return typeof seen === "string" ? { shows: seen } : seen;
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

  #server(policy: Policy): OriginalServer {
    return this.#originals.get(policy) as OriginalServer;
  }

  #recorded(
    policy: Policy,
    load: Load = ONE_CHANGE,
    isGood: (run: RecordedRun) => boolean = () => true,
  ): Promise<RecordedRun> {
    return this.#once(`${policy.engine} ${policy.name} ${JSON.stringify(load)}`, async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const run = await recordRun(this.#server(policy), load);
        if (isGood(run)) return run;
      }
      throw new Unseen(
        `this machine is too slow or too busy: ${ATTEMPTS} recordings, none of them of what was asked for`,
      );
    });
  }

  #cellsOf(policy: Policy): Promise<readonly ObservedCell[]> {
    return this.#once(`cells ${policy.engine} ${policy.name}`, async () => {
      const folder = makeFolder();
      try {
        return await observeCells(await this.#recorded(policy), folder);
      } finally {
        removeFolder(folder);
      }
    });
  }

  #once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const found = (this.#known.get(name) as Promise<T> | undefined) ?? make();
    this.#known.set(name, found);
    return found;
  }
}
