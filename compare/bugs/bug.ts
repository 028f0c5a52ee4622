/** A seeded bug: a pitfall of shared/PITFALLS.md brought back around an engine, and the hunt that must catch it. */
import type { Config } from "../../common/config.ts";
import type { Engine } from "../../common/engine.ts";
import type { Host } from "../../common/host.ts";
import type { StepName } from "../../common/steps.ts";
import type { RecordedEvent } from "../lab/recording.ts";
import { type EngineName, type Policy, policyOf } from "../policy.ts";
import type { DiskWrapper } from "../simulator.ts";
import { CarelessDisk, type Habits } from "./careless-disk.ts";
import type { Hunt } from "./hunt.ts";

export interface Bug {
  /** Number in PITFALLS.md. */
  readonly pitfall: number;
  readonly what: string;
  readonly engine: EngineName;
  readonly hunt: Hunt;
  /**
   * A bug of the lab itself: its hunt is blind, or sees ghosts. Caught means that a sentinel notices: a wrong order that the
   * blind hunt misses, or the right engine that it accuses.
   */
  readonly inLab?: "misses" | "accuses";
}

export const ALWAYS = policyOf("aof", "always");
export const EVERYSEC = policyOf("aof", "everysec");
export const KERNEL = policyOf("aof", "no");
export const STRICT = policyOf("wal", "1/1");
export const RELAXED = policyOf("wal", "2/1");

export const KILL: readonly string[] = ["kill"];
export const POWER: readonly string[] = ["dropped", "ext4-like"];
export const ALL: readonly string[] = ["kill", "dropped", "ext4-like"];
export const ANY: readonly string[] = ["kill", "dropped", "ext4-like", "posix-weak"];

/** The habits of one run: made anew for each, since some remember what they have done. */
export type MakeHabits = (later: (run: () => void) => void) => Habits;

function careless(habits: MakeHabits): DiskWrapper {
  return (disk, later) => new CarelessDisk(disk, habits(later));
}

/** The engine runs on a disk with bad habits. */
export function onDisk(under: Policy, habits: MakeHabits, models: readonly string[], more: Partial<Hunt> = {}): Hunt {
  return { policy: under, models, wrapDisk: careless(habits), ...more };
}

/** Recovery reads a disk with bad habits. */
export function recoveringOn(
  under: Policy,
  habits: MakeHabits,
  models: readonly string[],
  more: Partial<Hunt> = {},
): Hunt {
  return { policy: under, models, recovery: { wrapDisk: careless(habits) }, ...more };
}

type Create = (host: Host, config: Config) => Engine;

/** A wrong engine runs. */
export function running(under: Policy, create: Create, models: readonly string[], more: Partial<Hunt> = {}): Hunt {
  return { policy: under, models, create: (_name, host, config) => create(host, config), ...more };
}

/** A wrong engine recovers. */
export function recovering(under: Policy, create: Create, models: readonly string[], more: Partial<Hunt> = {}): Hunt {
  return { policy: under, models, recovery: { create: (_name, host, config) => create(host, config) }, ...more };
}

/** With pauses in which pages are cleaned and the checkpoint moves. */
export const CLEANING = { clients: 2, operations: 24, batch: 6, thinkMs: [0, 900] } as const;

export function isStep(...steps: readonly StepName[]): (event: RecordedEvent) => boolean {
  return (event) => event.kind === "step" && steps.includes(event.step);
}

/** Something is written to the tablespace. */
export function isPageWrite(event: RecordedEvent): boolean {
  return event.kind === "disk" && event.operation.kind === "write" && isSpace(event.operation.path);
}

export const isIncrement = (path: string): boolean => path.endsWith(".incr.aof");
export const isRedo = (path: string): boolean => path.startsWith("wal/redo.");
export const isBinlog = (path: string): boolean => /^wal\/binlog\.\d+$/.test(path);
export const isSpace = (path: string): boolean => path === "wal/space";
