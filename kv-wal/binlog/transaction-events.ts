/**
 * The binlog events of one open transaction, in memory: what MySQL calls the transaction's binlog cache.
 *
 *     BEGIN, then per statement   TABLE_MAP for the tables it changes, row events, the last one flagged as its end
 *                           or    QUERY: the command as text
 *     and at commit               XID
 *
 * Row images are written straight into the buffer (row-capture.ts). Rows of one table that are changed in the same way one
 * after another share an event of up to ROWS_EVENT_BYTES_MAX; it stays open until something else comes, and then gets its
 * size and checksum. A "statement" is a run of rows whose tables were mapped at its start, as a replica of MySQL wants it.
 *
 * The events of commands outside interactive transactions are gathered where the group's events are (binlog-cache.ts), with
 * the right file position from the start. An interactive transaction has an object of its own, with positions from 0 on,
 * and `append` corrects positions and checksums when it commits.
 *
 * Memory: chunks of up to CHUNK_BYTES, larger only for an event that is; so nothing is bounded by the largest Buffer but
 * one event, whose two images of the longest value take 1 GiB.
 *
 * Invariants: B1 events are whole but for the open row event, which is the last one and does not cross a chunk. B2 marks
 * lie between events. B3 nothing is written before BEGIN, and a transaction that gathered nothing has no bytes.
 */
import { assert } from "../../common/assert.ts";
import type { Bytes } from "../../common/bytes.ts";
import { viewOf, writeU16, writeU32 } from "../bytes-view.ts";
import { EventTemplate, OpeningTemplate } from "./event-template.ts";
import {
  beginEvent,
  CHECKSUM_BYTES,
  EVENT_HEADER_BYTES,
  EVENT_POSITION_AT,
  eventSize,
  NO_DATABASE,
  queryBytesMax,
  seal,
  writeQuery,
  xidEvent,
} from "./events.ts";
import { type RowChange, rowsHead, STATEMENT_END, tableMapEvent } from "./row-events.ts";
import { TABLES, type Table } from "./schema.ts";

/** As MySQL's binlog_row_event_max_size: an event that is longer takes no further row. */
export const ROWS_EVENT_BYTES_MAX = 8192;
/** From this size on, events go on in another chunk instead of one that is twice as large. */
const CHUNK_BYTES = 4 * 1024 * 1024;
const BYTES_INITIAL = 1024;
/** Room that a chunk has beyond what made it grow. */
const BYTES_SPARE = 64 * 1024;

const BEGIN = new EventTemplate(beginEvent());
const XID = new EventTemplate(xidEvent());
const TABLE_MAPS = TABLES.map((table) => new EventTemplate(tableMapEvent(table)));
const FLAGS_AT = EVENT_HEADER_BYTES + 6;

/** How transactions that change rows begin: by the change and the tables mapped. */
const OPENINGS: (OpeningTemplate | undefined)[] = [];

function openingOf(table: Table, change: RowChange, alsoMapped: Table): OpeningTemplate {
  const number = (change * (TABLES.length + 1) + table) * (TABLES.length + 1) + alsoMapped;
  OPENINGS[number] ??= new OpeningTemplate(
    [BEGIN, ...[...new Set([table, alsoMapped])].map((mapped) => TABLE_MAPS[mapped - 1]!)],
    rowsHead(table, change),
  );
  return OPENINGS[number];
}

/** The answer to a command whose transaction has `overflowed`; it is undone then, and was never prepared. */
export const OVERFLOW =
  "ERR Multi-statement transaction required more than 'max_binlog_cache_size' bytes of storage; increase this directive and try again";

/** What a server sets for all transactions; may change at run time. */
export interface EventLimits {
  /** Bytes of events that one transaction may gather. */
  cacheBytesMax: number;
}

export class TransactionEvents {
  readonly #limits: EventLimits;
  #buffer: Buffer;
  #view: DataView;
  /** Bytes used of the buffer. */
  #length = 0;
  readonly #full: Buffer[] = [];
  /** File position of the buffer's first byte. */
  #base = 0;
  /** That of the first event since `reset`. */
  #from = 0;
  /** File position at which the open transaction begins. */
  #start = 0;
  #seconds = 0;
  #begun = false;
  /** The open row event: where it starts in the buffer, or −1, and what it has. */
  #rowsAt = -1;
  #table = 0;
  #change = 0;
  /** Tables mapped since the statement began, a bit each. */
  #mapped = 0;
  /** It would have become larger than `cacheBytesMax`; what came then is not in it. */
  overflowed = false;

  constructor(limits: EventLimits) {
    this.#limits = limits;
    this.#buffer = Buffer.allocUnsafeSlow(BYTES_INITIAL);
    this.#view = viewOf(this.#buffer);
  }

  /** Forgets everything and starts anew at this file position. */
  reset(base: number): void {
    this.#full.length = 0;
    if (this.#buffer.length > CHUNK_BYTES) this.#use(Buffer.allocUnsafeSlow(BYTES_INITIAL));
    this.#length = 0;
    this.#base = base;
    this.#from = base;
    this.#begin(base);
  }

  #use(buffer: Buffer): void {
    this.#buffer = buffer;
    this.#view = viewOf(buffer);
  }

  #begin(start: number): void {
    this.#start = start;
    this.#begun = false;
    this.#rowsAt = -1;
    this.#mapped = 0;
    this.overflowed = false;
  }

  /** The file position behind the last event. */
  get end(): number {
    return this.#base + this.#length;
  }
  /** Bytes gathered since `reset`. */
  get bytes(): number {
    return this.end - this.#from;
  }
  /** Whether the open transaction has no events. */
  get isEmpty(): boolean {
    return this.end === this.#start;
  }
  /** What was gathered since `reset`, committed or not, in order. */
  chunks(): Buffer[] {
    return [...this.#full, this.#buffer.subarray(0, this.#length)];
  }
  /** Of the statement that follows: when it runs. */
  setTime(seconds: number): void {
    this.#seconds = seconds;
  }

  /** A place to which `truncate` can go back. Ends the statement. */
  mark(): number {
    this.#closeRows(true);
    return this.end - this.#start;
  }

  /** Forgets what the open transaction has gathered behind a mark; 0: all of it. */
  truncate(mark: number): void {
    const target = this.#start + mark;
    assert(target <= this.end, "binlog events: a mark lies behind");
    while (target < this.#base) {
      this.#use(this.#full.pop()!);
      this.#base -= this.#buffer.length;
    }
    this.#length = target - this.#base;
    this.#rowsAt = -1;
    this.#mapped = 0;
    this.overflowed = false;
    if (mark === 0) this.#begun = false;
  }

  /** Makes room for a row of at most `bytes`; the caller writes it at `length` of `buffer` and calls `advance`. */
  openRow(table: Table, change: RowChange, bytes: number, alsoMapped: Table = table): boolean {
    if (!this.#fits(bytes)) return false;
    const isOpen = this.#rowsAt >= 0 && table === this.#table && change === this.#change;
    if (!isOpen || this.#length - this.#rowsAt + bytes > ROWS_EVENT_BYTES_MAX)
      this.#openRows(table, change, alsoMapped);
    if (this.#length + bytes + CHECKSUM_BYTES > this.#buffer.length) this.#grow(bytes + CHECKSUM_BYTES);
    return true;
  }
  get buffer(): Buffer {
    return this.#buffer;
  }
  /** The same as `buffer`. */
  get view(): DataView {
    return this.#view;
  }
  get length(): number {
    return this.#length;
  }
  advance(end: number): void {
    this.#length = end;
  }

  #fits(bytes: number): boolean {
    if (this.end - this.#start + bytes <= this.#limits.cacheBytesMax) return true;
    this.overflowed = true;
    return false;
  }

  #openRows(table: Table, change: RowChange, alsoMapped: Table): void {
    this.#table = table;
    this.#change = change;
    if (!this.#begun) {
      this.#openTransaction(table, change, alsoMapped);
      return;
    }
    const isMapped = (this.#mapped & (1 << table)) !== 0;
    this.#closeRows(!isMapped);
    if (!isMapped) {
      this.#map(table);
      if (alsoMapped !== table) this.#map(alsoMapped);
    }
    const head = rowsHead(table, change);
    this.#reserve(head.length + CHECKSUM_BYTES);
    this.#rowsAt = this.#length;
    this.#buffer.set(head, this.#length);
    this.#length += head.length;
  }

  /** BEGIN, the tables of the first statement, and its row event. */
  #openTransaction(table: Table, change: RowChange, alsoMapped: Table): void {
    const opening = openingOf(table, change, alsoMapped);
    this.#reserve(opening.size + CHECKSUM_BYTES);
    const at = this.#length;
    this.#rowsAt = opening.write(this.#buffer, this.#view, at, this.#base, this.#seconds);
    this.#length = at + opening.size;
    this.#mapped = (1 << table) | (1 << alsoMapped);
    this.#begun = true;
  }

  #map(table: Table): void {
    const template = TABLE_MAPS[table - 1]!;
    this.#reserve(template.size);
    this.#length = template.write(this.#buffer, this.#view, this.#length, this.#base, this.#seconds);
    this.#mapped |= 1 << table;
  }

  #ensureBegun(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#reserve(BEGIN.size);
    this.#length = BEGIN.write(this.#buffer, this.#view, this.#length, this.#base, this.#seconds);
  }

  /** Completes the open row event, if there is one. */
  #closeRows(endsStatement: boolean): void {
    const at = this.#rowsAt;
    if (endsStatement) this.#mapped = 0;
    if (at < 0) return;
    this.#rowsAt = -1;
    const buffer = this.#buffer;
    const size = this.#length + CHECKSUM_BYTES - at;
    writeU32(buffer, at, this.#seconds);
    writeU32(buffer, at + 9, size);
    writeU32(buffer, at + EVENT_POSITION_AT, (this.#base + at + size) >>> 0);
    if (endsStatement) writeU16(buffer, at + FLAGS_AT, STATEMENT_END);
    this.#length = seal(buffer, at, this.#length);
  }

  /** Adds a statement that is SQL. */
  addSql(text: string): void {
    this.addStatement(NO_DATABASE, [text]);
  }

  /** Adds a command as text. */
  addStatement(database: number, args: readonly Bytes[]): void {
    const bytes = queryBytesMax(args);
    if (!this.#fits(bytes)) return;
    this.#closeRows(true);
    this.#ensureBegun();
    this.#reserve(bytes);
    this.#length = writeQuery(this.#buffer, this.#length, this.#base, this.#seconds, database, args);
  }

  /** Ends the transaction; the next one begins behind it. One that undid what it did is BEGIN and XID only. */
  commit(xid: number, seconds: number): void {
    assert(!this.overflowed, "binlog events: what is committed is whole");
    this.#closeRows(true);
    this.#ensureBegun();
    this.#reserve(XID.size);
    this.#length = XID.writeXid(this.#buffer, this.#view, this.#length, this.#base, seconds, xid);
    this.#begin(this.end);
  }

  /** Takes over the events of a transaction that has its own object, and corrects their places. */
  append(other: TransactionEvents): void {
    assert(this.isEmpty, "binlog events: one transaction after the other");
    other.#closeRows(true);
    for (const chunk of other.chunks()) {
      this.#reserve(chunk.length);
      chunk.copy(this.#buffer, this.#length);
      const end = this.#length + chunk.length;
      for (let at = this.#length; at < end; ) {
        const size = eventSize(this.#buffer, at);
        writeU32(this.#buffer, at + EVENT_POSITION_AT, (this.#base + at + size) >>> 0);
        at = seal(this.#buffer, at, at + size - CHECKSUM_BYTES);
      }
      this.#length = end;
    }
    this.#begun = other.#begun;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes > this.#buffer.length) this.#grow(bytes);
  }

  /** The buffer becomes larger, or is left as a full chunk; an open event stays in one piece (B1). */
  #grow(bytes: number): void {
    const kept = this.#rowsAt >= 0 ? this.#rowsAt : this.#length;
    const from = kept < CHUNK_BYTES ? 0 : kept;
    const needed = this.#length - from + bytes + BYTES_SPARE;
    const doubled = from === 0 ? Math.min(2 * this.#buffer.length, CHUNK_BYTES) : 0;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, doubled));
    this.#buffer.copy(grown, 0, from, this.#length);
    if (from > 0) {
      this.#full.push(this.#buffer.subarray(0, from));
      this.#base += from;
      this.#length -= from;
      if (this.#rowsAt >= 0) this.#rowsAt = 0;
    }
    this.#use(grown);
  }
}
