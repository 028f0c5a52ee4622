/**
 * What is crashed and recovered: an engine under a policy, as a function from a disk to an outcome. A new engine is made for
 * every recovery; the same images, and images that differ only where recovery does not look, share one.
 */
import type { Disk } from "../../common/disk/disk.ts";
import { type DiskOperation, RecordingDisk } from "../../common/disk/recording-disk.ts";
import type { Engine } from "../../common/engine.ts";
import { WalEngine } from "../../kv-wal/engine.ts";
import { dumpCells } from "../engines.ts";
import type { Cells } from "../model.ts";
import { isRefusal, recoverEngine } from "../recover-engine.ts";
import type { RunPlan } from "../simulated-run.ts";
import { Simulation } from "../simulator.ts";
import type { Check, CheckProblem } from "./checks.ts";
import type { DiskImage } from "./disk-image.ts";
import { OutcomeTree } from "./outcome-tree.ts";
import { PagePool } from "./page-pool.ts";
import { ScratchDisk } from "./scratch-disk.ts";

/** What recovery made of a disk. */
export interface Outcome {
  /** Why it did not start. */
  readonly refused: string | undefined;
  /** Everything that is there then. */
  readonly cells: Cells;
  /** What recovery said that it did. */
  readonly lines: readonly string[];
  /** What the engine's checker found wrong. */
  readonly problems: readonly CheckProblem[];
}

export interface RecordedRecovery {
  readonly outcome: Outcome;
  /** What recovery did to the disk. */
  readonly operations: readonly DiskOperation[];
  /** The disk when recovery had ended. */
  readonly after: DiskImage;
}

const NOTHING: Cells = new Map();
/** The tree is cut down when it has so many leaves: its images must fit into memory. */
const LEAVES_MAX = 8000;

/** The engine is not used any more: its largest piece of memory is for the next. */
function discard(engine: Engine): void {
  if (engine instanceof WalEngine) engine.storage.pool.arena.discard();
}

export class Subject {
  readonly plan: RunPlan;
  /** How many times recovery ran, and on how many folders the checks were made then. */
  recoveries = 0;
  checked = 0;
  readonly #check: Check | undefined;
  readonly #pool = new PagePool();
  #tree = new OutcomeTree<Outcome>();
  /** Of images that come again: after a reply, only the verdict may be another. */
  readonly #outcomes = new WeakMap<DiskImage, Outcome>();
  /** The images of the tree's answers: page ids of another store mean something else. */
  #store: DiskImage["store"] | undefined;

  constructor(plan: RunPlan, check?: Check) {
    this.plan = plan;
    this.#check = check;
  }

  /** What recovery makes of the image. */
  outcomeOf(image: DiskImage): Outcome {
    if (this.#store !== image.store || this.#tree.leaves > LEAVES_MAX) {
      this.#store = image.store;
      this.#tree = new OutcomeTree();
    }
    const known = this.#outcomes.get(image) ?? this.#tree.find(image);
    if (known !== undefined) {
      this.#outcomes.set(image, known);
      return known;
    }
    const { outcome, disk } = this.#recover(image, (inner) => inner);
    this.#tree.add(disk.questions, outcome);
    this.#outcomes.set(image, outcome);
    return outcome;
  }

  /** Recovers the image, whether or not its outcome is known, and tells what recovery did. */
  record(image: DiskImage): RecordedRecovery {
    const operations: DiskOperation[] = [];
    const { outcome, disk } = this.#recover(
      image,
      (inner) => new RecordingDisk(inner, (operation) => operations.push(operation)),
    );
    return { outcome, operations, after: disk.image() };
  }

  #recover(image: DiskImage, wrap: (disk: Disk) => Disk): { outcome: Outcome; disk: ScratchDisk } {
    this.recoveries++;
    // Always the same chance: an outcome depends on the image alone.
    const simulation = new Simulation(0);
    this.#pool.reset();
    const disk = new ScratchDisk(image, (run) => void simulation.after(0, run), this.#pool);
    try {
      const recovered = recoverEngine(this.plan, wrap(disk), simulation);
      const { engine, config, lines } = recovered;
      const cells = dumpCells(engine);
      const check = this.#check;
      const isChecked = check !== undefined && image.digest % check.oneIn === 0;
      if (isChecked) this.checked++;
      const problems = isChecked ? check.look(engine, recovered.disk, config, cells) : [];
      discard(engine);
      return { outcome: { refused: undefined, cells, lines, problems }, disk };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return { outcome: { refused: error.message, cells: NOTHING, lines: [], problems: [] }, disk };
    }
  }
}
