/**
 * What is crashed and recovered: an engine under a policy, as a function from a disk to an outcome. A new engine is made for
 * every recovery; the same images, and images that differ only where recovery does not look, share one.
 */
import type { Bytes } from "../../common/bytes.ts";
import { type DiskOperation, RecordingDisk } from "../../common/disk/recording-disk.ts";
import type { Engine } from "../../common/engine.ts";
import { WalEngine } from "../../kv-wal/engine.ts";
import { dumpCells, isRefusal } from "../engines.ts";
import type { Cells } from "../model.ts";
import { recoverEngine } from "../recover-engine.ts";
import type { RunPlan } from "../simulated-run.ts";
import { Simulation } from "../simulator.ts";
import type { Check, CheckProblem } from "./checks.ts";
import type { DiskImage } from "./disk-image.ts";
import { OutcomeTree } from "./outcome-tree.ts";
import { PagePool } from "./page-pool.ts";
import { type Question, ScratchDisk } from "./scratch-disk.ts";

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
}

/** A recovery of the tree: what it did follows from the answers that it got, as its outcome does. */
interface Learned {
  readonly outcome: Outcome;
  /** Undefined: too much to be kept. */
  readonly operations: readonly DiskOperation[] | undefined;
}

const NOTHING: Cells = new Map();
/** The tree is cut down when it has so many leaves: its images must fit into memory. */
const LEAVES_MAX = 8000;
/** A recovery that wrote more, because it made the folder, is run again when somebody asks what it did. */
const WRITTEN_KEPT_MAX = 64 << 10;
/** Longer values are kept once, however many outcomes have them. */
const SHARED_FROM = 1000;
/** Images whose outcomes are known without asking the tree. */
const KNOWN_MAX = 50_000;

interface Known {
  readonly image: DiskImage;
  readonly learned: Learned;
}

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
  readonly #isExpected: (error: unknown) => error is Error;
  readonly #pool = new PagePool();
  #tree = new OutcomeTree<Learned>();
  readonly #values = new Map<Bytes, Bytes>();
  /** Images that were asked about, by their digests: most come again, from other moments and models. */
  readonly #known = new Map<number, Known>();
  /** The images of the tree's answers: page ids of another store mean something else. */
  #store: DiskImage["store"] | undefined;

  /** `isExpected`: what recovery may end with, beside success; a wrong engine (compare/bugs) may stumble over itself. */
  constructor(plan: RunPlan, check?: Check, isExpected: (error: unknown) => error is Error = isRefusal) {
    this.plan = plan;
    this.#check = check;
    this.#isExpected = isExpected;
  }

  /** What recovery makes of the image. */
  outcomeOf(image: DiskImage): Outcome {
    return this.#learn(image).outcome;
  }

  /** The same, and what recovery does to the disk. */
  record(image: DiskImage): RecordedRecovery {
    const { outcome, operations } = this.#learn(image);
    return { outcome, operations: operations ?? this.#recover(image).operations };
  }

  #learn(image: DiskImage): Learned {
    if (this.#store !== image.store || this.#tree.leaves > LEAVES_MAX) {
      this.#store = image.store;
      this.#tree = new OutcomeTree();
      this.#known.clear();
      this.#values.clear();
    }
    const known = this.#known.get(image.digest);
    if (known !== undefined && (known.image === image || known.image.isSame(image))) return known.learned;
    const learned = this.#tree.find(image) ?? this.#recoverAndLearn(image);
    if (this.#known.size > KNOWN_MAX) this.#known.clear();
    this.#known.set(image.digest, { image, learned });
    return learned;
  }

  #recoverAndLearn(image: DiskImage): Learned {
    const { outcome, operations, questions } = this.#recover(image);
    let bytes = 0;
    for (const operation of operations) if (operation.kind === "write") bytes += operation.bytes.length;
    const learned = { outcome, operations: bytes > WRITTEN_KEPT_MAX ? undefined : operations };
    this.#tree.add(questions, learned);
    return learned;
  }

  #recover(image: DiskImage): RecordedRecovery & { readonly questions: readonly Question[] } {
    this.recoveries++;
    // Always the same chance: an outcome depends on the image alone.
    const simulation = new Simulation(0);
    this.#pool.reset();
    const disk = new ScratchDisk(image, (run) => void simulation.after(0, run), this.#pool);
    const operations: DiskOperation[] = [];
    const recorded = new RecordingDisk(disk, (operation) => operations.push(operation));
    const { questions } = disk;
    try {
      const recovered = recoverEngine(this.plan, recorded, simulation);
      const { engine, config, lines } = recovered;
      const cells = this.#shared(dumpCells(engine));
      const check = this.#check;
      const isChecked = check !== undefined && image.digest % check.oneIn === 0;
      if (isChecked) this.checked++;
      const problems = isChecked ? check.look(engine, recovered.disk, config, cells) : [];
      discard(engine);
      return { outcome: { refused: undefined, cells, lines, problems }, operations, questions };
    } catch (error) {
      if (!this.#isExpected(error)) throw error;
      const outcome = { refused: error.message, cells: NOTHING, lines: [], problems: [] };
      return { outcome, operations, questions };
    }
  }

  #shared(cells: Cells): Cells {
    const shared = new Map<Bytes, Bytes>();
    for (const [cell, value] of cells) {
      const known = value.length < SHARED_FROM ? value : this.#values.get(value);
      if (known === undefined) this.#values.set(value, value);
      shared.set(cell, known ?? value);
    }
    return shared;
  }
}
