/**
 * What recovers a crashed disk: the engine of a plan, new, alone, with a clock that stands still. Everything in the lab that
 * recovers a disk does it here, and reads from the engine what it wants to know.
 */
import type { Config } from "../common/config.ts";
import type { Disk } from "../common/disk/disk.ts";
import type { Engine } from "../common/engine.ts";
import { configFor, createEngine } from "./engines.ts";
import type { RunPlan } from "./simulated-run.ts";
import type { Simulation } from "./simulator.ts";

/** The part of a plan that recovery depends on. */
export type RecoveryPlan = Pick<RunPlan, "policy" | "directives" | "recovery">;

export interface RecoveredEngine {
  readonly engine: Engine;
  readonly config: Config;
  /** The disk as the engine sees it. */
  readonly disk: Disk;
  /** What recovery said that it did. */
  readonly lines: readonly string[];
}

/** Recovers the disk; throws what the engine refuses it with (`isRefusal`). */
export function recoverEngine(plan: RecoveryPlan, disk: Disk, simulation: Simulation): RecoveredEngine {
  const { create = createEngine, wrapDisk = (inner: Disk) => inner } = plan.recovery ?? {};
  const host = {
    disk: wrapDisk(
      disk,
      (run) => simulation.after(0, run),
      () => ({ events: 0, order: 0 }),
    ),
    clock: simulation,
    random: simulation.random,
    afterTick: (run: () => void) => simulation.afterTick(run),
    tracing: false,
    trace: () => {},
  };
  const { engine: name, directives } = plan.policy;
  const config = configFor(name, { ...directives, ...plan.directives });
  const engine = create(name, host, config);
  const { lines } = engine.recover();
  return { engine, config, disk: host.disk, lines };
}
