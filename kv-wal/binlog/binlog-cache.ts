/**
 * The events of the transactions that were executed and not yet written. One cache is filled while the other belongs to the
 * group that is being committed. Because binlog order is the order in which transactions end, the file position of every
 * event is known when it is made.
 */
import { type EventLimits, TransactionEvents } from "./transaction-events.ts";

export class BinlogCache {
  /** Commands that are a transaction of their own write here, one after the other. */
  readonly events: TransactionEvents;

  constructor(limits: EventLimits) {
    this.events = new TransactionEvents(limits);
  }

  /** Starts anew, at the file position behind everything that is in the file or in the other cache. */
  reset(base: number): void {
    this.events.reset(base);
  }

  /** Bytes of the events in it. */
  get length(): number {
    return this.events.bytes;
  }
  /** The file position behind the last event. */
  get end(): number {
    return this.events.end;
  }

  /** A transaction ends: `events` has what it changed. */
  add(events: TransactionEvents, xid: number, seconds: number): void {
    if (events !== this.events) this.events.append(events);
    this.events.commit(xid, seconds);
  }
}
