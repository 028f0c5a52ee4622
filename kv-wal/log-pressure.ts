/**
 * A full redo log makes writers wait: their commands are not begun, and are begun when pages have been written and the
 * checkpoint has moved. Commands that read go on meanwhile; nobody is refused, and nothing is lost.
 *
 *     checkpoint age   0 ──────── 1/2 ──────── 3/4 ─────────── 7/8 ──────────── full
 *                                 pages are    batch after     commands that    what runs already, or has no client, writes
 *                                 written      batch           write wait       pages itself, in place (page-cleaner.ts)
 *
 * The last part is for that: one command can need more than any reserve, and active expiry, purge and marks of commits have
 * nobody who could wait. In a log of less than two megabytes the reserve is two mini-transactions instead; in the smallest
 * ones, where these leave nothing, commands wait half way to where pages are written in place.
 */
import type { Call } from "../common/command/call.ts";
import type { Client } from "../common/command/session.ts";
import { writes } from "./lock-plan.ts";
import type { PageCleaner } from "./page-cleaner.ts";
import { GROUP_BYTES_MAX, type RedoLog } from "./redo-log.ts";

const WAITS_FROM = 7 / 8;
/** Those who wait go on when the age has fallen to this part of what made them wait. */
const GOES_ON_AT = 6 / 7;

export class LogPressure {
  readonly #redo: RedoLog;
  readonly #cleaner: PageCleaner;
  readonly #waiting = new Set<Client>();
  /** The age from which on commands that write wait. */
  #limit = Number.POSITIVE_INFINITY;
  /** Commands that have waited. */
  waits = 0;

  constructor(redo: RedoLog, cleaner: PageCleaner) {
    this.#redo = redo;
    this.#cleaner = cleaner;
    cleaner.onProgress = (mayGoOn) => this.#progress(mayGoOn);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** The log has its size. */
  open(): void {
    const { ageMax } = this.#redo;
    const largest = Math.min(ageMax * WAITS_FROM, ageMax - 2 * GROUP_BYTES_MAX);
    this.#limit = Math.max(largest, (ageMax - GROUP_BYTES_MAX) / 2);
  }

  get isHigh(): boolean {
    return this.#redo.age > this.#limit;
  }

  /** Whether the command has to wait; its client is told to run it again. To be asked when `isHigh`. */
  holds(call: Call): boolean {
    const { client } = call.session;
    if (client === undefined || !writes(call)) return false;
    this.waits++;
    this.#waiting.add(client);
    this.#cleaner.press();
    return this.#waiting.size > 0;
  }

  /** Pages were written and the checkpoint has moved; or it cannot move any more, and waiting does not help. */
  #progress(mayGoOn: boolean): void {
    if (mayGoOn && this.#redo.age > this.#limit * GOES_ON_AT) return;
    this.#cleaner.isPressed = false;
    const clients = [...this.#waiting];
    this.#waiting.clear();
    for (const client of clients) client.unblock();
  }
}
