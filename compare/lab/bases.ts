/**
 * Disks on which short runs begin: a data folder just made, everything on it durable. How it is made is crashed by runs
 * that begin on an empty disk; thousands of short ones need not repeat it.
 */
import { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { configFor, createEngine, type Directives } from "../engines.ts";
import type { Policy } from "../policy.ts";
import { Simulation } from "../simulator.ts";

const made = new Map<string, MemoryDisk>();

/**
 * The folder that the engine makes; the same for the same directives, those of the policy among them: whichever policy came first
 * must not decide how the disks of the others begin.
 */
export function freshFolder(policy: Policy, directives: Directives): MemoryDisk {
  const all = { ...policy.directives, ...directives };
  const key = `${policy.engine} ${JSON.stringify(all)}`;
  let disk = made.get(key);
  if (disk === undefined) {
    disk = new MemoryDisk();
    const simulation = new Simulation(0);
    const engine = createEngine(
      policy.engine,
      {
        disk,
        clock: simulation,
        random: simulation.random,
        afterTick: (run) => simulation.afterTick(run),
        tracing: false,
        trace: () => {},
      },
      configFor(policy.engine, all),
    );
    engine.recover();
    disk = MemoryDisk.of(disk.files());
    made.set(key, disk);
  }
  return disk;
}
