/**
 * Read views: which transactions a reader sees.
 *
 * A view sees the versions made by transactions that had ended when it was opened, and those of its own transaction. A
 * transaction has ended when it is handed over to its group (write-path.ts): from then on its order in the logs is fixed, and
 * who reads its rows gets the reply no earlier than it is durable (I1).
 *
 *     REPEATABLE READ    one view per transaction, opened at its first read, kept until its end
 *     READ COMMITTED     the latest view, for each command anew
 *     one command alone  the latest view, and only while an interactive transaction has changes: otherwise every row in the
 *                        tree is a version that everybody sees
 *
 * Only interactive transactions can be under way while somebody reads; so a view is an id (what began later is not seen)
 * and the ids of the interactive transactions that were under way.
 *
 * Invariant: V1 a version that an open view may need is not purged: `oldestNeeded` is the first transaction in the undo log
 * (U5: in the order of ids) that some view does not see, or that has not been decided yet.
 */

/** A place in the undo log: the header of a transaction, or where the first one with an id from `id` on will be. */
export interface UndoBound {
  readonly id: number;
  readonly header: number;
}

/** What a set of ids must be able to do here. */
interface Ids {
  has(id: number): boolean;
}

const NOTHING: Ids = new Set<number>();

export class ReadView {
  readonly #limit: number;
  readonly #active: Ids;
  /** From here on the undo log has to stay. */
  readonly bound: UndoBound;
  /** The transaction that looks through the view; 0 while it has changed nothing. */
  own = 0;
  /** Whether the view is older than the command that looks through it. */
  readonly isSnapshot: boolean;

  constructor(limit: number, active: Ids, bound: UndoBound) {
    this.isSnapshot = Number.isFinite(limit);
    this.#limit = limit;
    this.#active = active;
    this.bound = bound;
  }

  sees(id: number): boolean {
    return id === this.own || (id < this.#limit && !this.#active.has(id));
  }
}

export class ReadViews {
  /** Interactive transactions that have changed something and have not ended: id → header, in the order of ids. */
  readonly #active = new Map<number, number>();
  readonly #open = new Set<ReadView>();
  /** What has ended is seen, however young: kept as long as one command runs. */
  readonly #latest = new ReadView(Number.POSITIVE_INFINITY, this.#active, { id: Number.POSITIVE_INFINITY, header: 0 });

  /** Views that keep old versions. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Interactive transactions with changes. */
  get activeCount(): number {
    return this.#active.size;
  }

  /** An interactive transaction has made its first change. */
  began(id: number, header: number): void {
    this.#active.set(id, header);
  }

  /** It has committed, or all its changes are undone: views that are opened from now on see what it left. */
  ended(id: number): void {
    this.#active.delete(id);
  }

  /** The view of one command of the transaction `own` (0: of none that has changed anything). */
  latest(own: number): ReadView {
    this.#latest.own = own;
    return this.#latest;
  }

  /** Opens a view that is kept. `nextId` and `nextPointer` are those of the next transaction. */
  open(own: number, nextId: number, nextPointer: number): ReadView {
    const [oldest] = this.#active;
    const bound = oldest === undefined ? { id: nextId, header: nextPointer } : { id: oldest[0], header: oldest[1] };
    const active = oldest === undefined ? NOTHING : new Set(this.#active.keys());
    const view = new ReadView(nextId, active, bound);
    view.own = own;
    this.#open.add(view);
    return view;
  }

  close(view: ReadView): void {
    this.#open.delete(view);
  }

  /** V1. `undecided` is the oldest transaction that has ended and is not committed. */
  oldestNeeded(undecided: UndoBound | undefined): UndoBound | undefined {
    let oldest = undecided;
    const [active] = this.#active;
    if (active !== undefined && !(oldest !== undefined && oldest.id <= active[0])) {
      oldest = { id: active[0], header: active[1] };
    }
    for (const { bound } of this.#open) if (oldest === undefined || bound.id < oldest.id) oldest = bound;
    return oldest;
  }
}
