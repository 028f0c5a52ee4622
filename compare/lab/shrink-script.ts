/**
 * Makes the script of a failing run small. Every attempt is a run of its own, crashed everywhere by the caller; what is kept
 * has failed in the same way.
 *
 *     1. the run is told as a script of single commands and pauses, up to the crash; the bank and the making of the folder go
 *     2. commands go: halves, quarters, …, single ones. The pauses in front of what goes stay; then they go, where they can.
 *        That is done until nothing goes any more: what is left cannot do without any of its commands
 *
 * Are these more than COMMANDS_GOAL commands, the state that breaks needs much: a full log, a rotation, a second that passes,
 * a sync that takes long. Then, one after the other until few are left, each followed by 2:
 *
 *     3. a few other commands instead; if these are small, before 2: it is faster
 *     4. a few large ones, under the smallest directives that are legal
 *     5. neighbours become one command: SET and SET a MSET, HSETs one HSET of many fields
 *     6. the same as 4 with several seeds for each attempt: the seed says how long a sync takes
 */
import type { Directives } from "../engines.ts";
import { isAccount } from "../model.ts";
import type { EngineName } from "../policy.ts";
import type { RunPlan, Script, SimulatedRun } from "../simulated-run.ts";
import { ownPrefix, type Planned } from "../workload.ts";
import { freshFolder } from "./bases.ts";
import { mergeCommands, mergeSteps } from "./merge-commands.ts";
import { minimiseList } from "./minimise.ts";

/** A person reads so many at a glance. */
export const COMMANDS_GOAL = 5;
/** Seeds of one attempt in step 6. */
const SEEDS = 4;
/** Step 4: more than a page of kv-wal and a binlog file; more than a background write; a good part of the smallest log. */
const LARGE_BYTES = [6_000, 40_000, 150_000];
/** Steps 3 and 4: at once, or so that what happens once a second has happened. */
const PAUSES_MS = [0, 1500];

/** The smallest that each engine takes. */
const TIGHT: Readonly<Record<EngineName, Directives>> = {
  aof: { "auto-aof-rewrite-min-size": "1kb", "auto-aof-rewrite-percentage": "1" },
  wal: { "max-binlog-size": "4096", "redo-log-file-size": "256kb", "redo-log-files-in-group": "1" },
};

/** A plan whose script is all that the clients do. */
export type ScriptPlan = RunPlan & { readonly script: Script };

/** Commands that are sent: MULTI and EXEC are two, and the opening of the bank is one. */
export function commandsOf({ clients, bank }: Script): number {
  return clients.flat().reduce((sum, step) => sum + commandsOfStep(step), bank ? 1 : 0);
}

function commandsOfStep({ kind, commands }: Planned): number {
  return commands.length + (kind === "transaction" ? 2 : 0);
}

/** What the clients did, as a script. `cut`: only what was sent before that order, command by command with its pauses. */
export function scriptOfRun(run: SimulatedRun, cut?: number): Script {
  const { script } = run.plan;
  if (script !== undefined && cut === undefined) return script;
  const clients = run.history.clients.slice(0, run.setupClient).map((operations) => {
    let last = run.history.clients[run.setupClient]?.[0]?.answered?.ms ?? 0;
    return operations
      .filter(({ sent }) => cut === undefined || sent.order < cut)
      .map(({ kind, commands, sent, answered }): Planned => {
        const afterMs = Math.max(0, Math.round(sent.ms - last));
        last = answered?.ms ?? last;
        return cut === undefined ? { kind, commands } : { kind, commands, afterMs };
      });
  });
  return { name: script?.name ?? "recorded", clients, bank: script?.bank ?? true };
}

/** Does a run of the plan, crashed everywhere, still break the same promise? */
export type PlanFails = (plan: ScriptPlan) => boolean;

export class ScriptShrinker {
  readonly #fails: PlanFails;
  #seeds = 1;
  #smallest: ScriptPlan;

  /** `fails` runs and crashes a plan; it has failed with `plan`. */
  constructor(plan: ScriptPlan, fails: PlanFails) {
    this.#smallest = plan;
    this.#fails = fails;
  }

  /** Tries until nothing can be left out: `fails` has then seen the smallest. `cut`: the history's order of the crash. */
  async shrink(run: SimulatedRun, cut: number): Promise<void> {
    this.#begin(run, cut);
    if (this.#isLarge) this.#tryFew(this.#smallest, 0);
    await this.#leaveOut();
    if (this.#isLarge && this.#tryLarge()) await this.#leaveOut();
    if (this.#isLarge && (await this.#merge())) await this.#leaveOut();
    if (!this.#isLarge) return;
    this.#seeds = SEEDS;
    this.#tryLarge();
    await this.#leaveOut();
  }

  get #isLarge(): boolean {
    return commandsOf(this.#smallest.script) > COMMANDS_GOAL;
  }

  /** 1 */
  #begin(run: SimulatedRun, cut: number): void {
    const timed = { ...this.#smallest, script: scriptOfRun(run, cut), batch: 1 };
    const isTimed = this.#try(timed) || this.#try({ ...timed, batch: this.#smallest.batch });
    if (!isTimed) this.#try({ ...this.#smallest, script: beginningOf(this.#smallest.script, run, cut) });
    const { script, base, policy, directives = {} } = this.#smallest;
    const isOfBank = ({ commands }: Planned): boolean => commands.some(([, key = ""]) => isAccount(key));
    if (script.bank) {
      const clients = script.clients.map((steps) => steps.filter((step) => !isOfBank(step)));
      this.#try({ ...this.#smallest, script: { ...script, clients, bank: false } });
    }
    if (base === undefined && !this.#smallest.script.bank) {
      this.#try({ ...this.#smallest, base: freshFolder(policy, directives) });
    }
  }

  /** 2 */
  async #leaveOut(): Promise<void> {
    for (let before = Infinity, after = commandsOf(this.#smallest.script); after < before; ) {
      before = after;
      await this.#leaveOutOnce();
      after = commandsOf(this.#smallest.script);
    }
  }

  async #leaveOutOnce(): Promise<void> {
    const { clients } = this.#smallest.script;
    await minimiseList(clients.flat(), (kept) => {
      const isKept = new Set(kept);
      return this.#tryClients(clients.map((steps) => withoutOthers(steps, isKept)));
    });
    for (const [client, steps] of this.#smallest.script.clients.entries()) {
      for (const [index, { commands, afterMs = 0 }] of steps.entries()) {
        if (commands.length > 1) {
          await minimiseList(commands, (few) => few.length > 0 && this.#tryStep(client, index, { commands: few }));
        }
        if (afterMs > 0) this.#tryStep(client, index, { afterMs: 0 });
      }
    }
  }

  /** 5: true when there are fewer commands now. */
  async #merge(): Promise<boolean> {
    const before = commandsOf(this.#smallest.script);
    const { clients } = this.#smallest.script;
    const borders = clients.flatMap((steps, client) => steps.map((_, index) => `${client}.${index}`));
    await minimiseList(borders, (kept) => {
      const isKept = new Set(kept);
      return this.#tryClients(
        clients.map((steps, client) => mergeSteps(steps, (index) => isKept.has(`${client}.${index}`))),
      );
    });
    for (const [client, steps] of this.#smallest.script.clients.entries()) {
      for (const [index, { commands }] of steps.entries()) {
        const few = mergeCommands(commands);
        if (few.length < commands.length) this.#tryStep(client, index, { commands: few });
      }
    }
    return commandsOf(this.#smallest.script) < before;
  }

  /** 4: a few large values, or all as they are, under the smallest directives. */
  #tryLarge(): boolean {
    const found = this.#smallest;
    const tight = withDirectives(found, { ...found.directives, ...TIGHT[found.policy.engine] });
    return LARGE_BYTES.some((bytes) => this.#tryFew(tight, bytes)) || (tight !== found && this.#try(tight));
  }

  /** 3 */
  #tryFew(plan: ScriptPlan, bytes: number): boolean {
    const { script } = plan;
    return PAUSES_MS.some((pauseMs) =>
      this.#try({ ...plan, batch: 1, script: { ...script, bank: false, clients: fewCommands(bytes, pauseMs) } }),
    );
  }

  #tryClients(clients: Script["clients"]): boolean {
    return this.#try({ ...this.#smallest, script: { ...this.#smallest.script, clients } });
  }

  #tryStep(client: number, index: number, change: Partial<Planned>): boolean {
    const { clients } = this.#smallest.script;
    const steps = clients[client] ?? [];
    const step = { ...(steps[index] as Planned), ...change };
    return this.#tryClients(clients.with(client, steps.with(index, step)));
  }

  /** Does it still fail? Then it is the smallest so far. */
  #try(plan: ScriptPlan): boolean {
    for (let more = 0; more < this.#seeds; more++) {
      const seeded = { ...plan, seed: plan.seed + more };
      if (!this.#fails(seeded)) continue;
      this.#smallest = seeded;
      return true;
    }
    return false;
  }
}

/** The steps that are kept; each waits as long as those did that are missing in front of it. */
function withoutOthers(steps: readonly Planned[], isKept: ReadonlySet<Planned>): Planned[] {
  const few: Planned[] = [];
  let pauseMs = 0;
  for (const step of steps) {
    pauseMs += step.afterMs ?? 0;
    if (!isKept.has(step)) continue;
    few.push(pauseMs > 0 ? { ...step, afterMs: pauseMs } : step);
    pauseMs = 0;
  }
  return few;
}

/** What had been sent before the cut. */
function beginningOf(script: Script, { history }: SimulatedRun, cut: number): Script {
  const clients = script.clients.map((steps, client) =>
    steps.slice(0, history.clients[client]?.filter(({ sent }) => sent.order < cut).length),
  );
  return { ...script, clients };
}

/** The plan under other directives: its folder, when there is one, is made under them as well. */
function withDirectives(plan: ScriptPlan, directives: Directives): ScriptPlan {
  const { base, policy } = plan;
  if (base === undefined) return { ...plan, directives };
  if (base !== freshFolder(policy, plan.directives ?? {})) return plan;
  return { ...plan, directives, base: freshFolder(policy, directives) };
}

/** Two clients: one writes small and large values, the other looks and writes. */
function fewCommands(bytes: number, afterMs: number): Planned[][] {
  const set = (client: number, slot: number, length: number): Planned => {
    const key = `${ownPrefix(client)}s${slot}`;
    return { kind: "write", commands: [["SET", key, `${slot}.${length}=`.padEnd(length, "v")]], afterMs };
  };
  return [
    [set(0, 0, 0), set(0, 1, bytes), set(0, 0, bytes), set(0, 1, 0)],
    [{ kind: "read", commands: [["GET", `${ownPrefix(0)}s1`]], afterMs }, set(1, 0, bytes), set(1, 0, 0)],
  ];
}
