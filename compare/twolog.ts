#!/usr/bin/env node
/**
 * The `twolog` program: one executable, a subcommand for each thing it does. What only one subcommand needs, it imports when
 * it runs: a server that has loaded ioredis as well spends a third more processor time on a command (measured: pipelined
 * SETs on kv-aof, 1.2 → 1.7 µs).
 *
 * Exit status: 0 done; 1 an engine broke a promise, a check found damage, or a disk or program failed; 2 the command line was wrong,
 * or what it asks for is not there. One line on standard error says why.
 */
import { readFileSync } from "node:fs";
import { Command, type CommanderError, Option } from "commander";
import { CorruptFile, DiskFailure, UsageError } from "../common/errors.ts";
import { benchCommand } from "./bench/bench-command.ts";
import type { ClaimsOptions } from "./claims/run-claims.ts";
import type { CompareOptions } from "./compare.ts";
import { refuseIgnoredFlags } from "./compare-modes.ts";
import { crashCommand } from "./crash-program/crash-command.ts";
import { positiveInteger } from "./flag-values.ts";
import { aofCommand, walCommand } from "./inspect-commands.ts";
import { addLabOptions } from "./lab/lab-options.ts";
import type { LabOptions } from "./lab/run-lab.ts";
import { serverCommand } from "./server-command.ts";
import type { TraceOptions } from "./trace.ts";

const STATUS_FAILED = 1;
const STATUS_USAGE = 2;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface OriginalsFlags {
  readonly originals?: true;
  readonly powerCuts?: number;
  readonly states?: number;
  readonly model: string;
}

type CompareFlags = CompareOptions &
  ClaimsOptions &
  OriginalsFlags &
  LabOptions & { claims?: true; orders?: true; bugs?: true };

function isLab({ campaign, replay, merge }: LabOptions): boolean {
  return campaign !== undefined || replay !== undefined || merge !== undefined;
}

function compareCommand(): Command {
  return addLabOptions(new Command("compare"))
    .description("crash both engines at every step, recover them, and print what survived and why")
    .option("--seed <n>", "repeats a run; chosen by the clock when left out", positiveInteger)
    .addOption(new Option("--engine <name>", "only this engine").choices(["aof", "wal"]))
    .option("--policy <name>", "only this policy: always, everysec, no; 1/1, 2/0, … (flush_log/sync_binlog)")
    .option("--rounds <n>", "n random kills and n simulated runs per policy: takes long", positiveInteger)
    .option("--json <file>", "write the whole result to a file")
    .option("--bugs", "the bug bench: every seeded bug must be caught; a table says how")
    .option("--orders", "why not the other way round: run the wrong orders, show what each breaks")
    .option("--claims", "every claim of the documents as a scenario: holds, holds only if …, or false")
    .option("--claim <id...>", "only these claims: A5 W8")
    .option("--simulated", "with --claims: leave out what kills real processes or measures this machine")
    .option(
      "--originals",
      "the installed redis-server and mariadbd, recorded by strace, crashed, and put beside ours (Linux)",
    )
    .option(
      "--power-cuts <n>",
      "cut the power of a real ext4 under each server n times; check the models (root)",
      positiveInteger,
    )
    .option("--states <n>", "with --originals: folders that each server is restarted on", positiveInteger)
    .option("--model <list>", "with --originals: persistence models", "kill,dropped,ext4-like")
    .action(async (flags: CompareFlags, command: Command) => {
      refuseIgnoredFlags(command);
      if (isLab(flags)) {
        const { runLab } = await import("./lab/run-lab.ts");
        process.exitCode = await runLab(flags);
        return;
      }
      if (flags.claims === true || flags.claim !== undefined) {
        const { runClaims } = await import("./claims/run-claims.ts");
        process.exitCode = await runClaims(flags, print);
        return;
      }
      if (flags.powerCuts !== undefined) {
        const { runPowerCuts } = await import("./originals/power-cuts.ts");
        const { powerCuts: cuts, seed = 1, engine, policy, json } = flags;
        process.exitCode = await runPowerCuts({ cuts, seed, engine, policy, json }, print);
        return;
      }
      if (flags.originals === true) {
        const { runOriginals } = await import("./originals/originals.ts");
        const { seed = 1, states, engine, policy, json, model } = flags;
        const options = { seed, states, engine, policy, json, models: model.split(",") };
        process.exitCode = await runOriginals(options, print);
        return;
      }
      if (flags.bugs === true) {
        const { runBugs } = await import("./bugs/run-bugs.ts");
        process.exitCode = await runBugs(flags, print);
        return;
      }
      if (flags.orders === true) {
        const { runOrders } = await import("./orders/run-orders.ts");
        process.exitCode = await runOrders(flags, print);
        return;
      }
      const { runCompare } = await import("./compare.ts");
      process.exitCode = await runCompare(flags);
    });
}

function traceCommand(): Command {
  return new Command("trace")
    .description("print the ordered steps of one command on both engines, with file, bytes, LSN and time")
    .argument("<command>", "the command, as redis-cli takes it: 'SET k v'")
    .option("--aof <policy>", "appendfsync of kv-aof", "always")
    .option("--wal <policy>", "flush_log_at_trx_commit/sync_binlog of kv-wal", "1/1")
    .option("--before <command...>", "commands that run before, untraced")
    .option("--json", "print the events as JSON")
    .action(async (command: string, flags: TraceOptions) => {
      const { runTrace } = await import("./trace.ts");
      process.exitCode = await runTrace(command, flags);
    });
}

function program(): Command {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return new Command("twolog")
    .description("A Redis-protocol server with two storage engines, and a lab that crashes both.")
    .version(version)
    .showHelpAfterError("(twolog COMMAND --help says more)")
    .addCommand(compareCommand())
    .addCommand(crashCommand())
    .addCommand(serverCommand())
    .addCommand(traceCommand())
    .addCommand(benchCommand(print))
    .addCommand(aofCommand(print))
    .addCommand(walCommand(print));
}

/** In the names of flags "_" is "-", as in MySQL; what comes after "--" is another program's. */
function folded(argument: string, index: number, all: readonly string[]): string {
  const end = all.indexOf("--");
  if (!argument.startsWith("--") || (end >= 0 && index >= end)) return argument;
  const [name = "", ...value] = argument.split("=");
  return [name.replaceAll("_", "-"), ...value].join("=");
}

/** Commander exits by itself with 1 on a wrong command line; 1 is taken by broken promises. */
function exitOnUsage(command: Command): void {
  command.exitOverride((error: CommanderError) => process.exit(error.exitCode === 0 ? 0 : STATUS_USAGE));
  for (const subcommand of command.commands) exitOnUsage(subcommand);
}

function isExpected(error: unknown): error is Error {
  return error instanceof UsageError || error instanceof CorruptFile || error instanceof DiskFailure;
}

// A reader that has seen enough (`twolog aof dump DIR | head`) ends the program, quietly.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});
const twolog = program();
exitOnUsage(twolog);
try {
  await twolog.parseAsync(process.argv.map(folded));
} catch (error) {
  process.stderr.write(`twolog: ${isExpected(error) ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof UsageError ? STATUS_USAGE : STATUS_FAILED;
}
