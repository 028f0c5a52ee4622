/** Disks on which an earlier life has left something. What it left is never data: nobody was told that its write was done. */
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { CrashStates } from "../crash-states.ts";
import type { Policy } from "../policy.ts";
import { simulate } from "../simulated-run.ts";
import { type EarlierLife, huntPlan } from "./hunt.ts";

/** Longer than a page of the cache, so that a kill can tear its write. */
const VALUE_BYTES = 9000;

/** The only write of a killed process, half of it at the end of its log. */
export function tornEnd(policy: Policy, isLog: (path: string) => boolean): EarlierLife {
  let made: MemoryDisk | undefined;
  return {
    commands: 1,
    makeDisk() {
      made ??= makeTornEnd(policy, isLog);
      return made.clone();
    },
  };
}

function makeTornEnd(policy: Policy, isLog: (path: string) => boolean): MemoryDisk {
  const write = { kind: "write", commands: [["SET", "c0:s0", "v".repeat(VALUE_BYTES)]] } as const;
  const script = { name: "earlier life", clients: [[write]], bank: false };
  const states = new CrashStates();
  for (const event of simulate({ ...huntPlan({ policy, models: [] }, 1), script }).timeline) {
    if (event.kind !== "disk") continue;
    const { operation } = event;
    if (operation.kind === "write" && isLog(operation.path) && operation.bytes.length > VALUE_BYTES) {
      const torn = states.killDuring(operation)[0];
      if (torn !== undefined) return torn;
    }
    states.apply(operation);
  }
  throw new Error(`no write that can be torn, under ${policy.name}`);
}
