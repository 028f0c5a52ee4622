/** `twolog compare --campaign` and `--replay`: from the command line to the report. */
import { existsSync, writeFileSync } from "node:fs";
import { UsageError } from "../../common/errors.ts";
import { type CompareOptions, choosePolicies } from "../compare.ts";
import { checkResultFile, onDisk } from "../result-file.ts";
import type { Style } from "../table.ts";
import { terminalWidth } from "../terminal-lines.ts";
import { runCampaign } from "./campaign.ts";
import { DEFAULT_MODELS } from "./campaign-defaults.ts";
import { campaignHtml, campaignJson, campaignJunit } from "./campaign-files.ts";
import { campaignText } from "./campaign-report.ts";
import { CampaignState } from "./campaign-state.ts";
import { isCampaignBroken } from "./campaign-verdicts.ts";
import { everyCheck } from "./checks.ts";
import { explain } from "./explain.ts";
import { huntFault } from "./fault-hunt.ts";
import { type Finding, hunt } from "./hunt.ts";
import { modelNames, modelOf } from "./models/index.ts";
import { parseRunName, planOf, replayFile, saveFinding } from "./replay.ts";
import { shrink } from "./shrink.ts";

/** The flags of both. */
export interface LabOptions extends Pick<CompareOptions, "engine" | "policy" | "seed"> {
  readonly campaign?: number | undefined;
  readonly replay?: string | undefined;
  readonly merge?: readonly string[] | undefined;
  readonly state?: string | undefined;
  readonly models?: readonly string[] | undefined;
  readonly workloads?: readonly string[] | undefined;
  readonly workers?: number | undefined;
  readonly shard?: { readonly index: number; readonly of: number } | undefined;
  readonly again?: number | undefined;
  readonly deeper?: number | undefined;
  readonly faults?: number | undefined;
  readonly json?: string | undefined;
  readonly html?: string | undefined;
  readonly junit?: string | undefined;
  readonly save?: string | undefined;
}

const LIMITS = { exhaustive: 64, sampled: 24 };

function styleOf(): Style {
  const isTerminal = process.stdout.isTTY === true;
  return { color: isTerminal && !process.env["NO_COLOR"], width: terminalWidth() };
}

function writeTo(path: string | undefined, text: () => string): void {
  if (path !== undefined) onDisk("write", path, () => writeFileSync(path, text()));
}

/** Does what the flags ask for. Returns the exit status. */
export function runLab(options: LabOptions): Promise<number> {
  return options.replay === undefined ? runReportedCampaign(options) : runReplay(options.replay, options);
}

/** Runs or goes on with a campaign, or merges those in files. */
async function runReportedCampaign(options: LabOptions): Promise<number> {
  const { campaign: states = 0, merge, seed = 1 } = options;
  const { state: stateFile, json, html, junit, save } = options;
  for (const path of [stateFile && `${stateFile}.new`, json, html, junit, save]) checkResultFile(path);
  const policies = choosePolicies(options);
  const state =
    merge === undefined
      ? await runCampaign({
          ...options,
          ...{ states, policies, seed },
          models: options.models && modelNames(options.models),
          againOneIn: options.again,
          deeperOneIn: options.deeper,
          faultsOneIn: options.faults,
        })
      : mergeStates(merge);
  process.stdout.write(`${campaignText(state, styleOf())}\n`);
  const [first] = state.findings;
  if (first !== undefined) await showFinding(replayRun(first.run), save);
  writeTo(json, () => `${JSON.stringify(campaignJson(state), null, 1)}\n`);
  writeTo(html, () => campaignHtml(state));
  writeTo(junit, () => campaignJunit(state));
  return isCampaignBroken(state) ? 1 : 0;
}

function mergeStates(paths: readonly string[]): CampaignState {
  const [first, ...others] = paths.map((path) => {
    const state = CampaignState.load(path);
    if (state === undefined) throw new UsageError(`there is no ${path}`);
    return state;
  });
  if (first === undefined) throw new UsageError("--merge needs files");
  for (const other of others) first.merge(other);
  return first;
}

/** Finds again what a line or a file names: 1 if the promise is still broken. */
async function runReplay(what: string, options: LabOptions): Promise<number> {
  const finding = existsSync(what) ? replayFile(what, everyCheck(1)) : replayRun(what, options.models);
  if (finding === undefined) {
    process.stdout.write(`${what}: every promise is kept\n`);
    return 0;
  }
  if (existsSync(what)) print(explain(finding));
  else await showFinding(finding, options.save);
  return 1;
}

function replayRun(line: string, models: readonly string[] = DEFAULT_MODELS): Finding | undefined {
  const check = everyCheck(1);
  const name = parseRunName(line);
  if (name.fault !== undefined) {
    return huntFault(planOf(name), name.fault, { faultsMax: 1, cutOneIn: 1, check }).finding;
  }
  const options = { models: modelNames(models).map(modelOf), limits: LIMITS, againOneIn: 10, check };
  return hunt(planOf(name), options).finding;
}

async function showFinding(finding: Finding | undefined, path: string | undefined): Promise<void> {
  if (finding === undefined) return;
  const small = await shrink(finding, { check: everyCheck(1) });
  const { commands, lostWrites, isMinimal, attempts, ms } = small;
  const failed = small.finding.run.plan.fault === undefined ? "" : ", one failed call";
  const size = `${commands} commands${failed}, one crash, ${lostWrites} lost or torn writes`;
  const effort = `(${attempts} attempts, ${(ms / 1000).toFixed(1)} s)`;
  print(["", ...explain(small.finding), ""]);
  print([
    isMinimal
      ? `Minimal: ${size}; nothing of it can be left out ${effort}`
      : `Small: ${size}; the time was up before everything had been left out once ${effort}`,
  ]);
  if (path === undefined) return;
  saveFinding(path, small.finding);
  print([`Again: twolog compare --replay ${path}`]);
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}
