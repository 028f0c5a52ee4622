/**
 * The process that the lab kills: a real server on the real disk whose tracer sends SIGKILL to its own process at the
 * n-th occurrence of a step. Started by server-process.ts with one argument, a `ChildPlan` as JSON.
 *
 * SIGKILL runs no exit handler and flushes nothing: what the process had not handed to the operating system is gone.
 */
import { COMMANDS } from "../common/commands/table.ts";
import { RealDisk } from "../common/disk/real-disk.ts";
import { CorruptFile, UsageError } from "../common/errors.ts";
import { RealHost, type Tracer } from "../common/host.ts";
import { runServer } from "../common/server/run.ts";
import { configFor, createEngine } from "./engines.ts";
import { policyOf } from "./policy.ts";
import type { ChildPlan } from "./server-process.ts";

function killAt(step: string, nth: number): Tracer {
  let left = nth;
  return (name) => {
    if (name === step && --left === 0) process.kill(process.pid, "SIGKILL");
  };
}

async function main(plan: ChildPlan): Promise<void> {
  const policy = policyOf(plan.engine, plan.policy);
  const directives = { ...policy.directives, ...plan.directives, port: "0", bind: "127.0.0.1", dir: plan.folder };
  const config = configFor(policy.engine, directives);
  const tracer = plan.killAt && killAt(plan.killAt.step, plan.killAt.nth);
  const host = new RealHost(new RealDisk(plan.folder), tracer);
  const engine = createEngine(policy.engine, host, config);
  const running = await runServer(engine, host, config, { commands: COMMANDS, log: () => {} });
  // The lab's end closes this pipe, whatever killed the lab: no server is left behind.
  process.stdin.on("end", () => process.kill(process.pid, "SIGKILL")).resume();
  process.stdout.write(`${running.port}\n`);
}

try {
  await main(JSON.parse(process.argv[2] ?? "{}") as ChildPlan);
} catch (error) {
  const isRefusal = error instanceof CorruptFile || error instanceof UsageError;
  process.stderr.write(`${isRefusal ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}
