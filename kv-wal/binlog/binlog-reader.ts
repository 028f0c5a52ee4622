/**
 * Reads a binlog file event by event and finds its end: the last whole transaction (events.ts E1). What follows it, a torn
 * event or a transaction without XID, is the tail that recovery cuts.
 */
import type { DiskFile } from "../../common/disk/disk.ts";
import { CorruptFile } from "../../common/errors.ts";
import { readU48 } from "../bytes-view.ts";
import { BINLOG_MAGIC, EVENT_HEADER_BYTES, EventType, eventHolds, eventSize } from "./events.ts";

const CHUNK_BYTES = 128 << 10;
const EVENT_BYTES_MIN = EVENT_HEADER_BYTES + 4;

/** A whole event: `buffer[at, end)`, which starts at file position `position`. */
export type VisitEvent = (type: number, buffer: Buffer, at: number, end: number, position: number) => void;

export interface BinlogEnd {
  /** Behind the last whole transaction. */
  readonly position: number;
  readonly transactions: number;
  readonly lastXid: number;
  /** Behind the last whole event: what is there is torn or damaged, if it is not the end of the file. */
  readonly wholeTo: number;
  /** The file ends with ROTATE: another one follows, or was about to. */
  readonly rotated: boolean;
}

/** Visits every whole event of the file up to the first that is not; says where the last whole transaction ends. */
export function readBinlog(file: DiskFile, visit: VisitEvent): BinlogEnd {
  const size = file.size();
  let buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, Math.max(size, EVENT_BYTES_MIN)));
  /** The file position of the buffer's first byte, and how many bytes it holds. */
  let base = 0;
  let held = file.read(0, buffer);
  if (held < BINLOG_MAGIC.length || !buffer.subarray(0, BINLOG_MAGIC.length).equals(BINLOG_MAGIC)) {
    throw new CorruptFile(file.path, 0, "not a binlog");
  }
  let at = BINLOG_MAGIC.length;
  let position = at;
  let transactions = 0;
  let lastXid = 0;
  let rotated = false;
  for (;;) {
    let length = held - at >= EVENT_HEADER_BYTES ? eventSize(buffer, at) : EVENT_HEADER_BYTES;
    if (at + length > held && base + at + length <= size) {
      const next = length > buffer.length ? Buffer.allocUnsafeSlow(length + CHUNK_BYTES) : buffer;
      base += at;
      held = file.read(base, next);
      buffer = next;
      at = 0;
      if (held < EVENT_HEADER_BYTES) break;
      length = eventSize(buffer, 0);
      if (length > held && length <= size - base) continue;
    }
    const end = at + length;
    if (length < EVENT_BYTES_MIN || end > held || !eventHolds(buffer, at, end, base + end)) break;
    const type = buffer[at + 4]!;
    visit(type, buffer, at, end, base + at);
    if (type === EventType.XID) {
      lastXid = readU48(buffer, at + EVENT_HEADER_BYTES);
      position = base + end;
      transactions++;
    } else if (type === EventType.FORMAT_DESCRIPTION || type === EventType.PREVIOUS_GTIDS) position = base + end;
    else if (type === EventType.ROTATE) rotated = true;
    at = end;
  }
  return { position, transactions, lastXid, wholeTo: base + at, rotated };
}

/** Refuses a file that another one follows, unless it is whole and says so. */
export function checkFull(file: DiskFile, { wholeTo, rotated }: BinlogEnd): void {
  if (wholeTo < file.size()) throw new CorruptFile(file.path, wholeTo, "a binlog event is damaged");
  if (!rotated) throw new CorruptFile(file.path, wholeTo, "a binlog file ends without naming the next one");
}
