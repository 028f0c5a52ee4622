/**
 * Where a group of transactions syncs: in place or in the background. As in kv-aof: a sync in the thread pool costs about as
 * much again in hand-overs, and pays only if there are commands to run meanwhile. So small groups sync in place, large ones
 * in the background — until it turns out that their clients all wait for them.
 */

/** From so many transactions on, a group syncs in the background. */
const OVERLAP_TRANSACTIONS_MIN = 32;
/** When hardly anything ran while a group synced there, so many groups sync in place before it is tried again. */
const GROUPS_IN_PLACE = 64;

export class SyncPlace {
  /** Groups that sync in place whatever their size. */
  #inPlaceLeft = 0;

  /** Whether a group of so many transactions syncs in place. */
  isInPlace(transactions: number): boolean {
    return transactions < OVERLAP_TRANSACTIONS_MIN || this.#inPlaceLeft > 0;
  }

  /**
   * A group has ended, and meanwhile so many transactions and replies have gathered. Clients that have one request in flight
   * wait for their group, all of them: a hand-over to a thread buys nothing then.
   */
  ended(transactions: number, gathered: number, replies: number): void {
    if (this.#inPlaceLeft > 0) this.#inPlaceLeft--;
    else if (transactions >= OVERLAP_TRANSACTIONS_MIN && gathered < transactions / 4 && replies <= 2) {
      this.#inPlaceLeft = GROUPS_IN_PLACE;
    }
  }
}
