/**
 * Row locks, as in InnoDB: who changes a key holds it until its transaction ends (strict two-phase locking), so nobody
 * changes what is not committed, and undoing one transaction never meets the changes of another.
 *
 *     resource             modes
 *     a database           IS, IX  somebody has (IX: exclusive) locks on keys in it
 *                          S, X    all its keys: KEYS at SERIALIZABLE, FLUSHDB
 *     a key                S, X    also one that does not exist: what InnoDB needs gap locks for
 *     the whole keyspace   IS      an interactive transaction has looked at it, so its databases must stay what they are
 *                          X       SWAPDB
 *
 * A request is granted when nobody else holds a mode that conflicts with it, and nobody who came before waits for one
 * (FIFO). Who holds a weaker mode already goes before those who hold nothing: waiting behind them would be a deadlock.
 *
 * Deadlocks are looked for whenever somebody begins to wait: a cycle of waiting must go through him. The victim is the one
 * with the fewest changes, of equals the one who asked last.
 *
 * Invariants: L1 modes of different owners on one resource never conflict. L2 an owner waits for at most one request. L3 after
 * each call nobody waits who could be granted, and there is no cycle of waiting. L4 a resource that nobody holds or waits
 * for is not in the table.
 */
import { assert, present } from "../common/assert.ts";

export const LockMode = { IS: 1, IX: 2, S: 4, X: 8 } as const;
export type LockMode = (typeof LockMode)[keyof typeof LockMode];

const { IS, IX, S, X } = LockMode;
/** For each mode, the modes that it conflicts with, and those that are granted with it. */
const CONFLICTS: Readonly<Record<number, number>> = { [IS]: X, [IX]: S | X, [S]: IX | X, [X]: IS | IX | S | X };
const INCLUDES: Readonly<Record<number, number>> = { [IS]: IS, [IX]: IS | IX, [S]: IS | S, [X]: IS | IX | S | X };

/** Who holds locks: an interactive transaction, or a command that waits for its turn. */
export interface LockOwner {
  /** Rows changed so far: what it would cost to undo. */
  readonly changes: number;
  /** The resources on which it holds something. */
  readonly held: Set<Lock>;
  /** What it waits for (L2). */
  waiting: LockRequest | undefined;
  /** The request that it waited for has been granted. */
  granted(): void;
}

interface LockRequest {
  readonly owner: LockOwner;
  readonly lock: Lock;
  readonly mode: LockMode;
}

/** A resource that somebody holds or waits for. */
class Lock {
  readonly name: string;
  /** The modes of each owner, a bit each. */
  readonly holders = new Map<LockOwner, number>();
  readonly queue: LockRequest[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Whether somebody else holds a mode that conflicts, or waits for one before place `end` of the queue. */
  conflicts(owner: LockOwner | undefined, mode: LockMode, end: number): boolean {
    const against = CONFLICTS[mode]!;
    for (const [holder, modes] of this.holders) if (holder !== owner && (modes & against) !== 0) return true;
    for (let i = 0; i < end; i++) {
      const request = this.queue[i]!;
      if (request.owner !== owner && (request.mode & against) !== 0) return true;
    }
    return false;
  }

  /** Those whom a waiting request waits for. */
  *blockersOf(request: LockRequest): Iterable<LockOwner> {
    const against = CONFLICTS[request.mode]!;
    for (const [holder, modes] of this.holders) {
      if (holder !== request.owner && (modes & against) !== 0) yield holder;
    }
    for (const earlier of this.queue) {
      if (earlier === request) return;
      if (earlier.owner !== request.owner && (earlier.mode & against) !== 0) yield earlier.owner;
    }
  }
}

export type { Lock };

export class LockTable {
  readonly #locks = new Map<string, Lock>();
  /** Owners that wait. */
  waiters = 0;
  /** Since the start. */
  waits = 0;

  /** Resources that are locked or waited for. */
  get size(): number {
    return this.#locks.size;
  }

  /** Whether the mode could be had at once. */
  isFree(owner: LockOwner | undefined, name: string, mode: LockMode): boolean {
    const lock = this.#locks.get(name);
    return lock === undefined || !lock.conflicts(owner, mode, lock.queue.length);
  }

  /** Takes a lock, or begins to wait for it: false. */
  take(owner: LockOwner, name: string, mode: LockMode): boolean {
    assert(owner.waiting === undefined, "L2: who waits asks for nothing else");
    let lock = this.#locks.get(name);
    if (lock === undefined) {
      lock = new Lock(name);
      this.#locks.set(name, lock);
    }
    const held = lock.holders.get(owner) ?? 0;
    if (includes(held, mode)) return true;
    const place = held === 0 ? lock.queue.length : strongerRequests(lock);
    if (!lock.conflicts(owner, mode, place)) {
      hold(owner, lock, mode);
      return true;
    }
    const request = { owner, lock, mode };
    lock.queue.splice(place, 0, request);
    owner.waiting = request;
    this.waiters++;
    this.waits++;
    return false;
  }

  /**
   * A cycle of owners, each of whom waits for the next and the last one for the first, which is `owner`; undefined when there
   * is none.
   */
  findCycle(owner: LockOwner): LockOwner[] | undefined {
    const path: LockOwner[] = [owner];
    const blockers: Iterator<LockOwner>[] = [blockersOf(owner)];
    const seen = new Set<LockOwner>();
    while (path.length > 0) {
      const next = blockers.at(-1)!.next();
      if (next.done === true) {
        path.pop();
        blockers.pop();
      } else if (next.value === owner) return path;
      else if (!seen.has(next.value)) {
        seen.add(next.value);
        path.push(next.value);
        blockers.push(blockersOf(next.value));
      }
    }
    return undefined;
  }

  /** Stops waiting: the request will not be granted. */
  cancel(owner: LockOwner): void {
    const { lock } = present(owner.waiting, "lock table: who cancels waits");
    lock.queue.splice(lock.queue.indexOf(owner.waiting!), 1);
    owner.waiting = undefined;
    this.waiters--;
    this.#grant(lock);
  }

  /** Gives back everything that the owner holds, and grants it to those who wait. */
  release(owner: LockOwner): void {
    assert(owner.waiting === undefined, "lock table: who waits cancels first");
    for (const lock of owner.held) {
      lock.holders.delete(owner);
      this.#grant(lock);
    }
    owner.held.clear();
  }

  /** Grants the requests that nothing stands against any more, in their order (L3). */
  #grant(lock: Lock): void {
    for (let i = 0; i < lock.queue.length; ) {
      const request = lock.queue[i]!;
      if (lock.conflicts(request.owner, request.mode, i)) {
        i++;
        continue;
      }
      lock.queue.splice(i, 1);
      hold(request.owner, lock, request.mode);
      request.owner.waiting = undefined;
      this.waiters--;
      request.owner.granted();
    }
    if (lock.holders.size === 0 && lock.queue.length === 0) this.#locks.delete(lock.name);
  }

  /** L1, L3 and L4 in one look at everything; for tests. */
  check(): string[] {
    const problems: string[] = this.#stuck().map(({ waiting }) => `${waiting!.lock.name}: a deadlock`);
    for (const [name, lock] of this.#locks) {
      if (lock.holders.size === 0) problems.push(`${name}: nobody holds it, ${lock.queue.length} wait`);
      for (const [owner, modes] of lock.holders) {
        for (const mode of [IS, IX, S, X]) {
          if ((modes & mode) !== 0 && lock.conflicts(owner, mode, 0)) problems.push(`${name}: held in conflict`);
        }
      }
      for (const [i, { owner, mode }] of lock.queue.entries()) {
        if (!lock.conflicts(owner, mode, i)) problems.push(`${name}: waits for nothing`);
      }
    }
    return problems;
  }

  /** Those who wait for each other: who is left when everybody ends who need not wait, again and again. */
  #stuck(): LockOwner[] {
    let left = [...this.#locks.values()].flatMap(({ queue }) => queue.map(({ owner }) => owner));
    const stuck = new Set(left);
    for (let before = Number.POSITIVE_INFINITY; left.length < before; ) {
      before = left.length;
      for (const owner of left) {
        if (![...owner.waiting!.lock.blockersOf(owner.waiting!)].some((blocker) => stuck.has(blocker)))
          stuck.delete(owner);
      }
      left = left.filter((owner) => stuck.has(owner));
    }
    return left;
  }
}

function includes(held: number, mode: LockMode): boolean {
  for (const one of [X, S, IX, IS]) if ((held & one) !== 0 && (INCLUDES[one]! & mode) !== 0) return true;
  return false;
}

function hold(owner: LockOwner, lock: Lock, mode: LockMode): void {
  lock.holders.set(owner, (lock.holders.get(owner) ?? 0) | mode);
  owner.held.add(lock);
}

/** How many at the head of the queue wait for a stronger mode than they hold. */
function strongerRequests(lock: Lock): number {
  const first = lock.queue.findIndex(({ owner }) => !lock.holders.has(owner));
  return first < 0 ? lock.queue.length : first;
}

function blockersOf({ waiting }: LockOwner): Iterator<LockOwner> {
  return (waiting === undefined ? [] : waiting.lock.blockersOf(waiting))[Symbol.iterator]();
}
