/** What the rows of a campaign say: every report, and the exit status, ask here. */
import { POLICIES, type Policy } from "../policy.ts";
import type { AnyRow, CampaignRow, FaultRow } from "./campaign-rows.ts";
import type { CampaignState } from "./campaign-state.ts";
import { isServedFromMemory, SERVED_FROM_MEMORY } from "./faults.ts";
import { modelOf } from "./models/index.ts";
import { canRun } from "./workloads.ts";

/**
 * Kept; refused to start where everything is promised (unavailable: neither safe nor lost); broken; the medium's damage was
 * noticed: refused, or older data were served, never wrong ones; no promise covers it; or chance has left it out.
 */
export type RowVerdict = "kept" | "refused" | "BROKEN" | "noticed" | "no promise" | "not tried";

export function verdictOfRow({ engine, model: name, violations, breaches }: CampaignRow): RowVerdict {
  const model = modelOf(name);
  const kinds = Object.keys(violations);
  const broken = Object.keys(breaches);
  const owed = model.owed[engine];
  if (broken.length > 0)
    return owed === "everything" && broken.every((kind) => kind === "refused") ? "refused" : "BROKEN";
  if (owed === "stability") return "no promise";
  return kinds.length === 0 ? "kept" : "noticed";
}

export function verdictOfFault({ engine, fault, injected, violations }: FaultRow): RowVerdict {
  if (injected === 0) return "not tried";
  const all = Object.keys(violations);
  if (all.length === 0) return "kept";
  const kinds = all.filter((kind) => !isServedFromMemory(engine, fault, kind));
  if (kinds.length === 0) return "no promise";
  return kinds.every((kind) => kind === "refused") ? "refused" : "BROKEN";
}

export function isCampaignBroken(state: CampaignState): boolean {
  const verdicts = [
    ...[...state.rows.values()].map(verdictOfRow),
    ...[...state.faultRows.values()].map(verdictOfFault),
  ];
  return verdicts.some((verdict) => verdict === "BROKEN" || verdict === "refused");
}

/** "lost write 3, hole 1". */
export function violationsText({ violations }: Pick<CampaignRow, "violations">): string {
  return Object.entries(violations)
    .map(([kind, count]) => `${kind} ${count.toLocaleString("en")}`)
    .join(", ");
}

/** The policies that have rows, in their order. */
export function policiesOf(state: CampaignState): Policy[] {
  return POLICIES.filter((policy) => rowsOf(state.rows, policy).length > 0);
}

export function rowsOf<Row extends AnyRow>(rows: ReadonlyMap<string, Row>, { engine, name }: Policy): Row[] {
  return [...rows.values()].filter((row) => row.engine === engine && row.policy === name);
}

/** What the campaign was to explore and has not reached: it ends when it has seen enough disks. */
export function notReached({ plan, runs }: CampaignState): string[] {
  const reached = new Set([...runs].map((run) => run.slice(0, run.lastIndexOf(":"))));
  return plan.policies.flatMap((policy) => {
    const engine = policy.startsWith("aof:") ? "aof" : "wal";
    const missing = plan.workloads.filter(
      (workload) => canRun(engine, workload) && !reached.has(`${policy}:${workload}`),
    );
    if (missing.length === 0) return [];
    return [
      `kv-${policy.replace(":", " ")} ${missing.length === plan.workloads.length ? "(at all)" : missing.join(", ")}`,
    ];
  });
}

/** What an engine does not promise under the models of a campaign, in words. */
export function unpromisedTexts(state: CampaignState): string[] {
  const engines = [...new Set(policiesOf(state).map(({ engine }) => engine))];
  const texts = state.plan.models.flatMap((name) => {
    const { unpromised = {} } = modelOf(name);
    return engines.flatMap((engine) => {
      const why = unpromised[engine];
      return why === undefined ? [] : [`kv-${engine}, ${name}: ${why}`];
    });
  });
  const isShown = [...state.faultRows.values()].some((row) => verdictOfFault(row) === "no promise");
  return isShown ? [...texts, `kv-aof: ${SERVED_FROM_MEMORY}`] : texts;
}
